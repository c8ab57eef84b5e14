"""Python services and functions."""
