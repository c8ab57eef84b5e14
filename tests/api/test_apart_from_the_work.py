"""The API is a process of its own: whatever its clients do to it, the worker does not notice."""

from __future__ import annotations

import contextlib
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from api.serving import MOST_AT_ONCE
from api.settings import FILE
from api.streams import Pace
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.ports import free_port
from sandbox.process import ROOT, Process
from testbench.daemon import Daemon
from testbench.harness import wait_until
from tests.api.support import TIMEOUT, Client
from tests.daemon.test_bitrix import SENT, publish

COUNT = 20
IDLERS = MOST_AT_ONCE + Pace().streams + 100  # connections that say half a request and no more
CROWD = 6  # clients that ask as fast as they can


@pytest.fixture
def api(vhost: BrokerAddress, tmp_path: Path) -> Iterator[tuple[Process, int]]:
    """`main.py api` as an operator starts it, without any token, and its port."""
    port = free_port()
    variables = {
        **vhost.environment(),
        "STATE_DIR": str(tmp_path / "state"),
        "LOG_DIR": str(tmp_path / "logs"),
        "API_PORT": str(port),
    }
    folder = tmp_path / "api"
    folder.mkdir()
    with Process((sys.executable, str(ROOT / "main.py"), "api"), folder, variables) as process:
        yield process, port
        process.send(signal.SIGCONT)


def crowd(client: Client, stop: threading.Event) -> None:
    while not stop.is_set():
        for path in ("/api/v1/status", "/readyz", "/api/v1/messages?limit=200", "/api/v1/errors/groups"):
            with contextlib.suppress(requests.RequestException):  # it may have had enough
                client.ask("GET", path)


def test_slow_and_hostile_clients_hold_up_no_message(
    vhost: BrokerAddress, broker: Broker, api: tuple[Process, int], tmp_path: Path
) -> None:
    process, port = api
    stop = threading.Event()
    with (
        BitrixSandbox() as portal,
        Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as worker,
        contextlib.ExitStack() as idlers,
    ):
        made = tmp_path / "state" / FILE
        client = Client(f"http://127.0.0.1:{port}")
        wait_until(lambda: _answers(client, "/livez"), TIMEOUT, "the API")
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
        client = Client(client.base, made.read_text().strip())
        wait_until(lambda: _answers(client, "/readyz"), TIMEOUT, "readiness")

        threads = [threading.Thread(target=crowd, args=(client, stop)) for _ in range(CROWD)]
        for thread in threads:
            thread.start()
        for _ in range(IDLERS):
            idler = idlers.enter_context(socket.create_connection(("127.0.0.1", port)))
            idler.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        publish(broker, COUNT, "crowded")
        broker.wait_for_count(SENT, COUNT)

        process.send(signal.SIGSTOP)  # in the midst of whatever it was doing, with the door open
        publish(broker, COUNT, "stopped")
        broker.wait_for_count(SENT, 2 * COUNT)
        process.send(signal.SIGCONT)
        stop.set()
        for thread in threads:
            thread.join()
        idlers.close()

        wait_until(lambda: _answers(client, "/readyz"), TIMEOUT, "readiness again")
        assert process.stop(TIMEOUT) == 0, process.output()
        assert str(made) in process.output()
        assert made.read_text().strip() not in process.output()
        assert worker.stop() == 0


def _answers(client: Client, path: str) -> bool:
    try:
        return client.ask("GET", path).status_code == 200
    except requests.RequestException:
        return False
