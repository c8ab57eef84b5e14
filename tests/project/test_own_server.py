"""The tests run on a RabbitMQ of the user's own as far as that can be, and say what they leave out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from sandbox.ports import LOOPBACK, ReservedPort
from sandbox.process import ROOT
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import Server
from tests.support.own_server import MANAGEMENT_PORT, WHY_SKIPPED

TIMEOUT = 180.0  # seconds; never waited out when things work

ONE_OF_EACH_KIND = ("tests/broker/test_publisher.py", "-k", "is_persistent or finds_too_large")


@pytest.fixture
def management_port() -> Iterator[int]:
    port = ReservedPort()
    yield port.port
    port.release()


def run_tests(variables: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_a_server_of_ones_own_serves_what_needs_virtual_hosts_and_is_left_as_it_was(
    server: Server, management_port: int
) -> None:
    config = {"management.tcp.ip": LOOPBACK, "management.tcp.port": str(management_port)}
    with RabbitNode(server, config, plugins=["rabbitmq_management"]) as node:
        # Whoever makes virtual hosts by the management plugin is an administrator; the sandbox's user is one.
        variables = {**node.address.environment(), MANAGEMENT_PORT: str(management_port)}
        done = run_tests(variables, *ONE_OF_EACH_KIND)
        assert "1 passed, 1 skipped" in done.stdout, done.stdout
        assert WHY_SKIPPED in done.stdout
        assert "RabbitMQ: yours at 127.0.0.1" in done.stdout
        assert json.loads(node.ctl("list_vhosts", "--formatter", "json")) == [{"name": "/"}]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RABBITMQ_VERSION": "4.1"}, "RABBITMQ_VERSION='4.1': the choices are 3.10, 4.0, 4.3"),
        ({"RABBITMQ_VERSION": "4.3", "RABBITMQ_HOST": "mq"}, "RABBITMQ_HOST names yours: unset one of the two"),
    ],
)
def test_a_wrong_wish_ends_the_tests_before_they_begin(variables: dict[str, str], said: str) -> None:
    done = run_tests(variables, *ONE_OF_EACH_KIND)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr
