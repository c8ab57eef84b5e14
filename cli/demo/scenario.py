"""Defines what the demo must know of a system: its messages, its local server, and what that server holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from core.texts import Language, Text

# task: people finish it. instant: finished at once. refused, broken: belong into the error queue.
Kind = Literal["task", "instant", "update", "duplicate", "refused", "broken"]

IN_ERROR_QUEUE: frozenset[Kind] = frozenset({"refused", "broken"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One message to publish. `after` is the Camunda task whose object must exist before.

    `key` says which message it is: the Camunda task id, or a word of ours for the one that has none.
    """

    kind: Kind
    key: str
    title: str
    body: bytes
    routing_key: str
    headers: Mapping[str, Any]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """What the outside systems hold: ids of objects by the key of their sample, people's answers by the same.

    `latest` is what a person did last, for people, None as long as nobody did anything.
    """

    objects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    answers: Mapping[str, str | None] = field(default_factory=dict)
    finished: int = 0
    latest: str | None = None


class Scenario(ABC):
    """One system in the demo. `fewest` is how many different tasks it must be given at least.

    `input_queues` are the queues that its messages pass through, in this order, `sent_queues` where its results wait.
    """

    name: str
    title: Text
    input_queues: Sequence[str]
    sent_queues: Sequence[str]
    fewest: int
    has_people: bool = True

    @abstractmethod
    def servers(self) -> AbstractContextManager[Text]:
        """Run the local servers; give where they are, for people."""

    @abstractmethod
    def variables(self, folder: Path) -> dict[str, str]:
        """Return the worker's settings for this system; files that they name are written into `folder`."""

    @abstractmethod
    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        """Return `tasks` different Camunda tasks in the order of publishing, and what goes wrong with some."""

    @abstractmethod
    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        """Return what the servers hold now of these published samples."""


class Together(Scenario):
    """Several systems at once; each gets its part of the tasks."""

    def __init__(self, name: str, title: Text, scenarios: Sequence[Scenario]) -> None:
        self.name = name
        self.title = title
        self._scenarios = scenarios
        self.input_queues = _each_once(queue for each in scenarios for queue in each.input_queues)
        self.sent_queues = _each_once(queue for each in scenarios for queue in each.sent_queues)
        self.fewest = sum(each.fewest for each in scenarios)
        self.has_people = any(each.has_people for each in scenarios)

    @contextmanager
    def servers(self) -> Iterator[Text]:
        with ExitStack() as stack:
            places = [stack.enter_context(each.servers()) for each in self._scenarios]
            yield Text.join("; ", places)

    def variables(self, folder: Path) -> dict[str, str]:
        return {name: value for each in self._scenarios for name, value in each.variables(folder).items()}

    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        rest = tasks - self.fewest
        shares = [each.fewest + rest // len(self._scenarios) for each in self._scenarios]
        shares[0] += tasks - sum(shares)
        parts = [each.samples(share, now) for each, share in zip(self._scenarios, shares, strict=True)]
        # All systems at the same time, each in its own order.
        placed = [
            (position / len(part), number, sample)
            for number, part in enumerate(parts)
            for position, sample in enumerate(part)
        ]
        return [sample for _, _, sample in sorted(placed, key=lambda each: each[:2])]

    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        parts = [each.outside(samples, lang) for each in self._scenarios]
        latest = next((part.latest for part in reversed(parts) if part.latest is not None), None)
        return Outside(
            {key: ids for part in parts for key, ids in part.objects.items() if ids},
            {key: answer for part in parts for key, answer in part.answers.items()},
            sum(part.finished for part in parts),
            latest,
        )


def _each_once(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
