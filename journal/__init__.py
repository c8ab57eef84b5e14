"""Remembers what happened to each message: an index for people's questions, and never the truth."""
