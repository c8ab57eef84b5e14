"""One system's gate: closed while the system is down or wrongly set up, opened again when a probe succeeds.

A person may hold it as well. Messages come through when neither keeps it closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.errors import ConfigurationError, OutageError, OutcomeError
from core.events.base import EventStream
from core.events.systems import ProbeFailed, SystemPaused, SystemResumed
from core.lone_failures import LoneFailures
from core.policy import Pause
from core.texts import Text

LONGEST_WAIT = 24 * 3600.0  # seconds; what a system asks for beyond this is taken for its mistake


class SystemGate:
    """The gate of one system.

    `on_close` and `on_open` stop and restart the intake; `probe` raises while the system is not usable; `mask` hides
    the secrets that its error may repeat.
    """

    def __init__(
        self,
        system: str,
        *,
        probe: Callable[[], None],
        probe_interval: float,
        on_close: Callable[[], None],
        on_open: Callable[[], None],
        events: EventStream,
        stop: threading.Event,
        mask: Callable[[str], str],
    ) -> None:
        self._system = system
        self._probe = probe
        self._probe_interval = probe_interval
        self._on_close = on_close
        self._on_open = on_open
        self._events = events
        self._stop = stop
        self._mask = mask
        self._lock = threading.Lock()
        self._closed = False
        self._held = False
        self._suspects = LoneFailures()

    def is_open(self) -> bool:
        return not self._closed and not self._held

    def hold(self) -> None:
        """Stop the intake until `release`. Does nothing when it is held already."""
        with self._lock:
            if not self._held and not self._closed:
                self._on_close()
            self._held = True

    def release(self) -> None:
        """Let messages through again, unless the system is down."""
        with self._lock:
            if self._held and not self._closed:
                self._on_open()
            self._held = False

    def succeeded(self, task_id: str) -> None:
        with self._lock:
            self._suspects.succeeded(task_id)

    def is_suspect(self, task_id: str) -> bool:
        """Return whether this message meets "outages" again and again while others succeed in between.

        Then not the system is down but the message breaks it, and it must not hold up the others for ever.
        """
        with self._lock:
            return self._suspects.is_suspect(task_id)

    def close(self, error: OutcomeError, pause: Pause) -> None:
        """Stop the intake and start probing. Does nothing when the gate is closed already."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._held:
                self._on_close()
        wait = self._wait_before_probe(pause.retry_after)
        self._events.emit(SystemPaused(self._system, error.text, error.outcome, error.code, pause.alert, wait))
        threading.Thread(
            target=self._probe_until_usable, args=(wait,), name=f"probe-{self._system}", daemon=True
        ).start()

    def _probe_until_usable(self, wait: float) -> None:
        while not self._stop.wait(wait):
            try:
                self._probe()
                break
            except (OutageError, ConfigurationError) as error:
                wait = self._wait_before_probe(error.retry_after)
                self._events.emit(ProbeFailed(self._system, error.text.map(self._mask), error.outcome, wait))
            except Exception as error:  # noqa: BLE001 - a probe with a mistake in it must not end the probing
                wait = self._probe_interval
                reason = Text.of(self._mask(f"{type(error).__name__}: {error}"))
                self._events.emit(ProbeFailed(self._system, reason, None, wait, error))
        else:
            return
        with self._lock:  # a failure at this very moment must find the intake open, or its pause would be undone
            self._closed = False
            if not self._held:
                self._on_open()
        self._events.emit(SystemResumed(self._system))

    def _wait_before_probe(self, retry_after: float | None) -> float:
        return min(max(self._probe_interval, retry_after or 0.0), LONGEST_WAIT)
