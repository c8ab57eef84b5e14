"""Handles CRM topics: one way to add and to update leads, deals, contacts and companies (crm.item.*), finished at once.

The universal methods replace the deprecated crm.deal.add and its siblings. An item has `originatorId` "camunda"
and the Camunda task id in `originId`; it is looked up by both before it is added.
Documentation: api-reference/crm/universal/crm-item-add.md, crm-item-update.md, crm-item-list.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from typing import Any

from consumers.bitrix import multifields
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.crm_fields import ORIGINATOR, CrmRules, TranslatedItem, item_fields, not_stored
from consumers.bitrix.crm_kinds import Kind
from consumers.bitrix.crm_schema import Schemas
from consumers.bitrix.errors import UnclearAnswerError
from consumers.bitrix.fields import TASK_NAMES
from consumers.bitrix.given import Given, in_brackets
from consumers.bitrix.multifields import Entry
from consumers.bitrix.rows import id_of, rows_in, rows_of
from consumers.bitrix.userfields import with_fresh_fields
from core import values
from core.errors import AmbiguousError, ConfigurationError, OutageError, PermanentError, TransientError
from core.messages import CamundaTask, IncomingMessage
from core.results import Done, with_warnings
from core.texts import Text
from toolkit.claims import KeyClaims, busy, come_back_later

Item = Mapping[str, Any]

_ORIGINAL_NAMES = {"useOriginalUfNames": "Y"}


class CrmItems:
    """Adds and updates CRM items. `ambiguous_wait` and `fields_ttl` are in seconds."""

    def __init__(
        self,
        client: BitrixClient,
        claims: KeyClaims,
        *,
        ambiguous_wait: float,
        fields_ttl: float,
        zone: tzinfo,
        roles: Callable[[], Mapping[str, int]],
    ) -> None:
        self._client = client
        self._claims = claims
        self._ambiguous_wait = ambiguous_wait
        self._schemas = Schemas(client, fields_ttl)
        self._zone = zone
        self._roles = roles
        self._paused_by: Kind | None = None

    def create(self, message: IncomingMessage, kind: Kind) -> Done:
        """Add the item, or adopt the one that an earlier attempt added. Raises an outcome."""
        key = message.task.task_id
        if not self._claims.take(key):
            raise busy(self._ambiguous_wait)
        try:
            with self._noting(kind):
                if (found := self._find(kind, key)) is not None:
                    return _done(found, [], duplicate=True)
                if message.redelivered:
                    reason = Text(
                        "An earlier worker may be creating this item still",
                        "Возможно, этот элемент ещё создаёт прежний воркер",
                    )
                    raise come_back_later(reason, "redelivered", self._ambiguous_wait)
                if self._claims.is_in_doubt(key):
                    reason = Text(
                        "The portal may be creating this item still, for another message of it",
                        "Возможно, портал ещё создаёт этот элемент по другому сообщению о нём",
                    )
                    raise come_back_later(reason, "key_in_doubt", self._ambiguous_wait)
                return self._add(message, kind)
        finally:
            self._claims.release([key])

    def update(self, message: IncomingMessage, kind: Kind) -> Done:
        """Update the item named by its id, or by the key that it was created with. Raises an outcome."""
        with self._noting(kind):
            made = self._translated(message.task, kind, new=False)
            if not made.fields and not made.contacts:
                told = in_brackets(made.warnings)
                text = Text(
                    f"The message names no field of the {kind.name} to update{told.en}",
                    f"В сообщении не названо ни одного поля {kind.genitive} для изменения{told.ru}",
                )
                raise PermanentError(text, code="nothing_to_update")
            item_id = self._target(message.task, kind)
            entries: dict[str, Entry] = {}
            if made.contacts:
                item = self._get(kind, item_id)
                entries = multifields.operations(made.contacts, multifields.present_of(item))
                if not entries and not made.fields:
                    return _done(item, made.warnings)
            return self._update(message, kind, item_id, made, entries)

    def probe(self) -> None:
        """Ask what the last pause was about. Raises an outcome."""
        if self._paused_by is not None:
            self._schemas.of(self._paused_by, max_age=0)
            self._paused_by = None

    @contextmanager
    def _noting(self, kind: Kind) -> Iterator[None]:
        try:
            yield
        except (ConfigurationError, OutageError):
            self._paused_by = kind
            raise

    def _add(self, message: IncomingMessage, kind: Kind) -> Done:
        key = message.task.task_id
        made = self._translated(message.task, kind, new=True)
        entries = multifields.for_new(made.contacts)
        fields = {**made.fields, **({"fm": entries} if entries else {}), "originatorId": ORIGINATOR, "originId": key}
        params = {"entityTypeId": kind.entity_type_id, "fields": fields, **_ORIGINAL_NAMES}
        try:
            answer = self._client.call("crm.item.add", params, write=True, guard=message.ensure_ours)
        except AmbiguousError as error:
            item = self._find(kind, key)
            if item is None and isinstance(error, UnclearAnswerError):
                raise TransientError(error.text, code=error.code) from error
            if item is None:
                self._claims.doubt(key, self._ambiguous_wait)
                raise come_back_later(error.text, error.code, self._ambiguous_wait) from error
            return _done(item, made.warnings)
        item = _item(answer.result) or self._find(kind, key)
        if item is None:
            # Never added again: it is there, says the portal.
            unseen = Text(
                f"Bitrix24 added the {kind.name} but does not show it",
                f"Bitrix24 подтвердил создание {kind.genitive}, но не показывает этот элемент",
            )
            return _done({}, [*made.warnings, unseen])
        return _done(item, [*made.warnings, *_lost(made.fields, entries, item)])

    def _update(
        self, message: IncomingMessage, kind: Kind, item_id: int, made: TranslatedItem, entries: Mapping[str, Entry]
    ) -> Done:
        fields = {**made.fields, **({"fm": dict(entries)} if entries else {})}
        params = {"entityTypeId": kind.entity_type_id, "id": item_id, "fields": fields, **_ORIGINAL_NAMES}
        # Repeating an update changes nothing, so a doubtful one is simply done again.
        item = _item(self._client.call("crm.item.update", params, guard=message.ensure_ours).result)
        lost = _lost(made.fields, list(entries.values()), item) if item is not None else []
        return _done(item or {"id": item_id}, [*made.warnings, *lost])

    def _translated(self, task: CamundaTask, kind: Kind, *, new: bool) -> TranslatedItem:
        def translate(max_age: float | None) -> TranslatedItem:
            rules = CrmRules(self._schemas.of(kind, max_age), self._zone, self._roles())
            return item_fields(task, kind, rules, new=new, others=TASK_NAMES)

        return with_fresh_fields(translate)

    def _target(self, task: CamundaTask, kind: Kind) -> int:
        found = Given(task).first(*kind.id_names, "crm_id", "crmId")
        if found and (item_id := values.as_identifier(found[1])) is not None:
            return item_id
        reference = values.text(found[1]) if found else task.task_id
        item = self._find(kind, reference)
        if item is None:
            text = Text(
                f"There is no CRM item to update: give its id in {kind.id_names[0]}, or the id of the Camunda task "
                f"that created it ({reference} did not)",
                f"Нет элемента CRM, который нужно изменить: укажите его id в {kind.id_names[0]} или id задачи Camunda, "
                f"которая его создала ({reference} его не создавала)",
            )
            raise PermanentError(text, code="item_not_found")
        return int(id_of(item) or 0)

    def _get(self, kind: Kind, item_id: int) -> Item:
        result = self._client.call("crm.item.get", {"entityTypeId": kind.entity_type_id, "id": item_id}).result
        item = _item(result)
        if item is None or rows_of(item.get("fm")) is None:
            # What cannot be read would be added a second time.
            text = Text(
                f"Bitrix24 does not tell what the {kind.name} {item_id} holds",
                f"Bitrix24 не сообщает содержимое {kind.genitive} {item_id}",
            )
            raise TransientError(text, code="item_unreadable")
        return item

    def _find(self, kind: Kind, key: str) -> Item | None:
        params = {
            "entityTypeId": kind.entity_type_id,
            "select": ["id", "title", "originatorId", "originId"],
            "filter": {"originatorId": ORIGINATOR, "@originId": [key]},
            "order": {"id": "ASC"},
        }
        rows = rows_in(self._client.call("crm.item.list", params).result, "items")
        if rows is None:
            # It says nothing of what is there, and must not be read as nothing.
            text = Text(
                "Bitrix24 gave no usable answer to crm.item.list: no list of items",
                "Bitrix24: ответ на crm.item.list использовать нельзя: в нём нет списка элементов",
            )
            raise OutageError(text, code="no_rows")
        ours = [row for row in rows if isinstance(row, Mapping) and _is_of(row, key)]
        for row in ours:
            if row["originId"] == key and id_of(row):
                return dict(row)
        if len(ours) < len(rows) or any(row["originId"] == key for row in ours):
            text = Text(
                "Bitrix24 was asked for the item of this message and told something that it was not asked for",
                "Bitrix24: спрошен элемент этого сообщения, а в ответе то, о чём не спрашивали",
            )
            raise TransientError(text, code="unreadable_row")
        return None


def _is_of(row: Item, key: str) -> bool:
    """Return whether it is a row that was asked for: the portal's database compares without case."""
    return row.get("originatorId") == ORIGINATOR and str(row.get("originId")).casefold() == key.casefold()


def _item(result: Any) -> Item | None:
    item = result.get("item") if isinstance(result, Mapping) else None
    return dict(item) if isinstance(item, Mapping) and id_of(item) else None


def _lost(fields: Mapping[str, Any], entries: Sequence[Entry], item: Item) -> list[Text]:
    missing = [values.shown(value) for value in multifields.missing(entries, item)]
    return [
        *not_stored(fields, item),
        *(Text(f"Bitrix24 did not store {shown}", f"Bitrix24 не сохранил {shown}") for shown in missing),
    ]


def _done(item: Item, warnings: Sequence[Text], *, duplicate: bool = False) -> Done:
    response = with_warnings({"result": {"item": dict(item)}, "success": True}, warnings)
    return Done(response, external_id=id_of(item), duplicate=duplicate)
