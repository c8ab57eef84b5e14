"""Promises, each told as a story."""
