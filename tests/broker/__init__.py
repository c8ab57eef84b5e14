"""What is said to RabbitMQ, and what it says."""
