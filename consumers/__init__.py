"""The outside systems: one folder for each, loaded by name."""
