"""One system's gate: closed while the system is down or wrongly set up, opened again when a probe succeeds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from core.errors import ConfigurationError, OutageError, OutcomeError
from core.events import EventStream, SystemPaused, SystemResumed
from core.lone_failures import Suspects
from core.policy import Pause

log = logging.getLogger(__name__)

LONGEST_WAIT = 24 * 3600.0  # seconds; what a system asks for beyond this is taken for its mistake


class SystemGate:
    """`on_close` and `on_open` stop and restart the intake; `probe` raises while the system is not usable."""

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
    ) -> None:
        self._system = system
        self._probe = probe
        self._probe_interval = probe_interval
        self._on_close = on_close
        self._on_open = on_open
        self._events = events
        self._stop = stop
        self._lock = threading.Lock()
        self._closed = False
        self._suspects = Suspects()

    def is_open(self) -> bool:
        return not self._closed

    def succeeded(self, task_id: str) -> None:
        with self._lock:
            self._suspects.succeeded(task_id)

    def is_suspect(self, task_id: str) -> bool:
        """True when this message meets "outages" again and again while others succeed in between.

        Then not the system is down but the message breaks it, and it must not hold up the others for ever.
        """
        with self._lock:
            return self._suspects.is_suspect(task_id)

    def close(self, error: OutcomeError, pause: Pause) -> None:
        """Stops the intake and starts probing. Does nothing when the gate is closed already."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._on_close()
        self._events.emit(SystemPaused(self._system, error.text, pause.alert))
        level = logging.ERROR if pause.alert else logging.WARNING
        extra = {"event": "system.paused", "system": self._system, "outcome": error.outcome, "code": error.code}
        log.log(level, "%s is not usable, its messages wait: %s", self._system, error, extra=extra)
        first_wait = self._wait_before_probe(pause.retry_after)
        threading.Thread(
            target=self._probe_until_usable, args=(first_wait,), name=f"probe-{self._system}", daemon=True
        ).start()

    def _probe_until_usable(self, wait: float) -> None:
        while not self._stop.wait(wait):
            try:
                self._probe()
                break
            except (OutageError, ConfigurationError) as error:
                wait = self._wait_before_probe(error.retry_after)
                extra = {"event": "system.probe", "system": self._system, "outcome": error.outcome}
                log.info("%s is still not usable: %s", self._system, error, extra=extra)
            except Exception:  # a probe with a mistake in it must not end the probing
                wait = self._probe_interval
                log.exception("probe of %s failed", self._system, extra={"event": "system.probe"})
        else:
            return
        with self._lock:  # a failure at this very moment must find the intake open, or its pause would be undone
            self._closed = False
            self._on_open()
        self._events.emit(SystemResumed(self._system))
        log.info("%s is usable again", self._system, extra={"event": "system.resumed", "system": self._system})

    def _wait_before_probe(self, retry_after: float | None) -> float:
        return min(max(self._probe_interval, retry_after or 0.0), LONGEST_WAIT)
