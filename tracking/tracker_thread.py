"""Runs one thread per tracker: a sweep every interval, or at once when a result is there that needs no waiting.

A sweep that had to go through a large queue is followed by a pause of four times its duration (the interval at the
most), so that results that come one by one do not make it go round and round. So is what a hook has caused: the first
one is looked at as it comes, those that come meanwhile are one look, and all looks take a fifth of the time at the
most. A sweep that RabbitMQ has cut short is followed by a pause that grows, whatever wakes the tracker: nobody dials
again and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from base_tracker import ChangedTask
from broker.backoff import Backoff
from broker.errors import BROKER_ERRORS, describe_in_both
from broker.taken_queue import TakingInterruptedError
from core.errors import OutcomeError, StoppingError
from core.events.base import EventStream
from core.events.systems import ChangesHeard, Swept, TrackingFailed
from core.texts import Text
from tracking.hints import Hints
from tracking.sweeper import Sweeper
from tracking.tracked_queue import SweepResult

PAUSE_FACTOR = 4.0  # sweeps of a large queue, and what hooks cause, take a fifth of the time at the most


class TrackerThread:
    """Sweeps until `stop` is set. `interval` in seconds."""

    def __init__(
        self,
        queue: str,
        system: str,
        sweeper: Sweeper,
        *,
        events: EventStream,
        interval: float,
        stop: threading.Event,
    ) -> None:
        self.queue = queue
        self.begun = 0  # sweeps
        self.ended = 0
        self.next_sweep: float | None = None  # unix seconds; None while it sweeps, and while a person has it rest
        self._system = system
        self._sweeper = sweeper
        self._events = events
        self._interval = interval
        self._stop = stop
        self._due = threading.Event()
        self._is_woken = False  # by more than a hint
        self._hints = Hints()
        self._is_held = False
        self._cut_short = Backoff(min(1.0, interval), interval)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"tracker-{self.queue}", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def shards(self) -> tuple[str, ...]:
        """The queues beside the sent queue that may hold open tasks."""
        return self._sweeper.shards

    def wake(self) -> None:
        """Ask for a sweep now; also the way to end the wait after `stop` is set."""
        self._is_woken = True
        self._due.set()

    def look_for(self, task: ChangedTask) -> int:
        """Ask about this task now, also when the system has told no change of it.

        Return the number of a sweep at whose end that has been done; it counts as `begun` and `ended` do.
        """
        self._sweeper.look_for(task)
        number = self.begun + 1  # the one that runs may have gone by already
        self.wake()
        return number

    def hear_of(self, external_ids: Iterable[str]) -> int:
        """Look soon whether these tasks, of which the system has told, are finished and ours.

        Return how many are not looked at, since too many wait already: a sweep finds them.
        """
        dropped = self._hints.add(external_ids)
        self._due.set()
        return dropped

    def hold(self) -> None:
        """Begin no sweep until `release`; one that is running is finished."""
        self._is_held = True

    def release(self) -> None:
        self._is_held = False
        self.wake()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, after `stop` is set and wake(); return True when it ended within `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.is_alive()

    def _run(self) -> None:
        next_sweep = time.monotonic()
        while not self._stop.is_set():
            if self._is_held:
                self._rest()
                continue
            self._due.clear()
            woken, self._is_woken = self._is_woken, False  # before the sweep: who asks for one now gets another one
            began = time.monotonic()
            hinted = self._look_at_hints()
            if woken or hinted or began >= next_sweep:
                self.next_sweep = None
                pause = self._sweep_once(woken=woken)
                self.ended += 1
                next_sweep = time.monotonic() + self._interval
                self.next_sweep = time.time() + self._interval
            else:
                pause = 0.0
            if hinted is not None:
                pause = max(pause, min(self._interval, PAUSE_FACTOR * (time.monotonic() - began)))
            self._stop.wait(pause)
            self._due.wait(max(0.0, next_sweep - time.monotonic()))

    def _rest(self) -> None:
        self.next_sweep = None
        self._due.clear()
        if self._is_held and not self._stop.is_set():  # nobody has woken us in between
            self._due.wait(self._interval)

    def _look_at_hints(self) -> bool | None:
        """Return whether a sweep has something to find among the tasks of which the system has told; None: of none.

        When it cannot be asked, nobody needs to know: the sweep asks the same system, and says so.
        """
        if not self._hints:
            return None
        hints = self._hints.take(self._sweeper.chunk_size)
        began = time.monotonic()
        is_worth_it = False
        try:
            is_worth_it = self._sweeper.heard_of(hints)
        except (OutcomeError, TakingInterruptedError):
            pass
        except Exception as error:  # noqa: BLE001 - as in a sweep: a tracker is foreign code
            text = f"tracking of {self._system} failed to look at what was told"
            self._events.emit(TrackingFailed(self._system, text, self.queue, error))
        if self._hints:
            self._due.set()  # there is more than one question takes
        self._events.emit(ChangesHeard(self._system, len(hints), is_worth_it, time.monotonic() - began))
        return is_worth_it

    def _sweep_once(self, *, woken: bool) -> float:
        """Sweep and return the seconds in which no other sweep may begin."""
        self.begun += 1
        began = time.monotonic()
        result = SweepResult()
        if not self._try_to_sweep(result, woken=woken, began=began):
            return self._cut_short.delay()
        self._cut_short.reset()
        is_large = self._sweeper.is_large(result)
        return min(self._interval, PAUSE_FACTOR * (time.monotonic() - began)) if is_large else 0.0

    def _try_to_sweep(self, result: SweepResult, *, woken: bool, began: float) -> bool:
        """Return False when the connection to RabbitMQ failed."""
        is_connected = True
        failure: Text | None = None
        try:
            self._sweeper.sweep(result, woken=woken)
        except (StoppingError, TakingInterruptedError):
            return True
        except (OutcomeError, *BROKER_ERRORS) as error:
            result.errors += 1
            is_connected = isinstance(error, OutcomeError)
            failure = describe_in_both(error)
            text = f"tracking of {self._system} must wait: {failure.en}"
            self._events.emit(TrackingFailed(self._system, text, self.queue))
        except Exception as error:  # noqa: BLE001 - one of the four borders: a tracker is foreign code
            result.errors += 1
            failure = Text.of(f"{type(error).__name__}: {error}")
            text = f"tracking of {self._system} failed"
            self._events.emit(TrackingFailed(self._system, text, self.queue, error))
        counts = (result.checked, result.completed, result.moved, result.errors)
        lasted = time.monotonic() - began
        self._events.emit(Swept(self._system, *counts, time.time(), failure, result.calls, result.left, lasted))
        return is_connected
