"""The states of a message and the kinds of its events, as numbers that stay the same for as long as a journal lives."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from core.events.base import Event
from core.events.messages import (
    DeliveryLost,
    LateOutcomeTold,
    MessageHandedBack,
    MessageParked,
    MessageReceived,
    MessageRenewed,
    MessageRerouted,
    MessageStuck,
    PartDown,
    RetryScheduled,
    SentMessageUnreadable,
    TaskAccepted,
    TaskCompleted,
    TaskDone,
    TaskFound,
    TaskRejected,
)
from core.events.operator import MessageDropped, MessageRetried, MessageSeen


class State(IntEnum):
    """Where a message stands. What waits in an input queue before its first delivery is not known to a journal."""

    WAITING = 1  # back in its queue, or in another one
    PROCESSING = 2
    RETRY_WAIT = 3
    TRACKING = 4  # created; a person will finish it
    COMPLETING = 5  # finished; Camunda gets its response next
    DONE = 6
    FAILED = 7  # in the error queue
    REJECTED = 8  # deleted or declined by a person; in the error queue
    STUCK = 9
    DROPPED = 10  # by a person, into the archive


FINISHED_STATES = (State.DONE, State.DROPPED, State.FAILED, State.REJECTED)  # nothing more happens by itself

# A number is never used for something else: old journals hold it.
KINDS: Mapping[int, type[Event]] = {
    1: MessageReceived,
    2: TaskAccepted,
    3: TaskFound,
    4: TaskCompleted,
    5: RetryScheduled,
    6: MessageParked,
    7: TaskRejected,
    8: MessageRerouted,
    9: MessageStuck,
    10: DeliveryLost,
    11: LateOutcomeTold,
    12: MessageRenewed,
    13: PartDown,
    14: SentMessageUnreadable,
    15: MessageRetried,
    16: MessageDropped,
    17: MessageSeen,
    18: TaskDone,
    19: MessageHandedBack,
}
NUMBERS: Mapping[type[Event], int] = {kind: number for number, kind in KINDS.items()}
