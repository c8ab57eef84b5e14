"""Runs start-up, main loop and shutdown of the process, on one screen. The main thread is the monitor."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from core.events.base import write
from core.events.worker import Aborted, HangupIgnored, HeartbeatFailed, Stopped, Stopping, ThreadDied, Unfinished
from runtime.systemd import Notifier

TICK = 1.0  # seconds between looks at the threads
HUNG = 60.0  # seconds without a sign of life after which the process counts as unhealthy
READY_PATIENCE = 30.0  # seconds after which systemd is told READY although RabbitMQ does not answer yet


class Service(Protocol):
    """A part with threads of its own; start() also replaces what has died."""

    def start(self) -> None: ...

    def is_alive(self) -> bool: ...


class StopSignals:
    """The signals that stop the worker: SIGTERM, Ctrl+C and the end of the terminal.

    The handlers only note the signal and wake the main thread.

    SIGHUP is the end of the terminal only where there is one: a service's is somebody's "read your files again", which
    must not end it. `hangups` counts those. The end of a terminal is signalled twice, by the kernel and by its shell:
    that is nobody's second signal.

    A pipe instead of threading.Event: a handler that runs while its own thread holds the event's lock would wait
    for ever.
    """

    def __init__(self) -> None:
        self.count = 0
        self.hangups = 0
        self._has_lost_terminal = False
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: the terminal's end is not ours
            signal.signal(signal.SIGHUP, self._on_end_of_terminal if _has_terminal() else self._on_hangup)

    def wait(self, seconds: float) -> None:
        """Wait for `seconds`, or until a signal comes."""
        readable, _, _ = select.select([self._read_end], [], [], seconds)
        if readable:
            os.read(self._read_end, 1024)

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self.hangups += 1
        os.write(self._write_end, b"!")

    def _on_end_of_terminal(self, number: int, frame: FrameType | None) -> None:
        if not self._has_lost_terminal:
            self._has_lost_terminal = True
            self._on_signal(number, frame)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        os.write(self._write_end, b"!")


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class Lifecycle:
    """Runs the services until a signal comes, then stops them in order.

    `stop_steps` are called one after the other with the deadline (monotonic seconds); each returns False when it
    had to give up. `age` returns the seconds since the slowest service's last sign of life.
    """

    def __init__(
        self,
        services: Sequence[Service],
        stop_steps: Sequence[Callable[[float], bool]],
        *,
        signals: StopSignals,
        notifier: Notifier,
        is_ready: Callable[[], bool],
        age: Callable[[], float],
        heartbeat: Callable[[], str],
        heartbeat_interval: float,
        shutdown_timeout: float,
    ) -> None:
        self._services = services
        self._stop_steps = stop_steps
        self._signals = signals
        self._notifier = notifier
        self._is_ready = is_ready
        self._age = age
        self._heartbeat = heartbeat
        self._heartbeat_interval = heartbeat_interval
        self._shutdown_timeout = shutdown_timeout

    def run(self) -> bool:
        """Run until a signal comes; return True after an orderly stop, False when a second signal cut it short."""
        for service in self._services:
            service.start()
        self._watch()
        return self._stop()

    def _watch(self) -> None:
        started = time.monotonic()
        next_heartbeat = started + self._heartbeat_interval
        announced = False
        while not self._signals.count:
            self._signals.wait(TICK)
            now = time.monotonic()
            self._answer_hangups()
            self._revive()
            if not announced and (self._is_ready() or now - started > READY_PATIENCE):
                self._notifier.ready()
                announced = True
            if self._age() < HUNG:
                self._notifier.watchdog()
            if now >= next_heartbeat:
                self._beat()
                next_heartbeat = now + self._heartbeat_interval

    def _answer_hangups(self) -> None:
        if self._signals.hangups:
            self._signals.hangups = 0
            write(HangupIgnored())

    def _beat(self) -> None:
        try:
            self._notifier.status(self._heartbeat())
        # main's border: figures come from foreign handlers too and must not end the daemon
        except Exception as error:  # noqa: BLE001
            write(HeartbeatFailed(error))

    def _revive(self) -> None:
        for service in self._services:
            if not service.is_alive():
                write(ThreadDied(type(service).__name__))
                service.start()

    def _stop(self) -> bool:
        write(Stopping())
        self._notifier.stopping()
        deadline = time.monotonic() + self._shutdown_timeout
        # In a thread of its own, so that a second signal can end the wait at any point.
        stopping = threading.Thread(target=self._take_stop_steps, args=(deadline,), name="shutdown", daemon=True)
        stopping.start()
        while stopping.is_alive():
            if self._signals.count > 1:
                write(Aborted())
                return False
            self._signals.wait(0.05)
        write(Stopped())
        return True

    def _take_stop_steps(self, deadline: float) -> None:
        for step in self._stop_steps:
            try:
                finished = step(deadline)
            # main's border: the steps that follow save work, a failed one must not take them along
            except Exception as error:  # noqa: BLE001
                write(Unfinished(error))
                continue
            if not finished:
                write(Unfinished())
