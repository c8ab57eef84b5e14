"""Hands the ids that hooks have brought to the running worker, many in one question.

What comes while the worker is asked is the next question, so that a burst costs a few. Nothing is kept that no worker
takes: its sweeps find everything, and its first sweep looks at all there is.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from api.hook_metrics import SYSTEMS, HookMetrics, System
from control.client import UNANSWERED, Workers
from core.events.base import write
from core.events.hooks import HooksHeard, HooksUnheard

MOST = 10_000  # ids of one system
AT_ONCE = 2_500  # ids in one question
GATHERING = 0.05  # seconds after a question in which the next ones are gathered
CLOSING = 15.0  # seconds; a question takes ten at the most


class HookInbox:
    """Takes ids from the loop's thread and asks from its own. `most` ids of each system wait."""

    def __init__(self, workers: Workers, metrics: HookMetrics, most: int = MOST) -> None:
        self._workers = workers
        self._metrics = metrics
        self._most = most
        self._lock = threading.Lock()
        self._ids: dict[System, dict[str, None]] = {source: {} for source in SYSTEMS}
        self._unheard: set[System] = set()  # those of which people know already
        self._due = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="hooks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand on what is there, and end."""
        self._stop.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join(CLOSING)

    def put(self, source: System, external_id: str) -> None:
        """Keep an id for the next question; one that waits already is the same one."""
        with self._lock:
            waiting = self._ids[source]
            is_kept = external_id in waiting or len(waiting) < self._most
            if is_kept:
                waiting[external_id] = None
        if not is_kept:
            self._metrics.tasks(source, "dropped")
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            is_last = self._stop.is_set()
            for source in SYSTEMS:
                while ids := self._taken(source):
                    self._hand(source, ids)
            if is_last:
                return
            self._stop.wait(GATHERING)

    def _taken(self, source: System) -> list[str]:
        with self._lock:
            waiting = self._ids[source]
            taken = list(waiting)[:AT_ONCE]
            for each in taken:
                del waiting[each]
        return taken

    def _hand(self, source: System, ids: Sequence[str]) -> None:
        try:
            answers = self._workers.ask("changed", system=source, external_ids=ids)
        except (*UNANSWERED, OSError) as error:
            self._on_unheard(source, ids, str(error))
            return
        if not any(each["is_tracked"] for each in answers):
            self._on_unheard(source, ids, f"no worker tracks {source}")
            return
        # Of two workers one may have no room: the other one looks.
        dropped = min(each["dropped"] for each in answers if each["is_tracked"])
        self._metrics.tasks(source, "handed", len(ids) - dropped)
        self._metrics.tasks(source, "dropped", dropped)
        if source in self._unheard:
            self._unheard.discard(source)
            write(HooksHeard(source))

    def _on_unheard(self, source: System, ids: Sequence[str], reason: str) -> None:
        self._metrics.tasks(source, "unheard", len(ids))
        if source not in self._unheard:
            self._unheard.add(source)
            write(HooksUnheard(source, reason))
