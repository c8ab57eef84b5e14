"""Finds the values of a task: in variables, then extension properties, then input parameters. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core import values
from core.messages import CamundaTask
from core.texts import Text
from core.variables import Variables


class Inputs:
    """The places where a process may put a value, first one wins.

    Blank values count as not given, and so does what clients make of an empty date (see `empty_dates`).
    """

    def __init__(self, task: CamundaTask) -> None:
        self.variables = task.variables
        self.extensions = Variables(task.metadata_section("extensionProperties"))
        self.parameters = Variables(task.metadata_section("inputParameters"))
        self._names = frozenset().union(self.variables, self.extensions, self.parameters)
        self._empty_dates: dict[str, str] = {}

    def first(self, *names: str) -> tuple[str, Any] | None:
        """Return the first of these names that has a value, with it.

        Raises UnreadableError for a variable of these names that cannot be read.
        """
        if self._names.isdisjoint(names):  # mostly: there are so many names that a message may use
            return None
        for source in (self.variables, self.extensions, self.parameters):
            for name in names:
                if name in source and self.is_given(name, value := source[name]):
                    return name, value
        return None

    def named(self, wanted: Callable[[str], bool]) -> dict[str, Any]:
        """Return what is given under names that `wanted` takes. Raises UnreadableError."""
        found = {}
        for source in (self.parameters, self.extensions, self.variables):
            found.update({name: source[name] for name in source if wanted(name) and self.is_given(name, source[name])})
        return found

    def empty_dates(self) -> list[Text]:
        """Return what was asked for and holds the beginning of 1970: a sentence each, for the result."""
        return [
            Text(
                f"{name}: {value} is what clients make of an empty date; it counts as not given",
                f"{name}: {value} – так клиенты записывают пустую дату; значение считается незаданным",
            )
            for name, value in self._empty_dates.items()
        ]

    def is_given(self, name: str, value: Any) -> bool:
        """Return False for what is blank, and for an empty date, which is remembered."""
        if values.is_empty_date(value):
            self._empty_dates[name] = value
            return False
        return not values.is_blank(value)

    def text(self, *names: str) -> str | None:
        found = self.first(*names)
        return values.text(found[1]) or None if found else None


def activity_name(task: CamundaTask) -> str:
    """Return the name of the step in the diagram, or an empty text."""
    return values.text(task.metadata_section("activityInfo").get("name") or "")
