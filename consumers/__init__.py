"""One folder for each system, loaded by name."""
