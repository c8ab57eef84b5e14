"""What the server knows by name: projects, types, people, versions, statuses, fields. Read once, then remembered.

A process names things as people do, by title or by id. An unknown name makes the list be read again, once a minute at
the most: it may be new.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from consumers.openproject.client import OpenProjectClient, filters, id_of
from core import values
from core.errors import PermanentError
from runtime.json_client import Json

_FRESH_ENOUGH = 60.0  # seconds: how often an unknown name may make us read a list again
_NAMES_SHOWN = 20

_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a list: `names` are all texts by which a process may mean it, its title first."""

    id: int
    names: tuple[str, ...]
    row: Json

    @property
    def title(self) -> str:
        return self.names[0]


@dataclass(frozen=True, slots=True)
class CustomField:
    """One custom field of a type in a project; `name` is customFieldN, `options` are its choices by title."""

    name: str
    title: str
    type: str
    options: Mapping[str, str]  # title -> href
    multiple: bool = False


class UnknownNameError(PermanentError):
    """Nothing on the server has this name or id."""


class Directory:
    """One server's lists, each at most `ttl` seconds old. Usable from any thread."""

    def __init__(self, client: OpenProjectClient, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Any]] = {}

    def project(self, value: Any) -> int:
        return self._find("project", "projects", value).id

    def work_package_type(self, project: int, value: Any) -> Choice:
        """A type of the project; without a value the project's first one, as the server would take it."""
        path = f"projects/{project}/types"
        if value is not None:
            return self._find("type", path, value)
        types = self._choices(path, self._ttl)
        if not types:
            raise UnknownNameError(f"OpenProject project {project} has no work package types", code="no_types")
        return types[0]

    def status(self, value: Any) -> int:
        return self._find("status", "statuses", value).id

    def priority(self, value: Any) -> int:
        return self._find("priority", "priorities", value).id

    def assignee(self, project: int, value: Any) -> int:
        """Somebody to whom work packages of the project may be given, by id, name, login or mail address."""
        return self._find("assignee", f"projects/{project}/available_assignees", value).id

    def version(self, project: int, value: Any) -> int:
        return self._find("version", f"projects/{project}/versions", value).id

    def work_package(self, project: int, value: Any) -> int:
        """An id, or the exact subject of one work package of the project."""
        if (number := values.as_identifier(value)) is not None:
            return number
        subject = values.text(value)
        rows = self._client.elements(f"projects/{project}/work_packages", filters=filters(subject=("~", [subject])))
        found = [row for row in rows if str(row.get("subject", "")).casefold() == subject.casefold()]
        if len(found) != 1:
            ids = ", ".join(str(row.get("id")) for row in found[:_NAMES_SHOWN]) or "none"
            raise UnknownNameError(
                f"parent: {values.shown(value)} must be the subject of one work package of the project, found: {ids}",
                code="unknown_parent",
            )
        return int(found[0]["id"])

    def statuses(self, max_age: float | None = None) -> Mapping[int, Choice]:
        return {choice.id: choice for choice in self._choices("statuses", self._ttl if max_age is None else max_age)}

    def is_closed(self, status: int) -> bool:
        """Raises UnknownNameError when the server lists no such status."""
        for age in (self._ttl, _FRESH_ENOUGH):
            if (known := self.statuses(age).get(status)) is not None:
                return known.row.get("isClosed") is True
        raise UnknownNameError(f"OpenProject lists no status {status}", code="unknown_status")

    def custom_fields(self, project: int, kind: int, max_age: float | None = None) -> Mapping[str, CustomField]:
        """By customFieldN and by title, both in small letters."""
        path = f"work_packages/schemas/{project}-{kind}"
        return self._read(
            path, self._ttl if max_age is None else max_age, lambda: _custom_fields(self._client.get(path))
        )

    def custom_field(self, project: int, kind: int, name: str) -> CustomField | None:
        """One that is switched on for this type in this project."""
        for age in (self._ttl, _FRESH_ENOUGH):
            if (found := self.custom_fields(project, kind, age).get(name.casefold())) is not None:
                return found
        return None

    def _find(self, what: str, path: str, value: Any) -> Choice:
        number, name = values.as_identifier(value), values.text(value).casefold()
        choices: Sequence[Choice] = ()
        for age in (self._ttl, _FRESH_ENOUGH):
            choices = self._choices(path, age)
            found = [choice for choice in choices if name in map(str.casefold, choice.names)]
            if not found:
                found = [choice for choice in choices if choice.id == number]
            if len(found) == 1:
                return found[0]
            if found:
                ids = ", ".join(str(choice.id) for choice in found[:_NAMES_SHOWN])
                raise UnknownNameError(
                    f"{what}: {values.shown(value)} may be {ids}: give the id", code=f"unknown_{what}"
                )
        known = ", ".join(f"{choice.title} ({choice.id})" for choice in choices[:_NAMES_SHOWN])
        more = f" and {len(choices) - _NAMES_SHOWN} more" if len(choices) > _NAMES_SHOWN else ""
        raise UnknownNameError(
            f"{what}: {values.shown(value)} is unknown to OpenProject or hidden from the token's user; there are: "
            f"{known or 'none'}{more}",
            code=f"unknown_{what}",
        )

    def _choices(self, path: str, max_age: float) -> Sequence[Choice]:
        return self._read(path, max_age, lambda: [_choice(row) for row in self._client.elements(path)])

    def _read(self, path: str, max_age: float, read: Callable[[], _Kept]) -> _Kept:
        with self._lock:
            kept = self._kept.get(path)
        if kept is not None and self._clock() - kept[0] <= max_age:
            found: _Kept = kept[1]
            return found
        asked = self._clock()
        fresh = read()
        with self._lock:
            self._kept[path] = (asked, fresh)
        return fresh


def _choice(row: Json) -> Choice:
    texts = (row.get(name) for name in ("name", "identifier", "login", "email"))
    names = tuple(str(text) for text in texts if text)
    return Choice(int(row["id"]), names or (str(row["id"]),), row)


def _custom_fields(schema: Json) -> dict[str, CustomField]:
    found: dict[str, CustomField] = {}
    for name, entry in schema.items():
        if name.startswith("customField") and isinstance(entry, Mapping) and entry.get("writable") is not False:
            kind = str(entry.get("type") or "")
            one = CustomField(
                name, str(entry.get("name") or name), kind.removeprefix("[]"), _options(entry), "[]" in kind
            )
            found[name.casefold()] = one
            found.setdefault(one.title.casefold(), one)
    return found


def _options(entry: Mapping[str, Any]) -> dict[str, str]:
    embedded, links = entry.get("_embedded"), entry.get("_links")
    allowed = embedded.get("allowedValues") if isinstance(embedded, Mapping) else None
    if isinstance(allowed, list):
        return {
            str(each.get("value") or each.get("name")): _href(each) for each in allowed if isinstance(each, Mapping)
        }
    allowed = links.get("allowedValues") if isinstance(links, Mapping) else None
    if isinstance(allowed, list):
        return {str(each.get("title")): str(each.get("href")) for each in allowed if isinstance(each, Mapping)}
    return {}


def _href(option: Mapping[str, Any]) -> str:
    links = option.get("_links")
    number = id_of(links, "self")
    return f"/api/v3/custom_options/{number if number is not None else option.get('id')}"
