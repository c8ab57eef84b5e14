"""Builds the running worker from its settings, and tells at its start what should be known."""
