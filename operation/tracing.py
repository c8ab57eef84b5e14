"""Where is this message? What the journal knows of it, and what the worker and RabbitMQ say to that."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.depths import Depth, depths_of
from broker.errors import BROKER_ERRORS, describe_in_both
from control.client import NoWorkerError
from core.texts import Text
from journal.records import MessageRecord
from operation.desk import Desk
from operation.prospects import Prospect, Surroundings, prospects_of, standing_of
from operation.stages import STAGE_OF, Stage, Step, ahead_of, steps_of
from operation.workers import answers_of, system_among

SHOWN = 20  # messages of a list for a person
FEW = 200  # that are looked for, to say how many more there are
MOST = 10_000  # that are looked for where all are wanted


@dataclass(frozen=True, slots=True)
class MessageTrace:
    """The way of one message. Times in unix seconds; `ahead` are the stages to come, as things stand.

    `remarks` say what could not be asked.
    """

    message: MessageRecord
    stage: Stage
    since: float
    now: Text
    next: Sequence[Prospect]
    steps: Sequence[Step]
    ahead: Sequence[Stage]
    address: str | None
    remarks: Sequence[Text] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Hits:
    """The messages that somebody may mean. `one`: the one that is surely meant.

    Of `others` those come first that are called so, then the latest ones.
    """

    one: MessageRecord | None
    others: Sequence[MessageRecord]


def look_up(desk: Desk, words: str, most: int = FEW) -> Hits:
    """Return the messages that these words mean: an id of any kind, a number in a system, words of a title.

    One that is called exactly so is meant, however many others only hold the words. Raises StoreError.
    """
    words = words.strip()
    found = [] if desk.journal is None else desk.journal.search(words, most)
    exact = {each.id: each for each in found if words in _names(each)}
    named = [each for each in exact.values() if each.name == words]
    one = next((each for each in (named, [*exact.values()], found) if len(each) == 1), [None])[0]
    others = (each for each in found if one is None or each.id != one.id)
    return Hits(one, sorted(others, key=lambda each: (each.id in exact, each.first), reverse=True))


def message_trace(desk: Desk, message: MessageRecord) -> MessageTrace:
    """Return the way of a message that the journal knows. Raises StoreError, ForbiddenError."""
    events = [] if desk.journal is None else desk.journal.events(message)
    around, remarks = _surroundings(desk, message)
    steps, stage = steps_of(message, events), _stage(message)
    return MessageTrace(
        message=message,
        stage=stage,
        since=message.last,
        now=standing_of(message, around),
        next=prospects_of(message, around),
        steps=steps,
        ahead=ahead_of(stage, steps),
        address=address_of(desk, message),
        remarks=remarks,
    )


def address_of(desk: Desk, message: MessageRecord) -> str | None:
    """Return where people see in a browser what the message has become, where its system can say it."""
    if message.system is None or message.external is None:
        return None
    handler = desk.handler_of(f"{message.system}.queue")
    return None if handler is None else handler.task_address(message.external, message.topic)


def _surroundings(desk: Desk, message: MessageRecord) -> tuple[Surroundings, list[Text]]:
    answers, why_none = answers_of(desk.workers)
    remarks = [] if why_none is None or isinstance(why_none, NoWorkerError) else [why_none.text]
    depths: Mapping[str, Depth | None] = {}
    queues = [desk.topology.responses_queue, *([message.queue] if message.queue else [])]
    try:
        with desk.broker("trace") as connection:
            depths = depths_of(connection, queues)
    except BROKER_ERRORS as error:
        remarks.append(describe_in_both(error).led_by("RabbitMQ: "))
    worker = None if message.system is None else system_among(answers, message.system)
    taken = depths.get(message.queue or "")
    around = Surroundings(
        worker=worker,
        is_served=worker is not None or (taken is not None and taken.consumers > 0),
        depths=depths,
        sent_queue=None if message.system is None else desk.sent_queue_of(f"{message.system}.queue"),
        responses_queue=desk.topology.responses_queue,
        errors_queue=desk.topology.errors_queue,
        now=time.time(),
    )
    return around, remarks


def _stage(message: MessageRecord) -> Stage:
    return Stage.RECEIVED if message.state is None else STAGE_OF[message.state]


def _names(message: MessageRecord) -> tuple[str | None, ...]:
    return message.name, message.external, message.process, message.business, message.message_id
