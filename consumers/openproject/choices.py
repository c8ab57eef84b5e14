"""Describes one entry of a list, and how a process means it: by a text that people see, else by its id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consumers.openproject.reading import href_of, linked_number, number_of, text_of
from core import values
from core.texts import Text
from toolkit.json_client import Json

_TEXTS = ("name", "value", "label", "identifier", "login", "email", "short")
_SHOWN = 20

NONE = Text("none", "ни одного")  # in place of a list


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a list.

    `names` are all texts by which a process may mean it, its title first; `href` is how it is written.
    """

    id: int
    names: tuple[str, ...]
    href: str
    row: Json
    path: str | None = None  # of an item in a hierarchy, when it has something above it

    @property
    def title(self) -> str:
        return self.path or self.names[0]

    def is_called(self, name: str) -> bool:
        return name in self.names or name == self.path

    def is_called_like(self, name: str) -> bool:
        folded = name.casefold()
        return any(folded == each.casefold() for each in (*self.names, self.path or ""))


def choices_of(rows: Iterable[Json], kind: str) -> list[Choice]:
    """Return the rows that can be read.

    `kind` is the last part but one of their address, for rows that do not name it.
    """
    found = []
    for row in rows:
        links, number = row.get("_links"), number_of(row)
        if number is None:
            continue
        texts = [*(text_of(row.get(name)) for name in _TEXTS), _title(links)]
        names = tuple(dict.fromkeys(text for text in texts if text))
        if names or row.get("_type") != "HierarchyItem":  # its root has no label, and nobody can choose it
            href = href_of(links, "self") or f"/api/v3/{kind}/{number}"
            found.append(Choice(number, names or (str(number),), href, row))
    by_id = {choice.id: choice for choice in found}
    return [replace(choice, path=_path(choice, by_id)) for choice in found]


def matching(choices: Sequence[Choice], value: Any) -> list[Choice]:
    """Return those that the value may mean; more than one when it is not clear."""
    name, number = values.text(value), values.as_identifier(value)
    return (
        [choice for choice in choices if choice.is_called(name)]
        or [choice for choice in choices if choice.is_called_like(name)]
        or [choice for choice in choices if choice.id == number]
    )


def listed(choices: Sequence[Choice]) -> Text:
    """Return the choices for people: `Да (31), Нет (32)`."""
    if not choices:
        return NONE
    shown = Text.of(", ".join(f"{choice.title} ({choice.id})" for choice in choices[:_SHOWN]))
    more = len(choices) - _SHOWN
    return Text(f"{shown.en} and {more} more", f"{shown.ru} и ещё {more}") if more > 0 else shown


def _title(links: Any) -> str | None:
    own = links.get("self") if isinstance(links, Mapping) else None
    return text_of(own.get("title")) if isinstance(own, Mapping) else None


def _path(choice: Choice, by_id: Mapping[int, Choice]) -> str | None:
    """Return `Россия / Москва / Центр`, as people see an item of a hierarchy where it is chosen."""
    if choice.row.get("_type") != "HierarchyItem":
        return None
    labels, seen = [choice.names[0]], {choice.id}
    above = _above(choice, by_id)
    while above is not None and above.id not in seen:
        labels.insert(0, above.names[0])
        seen.add(above.id)
        above = _above(above, by_id)
    return " / ".join(labels) if len(labels) > 1 else None


def _above(choice: Choice, by_id: Mapping[int, Choice]) -> Choice | None:
    return by_id.get(linked_number(choice.row.get("_links"), "parent") or 0)
