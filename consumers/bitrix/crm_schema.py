"""Reads which fields the portal has for each kind of CRM item: crm.item.fields, read once and kept for a while.

The portal ignores a field that it does not have without a word (crm-item-add.md), so nothing is sent unseen. User
fields go by their original names (`useOriginalUfNames` Y), and their booleans are Y and N, not 1 and 0 as in tasks
(crm-item-list.md). Documentation: api-reference/crm/universal/crm-item-fields.md and, with user fields in the answer,
api-reference/crm/_include/user-fields-for-examples-cut.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumers.bitrix.client import BitrixClient
from consumers.bitrix.crm_kinds import Kind
from consumers.bitrix.userfields import UserField, choices_of
from core.errors import ConfigurationError
from core.texts import Text

_NO_YES = ("N", "Y")


@dataclass(frozen=True, slots=True)
class Schema:
    """The writable fields of one kind: `own` by their names in requests (`title`), `user_fields` by `UF_CRM_…`.

    `spellings` leads from every way in which the portal itself writes the name of an own field to that name.
    """

    own: Mapping[str, UserField]
    user_fields: Mapping[str, UserField]
    spellings: Mapping[str, str]


class Schemas:
    """The fields of all kinds. Usable from any thread. `ttl` in seconds."""

    def __init__(self, client: BitrixClient, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[Kind, tuple[float, Schema]] = {}

    def of(self, kind: Kind, max_age: float | None = None) -> Schema:
        """Return the fields of a kind, at most `max_age` seconds old. Raises the outcome of the request."""
        with self._lock:
            known = self._known.get(kind)
            if known is None or self._clock() - known[0] > (self._ttl if max_age is None else max_age):
                answer = self._client.call("crm.item.fields", {"entityTypeId": kind.entity_type_id})
                known = self._known[kind] = (self._clock(), _schema(kind, answer.result))
            return known[1]


def _schema(kind: Kind, result: Any) -> Schema:
    told = result.get("fields") if isinstance(result, Mapping) else None
    rows = {name: row for name, row in told.items() if isinstance(row, Mapping)} if isinstance(told, Mapping) else {}
    if "title" not in rows and "name" not in rows:
        text = Text(f"Bitrix24 does not tell the fields of a {kind.name}", f"Bitrix24 не называет поля {kind.genitive}")
        raise ConfigurationError(text, code="crm_fields")
    own: dict[str, UserField] = {}
    user_fields: dict[str, UserField] = {}
    spellings: dict[str, str] = {}
    for name, row in rows.items():
        upper = row.get("upperName")
        upper_name = upper if isinstance(upper, str) and upper else name
        if row.get("isReadOnly") is True:
            continue
        if upper_name.startswith("UF_"):
            user_fields[upper_name] = _field(upper_name, row)
        else:
            own[name] = _field(name, row)
            spellings |= {name: name, upper_name: name}
    return Schema(own, user_fields, spellings)


def _field(name: str, row: Mapping[str, Any]) -> UserField:
    kind = row.get("type")
    choices = choices_of(row.get("items"))
    return UserField(name, kind if isinstance(kind, str) else "string", row.get("isMultiple") is True, choices, _NO_YES)
