"""Writes values into the address of a request to 1C (OData 3): literals, keys, query strings.

Query strings are made by hand: `%20` for a space, since a `+` is not taken for one by every parser in between.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

EMPTY_REF = "00000000-0000-0000-0000-000000000000"

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KINDS = {
    *("Document", "Catalog", "Task", "BusinessProcess", "ExchangePlan"),
    *("ChartOfAccounts", "ChartOfCharacteristicTypes", "ChartOfCalculationTypes"),
}
_SAFE = "$,'()/:;_!=*-."


class ObjectRef(NamedTuple):
    """One object of an infobase. As text, and as `external_id` of the sent queue: `Document_X/guid`."""

    entity: str
    key: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.key}"


def as_guid(value: object) -> str | None:
    """Return the guid in its usual form, None for anything else."""
    text = str(value).strip()
    return str(uuid.UUID(text)) if _GUID.fullmatch(text) else None


def object_ref(text: str | None) -> ObjectRef | None:
    """Return the parts of `Document_X/guid`, None for anything else."""
    entity, slash, key = (text or "").strip().rpartition("/")
    guid = as_guid(key)
    if not slash or guid is None or not is_entity_name(entity):
        return None
    return ObjectRef(entity, guid)


def is_entity_name(text: str) -> bool:
    kind, underscore, name = text.partition("_")
    return kind in _KINDS and bool(underscore) and name.isidentifier()


def guid(key: str) -> str:
    return f"guid'{key}'"


def string(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def moment(value: datetime) -> str:
    """Return a moment local, without an offset, in whole seconds: 1C knows no other."""
    return f"datetime'{value.replace(tzinfo=None).isoformat(timespec='seconds')}'"


def any_of(conditions: Iterable[str]) -> str:
    return f"({' or '.join(conditions)})"


def query_string(options: Mapping[str, str]) -> str:
    """Return `?$format=json&$filter=A%20eq%201` for `{"$filter": "A eq 1"}`."""
    pairs = {"$format": "json", **options}
    return "?" + "&".join(f"{name}={quote(value, safe=_SAFE)}" for name, value in pairs.items())


def entity_path(entity: str, key: str | None = None) -> str:
    path = quote(entity, safe="_")
    return path if key is None else f"{path}({guid(key)})"
