"""Looks for a message of which the journal knows nothing in the queues that can be looked through.

An input queue cannot be looked through: whoever takes a message from it is its worker. The error queue and the sent
queues can where they are classic: what is taken goes back into its place. A quorum queue counts that as a delivery, and
drops a message after some of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from broker.depths import Depth, depths_of, shards_of
from broker.errors import BROKER_ERRORS, describe_in_both
from broker.properties import ReceivedProperties
from broker.queue_types import CLASSIC
from broker.taken_queue import Taken, TakenQueue
from core.envelopes import STATE_DONE, decode_sent_header
from core.errors import InvalidMessageError
from core.texts import Text
from operation.desk import Desk
from operation.reports import report_of

PORTION = 5000  # messages that are looked at together
PATIENCE = 60.0  # seconds for one queue; 100,000 messages take some 15
TELL_EVERY = 10.0  # seconds between two words on how far it is
KEPT = 20  # findings of one queue that are told

Progress = Callable[[Text], None]
_Kind = Literal["input_queue", "error_queue", "archive_queue", "sent_queue", "system"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A message or a task that holds the words."""

    task_id: str | None
    external_id: str | None
    said: Text
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place that may know a message. `said`: what it was asked, or why not. `messages`: how many it holds."""

    kind: _Kind
    name: str
    was_asked: bool
    said: Text
    messages: int | None = None
    found: Sequence[Finding] = ()


def queues_of(desk: Desk, words: str, progress: Progress) -> list[Place]:
    """Return what each queue says that may hold the message."""
    inputs = list(desk.settings.worker.queue_handlers)
    sent = dict.fromkeys(desk.sent_queue_of(queue) for queue in inputs)
    errors, archive = desk.topology.errors_queue, desk.topology.archive_queue
    try:
        with desk.broker("search") as connection:
            depths = depths_of(connection, dict.fromkeys((*inputs, errors, archive, *sent)))
            shards = {queue: shards_of(connection, queue) for queue in sent}
            depths |= depths_of(connection, (name for each in shards.values() for name in each))
    except BROKER_ERRORS as error:
        return [Place("error_queue", errors, False, describe_in_both(error))]
    search = _Search(desk, words, progress)
    places = [_input_queue(queue, depth) for queue in inputs if (depth := depths[queue]) is not None]
    kinds: dict[str, _Kind] = {errors: "error_queue", archive: "archive_queue", **dict.fromkeys(sent, "sent_queue")}
    for queue, kind in kinds.items():
        parts = {name: depth for name in (queue, *shards.get(queue, ())) if (depth := depths[name]) is not None}
        if parts:
            total = sum(depth.messages for depth in parts.values())
            if total:
                progress(Text(f"looking through {queue}: {total}", f"просмотр {queue}: {total}"))
            looks = [search.through(kind, name, depth) for name, depth in parts.items() if depth.messages]
            places.append(_whole(looks, kind, queue))
    return places


def _whole(looks: Sequence[Place], kind: _Kind, queue: str) -> Place:
    """Return what was found in a queue and its shards as one place."""
    if len(looks) < 2:
        return replace(looks[0], name=queue) if looks else Place(kind, queue, True, _EMPTY, 0)
    not_asked = [each.said for each in looks if not each.was_asked]
    messages = sum(each.messages or 0 for each in looks)
    said = not_asked[0] if not_asked else _looked_at(messages, messages)
    found = [finding for each in looks for finding in each.found]
    return Place(kind, queue, not not_asked, said, messages, found[:KEPT])


def _input_queue(queue: str, depth: Depth) -> Place:
    if not depth.messages:
        return Place("input_queue", queue, True, _EMPTY, 0)
    said = Text("wait and cannot be looked through", "ждут, просмотреть их нельзя")
    return Place("input_queue", queue, False, said, depth.messages)


class _Search:
    def __init__(self, desk: Desk, words: str, progress: Progress) -> None:
        self._desk = desk
        self._wanted = _forms(words)
        self._progress = progress

    def through(self, kind: _Kind, queue: str, depth: Depth) -> Place:
        try:
            with self._desk.taken(queue, "search") as taken:
                if taken.type() != CLASSIC:
                    return Place(kind, queue, False, _COUNTS, depth.messages)
                seen, found = self._look(kind, taken)
        except BROKER_ERRORS as error:
            return Place(kind, queue, False, describe_in_both(error), depth.messages)
        said = _looked_at(seen, depth.messages)
        return Place(kind, queue, seen >= depth.messages, said, depth.messages, found)

    def _look(self, kind: _Kind, taken: TakenQueue) -> tuple[int, list[Finding]]:
        """Return how many messages were looked at, and what was found."""
        found: list[Finding] = []
        began = told = time.monotonic()
        seen, name = 0, taken.name
        while seen < taken.ready and time.monotonic() - began < PATIENCE:
            messages = taken.take(min(PORTION, taken.ready - seen))
            if not messages:
                break
            seen += len(messages)
            wanted = [each for each in messages if self._is_wanted(each[1], each[2])]
            found += [self._found(kind, each) for each in wanted[: KEPT - len(found)]]
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                self._progress(Text.of(f"{name}: {seen}/{taken.ready}"))
        return seen, found

    def _found(self, kind: _Kind, taken: Taken) -> Finding:
        if kind == "sent_queue":
            return _in_a_sent_queue(taken)
        return _in_the_error_queue(taken, self._desk.input_queue_of)

    def _is_wanted(self, about: ReceivedProperties, body: bytes) -> bool:
        if any(each in body for each in self._wanted):
            return True
        told = [str(value).encode("utf-8", "replace") for value in (about.message_id, *(about.headers or {}).values())]
        return any(each in value for value in told for each in self._wanted)


def _looked_at(seen: int, messages: int) -> Text:
    if seen < messages:
        return Text(f"{seen} of {messages} looked at", f"просмотрено {seen} из {messages}")
    return Text(f"{seen} looked at", f"просмотрено {seen}")


_EMPTY = Text("is empty", "пуста")
_COUNTS = Text(
    "not looked through: it is no classic queue and counts each look as a delivery",
    "не просмотрено: очередь не классическая и считает каждый просмотр доставкой",
)


def _forms(words: str) -> tuple[bytes, ...]:
    """Return the words as they stand in JSON, with letters written out and without."""
    return tuple({json.dumps(words, ensure_ascii=ascii)[1:-1].encode("utf-8", "replace") for ascii in (False, True)})


def _in_the_error_queue(taken: Taken, input_queue_of: Mapping[str, str]) -> Finding:
    report = report_of(taken[2], taken[1], input_queue_of)
    return Finding(report.name, report.external_id, report.reason)


def _in_a_sent_queue(taken: Taken) -> Finding:
    try:
        header = decode_sent_header(taken[2], taken[1].headers or {})
    except InvalidMessageError as error:
        return Finding(None, None, error.text)
    if header.state == STATE_DONE:
        said = Text("is done, Camunda is answered next", "готово, дальше ответ Camunda")
    else:
        said = Text("people are at work on it", "над ней работают люди")
    return Finding(header.task_id, header.external_id, said)
