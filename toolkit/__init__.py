"""What a system is built of."""
