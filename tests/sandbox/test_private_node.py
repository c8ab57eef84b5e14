"""The private RabbitMQ node keeps what it promises: real, restartable, alone, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pika
import pytest
from pika.exceptions import ConnectionClosedByBroker

from sandbox.broker_view import Broker
from sandbox.node_guard import base_folder
from sandbox.process import ROOT
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_install import NoServerError, find_installed, find_server
from sandbox.rabbitmq_server import LocalServer, NodeError, Server

TIMEOUT = 120.0  # seconds; never waited out when things work
NOBODY = 65534
WATCHER = "node_guard.py"

OWNER = """
import signal, sys
from sandbox.rabbitmq import RabbitNode
import os
from sandbox.rabbitmq_install import find_server
from sandbox.rabbitmq_versions import chosen_version

with RabbitNode(find_server(chosen_version(os.environ))) as node:
    print(node.folder, flush=True)
    signal.pause()
"""

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="the rootless way is for Debian and Ubuntu")


@pytest.fixture
def local_server(server: Server) -> LocalServer:
    """For what is seen in this machine's processes; a container hides them."""
    if not isinstance(server, LocalServer):
        pytest.skip("only Docker on this machine")
    return server


def start_owner() -> tuple[subprocess.Popen[str], Path]:
    """A program that has started a node, in a process group of its own, and the node's folder."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0
    )
    assert owner.stdout is not None
    with owner.stdout:
        return owner, Path(owner.stdout.readline().strip())


def commands_naming(folder: Path) -> dict[int, str]:
    """The live processes whose command line names the folder: found otherwise than the guard finds them."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found[int(process.name)] = command
    return found


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def assert_running(folder: Path) -> None:
    commands = " ".join(commands_naming(folder).values())
    assert "beam" in commands
    assert "epmd" in commands


def assert_gone(folder: Path) -> None:
    wait_until(lambda: not commands_naming(folder), f"the processes of {folder} have ended")
    wait_until(lambda: not folder.exists(), f"{folder} is removed")


def test_messages_and_port_survive_a_clean_stop_and_a_crash(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    destructive_broker.declare("q")
    destructive_broker.publish("q", b"precious")
    address = destructive_node.address

    for end in (destructive_node.stop, destructive_node.kill):
        end()
        assert not destructive_node.running
        with pytest.raises(ConnectionError):
            socket.create_connection((address.host, address.port))
        left = commands_naming(destructive_node.folder).values()
        assert [command for command in left if WATCHER not in command] == []
        destructive_node.start()
        assert destructive_node.address == address

    assert [body for _, body in destructive_broker.get_all("q")] == [b"precious"]


def test_two_nodes_live_side_by_side(
    node: RabbitNode, broker: Broker, destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    for each in (broker, destructive_broker):
        each.declare("q")
    broker.publish("q", b"here")
    assert node.folder != destructive_node.folder
    wait_until(lambda: node.list_queues(broker.vhost) == {"q": 1}, "the figures, late for quorum queues")
    assert destructive_node.list_queues(destructive_broker.vhost) == {"q": 0}


@pytest.mark.usefixtures("local_server")
def test_the_node_listens_on_loopback_only(node: RabbitNode) -> None:
    inodes = set()
    for pid in commands_naming(node.folder):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if descriptor.is_symlink() and (name := os.readlink(descriptor)).startswith("socket:["):
                inodes.add(name[len("socket:[") : -1])
    tables = [Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    listening = [row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes]
    assert len(listening) >= 3  # AMQP, Erlang distribution, epmd
    # epmd adds ::1, and writes IPv4 as a mapped address where the system is dual-stack.
    loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    assert set(listening) <= loopback


def test_a_memory_alarm_blocks_publishers_until_it_is_cleared(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    destructive_broker.declare("q")
    events: list[str] = []
    with pika.BlockingConnection(destructive_broker.address.amqp_parameters()) as connection:
        connection.add_on_connection_blocked_callback(lambda *_: events.append("blocked"))
        connection.add_on_connection_unblocked_callback(lambda *_: events.append("unblocked"))

        def seen(event: str) -> bool:
            connection.process_data_events(time_limit=0.05)
            return event in events

        destructive_node.set_memory_alarm(True)
        connection.channel().basic_publish("", "q", b"late")
        wait_until(lambda: seen("blocked"), "the publisher is blocked")
        destructive_node.set_memory_alarm(False)
        wait_until(lambda: seen("unblocked"), "the publisher may go on")
    destructive_broker.wait_for_count("q", 1)


def test_closing_all_connections_tells_each_client_why(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    with pika.BlockingConnection(destructive_broker.address.amqp_parameters()) as connection:
        destructive_node.close_all_connections("for the test")
        with pytest.raises(ConnectionClosedByBroker, match="for the test") as closed:
            connection.process_data_events(time_limit=TIMEOUT)
    assert closed.value.reply_code == 320


def test_a_port_that_was_taken_meanwhile_is_replaced_and_own_configuration_counts(server: Server) -> None:
    node = RabbitNode(server, config={"consumer_timeout": "61234"})
    taken = node.address.port
    with socket.create_server(("127.0.0.1", taken)), node:
        assert node.address.port != taken
        assert "61234" in node.eval("application:get_env(rabbit, consumer_timeout)")


def test_a_node_that_cannot_start_says_why_and_leaves_nothing(server: Server) -> None:
    node = RabbitNode(server, config={"no_such_setting": "1"})
    with pytest.raises(NodeError, match="no_such_setting"):
        node.__enter__()
    assert_gone(node.folder)


@pytest.mark.parametrize("by", ["erl_call", "rabbitmqctl"])
def test_what_is_evaluated_in_the_server_comes_back_whole(
    node: RabbitNode, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "rabbitmqctl":
        monkeypatch.setattr(type(node._server), "call_command", lambda *_: None)  # as in a container
    assert node.eval("[1 + 1, ok]") == "[2,ok]"
    long = 'string:copies("x", 70000)'  # erl_call writes it as a list of numbers
    assert node.eval(f"length({long})") == "70000"
    assert node.eval(long).count("x") == 70000
    with pytest.raises(NodeError, match="no_such_module"):
        node.eval("no_such_module:f()")


def test_what_is_evaluated_at_the_same_time_is_all_answered(node: RabbitNode) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(node.eval, [f"{number} * {number}" for number in range(60)]))
    assert answers == [str(number * number) for number in range(60)]


def test_a_failed_control_command_says_what_rabbitmqctl_said(node: RabbitNode) -> None:
    with pytest.raises(NodeError, match="does not exist"):
        node.delete_vhost("never-made")


@pytest.mark.usefixtures("local_server")
def test_ctrl_c_on_the_owner_leaves_nothing_behind() -> None:
    owner, folder = start_owner()
    assert_running(folder)
    os.killpg(owner.pid, signal.SIGINT)
    assert owner.wait(TIMEOUT) != 0
    assert_gone(folder)


@pytest.mark.usefixtures("local_server")
def test_kill_9_of_the_owner_leaves_nothing_behind() -> None:
    owner, folder = start_owner()
    assert_running(folder)
    owner.kill()
    owner.wait(TIMEOUT)
    assert_gone(folder)


def test_what_survived_even_its_watcher_is_removed_by_the_next_start(local_server: LocalServer) -> None:
    owner, folder = start_owner()
    watchers = [pid for pid, command in commands_naming(folder).items() if WATCHER in command]
    for pid in (*watchers, owner.pid):
        os.kill(pid, signal.SIGKILL)
    owner.wait(TIMEOUT)
    assert len(watchers) == 1
    wait_until(lambda: watchers[0] not in commands_naming(folder), "the watcher has ended")
    assert_running(folder)

    RabbitNode(local_server).close()

    assert_gone(folder)


def test_an_installed_server_is_preferred_and_works(
    local_server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = local_server
    if server.erlang:  # make the unpacked server look like an installed one, Erlang being on PATH
        for name in ("erl", "escript"):
            command = tmp_path / name
            command.write_text(f'#!/bin/sh\nERL_ROOTDIR="{server.erlang}" exec "{server.erlang}/bin/{name}" "$@"\n')
            command.chmod(0o755)
        shutil.copy(server.erlang / "bin/epmd", tmp_path / "epmd")
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    installed = find_server(None, installed=[str(server.home)])
    assert installed == LocalServer(server.home)
    with RabbitNode(installed) as node:
        assert node.add_vhost("v").vhost == "v"


def test_the_system_command_of_debian_is_seen_through(
    local_server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if local_server.erlang is None:
        pytest.skip("needs the unpacked Debian packages")
    packages = local_server.erlang.parent.parent  # the tree's /usr
    for folder in ("bin", "sbin"):
        (tmp_path / folder).symlink_to(packages / folder)
    monkeypatch.setenv("PATH", f"{tmp_path / 'sbin'}:{tmp_path / 'bin'}:{os.environ['PATH']}")
    found = find_installed([])
    assert found is not None
    assert found.home == local_server.home


def test_a_machine_without_any_way_is_told_the_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoServerError, match="apt install rabbitmq-server") as none:
        find_server(None, installed=[], cache=tmp_path)
    assert len(none.value.choices) == 4
    assert any("apt-get" in reason for reason in none.value.reasons)


UNPACKER = """
import sys
from pathlib import Path
from sandbox.rabbitmq_install import unpacked_server

print(unpacked_server(Path(sys.argv[1]), progress=lambda step: print(step, flush=True)).home)
"""


@needs_apt
@pytest.mark.usefixtures("server")
def test_an_interrupted_unpack_is_never_taken_for_a_good_one(tmp_path: Path) -> None:
    cache = tmp_path / "a cache"  # the space is part of the test

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", UNPACKER, str(cache)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    first = start()
    assert first.stdout is not None
    with first, first.stdout:
        while first.stdout.readline().strip() != "unpack":
            assert first.poll() is None
        second = start()  # waits for the first
        first.kill()

    said, _ = second.communicate(timeout=TIMEOUT)
    *steps, home = said.splitlines()
    assert steps == ["index", "download", "unpack", "check"]
    server = find_server(None, installed=[], cache=cache, progress=lambda step: pytest.fail(f"{step} once more"))
    assert isinstance(server, LocalServer)
    assert str(server.home) == home
    with RabbitNode(server) as node:
        assert node.running
    assert [path.name for path in cache.glob("new-*")] == []


@needs_apt
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; this user is one already")
@pytest.mark.usefixtures("server")
def test_an_ordinary_user_gets_a_node_twice_in_a_row() -> None:
    # setpriv looks its command up while it still is root; env looks it up as the user.
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env"]
    packages = Path(pika.__file__).parent.parent
    python = next((path for path in (sys.executable, "/usr/bin/python3") if can_run([*become, path])), None)
    if python is None or not can_run([*become, "ls", str(packages), str(ROOT)]):
        pytest.skip("this interpreter or project folder is closed to other users")
    script = OWNER.replace("signal.pause()", "node.ctl('status')")
    home = Path(base_folder().parent, f"tc-home-{os.getpid()}")
    home.mkdir()
    try:
        os.chown(home, NOBODY, NOBODY)
        for _ in range(2):
            environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{packages}"}
            done = subprocess.run(
                [*become, python, "-B", "-c", script],
                cwd="/",
                env=environment,
                capture_output=True,
                text=True,
                timeout=2 * TIMEOUT,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert_gone(Path(done.stdout.strip()))
    finally:
        shutil.rmtree(home)


def can_run(command: list[str]) -> bool:
    check = ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"] if "python" in command[-1] else []
    return subprocess.run([*command, *check], capture_output=True, check=False, cwd="/").returncode == 0
