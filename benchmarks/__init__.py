"""Measures the worker, and breaks it on purpose again and again."""
