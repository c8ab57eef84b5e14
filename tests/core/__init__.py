"""Decisions and words: no thread, no socket, no file."""
