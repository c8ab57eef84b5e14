"""Handles a delivery around its handler, until it is stored, put off or parked."""
