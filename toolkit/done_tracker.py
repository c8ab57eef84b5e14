"""Tracks a system whose tasks are all finished at once: their results are forwarded without asking it."""

from __future__ import annotations

from collections.abc import Sequence

from base_tracker import BaseTracker
from core.messages import TrackedTask
from core.results import Rejected, Verdict
from core.texts import Text


class DoneTracker(BaseTracker):
    """A tracker for tasks that are all finished at once.

    `check` is only ever asked about messages that no handler of this system has put into the sent queue.
    """

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        name = self.system_name
        reason = Text(
            f"{name} finishes its tasks at once: nobody will finish this one",
            f"задачи {name} выполняются сразу: эту никто не завершит",
        )
        return [Rejected(reason, code="not_followed") for _ in tasks]
