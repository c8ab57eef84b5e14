"""Reads what a person answered: the portal stores the id of a choice, Camunda waits for its text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from consumers.bitrix.client import BitrixClient
from consumers.bitrix.fields import ANSWER_FIELD
from consumers.bitrix.lookup import value_of
from consumers.bitrix.rows import Row
from consumers.bitrix.userfields import FRESH_ENOUGH, USER_FIELDS, UserField, fields_by_name
from core import values


class AnswerTexts:
    """Resolves choices by the portal's own list, kept for `ttl` seconds, then by `fallback` (id -> text)."""

    def __init__(
        self,
        client: BitrixClient,
        fallback: Mapping[str, str],
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._fallback = fallback
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._fields: Mapping[str, UserField] = {}

    def field_names(self) -> list[str]:
        """Return the user fields of tasks; a reply contains only those that were asked for by name."""
        return list(self._known(self._ttl))

    def text(self, task: Row) -> str | None:
        """Return the answer in the task, None when nobody gave one. An unresolvable choice is its id."""
        given = value_of(task, ANSWER_FIELD)
        chosen = [values.text(item) for item in (given if isinstance(given, list) else [given]) if item]
        texts = [self._resolve(choice) for choice in chosen if choice not in {"", "0"}]
        return ", ".join(texts) or None

    def _resolve(self, choice: str) -> str:
        field = self._known(self._ttl).get(ANSWER_FIELD)
        if field is not None and field.type != "enumeration":
            return choice
        if field is None or choice not in field.choices:
            field = self._known(FRESH_ENOUGH).get(ANSWER_FIELD)
        if field is not None and choice in field.choices:
            return field.choices[choice]
        return self._fallback.get(choice, choice)

    def _known(self, max_age: float) -> Mapping[str, UserField]:
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at > max_age:
                self._fields = fields_by_name(self._client.call(USER_FIELDS.method, USER_FIELDS.params))
                self._read_at = self._clock()
            return self._fields
