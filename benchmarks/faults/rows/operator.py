"""What operators do while tasks flow: put failed messages back and be cut off, look through queues, pause systems."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.faults.account import Published
from benchmarks.faults.row import Row
from benchmarks.faults.stage import Stage
from benchmarks.faults.strikes import PATIENCE
from benchmarks.faults.tasks import key_of, message
from sandbox.bitrix24 import User
from sandbox.camunda import ERRORS_QUEUE
from sandbox.process import ROOT, Process

GROUP = "operator"

FAILED = 60  # messages of one cause
RATE = 60  # messages a second, so that a kill meets them half-way
KILLS = 3  # of each retry
_NEWCOMER = 4711  # a person whom the portal does not know yet
_DOOMED = 90_000  # numbers from here on are not used for other tasks
_TIMEOUT = 60.0  # seconds for one command
_NOTHING = 5  # the exit code of a command that has found nothing


def rows() -> list[Row]:
    retry = Row(
        "errors-retry-killed",
        GROUP,
        f"{FAILED} failed messages are put back when their cause is mended; the command is killed {KILLS} times",
        strike=put_back_and_be_killed,
        may_answer_twice=True,  # what it had in hand is in both queues
    )
    look = Row(
        "queues-looked-through",
        GROUP,
        "`journal rebuild` and `errors list` again and again, one of them killed, while tasks are open, wait and fail",
        strike=look_through,
        people_after=1.5,
        may_answer_twice=True,  # a killed look leaves a copy and its message
    )
    pause = Row(
        "system-paused",
        GROUP,
        "a person pauses the system and resumes it; the worker is killed in between",
        strike=pause_and_resume,
    )
    return [
        retry,
        replace(retry, name="errors-retry-killed-quorum", quorum=True),
        look,
        replace(look, name="queues-looked-through-quorum", quorum=True),
        pause,
    ]


def put_back_and_be_killed(stage: Stage, chance: random.Random) -> None:
    stage.portal.state.users.pop(_NEWCOMER, None)
    before = stage.queues.count(ERRORS_QUEUE)
    stage.driver.feed([_for_the_newcomer(_DOOMED + FAILED * stage.round + number) for number in range(FAILED)])
    if not stage.wait_for(lambda: stage.queues.count(ERRORS_QUEUE) >= before + FAILED, PATIENCE):
        raise TimeoutError("the tasks of an unknown person have not failed")
    stage.portal.state.users[_NEWCOMER] = User(_NEWCOMER, "Новая", "Сотрудница")
    words = ("errors", "retry", "--all", "--yes", "--wait", "0", "--rate", str(RATE))
    for _ in range(KILLS):
        left = stage.queues.count(ERRORS_QUEUE)
        with _command(stage, *words) as command:
            # What it has taken and not put back yet shows as gone: it is at work.
            stage.wait_for(lambda left=left: stage.queues.count(ERRORS_QUEUE) < left, PATIENCE)  # type: ignore[misc]
            stage.pause(chance.uniform(0.0, 0.5))
            command.kill()
    _until_done(stage, *words[:-2])


def look_through(stage: Stage, chance: random.Random) -> None:
    stage.feed(40, 1.0)
    with _command(stage, "journal", "rebuild") as command:
        stage.pause(chance.uniform(0.8, 2.0))
        command.kill()
    for words in (("journal", "rebuild"), ("errors", "list", "--messages")):
        with _command(stage, *words) as command:
            command.wait(_TIMEOUT)


def pause_and_resume(stage: Stage, _chance: random.Random) -> None:
    system = stage.target.queue.removesuffix(".queue")
    _run(stage, "pause", system, "-m", "a fault row")
    stage.feed(40, 0.5)
    stage.worker.kill()
    stage.pause(1.0)
    _run(stage, "resume", system)


def _for_the_newcomer(number: int) -> Published:
    parameters = {"responsible_id": str(_NEWCOMER), "title": f"Договор № {number}"}
    return Published(key_of(number), message(number, "bitrix24", "bitrix_create_task", {}, parameters))


def _until_done(stage: Stage, *words: str) -> None:
    """Run the command until it finds nothing more to do: what a killed one held may not be back at once."""
    for _ in range(10):
        with _command(stage, *words) as command:
            code = command.wait(_TIMEOUT)
        if code == _NOTHING:
            return
        stage.pause(0.5)
    raise TimeoutError(f"main.py {' '.join(words)} finds something again and again")


def _run(stage: Stage, *words: str) -> None:
    """Run a command until it succeeds: a worker that is just being started does not answer yet."""
    for _ in range(100):
        with _command(stage, *words) as command:
            if command.wait(_TIMEOUT) == 0:
                return
        stage.pause(0.1)
    raise TimeoutError(f"main.py {' '.join(words)} does not succeed")


@contextmanager
def _command(stage: Stage, *words: str) -> Iterator[Process]:
    """A command of the operator, with the settings of the first worker; it does not outlive the block."""
    folder = stage.folder.path / f"operator-{stage.round}"
    folder.mkdir(exist_ok=True)
    process = Process((sys.executable, str(ROOT / "main.py"), *words), folder, stage.worker.variables)
    process.start()
    try:
        yield process
    finally:
        process.kill()
