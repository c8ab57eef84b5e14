"""Messages that no system's binding took: put where they belong, handed to a webhook, or told to people."""

from consumers.default.handler import DefaultHandler
from consumers.default.tracker import DefaultTracker

__all__ = ["DefaultHandler", "DefaultTracker"]
