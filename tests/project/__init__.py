"""Documents, layout, installation: what the project says of itself."""
