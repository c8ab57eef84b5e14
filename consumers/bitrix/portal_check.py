"""Checks what the daemon must know about the portal before it writes: its user fields, and that lookups can be trusted.

Every duplicate that Bitrix24 makes possible begins with a lookup that misses an existing task. The check therefore
refuses to work with a portal that has no key field, ignores the filter by it, or hides tasks from the webhook's user.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping

from consumers.bitrix.batch import Answer, Command
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.fields import XML_ID
from consumers.bitrix.lookup import TaskLookup
from consumers.bitrix.userfields import USER_FIELDS, UserField, fields_by_name
from core.errors import ConfigurationError, OutcomeError
from core.texts import Text

_ADMINISTRATOR = Text(
    "create the webhook as an administrator of the portal, who can read all tasks",
    "создайте вебхук от имени администратора портала, которому видны все задачи",
)


class PortalCheck:
    """The facts of one portal, read in one request and kept for `ttl` seconds. Usable from any thread."""

    def __init__(
        self,
        client: BitrixClient,
        lookup: TaskLookup,
        key_field: str,
        ttl: float,
        *,
        require_admin: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._lookup = lookup
        self._key_field = key_field
        self._ttl = ttl
        self._require_admin = require_admin
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at: float | None = None
        self._fields: Mapping[str, UserField] = {}
        self._unreadable_keys: set[str] = set()

    def user_fields(self, max_age: float | None = None) -> Mapping[str, UserField]:
        """Return the checked portal's fields by name, at most `max_age` seconds old. Raises what `check` raises."""
        with self._lock:
            max_age = self._ttl if max_age is None else max_age
            if self._checked_at is None or self._clock() - self._checked_at > max_age:
                self._check()
            return self._fields

    def check(self) -> None:
        """Ask again, whatever is cached. Raises ConfigurationError with advice, or the outcome of the request."""
        with self._lock:
            self._check()

    def distrust(self, key: str) -> None:
        """Create nothing more until the task of this key, which was created but cannot be read, can be read."""
        with self._lock:
            self._unreadable_keys.add(key)
            self._checked_at = None

    def _check(self) -> None:
        self._checked_at = None
        unknown = secrets.token_hex(16)
        fields, rows, profile = self._client.batch(
            [
                USER_FIELDS,
                self._lookup.command([unknown]),
                Command("profile", {}),
            ]
        ).outcomes
        self._fields = fields_by_name(_answer(fields))
        self._require_key_field()
        self._lookup.read([unknown], _answer(rows))
        # Only who manages the portal reads the tasks of all people (tasks-task-get.md); a portal that does not
        # tell (no such right, an empty object for an inactive user) is left to the check of unreadable tasks.
        who = {} if isinstance(profile, ConfigurationError) else _answer(profile).result
        if self._require_admin and isinstance(who, Mapping) and who.get("ADMIN") is False:
            text = Text(
                "The webhook's user is not an administrator and does not see the tasks of others: lookups would miss "
                f"tasks and create them again; {_ADMINISTRATOR.en}, or set BITRIX_REQUIRE_ADMIN=false",
                "Пользователь вебхука не администратор и не видит чужих задач: поиск пропускал бы задачи, и они "
                f"создавались бы повторно; {_ADMINISTRATOR.ru}, или задайте BITRIX_REQUIRE_ADMIN=false",
            )
            raise ConfigurationError(text, code="webhook_not_administrator")
        self._require_readable_tasks()
        self._checked_at = self._clock()

    def _require_key_field(self) -> None:
        field = self._fields.get(self._key_field)
        if self._key_field == XML_ID or (field is not None and field.type == "string" and not field.multiple):
            return
        if field is None:
            problem = Text("does not exist", "не существует")
        else:
            problem = Text(
                f"is of type {field.type}, not a single text", f"имеет тип {field.type}, а нужна одна строка"
            )
        text = Text(
            f"The user field {self._key_field} that keeps the Camunda task id {problem.en}: run "
            "`python main.py bitrix init-fields` or set BITRIX_KEY_FIELD=XML_ID",
            f"Пользовательское поле {self._key_field}, где хранится id задачи Camunda, {problem.ru}: выполните "
            "`python main.py bitrix init-fields` или задайте BITRIX_KEY_FIELD=XML_ID",
        )
        raise ConfigurationError(text, code="key_field")

    def _require_readable_tasks(self) -> None:
        if self._unreadable_keys:
            found = self._lookup.find(sorted(self._unreadable_keys))
            self._unreadable_keys -= {key for key, task in found.items() if not isinstance(task, OutcomeError)}
        if self._unreadable_keys:
            count = len(self._unreadable_keys)
            text = Text(
                f"Bitrix24 created {count} task(s) that the webhook's user may not read: {_ADMINISTRATOR.en}",
                f"Bitrix24 создал задачи (их {count}), которые пользователю вебхука не видны: {_ADMINISTRATOR.ru}",
            )
            raise ConfigurationError(text, code="created_task_unreadable")


def _answer(outcome: Answer | OutcomeError) -> Answer:
    if isinstance(outcome, OutcomeError):
        raise outcome
    return outcome
