"""OpenProject: work packages for people, milestones and projects, over its API v3."""

from consumers.openproject.handler import OpenProjectTaskHandler
from consumers.openproject.tracker import OpenProjectTaskTracker

__all__ = ["OpenProjectTaskHandler", "OpenProjectTaskTracker"]
