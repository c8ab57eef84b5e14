"""Finds messages that meet "outages" again and again while others succeed: the message is at fault, not the system."""

from __future__ import annotations

from collections import OrderedDict

from core.errors import OutcomeError, TransientError
from core.texts import Text

STRIKES = 3
REMEMBERED_SUSPECTS = 1000


class LoneFailures:
    """How often each message has met an outage while others succeeded.

    Not locked: its owner has a lock. `len()` is how many messages are remembered.
    """

    def __init__(self) -> None:
        self._successes = 0
        self._met: OrderedDict[str, tuple[int, int]] = OrderedDict()  # task id -> strikes, successes then

    def __len__(self) -> int:
        return len(self._met)

    def succeeded(self, task_id: str) -> None:
        self._successes += 1
        self._met.pop(task_id, None)

    def is_suspect(self, task_id: str) -> bool:
        """Return whether this message must not hold up the others. To be asked once for each outage that it meets."""
        strikes, successes = self._met.pop(task_id, (0, -1))
        if self._successes > successes:
            strikes += 1
        self._met[task_id] = (strikes, self._successes)
        if len(self._met) > REMEMBERED_SUSPECTS:
            self._met.popitem(last=False)
        return strikes > STRIKES


def met_alone(error: OutcomeError) -> TransientError:
    """Return what an outage becomes that only a suspect meets: it spends its own attempts and holds up nobody."""
    reason = Text(f"only this message meets it: {error}", f"так только с этим сообщением: {error.text.ru}")
    return TransientError(reason, code=error.code)
