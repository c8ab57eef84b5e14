"""Keeps outcomes of work that has outlived its delivery, for the next delivery of the same message.

RabbitMQ takes a message back that is held for longer than its consumer time-out (30 minutes unless set otherwise), or
when the connection is lost. The work goes on, and what it has done is done: its outcome may not be reported any more,
since the message may be another worker's, and is reported when the message comes again. Without this a task that always
takes longer than the time-out would be begun again for ever. Until the work has ended, the message that comes again
waits.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from broker.deliveries import Delivery
from core.errors import BusyError, OutcomeError
from core.results import Acknowledged
from core.texts import Text
from processing.in_flight import InFlight

KEEP = 24 * 3600.0  # seconds; the message may come to the end of a long queue
# Seconds that it is remembered that a result is stored and only its ack was lost. Not longer: the same message is then
# more likely to be somebody's deliberate repetition.
KEEP_STORED = 900.0
LIMIT = 1000  # outcomes; what is forgotten is done again
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds until the message of work that goes on is looked at again

_Key = bytes


@dataclass(slots=True)
class _Kept:
    outcome: object
    until: float


class LateResults:
    """The late outcomes of one queue. Usable from any thread. `owns` says whether a delivery is still ours."""

    def __init__(self, owns: Callable[[Delivery], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._owns = owns
        self._clock = clock
        self._running: dict[
            int, tuple[InFlight, float]
        ] = {}  # by id(): each message passes here, so nothing is computed
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, work: InFlight) -> None:
        """Note that a handler has the message from now on."""
        with self._lock:
            self._running[id(work)] = (work, self._clock())

    def end(self, work: InFlight) -> None:
        """Note that the outcome is known, and kept if it had to be."""
        with self._lock:
            self._running.pop(id(work), None)

    def running(self) -> int:
        """Return how many messages a handler has now."""
        return len(self._running)

    def keep(self, work: InFlight, outcome: object) -> bool:
        """Keep the outcome for a delivery that is not ours any more; return False if there is nothing to keep."""
        if work.task is None or _nothing_done(outcome):
            return False
        if isinstance(outcome, OutcomeError):
            # Its traceback would keep the handler's frames, and with them its messages.
            outcome.__traceback__ = outcome.__context__ = outcome.__cause__ = None
        self._keep(work, outcome, KEEP)
        return True

    def keep_stored(self, work: InFlight) -> None:
        """Keep that the result is stored: the delivery was lost before its ack, so the next one needs the ack alone."""
        self._keep(work, Acknowledged(), KEEP_STORED)

    def find(self, work: InFlight) -> object | None:
        """Return the outcome to report for a message that comes again, once. None: it is to be worked on."""
        if not work.may_be_begun and not work.tries.ambiguous:
            return None  # of the copies that wait for running work each has a doubt
        now = self._clock()
        with self._lock:
            kept = self._kept.pop(work.fingerprint, None)
            if kept is not None and kept.until > now:
                return kept.outcome
            running = list(self._running.values())
        same = [(other, began) for other, began in running if other.delivery.body == work.delivery.body]
        lost = [began for other, began in same if not self._owns(other.delivery)]
        if not lost:
            return None
        lasted = now - min(lost)
        wait = min(LONGEST_WAIT, max(SHORTEST_WAIT, lasted / 4))
        reason = Text(
            f"RabbitMQ took this message back, and the work on it, which began {lasted:.0f} s ago, still goes on",
            f"RabbitMQ забрал это сообщение обратно, а работа по нему, начатая {lasted:.0f} с назад, ещё идёт",
        )
        return BusyError(reason, code="still_running", retry_after=wait)

    def _keep(self, work: InFlight, outcome: object, seconds: float) -> None:
        key = work.fingerprint
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = _Kept(outcome, self._clock() + seconds)
            if len(self._kept) > LIMIT:
                self._kept.popitem(last=False)


def _nothing_done(outcome: object) -> bool:
    if isinstance(outcome, BusyError):
        return True
    row = outcome.row() if isinstance(outcome, OutcomeError) else None
    return row is not None and row.only_waits
