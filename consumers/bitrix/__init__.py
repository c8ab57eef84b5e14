"""Bitrix24: tasks for people and CRM items, created, tracked and completed over its REST API."""

from consumers.bitrix.handler import BitrixTaskHandler
from consumers.bitrix.tracker import BitrixTaskTracker

__all__ = ["BitrixTaskHandler", "BitrixTaskTracker"]
