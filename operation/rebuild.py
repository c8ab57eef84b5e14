"""Fills a journal that is younger than the queues: looks through them without changing them.

What the journal knows already stays as it is. In a wait queue a copy takes its message's place for the time that is
left of its delay; one that an earlier version has put there says no such time, and is returned instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from broker.depths import depths_of, shards_of
from broker.taken_queue import Taken
from broker.topology import wait_queue_name, whole_queue_name
from core.copies import decode_history
from core.envelopes import STATE_DONE, decode_sent, decode_sent_header
from core.errors import InvalidMessageError
from core.events.base import Event, Identity
from core.events.operator import MessageSeen, Place
from core.messages import HEADER_DUE, HEADER_LAST_ERROR, CamundaTask, OutgoingMessage, decode_task, title_of
from core.policy import WAIT_STEPS
from core.texts import Text
from journal.states import State
from operation.desk import Desk
from operation.error_queue import seen
from operation.noting import acted, note
from operation.reports import UNLIMITED, report_of
from operation.walking import walk_through, whole_copy

_SENT = (State.TRACKING, State.COMPLETING, State.DONE)
_ERRORS = (State.FAILED, State.REJECTED)
_KNOWN = tuple(State)  # whatever the journal knows of a message that waits is newer than what the message says
_Note = tuple[float, MessageSeen]
Advance = Callable[[int], None]  # told how many messages have been looked at


@dataclass(slots=True)
class Rebuilt:
    """How many messages were in which queue, and of how many the journal was told."""

    looked_at: dict[str, int] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    remarks: list[Text] = field(default_factory=list)


def size_of_all(desk: Desk) -> int:
    """Return how many messages a rebuild looks at. Raises BROKER_ERRORS."""
    return sum(_depths(desk).values())


def rebuild(desk: Desk, by: str, advance: Advance = lambda _done: None) -> Rebuilt:
    """Look through the sent queues with their shards, the wait queues, the error queue.

    Raises BROKER_ERRORS, StoreError.
    """
    result = Rebuilt()
    done = 0
    for queue, depth in _depths(desk).items():
        if not depth:
            continue
        reader, whole = _reader_of(desk, queue), whole_queue_name(queue)
        is_wait_queue = reader is not None and ".retry." in queue
        with walk_through(desk, queue) as walk:
            for portion in walk.portions():
                notes = list(_read(portion, reader, whole, result))
                walk.keep(portion, _copy_for_the_rest if is_wait_queue else None)
                news = _news(desk, notes, _accepted_in(desk, queue))
                if (warning := note(desk, news)) is not None:
                    result.remarks.append(warning)
                    return result
                result.looked_at[whole] = result.looked_at.get(whole, 0) + len(portion)
                result.added[whole] = result.added.get(whole, 0) + len(news)
                done += len(portion)
                advance(done)
            if walk.is_late:
                result.remarks.append(
                    Text(
                        f"{queue} is so long that a part was left out: run it again",
                        f"{queue} так длинна, что часть не просмотрена: запустите ещё раз",
                    )
                )
    acted(desk, time.time(), "journal rebuild", by=by, count=sum(result.added.values()))
    return result


_Reader = Callable[[Taken, str], _Note]


def _depths(desk: Desk) -> dict[str, int]:
    """Return what each queue holds that is looked through."""
    inputs = list(desk.settings.worker.queue_handlers)
    waiting = [wait_queue_name(queue, step) for queue in inputs for step in WAIT_STEPS]
    sent = list(dict.fromkeys(map(desk.sent_queue_of, inputs)))
    with desk.broker("operator") as connection:
        shards = [shard for queue in sent for shard in shards_of(connection, queue)]
        found = depths_of(connection, [*sent, *shards, *waiting, desk.topology.errors_queue])
    return {queue: depth.messages for queue, depth in found.items() if depth is not None}


def _reader_of(desk: Desk, queue: str) -> _Reader:
    if queue == desk.topology.errors_queue:
        return lambda taken, name: _of_errors(taken, name, desk.input_queue_of)
    return _of_waiting if ".retry." in queue else _of_sent


def _accepted_in(desk: Desk, queue: str) -> Collection[State]:
    if queue == desk.topology.errors_queue:
        return _ERRORS
    return _KNOWN if ".retry." in queue else _SENT


def _read(portion: Sequence[Taken], reader: _Reader, queue: str, result: Rebuilt) -> Iterator[_Note]:
    for taken in portion:
        try:
            yield reader(taken, queue)
        except InvalidMessageError:  # the worker reports it when its turn comes
            result.unreadable += 1


def _news(desk: Desk, notes: Sequence[_Note], accepted: Collection[State]) -> list[tuple[float, Event]]:
    """Return what the journal does not know: no message, or one that it believes elsewhere, and earlier."""
    known = {} if desk.journal is None else desk.journal.named([_name(event.identity) for _, event in notes])
    news: list[tuple[float, Event]] = []
    for at, event in notes:
        record = known.get(_name(event.identity))
        if record is None or (record.state not in accepted and record.last < at):
            news.append((at, event))
    return news


def _name(identity: Identity) -> str:
    return identity.task_id or identity.message_id or ""


def _of_sent(taken: Taken, queue: str) -> _Note:
    _, properties, body = taken
    header, sent = decode_sent_header(body, properties.headers or {}), decode_sent(body)
    task = CamundaTask(b"", sent.original)
    processed = sent.fields.get("processed_at")
    at = float(processed) if isinstance(processed, int | float) and 0 < processed < 1e11 else time.time()
    system, topic = queue.removesuffix(".sent.queue"), sent.original.get("topic")
    about = Identity(
        *(queue, system, header.task_id, task.process_instance_id, topic if isinstance(topic, str) else None),
        external_id=header.external_id,
    )
    place: Place = "done" if header.state == STATE_DONE else "sent"
    return at, MessageSeen(about, place, title_of(task), task.business_key)


def _of_waiting(taken: Taken, queue: str) -> _Note:
    _, properties, body = taken
    headers, source = properties.headers or {}, queue.rpartition(".retry.")[0]
    task = decode_task(body, UNLIMITED)
    tries, first_seen = decode_history(headers, time.time())
    about = Identity(
        source,
        source.removesuffix(".queue"),
        task.task_id,
        task.process_instance_id,
        task.topic,
        max(1, tries.attempt - 1),
    )
    reason = Text.of(str(headers.get(HEADER_LAST_ERROR, "")))
    return first_seen, MessageSeen(about, "retry", title_of(task), task.business_key, _due(taken), reason=reason)


def _of_errors(taken: Taken, queue: str, input_queue_of: Mapping[str, str]) -> _Note:
    report = report_of(taken[2], taken[1], input_queue_of)
    return report.at or time.time(), seen(report, queue)


def _due(taken: Taken) -> float | None:
    told = (taken[1].headers or {}).get(HEADER_DUE)
    try:
        return float(told) if isinstance(told, str) else None
    except ValueError:
        return None


def _copy_for_the_rest(taken: Taken) -> OutgoingMessage | None:
    due = _due(taken)
    if due is None:
        return None
    copy = whole_copy(taken)
    left = max(0, round((due - time.time()) * 1000))
    return replace(copy, properties={**copy.properties, "expiration": str(left)})
