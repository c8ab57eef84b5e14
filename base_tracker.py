"""The base class that an author of a new system implements so that its tasks are followed until a person finishes them.

One method is enough: given many tracked tasks, say which are finished, with what. A second one, `changes`, spares a
system with very many open tasks from being asked about each of them in every sweep. A third one, `finished_among`, is
for a system that tells by itself of what has changed in it (a webhook), also of tasks that are not ours. The sweep of
the sent queue, the confirmed response, the ack and the statistics are done by tracking.sweeper.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from core.messages import TrackedTask
from core.request_figures import RequestFigures
from core.results import Verdict
from settings.base import EnvironmentSettings


@dataclass(frozen=True, slots=True)
class ChangedTask:
    """A task that a person may have finished: its id in the system, and the Camunda task id if the system keeps it.

    One of the two is enough. A task without `task_id` that nobody has asked to be created is ignored by the sweep,
    unless `is_ours`: its id is one that this program gives.
    """

    external_id: str | None
    task_id: str | None = None
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What may have been finished since a mark, and the mark for the next question.

    `mark` is the tracker's own business: it is handed back as it is, and again after a sweep that failed.
    """

    tasks: Sequence[ChangedTask]
    mark: Any


class BaseTracker(ABC):
    """Follows one system's tasks. `chunk_size` is how many tasks `check` is given at the most."""

    settings_class: ClassVar[type[EnvironmentSettings] | None] = None
    chunk_size: int = 2500

    def __init__(self, system_name: str) -> None:
        self.system_name = system_name

    @classmethod
    def from_settings(cls, settings: Any, stop: threading.Event) -> BaseTracker:
        """Build the tracker from its `settings_class`: `cls(settings, stop)`, without settings of its own `cls()`.

        Raises NotConfiguredError when the system is not in use.
        """
        return cls() if cls.settings_class is None else cls(settings, stop)  # type: ignore[call-arg]

    @abstractmethod
    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        """Return one verdict for each task, in the same order. Asks the system in bulk, never one request per task.

        Raises OutageError, ConfigurationError or TransientError when the system cannot be asked: every task then
        stays where it is until the next sweep.
        """

    def changes(self, since: Any) -> Changes | None:
        """Return every task that a person may have finished since the mark `since`, whatever stands in the sent queue.

        With `since` None the result is a mark to ask from next time, and no tasks. None means that it cannot be known
        (not supported, too many, a mark that is no longer good): every open task is then looked at, as without this
        method. A task too many costs little, one too few waits for the next full sweep. Raises what `check` raises.
        """
        return None

    def finished_among(self, external_ids: Sequence[str]) -> Sequence[ChangedTask] | None:
        """Return those of these tasks that a person may have finished; at most `chunk_size` ids are given.

        Anybody's tasks may be among them, and none that exists. A task that is told with the Camunda task id is sought
        in the sent queue, however large that is: tell an id only where the system keeps it. None means that it cannot
        be known, and the next sweep comes sooner. Raises what `check` raises.
        """
        return None

    def get_stats(self) -> dict[str, Any]:
        """Return the system's own figures for the heartbeat line."""
        return {}

    def request_figures(self) -> Sequence[RequestFigures]:
        """Return the figures of the HTTP clients that ask the system: `figures` of toolkit.http.HttpClient."""
        return ()
