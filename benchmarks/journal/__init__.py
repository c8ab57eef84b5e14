"""How long a question to a large journal takes."""
