"""Asks the outside systems what they have for a Camunda task id: all at once, and none for longer than people wait."""

from __future__ import annotations

import threading
import time
from functools import partial

from base_handler import BaseMessageHandler
from core.errors import OutcomeError
from core.results import FoundTask
from core.texts import Text
from operation.desk import Desk
from operation.elsewhere import Finding, Place, Progress

PATIENCE = 8.0  # seconds in which a system must have answered

_Answer = FoundTask | Text | None  # what it has, or why it does not say


def systems_of(desk: Desk, task_id: str, progress: Progress) -> list[Place]:
    """Return what each system in use says that keeps our key. Raises LoadError."""
    if not task_id or not task_id.isprintable():
        return []
    handlers = {queue: desk.handler_of(queue) for queue in desk.settings.worker.queue_handlers}
    asked = {queue.removesuffix(".queue"): handler for queue, handler in handlers.items() if handler is not None}
    if asked:
        names = ", ".join(asked)
        progress(Text(f"asking {names}", f"вопрос к {names}"))
    answers = answers_of(asked, task_id)
    return [_place(system, answers) for system in asked]


def answers_of(asked: dict[str, BaseMessageHandler], task_id: str) -> dict[str, _Answer]:
    """Return what each of the systems has for the task; the one that has not answered in time is left out."""
    answers: dict[str, _Answer] = {}
    threads = []
    for system, handler in asked.items():
        asking = partial(_ask, system, handler, task_id, answers)
        # A daemon thread: a request that hangs must not hold up the end of the command.
        threads.append(threading.Thread(target=asking, name=f"ask-{system}", daemon=True))
        threads[-1].start()
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)


def _ask(system: str, handler: BaseMessageHandler, task_id: str, answers: dict[str, _Answer]) -> None:
    try:
        answers[system] = handler.find_task(task_id)
    except OutcomeError as error:
        answers[system] = error.text
    except Exception as error:  # noqa: BLE001 - a handler is foreign code, and the others have been asked as well
        answers[system] = Text.of(f"{type(error).__name__}: {error}")


def _place(system: str, answers: dict[str, _Answer]) -> Place:
    if system not in answers:
        seconds = round(PATIENCE)
        return Place("system", system, False, Text(f"no answer within {seconds} s", f"нет ответа за {seconds} с"))
    said = Text("has a task of this id", "есть задача с таким id")
    match answers[system]:
        case Text() as trouble:
            return Place("system", system, False, trouble)
        case FoundTask() as found:
            title, status = found.title or "?", found.status or "?"
            what = Text(f"{title}, status {status}", f"{title}, статус {status}")
            return Place("system", system, True, said, found=[Finding(None, found.external_id, what, found.address)])
    return Place("system", system, True, Text("has no task of this id", "задачи с таким id нет"))
