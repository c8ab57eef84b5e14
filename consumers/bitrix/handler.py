"""Handles `bitrix24.queue`: from the topic of a message to what is done in the portal."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from base_handler import BaseMessageHandler, HandlerOutcome, MoreMessages
from consumers.bitrix import checklists, fields
from consumers.bitrix.checklists import ChecklistJob
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.creation import LARGEST_GROUP, TaskCreation
from consumers.bitrix.crm import CrmItems
from consumers.bitrix.crm_fields import CRM_NAMES
from consumers.bitrix.crm_kinds import CREATE_TOPICS, UPDATE_TOPICS
from consumers.bitrix.fields import FieldRules, Translated
from consumers.bitrix.lookup import TaskLookup, task_of, value_of
from consumers.bitrix.portal_check import PortalCheck
from consumers.bitrix.roles import Roles
from consumers.bitrix.rows import id_of, number_of_status
from consumers.bitrix.userfields import with_fresh_fields
from core.errors import OutageError, OutcomeError, PermanentError
from core.messages import CamundaTask, IncomingMessage
from core.request_figures import RequestFigures
from core.results import Done, FoundTask, Result, with_warnings
from core.texts import Text
from core.traces import within
from toolkit.claims import KeyClaims

CREATE_TASK = "bitrix_create_task"
UPDATE_TASK = "bitrix_update_task"
SUPPORTED_TOPICS = (CREATE_TASK, UPDATE_TASK, *CREATE_TOPICS, *UPDATE_TOPICS)

_PREPARING = 0.5  # threads that prepare requests or store results, for each one that waits for the portal


class BitrixTaskHandler(BaseMessageHandler):
    """Creates and updates tasks (followed by the tracker) and CRM items (finished at once)."""

    settings_class = BitrixSettings
    batch_size = 2 * LARGEST_GROUP  # one group is being created while the next one is looked up
    # The portal has no unique constraint: of two workers at once both could look, find nothing and create.
    exclusive = True

    def __init__(self, settings: BitrixSettings, client: BitrixClient) -> None:
        super().__init__("bitrix24")
        self._settings = settings
        self._client = client
        self._zone = ZoneInfo(settings.timezone)
        self._roles = Roles(settings.roles_file, settings.roles_cache_ttl)
        self._lookup = TaskLookup(client, settings.key_field)
        self._portal = PortalCheck(
            client,
            self._lookup,
            settings.key_field,
            settings.fields_cache_ttl,
            require_admin=settings.require_admin,
        )
        claims = KeyClaims()
        self._creation = TaskCreation(
            client,
            self._lookup,
            self._portal,
            claims,
            group_size=settings.batch_size,
            ambiguous_wait=settings.ambiguous_wait,
        )
        self._crm = CrmItems(
            client,
            claims,
            ambiguous_wait=settings.ambiguous_wait,
            fields_ttl=settings.fields_cache_ttl,
            zone=self._zone,
            roles=self._roles.current,
        )

    @classmethod
    def from_settings(cls, settings: BitrixSettings, stop: threading.Event) -> BitrixTaskHandler:
        """Build the handler. Raises NotConfiguredError when BITRIX_WEBHOOK_URL is empty."""
        return cls(settings, BitrixClient(settings, stop))

    def prepare_for(self, concurrency: int) -> int:
        self._client.slots = threading.Semaphore(concurrency)
        return concurrency + math.ceil(concurrency * _PREPARING)

    def handle(self, message: IncomingMessage) -> Result:
        [(_, outcome)] = self.handle_batch([message])
        if isinstance(outcome, OutcomeError):
            raise outcome
        return outcome

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        return self.handle_backlog(messages, lambda limit: ())

    def handle_backlog(
        self, messages: Sequence[IncomingMessage], more: MoreMessages
    ) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        """Do new tasks together, then the rest one by one: an update may be about a task of the same batch."""
        created, others = _by_kind(messages)

        def more_to_create(limit: int) -> list[IncomingMessage]:
            if others:
                return []  # they must not wait for the end of a long backlog
            further, rest = _by_kind(more(limit))
            others.extend(rest)
            return further

        try:
            if created:
                self._portal.user_fields()
        except OutcomeError as error:
            yield from ((message, error) for message in created)
        else:
            yield from self._creation.create(created, more_to_create, self._translate)
        for message in others:
            try:
                with self._client.slots, within(message.trace):
                    outcome: HandlerOutcome = self._one(message)
            except OutcomeError as error:
                outcome = error
            yield message, outcome

    def probe(self) -> None:
        """Check the portal and the roles.

        The portal answers, has our key field, honours the filter by it, lets us read all tasks; roles are usable.
        """
        self._roles.current()
        self._portal.check()
        self._crm.probe()
        for method in ("tasks.task.add", "tasks.task.list"):
            if (seconds := self._client.limiter.closed_for(method)) > 0:
                text = Text(
                    f"Bitrix24 allows no more running time for {method}", f"Bitrix24 пока не даёт времени на {method}"
                )
                raise OutageError(text, retry_after=seconds)

    def find_task(self, task_id: str) -> FoundTask | None:
        row = self._lookup.one(task_id)
        if row is None:
            return None
        number, status = id_of(row) or "", number_of_status(row)
        title = None if value_of(row, "TITLE") is None else str(value_of(row, "TITLE"))
        return FoundTask(number, title, None if status is None else str(status), self.task_address(number, CREATE_TASK))

    def task_address(self, external_id: str, topic: str | None) -> str | None:
        kind = CREATE_TOPICS.get(topic or "") or UPDATE_TOPICS.get(topic or "")
        # User 0 stands for whoever looks.
        page = f"crm/{kind.name}/details" if kind is not None else "company/personal/user/0/tasks/task/view"
        return f"{self._client.portal}/{page}/{external_id}/"

    def get_stats(self) -> dict[str, Any]:
        return self._client.stats()

    def request_figures(self) -> Sequence[RequestFigures]:
        return self._client.figures

    def _one(self, message: IncomingMessage) -> Result:
        topic = message.task.topic
        if topic == UPDATE_TASK:
            return self._update(message)
        if topic in CREATE_TOPICS:
            return self._crm.create(message, CREATE_TOPICS[topic])
        if topic in UPDATE_TOPICS:
            return self._crm.update(message, UPDATE_TOPICS[topic])
        supported = ", ".join(SUPPORTED_TOPICS)
        text = Text(
            f"Bitrix24 has no topic {topic!r}; supported are {supported}",
            f"У Bitrix24 нет топика {topic!r}; поддерживаются {supported}",
        )
        raise PermanentError(text, code="unknown_topic")

    def _update(self, message: IncomingMessage) -> Done:
        """Update a task. Finished at once: the message that created it waits for the person who works on it."""
        task = message.task
        made = self._with_rules(task, fields.for_update)
        task_id = self._target(task)
        updated: Any = None
        if made.fields:
            # Repeating an update changes nothing, so a doubtful one is simply done again.
            params = {"taskId": task_id, "fields": made.fields}
            updated = self._client.call("tasks.task.update", params, guard=message.ensure_ours).result
        warnings = [*made.warnings, *self._add_checklists(message, task_id, made)]
        response = {"result": {"task": dict(task_of(updated) or {"id": str(task_id)})}, "success": True}
        return Done(with_warnings(response, warnings), external_id=str(task_id))

    def _add_checklists(self, message: IncomingMessage, task_id: int, made: Translated) -> list[Text]:
        job = ChecklistJob(str(task_id), made.checklists, message.ensure_ours, fresh=False)
        if made.checklists:
            checklists.add(self._client, [job])
        return checklists.told(job.errors, message.attempt)

    def _target(self, task: CamundaTask) -> int:
        target = fields.update_target(task)
        if isinstance(target, int):
            return target
        found = self._lookup.one(target)
        if found is None:
            text = Text(
                "There is no task to update: give its id in bitrix_task_id, or the id of the Camunda task that "
                f"created it ({target} did not)",
                "Нет задачи, которую нужно изменить: укажите её id в bitrix_task_id или id задачи Camunda, "
                f"которая её создала ({target} её не создавала)",
            )
            raise PermanentError(text, code="task_not_found")
        return int(id_of(found) or 0)

    def _translate(self, task: CamundaTask) -> Translated:
        return self._with_rules(task, fields.for_creation)

    def _with_rules(self, task: CamundaTask, translate: fields.Translation) -> Translated:
        return with_fresh_fields(lambda max_age: translate(task, self._rules(max_age), CRM_NAMES))

    def _rules(self, max_age: float | None) -> FieldRules:
        return FieldRules(
            key_field=self._settings.key_field,
            default_responsible_id=self._settings.default_responsible_id,
            default_priority=self._settings.default_priority,
            max_description_length=self._settings.max_description_length,
            zone=self._zone,
            roles=self._roles.current(),
            user_fields=self._portal.user_fields(max_age),
        )


def _by_kind(messages: Sequence[IncomingMessage]) -> tuple[list[IncomingMessage], list[IncomingMessage]]:
    """Return the messages that create a task, and the others."""
    created = [message for message in messages if message.task.topic == CREATE_TASK]
    return created, [message for message in messages if message.task.topic != CREATE_TASK]
