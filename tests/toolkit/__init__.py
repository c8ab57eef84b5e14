"""What the systems have in common, on real sockets and files."""
