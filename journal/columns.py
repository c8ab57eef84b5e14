"""The columns of a message's row, and what becomes of each when something new is said of the message."""

from __future__ import annotations

ONCE = ("process", "business", "topic", "title", "message_id")  # what was known first stays
LATEST = ("system", "queue", "external", "attempts")  # the latest word counts
WITH_STATE = ("due", "code", "outcome", "reason", "reason_ru", "error_group")  # changes and ends with the state
OF_A_MESSAGE = ("name", "first", "last", "state", *ONCE, *LATEST, *WITH_STATE)
