"""Builds the running worker from its settings, and reports at its start what should be known."""
