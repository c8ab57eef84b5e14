"""Tracks `default.sent.queue`: what a webhook has done is done."""

from __future__ import annotations

from toolkit.done_tracker import DoneTracker


class DefaultTracker(DoneTracker):
    def __init__(self) -> None:
        super().__init__("default")
