"""Reads and checks settings, without knowing any of them."""
