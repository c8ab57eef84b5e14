"""The door of a running worker, and what comes in by it."""
