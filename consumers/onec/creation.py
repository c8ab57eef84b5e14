"""Creates an object once per Camunda task, and takes it through its steps, each of which may be repeated alone.

The key is `Ref_Key`, made of the task id: 1C refuses a second object with it, so the second worker finds the first.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from consumers.onec.client import Json, OneCClient
from consumers.onec.differences import differences
from consumers.onec.errors import ChangedError, KeyExistsError, NotFoundError
from consumers.onec.literals import ObjectRef, as_guid
from consumers.onec.mapping import STATES
from consumers.onec.tables import Body
from core.errors import AmbiguousError, ConfigurationError, OutcomeError, PermanentError, TransientError
from core.texts import Text
from toolkit.http import Guard

OUR_KEYS = 5  # the version of the UUIDs that are our keys
_CONFLICTS = 5  # times that an update is made anew because somebody else was quicker


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is there now. `was_there`: an earlier delivery had created it.

    `warnings` report what 1C has kept in another way than it was sent.
    """

    ref: ObjectRef
    row: Mapping[str, Any]
    was_there: bool
    warnings: tuple[Text, ...] = ()


class InfobaseObjects:
    """The objects of one infobase, by keys. Usable from any thread.

    A `guard` is asked at the last moment before a write.
    """

    def __init__(self, client: OneCClient, namespace: str) -> None:
        self._client = client
        self._namespace = uuid.UUID(namespace)

    def key_of(self, entity: str, task_id: str) -> str:
        return str(uuid.uuid5(self._namespace, f"1c:{entity}:{task_id}"))

    def create(self, entity: str, task_id: str, body: Json, *, may_be_there: bool, guard: Guard) -> StoredObject:
        """Return the task's object, creating it if needed. Raises an outcome; the object may then be missing."""
        ref = ObjectRef(entity, self.key_of(entity, task_id))
        if may_be_there and (row := self._found(ref)) is not None:
            return StoredObject(ref, row, was_there=True)
        try:
            row = self._client.create(entity, {**body, "Ref_Key": ref.key}, guard) or self._there(ref)
        except KeyExistsError:
            return StoredObject(ref, self._there(ref), was_there=True)
        except (AmbiguousError, TransientError) as doubt:
            # Executed after all, or refused because it exists, in words that are no code.
            if (row := self._found(ref)) is None:
                raise doubt from None
            return self._compared(ref, body, row)
        return self._compared(ObjectRef(entity, as_guid(row.get("Ref_Key")) or ref.key), body, row)

    def find(self, entity: str, task_id: str) -> StoredObject | None:
        """Return the task's object, if there is one. Raises an outcome."""
        ref = ObjectRef(entity, self.key_of(entity, task_id))
        row = self._found(ref)
        return None if row is None else StoredObject(ref, row, was_there=True)

    def act(self, made: StoredObject, action: str, *, guard: Guard, again: bool = False) -> StoredObject:
        """Post or start the object, unless that is done already; `again`: even then.

        Raises an outcome that names the object: it exists by then.
        """
        state, ref = STATES[action], made.ref
        if made.row.get(state) is True and not again:
            return made
        try:
            try:
                self._client.action(ref.entity, ref.key, action, guard)
            except (AmbiguousError, TransientError) as doubt:
                row = self._client.get(ref.entity, ref.key)
                if row.get(state) is not True or again:
                    raise doubt from None
                return replace(made, row=row)
            row = self._client.get(ref.entity, ref.key)
            if row.get(state) is False:  # a log-in page with status 200, say: 1C has not heard of it
                undone = Text(
                    f"the answer was no refusal, but {state} is false", f"отказа в ответе не было, но {state} – false"
                )
                raise AmbiguousError(undone, code="not_done")
            return replace(made, row=row)
        except OutcomeError as error:
            number, why = made.row.get("Number", "?"), error.text
            text = Text(
                f"{ref} (number {number}) exists, but {action} failed: {why.en}",
                f"{ref} (номер {number}) уже есть, но действие {action} не удалось: {why.ru}",
            )
            raise type(error)(text, code=error.code, retry_after=error.retry_after) from None

    def update(self, ref: ObjectRef, body: Body, *, guard: Guard) -> StoredObject:
        """Change the object. Repeating it changes nothing, so a doubtful one is simply done again."""
        for _ in range(_CONFLICTS):
            current = self._target(ref)
            if not body.fields:
                return StoredObject(ref, current, was_there=True)
            sent = body.beside(current)
            try:
                version = str(current.get("DataVersion") or "")
                row = self._client.patch(ref.entity, ref.key, sent, version, guard)
            except ChangedError:
                continue
            made = self._compared(ref, sent, row)
            return replace(made, row={**current, **made.row}, warnings=(*body.lost(current), *made.warnings))
        text = Text(f"{ref} is being changed by somebody else", f"{ref} сейчас меняет кто-то другой")
        raise TransientError(text, code="http_412")

    def _compared(self, ref: ObjectRef, sent: Json, row: Json) -> StoredObject:
        if not sent.keys() <= row.keys():  # an answer without content, or not with all of it
            row = self._found(ref) or row
        return StoredObject(ref, row, was_there=False, warnings=tuple(differences(sent, row)))

    def _target(self, ref: ObjectRef) -> Json:
        """Return an object that a message names. Raises PermanentError when only this one may not be seen."""
        try:
            return self._client.get(ref.entity, ref.key)
        except ConfigurationError as error:
            if error.code != "odata_20":
                raise
            # The rights to others of its kind tell whose fault it is: a single message must not stop the queue.
            self._client.query(ref.entity, select="Ref_Key", top=1, allowed_only=1)
            text = Text(f"{ref} may not be seen: {error.text.en}", f"{ref} видеть не разрешено: {error.text.ru}")
            raise PermanentError(text, code=error.code) from None

    def _found(self, ref: ObjectRef) -> Json | None:
        try:
            return self._client.get(ref.entity, ref.key)
        except NotFoundError:
            return None

    def _there(self, ref: ObjectRef) -> Json:
        if (row := self._found(ref)) is None:
            text = Text(
                f"1C says that {ref} exists, but does not show it", f"1С отвечает, что {ref} есть, но не показывает его"
            )
            raise TransientError(text, code="odata_15")
        return row
