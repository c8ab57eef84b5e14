"""OpenProject."""
