"""Answers an operator's questions and does what he asks, for the commands and for the API."""
