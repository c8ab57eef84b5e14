"""Reads what a message gives for one task or item; nothing given is ignored silently.

A name in the step's own metadata was written for this step: one that means nothing is refused. A variable belongs to
the whole process: one that means nothing here is reported in the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from core import values
from core.errors import PermanentError
from core.inputs import Inputs
from core.messages import CamundaTask
from core.texts import Text

# UF_X as the portal writes it, uf_x as a hurry does, ufX as the portal answers.
_USER_FIELD = re.compile(r"(?i:uf_)\w+|uf[A-Z]\w*", re.ASCII)


def bare(name: str) -> str:
    """Return one name for all ways to write it: `UF_RESULT_ANSWER`, `uf_result_answer`, `ufResultAnswer`."""
    return name.replace("_", "").casefold()


def in_brackets(warnings: Iterable[Text]) -> Text:
    """Return the warnings in brackets, to follow a sentence."""
    return Text.join("", (each.map(lambda told: f" ({told})") for each in warnings))


class Named(NamedTuple):
    """A value and the name that it stands under; `of_step`: in the step's own metadata."""

    name: str
    value: Any
    of_step: bool


class Given:
    """The inputs of one task, read by `first` as core.inputs reads them; `warnings` are for its result."""

    def __init__(self, task: CamundaTask) -> None:
        self._inputs = Inputs(task)
        self._used: set[str] = set()
        self.warnings: list[Text] = []

    def first(self, *names: str) -> tuple[str, Any] | None:
        self._used.update(names)
        return self._inputs.first(*names)

    def text(self, *names: str) -> str | None:
        found = self.first(*names)
        return values.text(found[1]) or None if found else None

    def use(self, *names: str) -> None:
        """Mark these names as dealt with."""
        self._used.update(names)

    def cut(self, name: Text, text: str, limit: int) -> str:
        """Return at most `limit` characters; warn if something was cut."""
        kept = values.cut_characters(text, limit)
        if kept != text:
            self.warnings.append(
                Text(
                    f"{name.en} has {len(text)} characters and was cut to {limit}",
                    f"{name.ru}: символов {len(text)}, обрезано до {limit}",
                )
            )
        return kept

    def tell_key(self, named: Named) -> None:
        """Warn that the name stands for the field with our key, which no message may set."""
        self.warnings.append(
            Text(
                f"{named.name} was not used: the field keeps the id of the Camunda task",
                f"{named.name}: не использовано, в этом поле хранится id задачи Camunda",
            )
        )

    def told(self) -> list[Text]:
        """Return all that the result has to report, when everything has been asked for."""
        return [*self.warnings, *self._inputs.empty_dates()]

    def user_fields(self) -> list[Named]:
        """Return everything that is called like a user field, what wins first."""
        return list(self._named(_USER_FIELD.fullmatch))

    def of_step(self, names: Collection[str]) -> list[Named]:
        """Return what stands under these names in the step's own metadata and was not asked for by `first`."""
        return [each for each in self._named(lambda name: name in names and name not in self._used) if each.of_step]

    def tell_unused(self, topic: str, family: Collection[str], others: Collection[str]) -> None:
        """Warn of names that mean something elsewhere and were not asked for here.

        `family` are the names of sibling topics, reported wherever they stand; `others` only of the step's own
        metadata.
        """
        unused = set()
        for source, of_step in self._sources():
            for name in source:
                known = name in family or (of_step and name in others)
                if known and name not in self._used and self._is_given(source, name):
                    unused.add(name)
        if unused:
            names = ", ".join(sorted(unused))
            self.warnings.append(Text(f"{topic} has no use for {names}", f"{topic} не использует {names}"))

    def _named(self, wanted: Callable[[str], object]) -> Iterator[Named]:
        for source, of_step in self._sources():
            for name in source:
                if wanted(name) and self._inputs.is_given(name, value := source[name]):
                    yield Named(name, value, of_step)

    def _sources(self) -> Iterator[tuple[Mapping[str, Any], bool]]:
        yield self._inputs.variables, False
        yield self._inputs.extensions, True
        yield self._inputs.parameters, True

    def _is_given(self, source: Mapping[str, Any], name: str) -> bool:
        try:
            return not values.is_blank(source[name])
        except PermanentError:  # a value that cannot be read matters to those who need it
            return True
