"""Real RabbitMQ nodes for the tests: one for the whole run, and one that may be broken.

`broker` is what most tests need: a fresh virtual host on the common node, and the test's own view of it.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from sandbox.address import BrokerAddress
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_install import find_server
from sandbox.rabbitmq_server import Server
from sandbox.rabbitmq_versions import chosen_version
from tests.broker import Broker

# No test asserts a speed: neither a slow machine nor a busy one is a failure.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("project"), max_examples=2000)
settings.load_profile("project")


def pytest_configure() -> None:
    """Ctrl+C works in the processes that tests start: a shell's background job hands its children a deaf ear."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests log hostile characters on purpose; between two processes of pytest-xdist only UTF-8 can travel."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session")
def server() -> Server:
    """What RABBITMQ_VERSION asks for, else whichever is at hand."""
    return find_server(chosen_version(os.environ))


@pytest.fixture(scope="session")
def node(server: Server) -> Iterator[RabbitNode]:
    """The common node. Nobody stops it, blocks it or closes all its connections: see `destructive_node`."""
    with RabbitNode(server) as node:
        yield node


@pytest.fixture
def vhost(node: RabbitNode) -> Iterator[BrokerAddress]:
    """A virtual host for one test."""
    yield from _fresh_vhost(node)


@pytest.fixture
def broker(vhost: BrokerAddress) -> Broker:
    """The test's own view of its virtual host."""
    return Broker(vhost)


@pytest.fixture
def proxy(vhost: BrokerAddress) -> Iterator[TcpProxy]:
    """A cuttable wire to the common node: `vhost.through(proxy.port)` is the way over it."""
    with TcpProxy(vhost.host, vhost.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def _second_node(server: Server) -> Iterator[RabbitNode]:
    with RabbitNode(server) as node:
        yield node


@pytest.fixture
def destructive_node(_second_node: RabbitNode) -> Iterator[RabbitNode]:
    """A node to stop, kill and block; it is whole again after each test."""
    _second_node.start()
    yield _second_node
    _second_node.start()
    _second_node.set_memory_alarm(False)


@pytest.fixture
def destructive_broker(destructive_node: RabbitNode) -> Iterator[Broker]:
    """A fresh virtual host on the node that may be broken."""
    for address in _fresh_vhost(destructive_node):
        yield Broker(address)


def _fresh_vhost(node: RabbitNode) -> Iterator[BrokerAddress]:
    name = uuid.uuid4().hex
    yield node.add_vhost(name)
    node.start()  # a test may have left it down; what is deleted must be asked of a running node
    node.delete_vhost(name)
