"""Messages as values: the only place that knows the JSON field names of the contract.

    bytes -> CamundaTask -> (handler) -> sent message -> TrackedTask -> (tracker) -> response message
                     └────────────────> error report <─────────────────────┘

This module holds the values and the way in (`decode_task`); core.envelopes holds the way out.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.amqp10 import NoTextError, text_of
from core.errors import InvalidMessageError, LostError
from core.strict_json import decode_object
from core.texts import Text
from core.traces import Span, Trace
from core.variables import Variables

# Our own headers carry no "x-": RabbitMQ 4 rewrites or drops that namespace on a client's re-publish.
HEADER_ATTEMPT = "task-creator-attempt"
HEADER_AMBIGUOUS = "task-creator-ambiguous"
HEADER_FIRST_SEEN = "task-creator-first-seen"
HEADER_LAST_ERROR = "task-creator-last-error"
HEADER_EXTERNAL_ID = "task-creator-external-id"
HEADER_TASK_ID = "task-creator-task-id"
HEADER_COPY = "task-creator-copy"
HEADER_RETURNED = "task-creator-returned"
HEADER_HOPS = "task-creator-hops"
HEADER_ORIGIN = "task-creator-origin"
HEADER_STATE = "task-creator-state"
HEADER_ERROR = "task-creator-error"
HEADER_DROPPED = "task-creator-dropped"
HEADER_DUE = "task-creator-due"

# message_id is an AMQP short string (255 bytes) made of the task id and a suffix; Camunda's own ids have 36 characters.
TASK_ID_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may cost before a handler gets it: `max_bytes` of body, `max_depth` of nesting."""

    max_bytes: int = 8 * 1024 * 1024
    max_depth: int = 100


@dataclass(frozen=True, slots=True)
class CamundaTask:
    """One external task as Camunda's side published it.

    `fields` is the whole JSON object, unknown keys included; each object in it is a `dict`, which is told apart faster
    than any mapping. `body` is the JSON text it came from (UTF-8, without BOM), so that it can be echoed byte for byte.
    """

    body: bytes
    fields: Mapping[str, Any]

    @property
    def task_id(self) -> str:
        return str(self.fields["task_id"])

    @property
    def topic(self) -> str:
        return str(self.fields["topic"])

    @property
    def process_instance_id(self) -> str | None:
        return self._text("process_instance_id", "processInstanceId")

    @property
    def process_definition_key(self) -> str | None:
        return self._text("process_definition_key", "processDefinitionKey")

    @property
    def activity_id(self) -> str | None:
        return self._text("activity_id", "activityId")

    @property
    def business_key(self) -> str | None:
        return self._text("business_key", "businessKey")

    @property
    def variables(self) -> Variables:
        """Process variables as plain values.

        The specification shows `{"value", "type"}`; the live Camunda side sends the plain value. Both are accepted.
        """
        return Variables(self._object("variables"), self._object("process_variables"))

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self._object("metadata")

    def metadata_section(self, name: str) -> Mapping[str, Any]:
        """Return one sub-object of `metadata` (`extensionProperties`, `inputParameters`, `activityInfo`, …) or `{}`."""
        section = self.metadata.get(name)
        return section if isinstance(section, dict) else {}

    def _object(self, name: str) -> Mapping[str, Any]:
        value = self.fields.get(name)
        return value if isinstance(value, dict) else {}

    def _text(self, *names: str) -> str | None:
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, str) and value:
                return value
        return None


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: two deliveries may hold equal tasks
class IncomingMessage:
    """A task together with what is known of its delivery: the handler's input.

    `attempt` is 1 at the first try, `doubts` is how often a request for it was left without an answer; `redelivered` is
    true when a worker may have seen this delivery before and died with it. `properties` are the AMQP properties for
    handlers of the old kind. `is_ours()` is false when another worker may have the message by now. `trace` is what
    requests for it belong to.
    """

    task: CamundaTask
    queue: str
    attempt: int = 1
    redelivered: bool = False
    properties: Any = None
    doubts: int = 0
    is_ours: Callable[[], bool] = _always
    trace: Trace | None = None

    def ensure_ours(self) -> None:
        """Raise LostError if the delivery may not be ours any more.

        To be called directly before each write to a system.
        """
        if not self.is_ours():
            raise LostError(
                Text(
                    "RabbitMQ may have given this message to another worker",
                    "RabbitMQ мог уже отдать это сообщение другому воркеру",
                )
            )

    @property
    def may_have_been_begun(self) -> bool:
        """Whether something may have been done for this message already."""
        return self.redelivered or self.attempt > 1 or self.doubts > 0


@dataclass(frozen=True, slots=True)
class TrackedTask:
    """One message of a sent queue: what the tracker is asked about.

    `external_id` is None when the system created the task without returning its id: look up by `task_id`.
    """

    task_id: str
    external_id: str | None


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message for the publisher to send: persistent, `message_id` stays the same when it is sent again.

    `cause` is the step that it comes of, where one is recorded.
    """

    body: bytes
    message_id: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = "application/json"
    content_encoding: str | None = "utf-8"
    properties: Mapping[str, Any] = field(default_factory=dict)  # further AMQP properties, by pika's names
    cause: Span | None = field(default=None, compare=False, repr=False)

    def in_trace(self, trace: Trace | None) -> OutgoingMessage:
        """Return the message in the trace of its cause."""
        if trace is None:
            return self
        return replace(self, headers={**self.headers, **trace.headers()}, cause=trace.span)


def decode_task(body: bytes, limits: Limits) -> CamundaTask:
    """Return the task in a message body; raise InvalidMessageError whose text a person understands.

    Accepted: a UTF-8 BOM; a string of AMQP 1.0; unknown keys (kept, echoed); integers of any size up to Python's 4,300
    digits (kept exactly).
    Refused, because two readers would not agree on what was meant or the text could not be written back: duplicate
    keys, NaN and Infinity, numbers beyond a double (1e999), lone surrogates, nesting and size over `limits`.
    """
    if len(body) > limits.max_bytes:
        raise InvalidMessageError(
            Text(
                f"the message has {len(body)} bytes, MAX_MESSAGE_BYTES allows {limits.max_bytes}",
                f"размер сообщения (байт): {len(body)}, а MAX_MESSAGE_BYTES допускает {limits.max_bytes}",
            ),
            code="message_too_large",
        )
    text = text_of_value(body).removeprefix(codecs.BOM_UTF8)
    fields = decode_object(text, limits.max_depth)
    _require_identifier(fields, "task_id")
    _require_identifier(fields, "topic")
    _require_object(fields, "variables", code="bad_variables")
    _require_object(fields, "metadata", code="bad_metadata")
    return CamundaTask(text, fields)


def text_of_value(body: bytes) -> bytes:
    """Return the JSON text in a body that an AMQP 1.0 client sent as a string; any other body as it is."""
    try:
        return text_of(body)
    except NoTextError:
        raise InvalidMessageError(
            Text(
                "the body is an AMQP 1.0 value and holds no text: send the JSON as data or as a string",
                "тело – значение AMQP 1.0 без текста: передавайте JSON как data или как строку",
            ),
            code="amqp10_value",
        ) from None


def _require_identifier(fields: Mapping[str, Any], name: str) -> None:
    if name not in fields:
        raise InvalidMessageError(Text(f"the message has no {name}", f"в сообщении нет {name}"), code=f"missing_{name}")
    value = fields[name]
    if not isinstance(value, str) or not value:
        raise InvalidMessageError(
            Text(
                f"{name} must be a non-empty string, not {json.dumps(value)[:200]}",
                f"{name} должен быть непустой строкой, а не {json.dumps(value)[:200]}",
            ),
            code=f"bad_{name}",
        )
    # A system that trims or drops such characters would store another key than we look up: a second task.
    if not value.isprintable() or value != value.strip():
        raise InvalidMessageError(
            Text(
                f"{name} {value[:TASK_ID_LIMIT]!r} has control characters or spaces around it",
                f"{name} {value[:TASK_ID_LIMIT]!r}: есть управляющие символы или пробелы по краям",
            ),
            code=f"bad_{name}",
        )
    if len(value.encode()) > TASK_ID_LIMIT:
        raise InvalidMessageError(
            Text(
                f"{name} has {len(value.encode())} bytes, {TASK_ID_LIMIT} are allowed",
                f"длина {name} (байт): {len(value.encode())}, допускается {TASK_ID_LIMIT}",
            ),
            code=f"bad_{name}",
        )


def _require_object(fields: Mapping[str, Any], name: str, *, code: str) -> None:
    # PHP writes an empty object as [].
    value = fields.get(name)
    if value and not isinstance(value, dict):
        raise InvalidMessageError(
            Text(
                f'{name} must be an object such as {{"title": "…"}}, not {json.dumps(value)[:200]}',
                f'вместо {name} должен стоять объект вида {{"title": "…"}}, а не {json.dumps(value)[:200]}',
            ),
            code=code,
        )


# The names under which the systems take a title, and how much of it is worth keeping (characters).
_TITLES = ("title", "subject", "name")
TITLE_LIMIT = 300


def title_of(task: CamundaTask) -> str | None:
    """Return what people call this task, as its message has it: a title among its parameters, else its step's name."""
    metadata = task.metadata
    for given in (metadata.get("inputParameters"), metadata.get("extensionProperties"), task.fields.get("variables")):
        if given and isinstance(given, dict) and (title := _title_among(given)) is not None:
            return title
    step = task.metadata_section("activityInfo").get("name")
    return step[:TITLE_LIMIT] if isinstance(step, str) and step else None


def _title_among(given: Mapping[str, Any]) -> str | None:
    for name in _TITLES:
        value = given.get(name)
        if isinstance(value, dict):
            value = value.get("value")
        if isinstance(value, str) and value:
            return value[:TITLE_LIMIT]
    return None
