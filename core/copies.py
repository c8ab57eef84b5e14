"""Makes copies of a message: for a later try, for another input queue, for the tail of its own queue.

A copy goes where this program sends it and nowhere else. So what tells RabbitMQ what to do with a message stays behind,
and a confirm of the copy means that our queue has it (docs/contract.md, "Copy").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.envelopes import ERROR_TEXT_LIMIT, HEADER_TEXT_LIMIT, cut_bytes
from core.messages import (
    HEADER_AMBIGUOUS,
    HEADER_ATTEMPT,
    HEADER_COPY,
    HEADER_DROPPED,
    HEADER_DUE,
    HEADER_ERROR,
    HEADER_EXTERNAL_ID,
    HEADER_FIRST_SEEN,
    HEADER_HOPS,
    HEADER_LAST_ERROR,
    HEADER_ORIGIN,
    HEADER_RETURNED,
    HEADER_STATE,
    HEADER_TASK_ID,
    OutgoingMessage,
)
from core.policy import Tries

FOREIGN_HEADERS_LIMIT = 32 * 1024  # bytes of header names and values that a copy takes along
_OURS = (
    HEADER_TASK_ID,
    HEADER_EXTERNAL_ID,
    HEADER_STATE,
    HEADER_ORIGIN,
    HEADER_HOPS,
    HEADER_RETURNED,
    HEADER_COPY,
    HEADER_DUE,
    HEADER_ATTEMPT,
    HEADER_AMBIGUOUS,
    HEADER_FIRST_SEEN,
    HEADER_LAST_ERROR,
    HEADER_ERROR,
    HEADER_DROPPED,
)
# rabbit_basic.erl reads these two, spelled like this, as further queues to route to: one that exists makes a mandatory
# message routable although the queue that was meant is missing. "x-" is RabbitMQ's own namespace: x-death, x-delay,
# x-deduplication-header (whose plugin drops and confirms), x-stream-*, x-opt-*, x-match, ...
_ROUTING_HEADERS = ("CC", "BCC")
_BROKER_PREFIX = "x-"
# The others speak to the broker: expiration deletes the message, a user_id that is not ours closes the channel, and
# delivery_mode is always persistent (docs/contract.md, "Copy").
_KEPT = ("timestamp", "correlation_id", "type", "app_id", "reply_to", "priority")
_DIRECT_REPLY = "amq.rabbitmq.reply-to"  # a publish that names it closes a channel that does not consume from it


def speaks_to_the_broker(header: str) -> bool:
    """Return whether RabbitMQ or one of its plugins acts on a header of this name."""
    return header in _ROUTING_HEADERS or header.startswith(_BROKER_PREFIX)


def carried(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that a copy takes along."""
    kept = {name: value for name, value in headers.items() if not speaks_to_the_broker(name)}
    # Headers are not split into frames: foreign ones near frame_max (128 KiB) plus ours would close the connection.
    if sum(len(name.encode()) + _size(value) for name, value in kept.items()) <= FOREIGN_HEADERS_LIMIT:
        return kept
    return {name: kept[name] for name in _OURS if name in kept and _size(kept[name]) <= 2 * ERROR_TEXT_LIMIT}


def kept_properties(properties: Any) -> dict[str, Any]:
    """Return the properties that a copy takes along beside its id and its content type, by pika's names."""
    kept = {name: value for name in _KEPT if (value := getattr(properties, name)) is not None}
    if kept.get("reply_to") == _DIRECT_REPLY:
        del kept["reply_to"]
    return kept


def encode_copy(
    body: bytes, message_id: str, headers: Mapping[str, Any], *, tries: Tries, first_seen: float, error: str
) -> OutgoingMessage:
    """Return the input message, byte for byte, for a later try: its headers with our counts brought up to date."""
    ours = {
        HEADER_ATTEMPT: tries.attempt,
        HEADER_AMBIGUOUS: tries.ambiguous,
        HEADER_FIRST_SEEN: str(first_seen),
        HEADER_LAST_ERROR: cut_bytes(error),
    }
    return OutgoingMessage(body, message_id, {**carried(headers), **ours})


def encode_rerouted(
    body: bytes, message_id: str, headers: Mapping[str, Any], *, hop: int, origin: str, first_seen: float
) -> OutgoingMessage:
    """Return the input message, byte for byte, for another input queue: a first try there, its `hop`th.

    `origin` is where it first came from, `exchange/routing key`; an earlier hop's stays.
    """
    copy = encode_copy(body, message_id, headers, tries=Tries(), first_seen=first_seen, error="")
    kept = {name: value for name, value in copy.headers.items() if name != HEADER_LAST_ERROR}
    kept[HEADER_HOPS] = hop
    kept.setdefault(HEADER_ORIGIN, cut_bytes(origin, HEADER_TEXT_LIMIT))
    return OutgoingMessage(copy.body, copy.message_id, kept)


def hops(headers: Mapping[str, Any]) -> int:
    """Return how often a message was put into another input queue."""
    return _count(headers, HEADER_HOPS)


def decode_history(headers: Mapping[str, Any], now: float) -> tuple[Tries, float]:
    """Return the tries of a message and when it was first seen (unix seconds), from the headers of `encode_copy`."""
    tries = Tries(max(1, _count(headers, HEADER_ATTEMPT)), _count(headers, HEADER_AMBIGUOUS))
    try:
        first_seen = float(headers.get(HEADER_FIRST_SEEN, now))
    except (TypeError, ValueError, OverflowError):
        first_seen = now
    return tries, first_seen if 0 < first_seen <= now else now


def _count(headers: Mapping[str, Any], name: str) -> int:
    value = headers.get(name)
    return value if isinstance(value, int) and 0 <= value < 1_000_000 else 0


def _size(value: object) -> int:
    return len(value) if isinstance(value, bytes) else len(str(value).encode("utf-8", "replace"))
