"""What people write into settings."""
