"""The door of a running worker: it answers whoever may ask, and whatever comes in by it holds nobody up."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from control import server
from control.client import NoWorkerError, SilentWorkerError, Workers
from control.protocol import MOST_ASKED, RefusedError, folder_of
from control.server import AT_ONCE, Caller, Door
from control.sockets import SUFFIX, connect, listen, remove_dead
from core.events.base import Event, EventStream
from core.events.control import DoorUnusable, QuestionFailed
from core.texts import Text
from sandbox.process import ROOT
from testbench.harness import wait_until

Answers = Mapping[str, Callable[[Mapping[str, Any], Caller], Any]]

GARBAGE = [
    b"\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff\xfe\x00\n",
    b"[1, 2]\n",
    b'{"ask": \n',
    b'{"a": 1, "a": 2}\n',
    b"{}\n",
]
WRONG_TYPES = [
    {"ask": 7, "with": {}},
    {"ask": ["echo"], "with": {}},
    {"ask": "echo", "with": []},
    {"ask": "echo", "with": "text"},
    {"ask": None},
    {"ask": "no such question", "with": {}},
]


@contextmanager
def door(state_dir: Path, answers: Answers | None = None) -> Iterator[tuple[Workers, list[Event]]]:
    """An open door with its clients, and the events that are told of it."""
    told: list[Event] = []
    opened = Door(
        folder_of(state_dir), {"echo": lambda said, _caller: dict(said), **(answers or {})}, EventStream([told.append])
    )
    opened.start()
    try:
        yield Workers(state_dir), told
    finally:
        opened.close()


def socket_of(state_dir: Path) -> Path:
    [path] = folder_of(state_dir).glob(f"*{SUFFIX}")
    return path


def said_to(state_dir: Path, raw: bytes) -> dict[str, Any]:
    """What the door answers to these bytes."""
    with connect(socket_of(state_dir), 20.0) as connection:
        connection.sendall(raw)
        with connection.makefile("rb") as answer:
            told: dict[str, Any] = json.loads(answer.readline())
    return told


def test_a_question_is_answered_with_what_was_asked(tmp_path: Path) -> None:
    with door(tmp_path) as (workers, _):
        assert workers.ask("echo", system="bitrix24", text="Договор №5 \ud83d") == [
            {"system": "bitrix24", "text": "Договор №5 ?"}
        ]


@pytest.mark.parametrize("raw", GARBAGE)
def test_garbage_is_refused_and_the_next_one_is_answered(tmp_path: Path, raw: bytes) -> None:
    with door(tmp_path) as (workers, told):
        assert said_to(tmp_path, raw)["refused"]["code"] in ("unreadable", "unknown_question")
        assert workers.ask("echo", a=1) == [{"a": 1}]
        assert told == [], "no mistake of the program"


@pytest.mark.parametrize("question", WRONG_TYPES)
def test_a_question_of_wrong_types_is_refused_by_a_word(tmp_path: Path, question: dict[str, Any]) -> None:
    with door(tmp_path) as (workers, told):
        refused = said_to(tmp_path, json.dumps(question).encode() + b"\n")["refused"]
        assert refused["code"] == "unknown_question"
        assert refused["en"] != refused["ru"]
        assert workers.ask("echo") == [{}]
        assert told == []


def test_an_oversized_question_is_not_read_to_its_end(tmp_path: Path) -> None:
    with door(tmp_path) as (workers, _):
        with connect(socket_of(tmp_path), 20.0) as connection, connection.makefile("rb") as answer:
            connection.sendall(b"x" * (MOST_ASKED + 1))
            assert json.loads(answer.readline())["refused"]["code"] == "too_large"
        assert workers.ask("echo") == [{}]


def test_who_hangs_up_in_the_middle_of_a_question_leaves_his_place(tmp_path: Path) -> None:
    with door(tmp_path) as (workers, told):
        for _ in range(2 * AT_ONCE):
            with connect(socket_of(tmp_path), 20.0) as connection:
                connection.sendall(b'{"ask": "ec')
        assert workers.ask("echo") == [{}]
        assert told == []


def test_who_sends_a_byte_now_and_then_is_shown_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 1.0)
    with door(tmp_path) as (workers, _), connect(socket_of(tmp_path), 20.0) as slow:
        sent = 0
        try:
            while sent < 200:
                slow.sendall(b" ")
                sent += 1
                threading.Event().wait(0.05)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert 0 < sent < 200, "each byte came in time, the line did not"
        assert workers.ask("echo") == [{}]


def test_slow_ones_take_all_seats_and_those_after_them_are_answered_when_they_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 1.0)
    with door(tmp_path) as (workers, _):
        sitting = [connect(socket_of(tmp_path), 20.0) for _ in range(AT_ONCE)]
        assert workers.ask("echo") == [{}]
        for each in sitting:
            each.close()


def test_a_hundred_at_once_are_all_answered(tmp_path: Path) -> None:
    together = threading.Barrier(100)

    def ask(number: int) -> Any:
        together.wait()
        return Workers(tmp_path).ask("echo", number=number)

    with door(tmp_path), ThreadPoolExecutor(100) as pool:
        assert list(pool.map(ask, range(100))) == [[{"number": number}] for number in range(100)]


def test_a_slow_answer_holds_up_nobody_else(tmp_path: Path) -> None:
    may_answer = threading.Event()
    with (
        door(tmp_path, {"slow": lambda _said, _caller: may_answer.wait(20)}) as (workers, _),
        ThreadPoolExecutor(1) as pool,
    ):
        slow = pool.submit(workers.ask, "slow")
        assert workers.ask("echo") == [{}]
        assert not slow.done()
        may_answer.set()
        assert slow.result(20) == [True]


def test_a_refusal_comes_in_both_languages_with_its_word(tmp_path: Path) -> None:
    def refuse(_said: Mapping[str, Any], _caller: Caller) -> Any:
        raise RefusedError("unknown_system", Text("no such system", "нет такой системы"))

    with door(tmp_path, {"pause": refuse}) as (workers, told):
        with pytest.raises(RefusedError) as refused:
            workers.ask("pause", system="nix")
        assert (refused.value.code, refused.value.text) == (
            "unknown_system",
            Text("no such system", "нет такой системы"),
        )
        assert told == []


def test_a_mistake_in_an_answer_is_told_to_who_asks_and_to_the_log(tmp_path: Path) -> None:
    def fail(_said: Mapping[str, Any], _caller: Caller) -> Any:
        raise ZeroDivisionError("by nothing")

    with door(tmp_path, {"fail": fail}) as (workers, told):
        with pytest.raises(RefusedError, match="ZeroDivisionError: by nothing"):
            workers.ask("fail")
        [failed] = told
        assert isinstance(failed, QuestionFailed)
        assert workers.ask("echo") == [{}]


def test_who_asks_is_known_by_the_kernel(tmp_path: Path) -> None:
    with door(tmp_path, {"who": lambda _said, caller: [caller.pid, caller.uid]}) as (workers, _):
        assert workers.ask("who") == [[os.getpid(), os.getuid()]]


def test_the_socket_is_for_its_own_user_alone(tmp_path: Path) -> None:
    with door(tmp_path):
        assert stat.S_IMODE(socket_of(tmp_path).stat().st_mode) == 0o600
        assert stat.S_IMODE(folder_of(tmp_path).stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_another_user_hears_that_it_is_not_his() -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from control.client import Workers, ForbiddenError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: Workers(Path(sys.argv[2])).ask('echo')\n"
        "except ForbiddenError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory(prefix="task-creator-") as folder:
        Path(folder).chmod(0o711)
        with door(Path(folder)):
            done = subprocess.run(
                [sys.executable, "-c", script, str(ROOT), folder], capture_output=True, text=True, check=False
            )
    assert "belongs to another user" in done.stdout, done.stderr


def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-name-of-forty-characters"] * 6)
    assert len(str(deep)) > 250
    with door(deep) as (workers, told):
        assert workers.ask("echo", a=1) == [{"a": 1}]
        assert told == []
    with pytest.raises(NoWorkerError):
        Workers(deep).ask("echo")


def test_two_workers_of_one_folder_both_answer(tmp_path: Path) -> None:
    with door(tmp_path, {"name": lambda *_: "one"}), door(tmp_path, {"name": lambda *_: "other"}) as (workers, _):
        assert sorted(workers.ask("name")) == ["one", "other"]


def test_without_a_worker_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoWorkerError) as missing:
        Workers(tmp_path).ask("status")
    assert str(tmp_path) in missing.value.text.en
    assert str(tmp_path) in missing.value.text.ru


def dead_socket(state_dir: Path, name: str) -> Path:
    """What a killed worker leaves behind."""
    folder = folder_of(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    listen(path, 1).close()
    assert path.exists()
    return path


def test_the_socket_of_a_killed_worker_misleads_nobody_and_goes_with_the_next_start(tmp_path: Path) -> None:
    dead = dead_socket(tmp_path, f"1-dead{SUFFIX}")
    with pytest.raises(NoWorkerError):
        Workers(tmp_path).ask("status")
    with door(tmp_path) as (workers, _):
        assert not dead.exists()
        assert workers.ask("echo") == [{}]
    assert list(folder_of(tmp_path).iterdir()) == []


def test_a_socket_that_is_being_made_is_left_alone_by_another_start(tmp_path: Path) -> None:
    being_made = tmp_path / f".1-new{SUFFIX}"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(being_made))  # and nobody listens yet
        remove_dead(tmp_path)
    assert being_made.exists()


def test_a_worker_that_stands_still_is_told_after_a_bounded_time(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder.mkdir(parents=True)
    with listen(folder / f"1-still{SUFFIX}", 1), pytest.raises(SilentWorkerError) as silent:
        Workers(tmp_path, patience=0.3).ask("status")
    assert "does not answer" in silent.value.text.en
    assert "не отвечает" in silent.value.text.ru


def test_a_folder_that_cannot_be_written_costs_the_door_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    told: list[Event] = []
    closed = Door(folder_of(tmp_path / "state"), {}, EventStream([told.append]))
    closed.start()
    [unusable] = told
    assert isinstance(unusable, DoorUnusable)
    assert closed.is_alive(), "a worker without a door is a sound one"
    closed.close()


def test_a_closed_door_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with door(tmp_path) as (workers, _):
        workers.ask("echo")
    wait_until(lambda: threading.active_count() <= before, what="the end of the threads")
