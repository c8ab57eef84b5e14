"""The demo as a newcomer runs it, and what it leaves behind when it is not let finish."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.node_guard import MARKER
from sandbox.process import ROOT
from sandbox.rabbitmq import RabbitNode
from testbench.harness import wait_until
from tests.support.commands import TIMEOUT, environment, run

pytestmark = pytest.mark.usefixtures("server")

FEWEST = "4"
STAGES = (
    "sent",
    "bitrix24.queue",
    "created",
    "bitrix24.sent.queue",
    "finished",
    "camunda.responses.queue",
    "error queue",
)


@pytest.fixture
def private_tmp() -> Iterator[Path]:
    """A TMPDIR of the demo's own, with a short path: every process that it starts carries it in its environment."""
    folder = Path(tempfile.mkdtemp(prefix="tcd-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def survivors(private_tmp: Path) -> list[str]:
    """The command lines of live processes that belong to servers below the folder."""
    needle = f"{MARKER}={private_tmp}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if needle in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def leftovers(private_tmp: Path) -> list[str]:
    """Survivors, and folders that should be gone."""
    return [*survivors(private_tmp), *(str(folder) for folder in private_tmp.glob("tc-*/node-*"))]


class RunningDemo:
    """A demo in the background; its output is read line by line."""

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), "demo", *arguments],
            env=environment(variables),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def wait_for(self, words: str) -> str:
        """The line with these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"{words!r} never came: {''.join(self.lines)}")

    def finish(self) -> tuple[int, str]:
        """The exit code and the whole output."""
        rest, _ = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, "".join(self.lines) + rest


@contextlib.contextmanager
def running_demo(arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> Iterator[RunningDemo]:
    demo = RunningDemo(arguments, variables, folder)
    try:
        yield demo
    finally:
        demo.process.kill()
        demo.process.communicate()


def figure(output: str, label: str) -> int:
    """The number that the summary shows beside a label."""
    found = re.search(rf"^ +{re.escape(label)} +(\d+)", output, re.MULTILINE)
    assert found, f"{label!r} is not in the summary: {output}"
    return int(found[1])


def test_a_newcomer_sees_the_closed_loop_and_nothing_is_lost(private_tmp: Path, tmp_path: Path) -> None:
    account_file = tmp_path / "account.json"
    (tmp_path / ".env").write_text("BITRIX_WEBHOOK_URL=this would stop every command that reads it\n")
    done = run("main.py", ["demo", "--json", str(account_file)], {"TMPDIR": str(private_tmp)}, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")

    account = json.loads(account_file.read_text())
    rows: list[dict[str, Any]] = account["rows"]
    assert len({row["key"] for row in rows}) == len(rows) == 31, "30 tasks and the message that is none"
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in {row["kind"] for row in rows}}
    assert {kind: len(found) for kind, found in by_kind.items()} == {
        "task": 27,
        "instant": 1,
        "update": 1,
        "refused": 1,
        "broken": 1,
    }
    for row in by_kind["task"]:
        assert len(row["ids"]) == 1
        assert row["answers"] in (["ДА"], ["НЕТ"])
        assert row["answers"] == [row["expected_answer"]]
    assert sorted(row["copies"] for row in by_kind["task"]) == [1] * 26 + [2]
    assert all(not row["answers"] and not row["ids"] for row in by_kind["refused"])
    assert "not JSON" in by_kind["broken"][0]["errors"][0]

    counted = {
        "messages sent": sum(row["copies"] for row in rows),
        "created in Bitrix24": sum(len(row["ids"]) for row in rows if row["kind"] in ("task", "instant")),
        "duplicates avoided": sum(row["copies"] - len(row["answers"]) for row in by_kind["task"]),
        "completed, answered to Camunda": sum(len(row["answers"]) for row in rows),
        "in the error queue": sum(len(row["errors"]) for row in rows),
        "lost": sum(not row["answers"] and not row["errors"] for row in rows),
        "created twice": sum(len(row["ids"]) > 1 for row in rows),
        "answered twice": sum(len(row["answers"]) > 1 for row in rows),
    }
    assert {label: figure(done.stdout, label) for label in counted} == counted
    assert counted["messages sent"] == 32
    assert counted["lost"] == 0
    assert account["ok"] is True

    assert re.search(r"private node of RabbitMQ \d+\.\d+\.\d+ on 127", done.stdout)
    assert "\x1b" not in done.stdout, "no terminal, no terminal sequences"
    board = [line for line in done.stdout.splitlines() if " → bitrix24.queue " in line]
    assert len(board) >= 3, "the stages were seen moving"
    assert all(stage in board[0] for stage in STAGES)
    assert "cp config.env.example .env" in done.stdout
    assert leftovers(private_tmp) == []


@pytest.mark.parametrize("system", ["openproject", "1c", "python-services", "email", "telegram"])
def test_every_system_has_its_loop(vhost: BrokerAddress, private_tmp: Path, tmp_path: Path, system: str) -> None:
    variables = {**vhost.environment(), "TMPDIR": str(private_tmp), "LANG": "C.UTF-8"}
    done = run("main.py", ["demo", "--system", system, "--tasks", "8", "--json", "-"], variables, tmp_path)
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert account["ok"] is True
    assert (account["duplicates_avoided"], len(account["in_error_queue"]), account["lost"]) == (1, 2, 0)
    assert account["created"] + account["instant"] == account["completed"] == 7
    assert leftovers(private_tmp) == []


def test_all_systems_work_side_by_side(private_tmp: Path, tmp_path: Path) -> None:
    variables = {"TMPDIR": str(private_tmp), "LANG": "ru_RU.UTF-8"}
    done = run("main.py", ["demo", "--system", "all"], variables, tmp_path)
    assert done.returncode == 0, done.stdout
    assert figure(done.stdout, "потеряно") == figure(done.stdout, "создано дважды") == 0
    assert figure(done.stdout, "предотвращено дублей") == 6, "one for each system"
    assert figure(done.stdout, "в очереди ошибок") == 12, "a broken one and one for nobody for each system"
    assert leftovers(private_tmp) == []


@pytest.mark.parametrize("sign_of_life", ["starting a private RabbitMQ node", " 4/4 "])
def test_ctrl_c_at_any_time_leaves_nothing_behind(private_tmp: Path, tmp_path: Path, sign_of_life: str) -> None:
    with running_demo([], {"TMPDIR": str(private_tmp)}, tmp_path) as demo:
        demo.wait_for(sign_of_life)
        demo.process.send_signal(signal.SIGINT)
        code, output = demo.finish()
    assert code == 130, output
    assert "Stopped; nothing is left running." in output
    assert "Traceback" not in output
    # An interrupted start leaves its folder to the watcher, which removes it as soon as the demo has ended.
    wait_until(lambda: leftovers(private_tmp) == [], what="the end of all that was there")


def test_a_killed_demo_takes_its_worker_and_its_node_along(private_tmp: Path, tmp_path: Path) -> None:
    with running_demo([], {"TMPDIR": str(private_tmp)}, tmp_path) as demo:
        demo.wait_for(" 4/4 ")
        assert any("main.py run" in line for line in survivors(private_tmp))
        assert any("epmd" in line for line in survivors(private_tmp))
        demo.process.kill()
        demo.process.wait(TIMEOUT)
        wait_until(lambda: leftovers(private_tmp) == [], what="the end of all processes")


def test_a_named_broker_is_used_and_left_as_it_was(
    vhost: BrokerAddress, node: RabbitNode, private_tmp: Path, tmp_path: Path
) -> None:
    """On a terminal without colours, too: the board is redrawn in place."""
    variables = {
        **vhost.environment(),
        "TMPDIR": str(private_tmp),
        "TERM": "xterm",
        "NO_COLOR": "1",
        "LANG": "ru_RU.UTF-8",
    }
    code, output = on_a_terminal(["demo", "--tasks", FEWEST], variables, tmp_path)
    assert code == 0, output
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", output)
    in_one_line = " ".join(shown.split())
    assert f"RabbitMQ на {vhost.host}:{vhost.port}, виртуальный хост {vhost.vhost}" in in_one_line
    assert vhost.password not in output
    assert figure(shown, "потеряно") == 0
    assert figure(shown, "отправлено сообщений") == 6
    assert "\x1b[1A" in output, "the cursor goes up to redraw the board"
    assert not re.search(r"\x1b\[[\d;]*3[0-7]", output), "NO_COLOR is respected"
    assert node.list_queues(vhost.vhost) == {}
    assert leftovers(private_tmp) == []


def on_a_terminal(arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Exit code and everything that was written to a terminal of 80 columns."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        env=environment({**variables, "COLUMNS": "80", "LINES": "24"}),
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    deadline = time.monotonic() + TIMEOUT
    output = b""
    try:
        # Linux answers EIO when the last writer has closed.
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                if select.select([master], [], [], 1.0)[0]:
                    output += os.read(master, 65536)
        return process.wait(TIMEOUT), output.decode()
    finally:
        process.kill()
        os.close(master)


def test_queues_that_somebody_may_be_using_are_not_touched(broker: Broker, tmp_path: Path) -> None:
    broker.declare("bitrix24.queue")
    broker.publish("bitrix24.queue", "somebody's task")
    done = run("main.py", ["demo"], broker.address.environment(), tmp_path)
    assert done.returncode == 1
    assert "already holds bitrix24.queue" in done.stdout
    assert "RABBITMQ_VIRTUAL_HOST" in done.stdout
    assert [body for _, body in broker.peek("bitrix24.queue")] == [b"somebody's task"]


def test_a_worker_that_dies_is_told_with_the_place_of_every_task(vhost: BrokerAddress, tmp_path: Path) -> None:
    account_file = tmp_path / "account.json"
    with running_demo(
        ["--json", str(account_file)], {**vhost.environment(), "TMPDIR": str(tmp_path)}, tmp_path
    ) as demo:
        worker = re.search(r"process (\d+)", demo.wait_for(" 3/4 "))
        assert worker is not None
        for _ in range(2):  # at the second line of the board some tasks wait for their people
            demo.wait_for(" → bitrix24.queue ")
        os.kill(int(worker[1]), signal.SIGKILL)
        code, output = demo.finish()
    assert code == 1
    assert "The worker has ended: exit code -9" in output
    account = json.loads(account_file.read_text())
    lost = [row for row in account["rows"] if not row["answers"] and not row["errors"]]
    assert lost
    assert account["lost"] == len(lost) == figure(output, "lost")
    for row in lost:
        places = re.search(rf"{row['key']} .*: (.+)", output)
        assert places is not None
        assert "in bitrix24" in places[1], "it waits in one of the worker's queues"
    assert "not sent" in output, "what Camunda had not sent yet is told as well"
    assert (kept_log := re.search(r"worker's log: (\S+)", output)) is not None
    assert "bitrix24.queue is consumed by" in Path(kept_log[1]).read_text()


def test_what_is_kept_runs_until_ctrl_c_and_says_how_to_reach_it(private_tmp: Path, tmp_path: Path) -> None:
    with running_demo(["--keep", "--tasks", FEWEST], {"TMPDIR": str(private_tmp)}, tmp_path) as demo:
        demo.wait_for("left running until Ctrl+C")
        demo.wait_for("worker's log")
        exported = dict(re.findall(r"export (\w+)=(\S+)", "".join(demo.lines)))
        done = run("test_bitrix_worker.py", [], exported, tmp_path)
        assert done.returncode == 0, done
        assert "created: Bitrix24 task" in done.stdout
        demo.process.send_signal(signal.SIGTERM)
        code, output = demo.finish()
    assert code == 0
    assert output.rstrip().endswith("Stopped; nothing is left running.")
    assert leftovers(private_tmp) == []


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "words"),
    [
        ([], {"RABBITMQ_PORT": "rabbit"}, 78, "RABBITMQ_PORT=rabbit"),
        (
            [],
            {"RABBITMQ_VERSION": "4.1"},
            78,
            "RABBITMQ_VERSION=4.1\n      the demo's own server has no such version\n      → 3.10, 4.0, 4.3",
        ),
        ([], {"RABBITMQ_VERSION": "4.3", "RABBITMQ_HOST": "mq"}, 78, "but RABBITMQ_HOST names yours"),
        ([], {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "1"}, 1, "RabbitMQ cannot be used"),
        (["--json", "/nowhere/account.json"], {}, 1, "--json /nowhere/account.json: No such file or directory"),
        (["--tasks", "3"], {}, 2, "--tasks 3: --system bitrix24 takes 4 to 5000"),
        (["--tasks", "x"], {}, 2, "'x' is no number"),
        (["--system", "sap"], {}, 2, "invalid choice: 'sap'"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_started(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], code: int, words: str
) -> None:
    done = run("main.py", ["demo", *arguments], {**variables, "TMPDIR": str(tmp_path)}, tmp_path)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert leftovers(tmp_path) == []
