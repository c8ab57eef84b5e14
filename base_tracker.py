"""What an author of a new system implements so that its tasks are followed until a person has finished them.

One method: given many tracked tasks, say which are finished, with what. The sweep of the sent queue, the confirmed
response, the ack and the statistics are done by runtime.tracking.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic_settings import BaseSettings

from core.messages import TrackedTask
from core.results import Verdict


class BaseTracker(ABC):
    """Follows one system's tasks. `chunk_size` is how many tasks `check` is given at the most."""

    settings_class: ClassVar[type[BaseSettings] | None] = None
    chunk_size: int = 2500

    def __init__(self, system_name: str) -> None:
        self.system_name = system_name

    @classmethod
    def from_settings(cls, settings: Any, stop: threading.Event) -> BaseTracker:
        """Builds the tracker from its `settings_class`. Raises NotConfiguredError when the system is not in use."""
        return cls()  # type: ignore[call-arg]  # an author's tracker takes no arguments

    @abstractmethod
    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        """One verdict for each task, in the same order. Asks the system in bulk, never one request per task.

        Raises OutageError, ConfigurationError or TransientError when the system cannot be asked: every task then
        stays where it is until the next sweep.
        """

    def get_stats(self) -> dict[str, Any]:
        """The system's own figures for the heartbeat line."""
        return {}
