"""The outside system of a row: its local server, the people in it, its tasks, and what is found there at the end.

Everything that the account knows of a system it knows from here, from outside: nothing of the daemon's code takes part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from benchmarks.faults.account import PortalTask, Published
from sandbox.faults import Fault, Injection

if TYPE_CHECKING:
    from benchmarks.faults.stage_spec import StageSpec

Params = Mapping[str, Any]
# What a system's interface lets one Camunda task become, at the worst; the words of the tables.
Promise = Literal["once", "once by key", "perhaps twice"]


class Server(AbstractContextManager[Any], Protocol):
    """What all sandboxes have in common."""

    def inject(
        self,
        fault: Fault,
        call: str,
        *,
        count: int | None = 1,
        probability: float = 1.0,
        match: Callable[[Params], bool] | None = None,
    ) -> Injection: ...

    def clear_faults(self) -> None: ...
    def go_down(self) -> None: ...
    def come_back(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a fault is for: the name of a call as the sandbox knows it, and which of its parameters count."""

    name: str
    match: Callable[[Params], bool] | None = None


class Target(ABC):
    """One outside system on a row's stage, usable as a context: its server listens within the block."""

    name: ClassVar[str]
    queue: ClassVar[str]
    sent_queue: ClassVar[str]
    routing_key: ClassVar[str | None]  # by which Camunda's side publishes; None: into the queue itself
    promise: ClassVar[Promise]
    # How many of its tasks a worker has in work at a time, each of which a crash may leave in doubt. 0: none, because
    # the system can be asked what it has, or knows the key.
    at_once: ClassVar[int] = 0
    ambiguous_wait: ClassVar[str | None] = None  # the variable of the wait after a request without an answer
    deleted_code: ClassVar[str | None] = None  # the reason for a task whose object is gone; None: nobody would notice
    settings: ClassVar[Mapping[str, str]] = {}  # short times, as in Stage
    impatient: ClassVar[Mapping[str, str]] = {}  # an answer is waited for a second
    slow: ClassVar[Mapping[str, str]] = {}  # an answer is waited for a tenth as long as usual
    create: ClassVar[Call]
    look_up: ClassVar[Call | None] = None  # what is asked before a creation
    status: ClassVar[Call | None] = None  # what the tracker asks

    server: Server

    def __init__(self, spec: StageSpec, folder: Path) -> None:
        """`folder` is there for files of the system's own."""
        self.spec = spec
        self.folder = folder

    def __enter__(self) -> None:
        self.server.__enter__()

    def __exit__(self, *_error: object) -> None:
        self.server.__exit__(None, None, None)

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """What a worker must be told to use the server."""

    @staticmethod
    @abstractmethod
    def task(number: int) -> Published:
        """An everyday task."""

    def let_people_work(self, _after: float) -> None:
        """People finish every task so many seconds after it appears. A system without people finishes them itself."""
        return

    @property
    @abstractmethod
    def created(self) -> int:
        """How many objects there are."""

    @abstractmethod
    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        """What there is for each Camunda task."""

    @staticmethod
    @abstractmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        """The object and the answer that a response tells of, in the terms of `objects`."""

    @staticmethod
    @abstractmethod
    def failure(*, after_execution: bool = False) -> Fault:
        """The system fails, once: status 500, or what its protocol has for it."""

    @staticmethod
    @abstractmethod
    def limited() -> Fault:
        """It takes nothing for now, in its own words."""

    def delete(self, key: str) -> None:
        """A person deletes the object of a task."""
        raise NotImplementedError(f"nobody deletes anything from {self.name}: {key}")

    def revoke(self) -> None:
        """The worker's credentials are no longer good."""
        raise NotImplementedError(f"{self.name} has no credentials here")

    def restore(self) -> None:
        raise NotImplementedError(f"{self.name} has no credentials here")

    @property
    def requests(self) -> int:
        """Requests so far, refused ones included."""
        raise NotImplementedError(f"{self.name} counts no requests")
