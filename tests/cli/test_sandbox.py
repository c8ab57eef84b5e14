"""`main.py sandbox`: a RabbitMQ and systems to develop against, and nothing of them afterwards."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.demo.sandbox import _quoted
from sandbox.process import ROOT
from sandbox.rabbitmq_server import Server
from settings.env_file import read_env_file
from testbench.harness import wait_until
from tests.support.commands import environment, run


@pytest.fixture
def machine() -> Iterator[Path]:
    """A temporary folder of its own, in which no other node is; its path is short, as RabbitMQ wants it."""
    with tempfile.TemporaryDirectory(prefix="tc-") as folder:
        yield Path(folder)
        assert nodes(Path(folder)) == []


@contextmanager
def sandbox(folder: Path, machine: Path, *arguments: str, lang: str = "C.UTF-8") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), "sandbox", *arguments],
        env=environment({"LANG": lang, "TMPDIR": str(machine)}),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def nodes(machine: Path) -> list[Path]:
    return list(machine.glob("tc-*/node-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_works_against_it_and_nothing_is_left(
    server: Server, tmp_path: Path, machine: Path, number: signal.Signals
) -> None:
    """`server`: the packages are there, and the test counts as one with a node."""
    env_file = tmp_path / ".env"
    with sandbox(tmp_path, machine, "--system", "bitrix24", "--system", "1c", "--write-env", ".env") as process:
        wait_until(env_file.exists, 120, "the settings")
        assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
        checked = run("main.py", ["config", "check", "--probe"], {}, tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "bitrix24.queue         in use" in checked.stdout
        with (tmp_path / "worker.log").open("w") as log:
            worker = subprocess.Popen(
                [sys.executable, str(ROOT / "main.py")], env=environment({}), cwd=tmp_path, stdout=log, stderr=log
            )
            try:
                sent = run("main.py", ["send", "1c", "--title", "x", "--field", "assignee=Анна Соколова"], {}, tmp_path)
                assert sent.returncode == 0, sent.stderr
                wait_until(lambda: _stage(tmp_path, sent.stdout.strip()) == "done", 60, "the end of the loop")
            finally:
                worker.terminate()
                assert worker.wait(30) == 0
        process.send_signal(number)
        assert process.wait(60) == 0
    assert not env_file.exists()


def _stage(folder: Path, task_id: str) -> str | None:
    told = json.loads(run("main.py", ["trace", task_id, "--json"], {}, folder).stdout)
    stage: str | None = told.get("stage")
    return stage


def test_the_variables_are_printed_for_a_shell_and_an_edited_file_stays(
    server: Server, tmp_path: Path, machine: Path
) -> None:
    env_file = tmp_path / "dev.env"
    with sandbox(tmp_path, machine, "--system", "telegram", "--write-env", "dev.env", lang="ru_RU.UTF-8") as process:
        wait_until(env_file.exists, 120, "the settings")
        env_file.write_text("LOG_LEVEL=DEBUG\n")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert "Работает до Ctrl+C" in err
    assert env_file.read_text() == "LOG_LEVEL=DEBUG\n", "it is somebody's own by now"


def test_without_a_file_the_variables_are_on_stdout(server: Server, tmp_path: Path, machine: Path) -> None:
    with sandbox(tmp_path, machine, "--system", "email") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("export RABBITMQ_HOST=")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "export EMAIL_SMTP_HOST=127.0.0.1" in process.stdout.read()
        assert "nothing is left" in process.stderr.read()


def test_an_existing_file_is_not_overwritten_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RABBITMQ_HOST=rmq.example\n")
    done = run("main.py", ["sandbox", "--write-env", ".env"], {}, tmp_path)
    assert done.returncode == 6
    assert done.stderr == ".env exists already; --force overwrites it\n"
    assert (tmp_path / ".env").read_text() == "RABBITMQ_HOST=rmq.example\n"


def test_a_kill_leaves_no_node(server: Server, tmp_path: Path, machine: Path) -> None:
    with sandbox(tmp_path, machine, "--system", "telegram", "--write-env", "dev.env") as process:
        wait_until((tmp_path / "dev.env").exists, 120, "the settings")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    wait_until(lambda: nodes(machine) == [], 60, "the end of the node")


@pytest.mark.parametrize(
    "value", ["plain", "with space", "it's", "a\\b", 'say "x"', "$HOME #1", "пароль-8e6d", "a=b,c=d"]
)
def test_a_value_is_read_from_the_file_as_it_was_written(tmp_path: Path, value: str) -> None:
    (tmp_path / ".env").write_text(f"NAME={_quoted(value)}\n")
    read = read_env_file(tmp_path / ".env")
    assert (read.values, read.mistakes) == ({"NAME": value}, [])
