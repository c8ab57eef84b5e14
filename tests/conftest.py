"""Real RabbitMQ nodes for the tests: one for the whole run, and one that may be broken.

`broker` is what most tests need: a fresh virtual host on the common node, and the test's own view of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.debian import UnpackError, cache_folder
from sandbox.postgresql import PostgresServer, postgresql
from sandbox.prometheus import Promtool, promtool
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_install import find_server
from sandbox.rabbitmq_server import Server
from sandbox.rabbitmq_versions import VARIABLE, VersionError, chosen_version
from tests.support.own_server import WHY_SKIPPED, OwnServer, own_server
from tests.support.vhosts import FreshVhosts

# No test asserts a speed: neither a slow machine nor a busy one is a failure.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("project"), max_examples=2000)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--queues",
        choices=("classic", "quorum", "quorum-by-default"),
        default="classic",
        help="of the tests and of the worker; quorum-by-default: the virtual host makes them so",
    )


def pytest_configure() -> None:
    """Raises UsageError for a wrong wish about RabbitMQ, or for two."""
    # Ctrl+C works in the processes that tests start: a shell's background job hands its children a deaf ear.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        version = chosen_version(os.environ)
    except VersionError as error:
        raise pytest.UsageError(str(error)) from error
    if version and own_server(os.environ):
        raise pytest.UsageError(f"{VARIABLE} chooses private nodes, RABBITMQ_HOST names yours: unset one of the two")


def pytest_report_header() -> str:
    """Which RabbitMQ the tests run on."""
    if own := own_server(os.environ):
        return f"RabbitMQ: yours at {own.address.host}; what needs a private node is skipped"
    version = chosen_version(os.environ)
    return f"RabbitMQ: private nodes of {version or f'whichever version is at hand ({VARIABLE} chooses)'}"


# What is `node` needs a RabbitMQ, and something about its version could change it. What is `slow` runs programs that
# nobody here wrote or installs them, plays with thousands of tasks, or looks at hundreds of cases (hypothesis).
NODE = {"server", "_vhosts"}
SLOW = {"foreign_programs", "mail_programs", "installed", "ten_thousand", "postgres", "judge"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sets the markers from what a test uses."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & NODE:
            item.add_marker("node")
        if fixtures & SLOW or getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("slow")
        if "postgres" in fixtures:
            item.add_marker(pytest.mark.xdist_group("postgresql"))
        elif _shares_a_file_s_own(item):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))


def _shares_a_file_s_own(item: pytest.Item) -> bool:
    """Whether a test uses what its file makes once, a node mostly: then one process plays the file."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs.values() if info else ()
    return any(definitions[-1].scope == "module" for definitions in found)


@pytest.fixture(scope="session")
def foreign_programs() -> None:
    """For what runs programs from npm or PyPI, which tests.support.npm and .pypi install."""


@pytest.fixture(scope="session")
def mail_programs() -> None:
    """For what runs the mail servers of sandbox.email.servers."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server; one process plays all that need it."""
    try:
        tree = postgresql(cache_folder())
    except UnpackError as error:
        pytest.skip(f"PostgreSQL cannot be unpacked here: {error}")
    with PostgresServer(tree) as server:
        yield server


@pytest.fixture(scope="session")
def judge() -> Promtool:
    """Prometheus' own judge of metrics and rules."""
    try:
        return promtool(cache_folder())
    except UnpackError as error:
        pytest.skip(f"promtool cannot be unpacked here: {error}")


@pytest.fixture
def ten_thousand() -> int:
    """How many tasks are open where the number itself is the point."""
    return 10_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests log hostile characters on purpose; between two processes of pytest-xdist only UTF-8 can travel."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session")
def wanted_version() -> str | None:
    return chosen_version(os.environ)


@pytest.fixture(scope="session")
def own() -> OwnServer | None:
    """What RABBITMQ_HOST names: it serves the tests that need no more than a virtual host."""
    return own_server(os.environ)


@pytest.fixture(scope="session")
def server(wanted_version: str | None, own: OwnServer | None) -> Server:
    """What RABBITMQ_VERSION asks for, else whichever is at hand."""
    if own:
        pytest.skip(WHY_SKIPPED)
    return find_server(wanted_version)


@pytest.fixture(scope="session")
def node(server: Server) -> Iterator[RabbitNode]:
    """The common node. Nobody stops it, blocks it or closes all its connections: see `destructive_node`."""
    with RabbitNode(server) as node:
        yield node


@pytest.fixture(scope="session")
def _vhosts(own: OwnServer | None, request: pytest.FixtureRequest) -> Iterator[FreshVhosts]:
    vhosts = FreshVhosts(own or request.getfixturevalue("node"))
    yield vhosts
    if own:
        vhosts.close()


@pytest.fixture(scope="session")
def rabbitmq_version(own: OwnServer | None, request: pytest.FixtureRequest) -> tuple[int, ...]:
    """For what RabbitMQ does differently from version to version: (3, 10, 8)."""
    version: str = (own or request.getfixturevalue("node")).version
    return tuple(int(part) for part in version.split("."))


@pytest.fixture
def queue_type(request: pytest.FixtureRequest) -> str:
    """What --queues says; a test that is parametrised with it plays on several, one marked on_classic on that alone."""
    if request.node.get_closest_marker("on_classic"):
        return "classic"
    chosen: str = request.config.getoption("--queues")
    return chosen


@pytest.fixture
def vhost(_vhosts: FreshVhosts, queue_type: str, request: pytest.FixtureRequest) -> Iterator[BrokerAddress]:
    """A virtual host for one test."""
    with _vhosts.one(_default_type(queue_type, request)) as address:
        yield _of_type(address, queue_type)


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


@pytest.fixture(scope="session")
def _second_vhosts(_second_node: RabbitNode) -> FreshVhosts:
    return FreshVhosts(_second_node)


@pytest.fixture
def destructive_node(_second_node: RabbitNode) -> Iterator[RabbitNode]:
    """A node to stop, kill and block; it is whole again after each test."""
    _second_node.start()
    yield _second_node
    _second_node.start()
    _second_node.set_memory_alarm(False)


@pytest.fixture
def destructive_broker(
    destructive_node: RabbitNode, _second_vhosts: FreshVhosts, queue_type: str, request: pytest.FixtureRequest
) -> Iterator[Broker]:
    """A fresh virtual host on the node that may be broken."""
    with _second_vhosts.one(_default_type(queue_type, request)) as address:
        yield Broker(_of_type(address, queue_type))


def _default_type(queue_type: str, request: pytest.FixtureRequest) -> str:
    if queue_type != "quorum-by-default":
        return ""
    if request.getfixturevalue("rabbitmq_version") < (4, 0):
        pytest.skip("RabbitMQ 3.10 knows no default type of a virtual host")
    return "quorum"


def _of_type(address: BrokerAddress, queue_type: str) -> BrokerAddress:
    return replace(address, queue_type="quorum") if queue_type == "quorum" else address
