"""Handles `1c.queue`: from the topic of a message, by the mapping, to what is done in 1C."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from base_handler import BaseMessageHandler
from consumers.onec.client import OneCClient
from consumers.onec.config import OneCSettings
from consumers.onec.creation import InfobaseObjects, StoredObject
from consumers.onec.fields import ObjectFields, TaskInputs
from consumers.onec.inspection import mistakes
from consumers.onec.literals import ObjectRef, as_guid, object_ref
from consumers.onec.mapping import ODataTopic, OneCMapping, ServiceTopic
from consumers.onec.metadata import FRESH_ENOUGH, ODataMetadata
from consumers.onec.references import References
from consumers.onec.services import HttpServices
from consumers.onec.view import task_view
from core import values
from core.errors import PermanentError
from core.messages import CamundaTask, IncomingMessage
from core.request_figures import RequestFigures
from core.results import Accepted, Done, FoundTask, Result, with_warnings
from core.texts import Text


class OneCHandler(BaseMessageHandler):
    """Creates and updates objects over OData, or calls an HTTP service.

    Ref_Key is unique in 1C, so several workers may consume the queue at once.
    """

    settings_class = OneCSettings

    def __init__(self, settings: OneCSettings, client: OneCClient) -> None:
        super().__init__("1c")
        self._client = client
        self._mapping: OneCMapping = settings.mapping()
        self._publication = ODataMetadata(client, self._mapping.entities, settings.metadata_ttl)
        self._fields = ObjectFields(self._publication, References(client), settings.timezone)
        self._objects = InfobaseObjects(client, settings.namespace)
        self._services = HttpServices(client)

    @classmethod
    def from_settings(cls, settings: OneCSettings, stop: threading.Event) -> OneCHandler:
        """Build the handler. Raises NotConfiguredError when ONEC_URL is empty."""
        return cls(settings, OneCClient(settings, stop))

    def handle(self, message: IncomingMessage) -> Result:
        task = message.task
        topic = self._mapping.topics.get(task.topic)
        if topic is None:
            known = ", ".join(sorted(self._mapping.topics))
            reason = Text(
                f"1C has no topic {task.topic!r}; ONEC_MAPPING_FILE maps {known}",
                f"1С: топика {task.topic!r} нет; в ONEC_MAPPING_FILE есть {known}",
            )
            raise PermanentError(reason, code="unknown_topic")
        if isinstance(topic, ServiceTopic):
            return self._services.call(task, topic, message.ensure_ours)
        if topic.operation == "update":
            return self._update(message, topic)
        return self._create(message, topic)

    def probe(self) -> None:
        """Check with one request that 1C answers, takes the credentials and offers objects."""
        self._client.root()
        self._publication.current(FRESH_ENOUGH)

    def inspect(self) -> Sequence[Text]:
        return list(mistakes(self._mapping, self._publication.current()))

    def find_task(self, task_id: str) -> FoundTask | None:
        topics = (each for each in self._mapping.topics.values() if isinstance(each, ODataTopic))
        for entity, topic in {each.entity: each for each in topics if each.operation == "create"}.items():
            if (there := self._objects.find(entity, task_id)) is not None:
                view = task_view(there.ref, there.row, topic.finishing)
                return FoundTask(str(there.ref), view["title"], view["status"])
        return None

    def get_stats(self) -> dict[str, Any]:
        return self._client.stats()

    def request_figures(self) -> Sequence[RequestFigures]:
        return self._client.figures

    def _create(self, message: IncomingMessage, topic: ODataTopic) -> Result:
        task = message.task
        body = self._fields.for_creation(task, topic)
        # Any other repetition is told by 1C itself: a second object with the key is refused.
        guard = message.ensure_ours
        may_be_there = message.may_have_been_begun
        made = self._objects.create(topic.entity, task.task_id, body.fields, may_be_there=may_be_there, guard=guard)
        if topic.action is not None:
            made = self._objects.act(made, topic.action, guard=guard)
        warnings = [*body.remarks, *made.warnings]
        wanted = self._objects.key_of(topic.entity, task.task_id)
        if made.ref.key != wanted:
            other_key = Text(
                f"1C has not kept the key {wanted} but given {made.ref.key}: a repeated message would create a second "
                "object",
                f"1С не сохранила ключ {wanted}, а назначила {made.ref.key}: повторное сообщение создало бы второй "
                "объект",
            )
            warnings.insert(0, other_key)
        result = Accepted if topic.is_tracked else Done
        return result(_response(made, topic, warnings), external_id=str(made.ref), duplicate=made.was_there)

    def _update(self, message: IncomingMessage, topic: ODataTopic) -> Done:
        task, guard = message.task, message.ensure_ours
        ref = self._target(task, topic)
        body = self._fields.for_update(task, topic)
        if not body.fields and topic.action is None:
            reason = Text("The message names nothing to update", "В сообщении не сказано, что изменить")
            raise PermanentError(reason, code="nothing_to_update")
        made = self._objects.update(ref, body, guard=guard)
        if topic.action is not None:
            # A posted document that was changed must be posted once more; posting twice does no harm.
            made = self._objects.act(made, topic.action, guard=guard, again=topic.action == "Post")
        return Done(_response(made, topic, [*body.remarks, *made.warnings]), external_id=str(made.ref))

    def _target(self, task: CamundaTask, topic: ODataTopic) -> ObjectRef:
        found = TaskInputs(task).first(*topic.target)
        if found is None:
            reason = Text(
                f"There is no object to update: give its guid in {' or '.join(topic.target)}",
                f"Не сказано, какой объект изменить: укажите его guid в {' или '.join(topic.target)}",
            )
            raise PermanentError(reason, code="no_target")
        name, value = found
        text = values.text(value)
        if (guid := as_guid(text)) is not None:
            return ObjectRef(topic.entity, guid)
        ref = object_ref(text)
        if ref is None or ref.entity != topic.entity:
            wanted = Text(f"a guid or {topic.entity}/guid", f"guid или {topic.entity}/guid")
            raise values.BadValueError(name, value, wanted)
        return ref


def _response(made: StoredObject, topic: ODataTopic, warnings: Sequence[Text]) -> dict[str, Any]:
    return with_warnings(
        {"result": {"task": task_view(made.ref, made.row, topic.finishing)}, "success": True}, warnings
    )
