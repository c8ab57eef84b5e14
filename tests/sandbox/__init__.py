"""The sandboxes and the private node before clients that nobody here wrote."""
