"""Handles messages that no system's binding took: put where they belong, given to a webhook, or reported to people."""

from consumers.default.handler import DefaultHandler
from consumers.default.tracker import DefaultTracker

__all__ = ["DefaultHandler", "DefaultTracker"]
