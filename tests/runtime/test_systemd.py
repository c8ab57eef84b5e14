"""systemd hears how the service is; without systemd, or with a deaf one, the worker does not care."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """systemd's end of the socket, and the address as it stands in NOTIFY_SOCKET."""
    path = str(tmp_path / "notify") if request.param == "path" else f"@task-creator-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{path[1:]}" if path.startswith("@") else path)
        channel.settimeout(10)
        yield channel, path


def test_the_life_of_a_service_is_told(manager: tuple[socket.socket, str]) -> None:
    channel, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("consuming 2 queues")
    notifier.status("waiting for RabbitMQ")
    notifier.watchdog()
    notifier.stopping()
    assert [channel.recv(1000).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=consuming 2 queues",
        "STATUS=waiting for RabbitMQ",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_a_status_cannot_smuggle_in_another_field(manager: tuple[socket.socket, str]) -> None:
    channel, address = manager
    Notifier(address).status("Ждём\nSTOPPING=1\r\n\ud800")
    assert channel.recv(1000).decode() == "STATUS=Ждём STOPPING=1 ?"


def test_without_systemd_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": ""})
    notifier.ready("x")
    notifier.watchdog()
    notifier.stopping()
    assert notifier.watchdog_interval is None
    assert caplog.records == []


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody-listens", "vsock:2:1234", "/" + "x" * 200, "/a\0b"])
def test_a_dead_socket_is_reported_and_stops_nothing(address: str, caplog: pytest.LogCaptureFixture) -> None:
    Notifier(address).watchdog()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert vars(record)["event"] == "systemd.unreachable"
    assert vars(record)["throttle"], "it would come at every beat of the watchdog"


def test_a_manager_that_does_not_read_does_not_hold_the_worker_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as channel:
        channel.bind(address)
        for _ in range(10_000):  # far beyond the queue of any kernel; a blocking send would hang here
            Notifier(address).watchdog()
            if caplog.records:
                break
    assert caplog.records


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_needed(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier.from_environment(environ).watchdog_interval == interval
