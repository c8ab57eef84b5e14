"""Defines what a metric is: its name, its labels with all values that they can have, what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from core.distributions import Distribution
from core.texts import Text

Kind = Literal["counter", "gauge", "histogram"]
LabelValues = tuple[str, ...]
Series = Mapping[LabelValues, float | Distribution]


@dataclass(frozen=True, slots=True)
class Label:
    """A label. `values` are all that it can have; none where they follow from the settings, as systems do."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; `name` is in base units. `bounds` are those of a histogram."""

    name: str
    kind: Kind
    meaning: Text
    labels: tuple[Label, ...] = ()
    bounds: tuple[float, ...] = ()

    def distribution(self) -> Distribution:
        """Return an empty distribution of its values."""
        return Distribution(self.bounds)


class Source(Protocol):
    """Where figures come from. `series` is asked at each look, from any thread."""

    def series(self) -> Iterator[tuple[Metric, Series]]: ...


SYSTEM = Label("system")
QUEUE = Label("queue")


def system_of(queue: str) -> str:
    """Return the system of an input queue or of a sent queue."""
    return queue.removesuffix(".queue").removesuffix(".sent")
