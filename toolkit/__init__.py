"""The tools that a system is built with."""
