"""Tells from a sent message's properties, as they came, that a search may pass it by.

Only what is certain: a message of ours, with a task id in its headers that nobody seeks and that has no response yet,
which is not done. Everything else is read as ever. A header of somebody else that repeats ours byte by byte could hide
a message from a search; the full sweep looks at each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.envelopes import STATE_DONE
from core.messages import HEADER_STATE, HEADER_TASK_ID


def _named(header: str) -> bytes:
    """A header's name on the wire, and the type of a text."""
    return bytes((len(header),)) + header.encode() + b"S"


_TASK_ID = _named(HEADER_TASK_ID)
_DONE = _named(HEADER_STATE) + len(STATE_DONE).to_bytes(4, "big") + STATE_DONE.encode()
_COUNTERS = (b"x-delivery-count", b"x-acquired-count")  # RabbitMQ's own, of returned messages


def passing(sought: Iterable[str], answered: Iterable[str]) -> Callable[[bytes], bool]:
    """Return what says of properties whether their message is none of these tasks, by their Camunda ids."""
    wanted = {each.encode() for ids in (sought, answered) for each in ids}

    def is_passed(properties: bytes) -> bool:
        place = properties.find(_TASK_ID)
        if place < 0 or _DONE in properties or any(each in properties for each in _COUNTERS):
            return False
        start = place + len(_TASK_ID) + 4
        end = start + int.from_bytes(properties[start - 4 : start], "big")
        return start < end <= len(properties) and properties[start:end] not in wanted

    return is_passed
