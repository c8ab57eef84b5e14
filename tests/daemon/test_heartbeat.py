"""What the heartbeat of a real worker says: how many messages are where, what waits, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, wait_until
from tests.daemon.test_bitrix import QUEUE, SENT, finish_all, publish

UNKNOWN = {"waiting", "oldest", "tracked", "errors", "responses"}


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


def lines(daemon: Daemon) -> list[dict[str, str]]:
    """The pairs of each heartbeat in the text log."""
    told = [line for line in daemon.output().splitlines() if " heartbeat " in line]
    return [dict(pair.split("=", 1) for pair in line.split(" heartbeat ")[1].split()) for line in told]


def wait_for(daemon: Daemon, is_so: Callable[[dict[str, str]], bool], what: str) -> dict[str, str]:
    """The first heartbeat from now on of which that is true."""
    before = len(lines(daemon))
    wait_until(lambda: any(is_so(each) for each in lines(daemon)[before:]), 60, f"a heartbeat: {what}")
    return next(each for each in lines(daemon)[before:] if is_so(each))


def test_it_says_what_waits_and_why_and_nothing_is_a_failure_that_only_waits(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    broker.declare(QUEUE)
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        idle = wait_for(daemon, lambda told: told.get("waiting") == "0", "nothing waits")
        assert idle["state"] == "ok"
        assert "oldest" not in idle
        portal.revoke_webhook()
        publish(broker, 40)
        down = wait_for(daemon, lambda told: told.get("waiting") == "40", "everything waits")
        assert (down["state"], down["failed"], down["tracked"]) == ("degraded", "0", "0")
        assert down["paused"].startswith("bitrix24:")
        assert down["oldest"].endswith("s")
        assert int(down["postponed"]) == int(down["total"]) > 0

        portal.restore_webhook()
        back = wait_for(daemon, lambda told: told.get("tracked") == "40", "people have them")
        assert (back["waiting"], back["state"], back["processed"], back["sent"]) == ("0", "ok", "40", "40")
        assert not {"paused", "oldest"} & back.keys()
        broker.publish(QUEUE, b"{")
        finish_all(portal)
        done = wait_for(daemon, lambda told: told.get("responses") == "40", "Camunda is answered")
        assert (done["tracked"], done["errors"], done["failed"]) == ("0", "1", "1")
        assert done["success_queue_rate"] == "100%"
        assert daemon.stop() == 0
        assert max(len(line) for line in daemon.output().splitlines() if " heartbeat " in line) < 320


def test_what_cannot_be_known_is_left_out_and_comes_back(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, proxy: TcpProxy, tmp_path: Path
) -> None:
    publish(broker, 5)
    address = replace(vhost, port=proxy.port)
    with Daemon(address, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        wait_for(daemon, lambda told: told.get("tracked") == "5", "the start")
        proxy.refuse()
        proxy.cut()
        down = wait_for(daemon, lambda told: not {"waiting", "errors", "responses"} & told.keys(), "nothing is known")
        assert down["state"] == "down"
        proxy.restore()
        back = wait_for(daemon, lambda told: told["state"] == "ok" and "waiting" in told, "the end of the fault")
        assert (back["waiting"], back["tracked"], back["errors"]) == ("0", "5", "0")
        assert daemon.output().count("queue.unknown") == 1
        assert daemon.stop() == 0


def test_machines_get_the_whole_object(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    publish(broker, 5)

    def last() -> dict[str, Any]:
        told = [json.loads(line) for line in daemon.output().splitlines() if '"event": "heartbeat"' in line]
        return told[-1] if told else {"stats": {"queues": {}}}

    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "LOG_FORMAT": "json"}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: last()["stats"]["queues"].get(SENT, {}).get("messages") == 5, 60, "five in the sent queue")
        told = last()
        assert daemon.stop() == 0
    assert told["msg"].startswith("up=")
    stats = told["stats"]
    assert (stats["state"], stats["total_messages"], stats["systems"]["bitrix24"]["processed"]) == ("ok", 5, 5)
    assert {queue: (each["role"], each["consumers"]) for queue, each in stats["queues"].items()} == {
        QUEUE: ("input", 1),
        "default.queue": ("input", 1),
        SENT: ("sent", 0),
        "default.sent.queue": ("sent", 0),
        RESPONSES: ("responses", 0),
        ERRORS: ("errors", 0),
    }
    assert stats["trackers"]["bitrix24"]["trouble"] is None
    assert stats["systems"]["bitrix24"]["api"]["requests"] > 0
