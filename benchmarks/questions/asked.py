"""The fifteen questions in the order in which operators ask them, each by a command and by a call."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.questions.scene import ERRORS, Scene, Told
from core.texts import Text

OPEN, DONE, FINISHED, WRONG = "task-118", "task-119", "task-120", "task-121"
_GROUPS = "/api/v1/errors/groups"


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with both answers."""

    number: int
    question: Text
    command: Told
    call: Told


QUESTIONS = (
    Text("Where is my task?", "Где сейчас моя задача?"),
    Text("Why did it fail?", "Почему упала?"),
    Text("Is Bitrix24 down, or are we?", "Битрикс лежит или это мы?"),
    Text("What is stuck, and since when?", "Что застряло и с каких пор?"),
    Text("Repeat all that failed because of this", "Повторить всё, что упало из-за этого"),
    Text("How much waits, do we keep up?", "Сколько ждёт, успеваем ли?"),
    Text("What has changed?", "Что изменилось?"),
    Text("Leave Bitrix24 alone for an hour", "Остановить Битрикс на час"),
    Text("Correct a field and repeat", "Поправить поле и повторить"),
    Text("Why has Camunda no answer?", "Почему Camunda не получила ответ?"),
    Text("It is closed in Bitrix24, and the process stands", "Задача в Битриксе закрыта, а процесс стоит"),
    Text("Are these the right settings?", "Настройки те?"),
    Text("Who did that?", "Кто это сделал?"),
    Text("A file for the vendor", "Дай файл для вендора"),
    Text("Does it work at all?", "Работает ли вообще?"),
)


def play(scene: Scene) -> Iterator[Answered]:
    """Yield each answer, and a year-old task's beside the first."""
    for number, (command, call) in enumerate(_both(scene)):
        question = QUESTIONS[max(0, number - 1)]
        if number == 1:
            question = Text(f"{question.en} It is a year old", f"{question.ru} Ей год")
        yield Answered(max(1, number), question, command, call)


def _both(scene: Scene) -> Iterator[tuple[Told, Told]]:
    scene.publish(OPEN, "Согласовать договор 118", "ORD-118")
    scene.publish(DONE, "Проверить счёт 119", "ORD-119")
    scene.publish(FINISHED, "Подписать акт 120", "ORD-120")
    for task in (OPEN, DONE, FINISHED):
        scene.wait_for(task, "tracking")
    scene.portal.finish(int(scene.numbers[DONE]), answer="ДА")
    scene.call("POST", f"/api/v1/messages/{DONE}/poll", {"seconds": 30})
    scene.wait_for(DONE, "done")

    number = scene.numbers[OPEN]
    yield scene.command("trace", number), scene.call("GET", f"/api/v1/trace?q={number}")
    yield scene.command("trace", "ORD-17"), scene.call("GET", "/api/v1/trace?q=ORD-17")

    group = _failed(scene, "a", "b", "c")
    yield scene.command("errors", "show", "a"), scene.call("GET", "/api/v1/messages/a")
    yield scene.command("status"), scene.call("POST", "/api/v1/systems/bitrix24/check", {})
    yield (
        scene.command("messages", "--state", "tracking", "--older-than", "1s"),
        scene.call("GET", "/api/v1/messages?state=tracking&older_than=1"),
    )

    scene.hire()
    by_command = scene.command("errors", "retry", "--group", group, "--yes")
    scene.dismiss()
    group = _failed(scene, "d", "e", "f")
    scene.hire()
    yield by_command, scene.job("POST", "/api/v1/retries", {"group": group, "expected_count": 3, "rate": 50})

    yield scene.command("status", "--all"), scene.call("GET", "/api/v1/queues")
    yield scene.command("events", "--limit", "6"), scene.call("GET", "/api/v1/events?limit=3")
    by_command = scene.command("pause", "bitrix24", "--for", "1h", "-m", "update of the portal")
    scene.command("resume", "bitrix24")
    pause = "/api/v1/systems/bitrix24/pause"
    yield by_command, scene.call("PUT", pause, {"seconds": 3600, "reason": "update of the portal"})
    scene.call("DELETE", pause)

    yield _edited(scene)
    yield scene.command("trace", DONE), scene.call("GET", f"/api/v1/messages/{DONE}/trace")

    scene.portal.finish(int(scene.numbers[FINISHED]), answer="ДА")
    by_command = scene.command("track", FINISHED, "--now")
    scene.portal.finish(int(number), answer="ДА")
    yield by_command, scene.call("POST", f"/api/v1/messages/{OPEN}/poll", {"seconds": 30})

    yield scene.command("config", "show", "--set"), scene.call("GET", "/api/v1/config")
    yield scene.command("events", "--audit"), scene.call("GET", "/api/v1/events?code=operator.acted&limit=3")
    bundle = scene.command("trace", DONE, "--bundle", "task-119.zip")
    yield bundle, scene.call("GET", f"/api/v1/messages/{DONE}/bundle")
    yield scene.command("config", "check", "--probe"), scene.call("GET", "/readyz?verbose")


def _failed(scene: Scene, *names: str) -> str:
    """Have tasks fail for somebody whom the portal does not know; return their group."""
    for name in names:
        scene.publish(name, f"Договор {name}", f"ORD-{name}", responsible=77)
    for name in names:
        scene.wait_for(name, "failed")
    scene.broker.wait_for_count(ERRORS, len(names))
    group: str = json.loads(scene.call("GET", _GROUPS).answer)["items"][0]["group"]
    return group


def _edited(scene: Scene) -> tuple[Told, Told]:
    scene.dismiss()
    _failed(scene, WRONG, f"{WRONG}-2")
    editor = f"{shlex.quote(sys.executable)} -c " + shlex.quote(
        "import pathlib, sys; file = pathlib.Path(sys.argv[1]); "
        'file.write_text(file.read_text().replace(\'"responsible_id": "77"\', \'"responsible_id": "1"\'))'
    )
    by_command = scene.command("errors", "retry", WRONG, "--edit", "--yes", editor=editor)
    failure = scene.call("GET", f"/api/v1/messages/{WRONG}-2/failure")
    message = json.loads(json.loads(failure.answer)["items"][0]["original"])
    message["metadata"]["inputParameters"]["responsible_id"] = "1"
    return by_command, scene.job("POST", f"/api/v1/messages/{WRONG}-2/retry", {"message": message})
