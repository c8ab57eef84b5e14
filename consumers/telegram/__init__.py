"""Telegram: messages to people, groups and channels over the Bot API."""

from consumers.telegram.handler import TelegramHandler
from consumers.telegram.tracker import TelegramTracker

__all__ = ["TelegramHandler", "TelegramTracker"]
