"""The life of the process, with real signals and a real socket in systemd's place."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from runtime import lifecycle
from runtime.lifecycle import Lifecycle, Service, StopSignals
from runtime.systemd import Notifier
from sandbox.address import BrokerAddress
from testbench.daemon import Daemon
from testbench.harness import wait_until

PATIENCE = 20.0  # seconds that a test waits for what must come at once


class Manager:
    """systemd's end of the notification socket."""

    def __init__(self, address: Path) -> None:
        self.address = str(address)
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind(self.address)
        self._channel.settimeout(PATIENCE)

    def hear(self) -> str:
        return self._channel.recv(65536).decode()

    def wait_for(self, words: str) -> list[str]:
        """Everything up to the first notification that begins with `words`."""
        heard = [self.hear()]
        while not heard[-1].startswith(words):
            heard.append(self.hear())
        return heard

    def heard_so_far(self) -> list[str]:
        self._channel.setblocking(False)
        heard = []
        try:
            while True:
                heard.append(self.hear())
        except BlockingIOError:
            return heard

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    """Installed in this process; what was installed before comes back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signals = StopSignals()
    signals.install()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)
    signals.close()


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "TICK", 0.005)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


class Ticks:
    """Stands where the daemon tells its age, which is asked once in every turn of the main loop.

    Does what the test says at each turn, then sends SIGTERM.
    """

    def __init__(self, *turns: Callable[[], float]) -> None:
        self._turns = list(turns)

    def __call__(self) -> float:
        if self._turns:
            return self._turns.pop(0)()
        send(signal.SIGTERM)
        return 0.0


def ages(*seconds: float) -> list[Callable[[], float]]:
    return [lambda age=age: age for age in seconds]  # type: ignore[misc]


class Worker:
    """A service with one thread, which lives until it is told to end or to die."""

    def __init__(self) -> None:
        self.starts = 0
        self.started = threading.Event()
        self._deaths: list[threading.Event] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self.starts += 1
        self._deaths.append(threading.Event())
        self._thread = threading.Thread(target=self._run, args=(self._deaths[-1],), daemon=True)
        self._thread.start()
        self.started.set()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def die(self) -> None:
        self._deaths[-1].set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        assert not self.is_alive()

    @staticmethod
    def _run(death: threading.Event) -> None:
        death.wait()
        raise ZeroDivisionError("a mistake that no border has caught")


class Steps:
    """Remembers which stop steps were taken, and with what deadline."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.deadlines: set[float] = set()

    def __call__(self, name: str, *, finished: bool = True) -> Callable[[float], bool]:
        def take(deadline: float) -> bool:
            self.taken.append(name)
            self.deadlines.add(deadline)
            return finished

        return take


@pytest.fixture
def step() -> Steps:
    return Steps()


def broken_step(_deadline: float) -> bool:
    raise ZeroDivisionError


def make(
    signals: StopSignals,
    services: Sequence[Service] = (),
    stop_steps: Sequence[Callable[[float], bool]] = (),
    *,
    notifier: Notifier | None = None,
    is_ready: Callable[[], bool] = lambda: True,
    age: Callable[[], float] | None = None,
    heartbeat: Callable[[], str] = lambda: "total=0",
    heartbeat_interval: float = 3600.0,
    shutdown_timeout: float = 30.0,
) -> Lifecycle:
    """A daemon that gets SIGTERM in its first turn, unless the test says otherwise."""
    return Lifecycle(
        services,
        stop_steps,
        signals=signals,
        notifier=notifier or Notifier(),
        is_ready=is_ready,
        age=age or Ticks(),
        heartbeat=heartbeat,
        heartbeat_interval=heartbeat_interval,
        shutdown_timeout=shutdown_timeout,
    )


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_one_signal_ends_the_loop_and_the_steps_run_in_their_order(
        self, signals: StopSignals, step: Steps, number: signal.Signals
    ) -> None:
        def stop_now() -> float:
            send(number)
            return 0.0

        steps = [step(name) for name in ("intake", "running", "trackers", "confirms", "connections")]
        before = time.monotonic()
        assert make(signals, stop_steps=steps, age=Ticks(stop_now), shutdown_timeout=1234.0).run() is True
        after = time.monotonic()

        assert step.taken == ["intake", "running", "trackers", "confirms", "connections"]
        [deadline] = step.deadlines
        assert before + 1234.0 <= deadline <= after + 1234.0, "one deadline for all steps together"

    def test_a_signal_during_the_start_is_not_lost(self, signals: StopSignals, step: Steps) -> None:
        class Slow(Worker):
            def start(self) -> None:
                super().start()
                send(signal.SIGTERM)

        def never() -> float:
            pytest.fail("the main loop was entered")

        service = Slow()
        assert make(signals, [service], [step("only")], age=never).run()
        assert service.starts == 1
        assert step.taken == ["only"]

    def test_a_step_that_runs_out_of_time_is_told_and_the_next_ones_still_run(
        self, signals: StopSignals, step: Steps, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert make(signals, stop_steps=[step("1"), step("2", finished=False), step("3")]).run() is True
        assert step.taken == ["1", "2", "3"]
        assert [vars(record)["event"] for record in caplog.records].count("worker.unfinished") == 1

    def test_a_step_with_a_mistake_in_it_does_not_take_the_others_along(
        self, signals: StopSignals, step: Steps, caplog: pytest.LogCaptureFixture
    ) -> None:
        # The last steps send the acks of what is done already: without them it would be done again.
        steps = [broken_step, step("confirms"), broken_step, step("close")]
        assert make(signals, stop_steps=steps).run() is True
        assert step.taken == ["confirms", "close"]
        assert sum(record.exc_info is not None for record in caplog.records) == 2

    def test_a_second_signal_cuts_the_stop_short(
        self, signals: StopSignals, step: Steps, caplog: pytest.LogCaptureFixture
    ) -> None:
        release = threading.Event()

        def hang(_deadline: float) -> bool:
            send(signal.SIGINT)
            return release.wait(PATIENCE)

        orderly = make(signals, stop_steps=[hang, step("later")]).run()
        assert orderly is False
        assert step.taken == []
        release.set()
        assert "worker.aborted" in [vars(record)["event"] for record in caplog.records]


class TestRevival:
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_thread_that_dies_is_started_again_and_told(
        self, signals: StopSignals, caplog: pytest.LogCaptureFixture
    ) -> None:
        mortal, healthy = Worker(), Worker()

        def kill() -> float:
            mortal.die()
            return 0.0

        make(signals, [mortal, healthy], age=Ticks(kill, *ages(0.0), kill, *ages(0.0))).run()
        assert (mortal.starts, healthy.starts) == (3, 1)
        assert mortal.is_alive()
        told = [record for record in caplog.records if vars(record)["event"] == "thread.died"]
        assert [record.levelno for record in told] == [logging.ERROR] * 2
        assert "Worker" in told[0].getMessage()


class TestSystemd:
    def test_the_service_is_ready_when_it_is_and_not_before(self, signals: StopSignals, manager: Manager) -> None:
        is_ready = iter([False, False, True, False])
        make(
            signals,
            notifier=Notifier(manager.address),
            is_ready=lambda: next(is_ready),
            age=Ticks(*ages(0.0, 0.0, 0.0, 0.0)),
        ).run()
        assert manager.heard_so_far() == [
            *("WATCHDOG=1", "WATCHDOG=1", "READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"),
            "STOPPING=1",
        ], "READY comes once, although the broker is away again later"

    def test_a_broker_that_stays_away_does_not_make_the_start_fail(
        self, signals: StopSignals, manager: Manager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # systemd would kill and restart a service that is never READY, which helps no broker.
        monkeypatch.setattr(lifecycle, "READY_PATIENCE", 0.0)
        make(signals, notifier=Notifier(manager.address), is_ready=lambda: False).run()
        assert manager.heard_so_far()[0] == "READY=1"

    def test_the_watchdog_is_fed_only_while_the_slowest_thread_is_fresh(
        self, signals: StopSignals, manager: Manager
    ) -> None:
        hung = lifecycle.HUNG
        fresh_and_hung = ages(0.0, hung - 0.001, hung, hung + 1, 10 * hung, 0.0)
        make(signals, notifier=Notifier(manager.address), age=Ticks(*fresh_and_hung)).run()
        assert manager.heard_so_far().count("WATCHDOG=1") == 3 + 1, "the last turn, with the signal, is fresh"

    def test_every_interval_has_its_status_line(self, signals: StopSignals, manager: Manager) -> None:
        lines = iter(["total=1", "total=2", "total=3"])
        make(
            signals,
            notifier=Notifier(manager.address),
            heartbeat=lambda: next(lines),
            heartbeat_interval=0.0,
            age=Ticks(*ages(0.0, 0.0)),
        ).run()
        assert [each for each in manager.heard_so_far() if each.startswith("STATUS")] == [
            "STATUS=total=1",
            "STATUS=total=2",
            "STATUS=total=3",
        ]

    def test_figures_that_cannot_be_had_do_not_end_the_daemon(
        self, signals: StopSignals, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken() -> str:  # the figures come from foreign handlers too
            raise ZeroDivisionError

        daemon = make(signals, heartbeat=broken, heartbeat_interval=0.0, age=Ticks(*ages(0.0, 0.0)))
        assert daemon.run() is True
        assert [vars(record)["event"] for record in caplog.records].count("heartbeat.failed") == 3

    def test_the_real_daemon_tells_its_whole_life(self, vhost: BrokerAddress, manager: Manager, tmp_path: Path) -> None:
        with Daemon(vhost, tmp_path / "daemon", {"NOTIFY_SOCKET": manager.address}) as daemon:
            assert "STOPPING=1" not in manager.wait_for("READY=1")
            manager.wait_for("WATCHDOG=1")
            status = manager.wait_for("STATUS=")[-1]
            assert status.startswith("STATUS=up=1s in=0/m out=0/m ")
            assert status.endswith(" total=0 processed=0 failed=0 postponed=0 sent=0 success_queue_rate=100%")
            assert daemon.stop() == 0
        heard = manager.heard_so_far()
        assert heard.count("STOPPING=1") == 1
        assert "READY=1" not in heard


SLOW_MODULE = """
import pathlib, time
from base_handler import BaseMessageHandler

here = pathlib.Path(__file__).parent
(here / "begun").touch()
while not (here / "go").exists():
    time.sleep(0.01)

class Handler(BaseMessageHandler):
    def __init__(self):
        super().__init__("slow")
"""


def test_a_worker_that_is_stopped_while_it_starts_ends_in_order(tmp_path: Path) -> None:
    nobody = BrokerAddress("127.0.0.1", 1, "nobody", "nothing", "/")
    (tmp_path / "slow_to_import.py").write_text(SLOW_MODULE)
    handlers = {"slow.queue": {"module": "slow_to_import", "handler_class": "Handler"}}
    variables = {"QUEUE_HANDLERS": json.dumps(handlers), "PYTHONPATH": str(tmp_path)}
    with Daemon(nobody, tmp_path, variables) as daemon:
        wait_until((tmp_path / "begun").exists)
        daemon.send(signal.SIGTERM)
        (tmp_path / "go").touch()
        assert daemon.wait(PATIENCE) == 0, daemon.output()
