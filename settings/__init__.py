"""Reads and judges settings, and knows none of them."""
