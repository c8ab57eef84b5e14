"""OpenProject in the demo: work packages that people close, a milestone, a comment, and one for an unknown person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cli.demo.messages import again, broken, message, sample, spread
from cli.demo.scenario import Outside, Sample, Scenario
from core.texts import Language, Text
from sandbox.openproject import OpenProjectSandbox, WorkPackage

SYSTEM = "openproject"
WORKING = 5.0  # seconds that a person needs for a work package
PROJECT = "contracts"

_CLOSED, _REJECTED = 12, 14
_ANSWERS: Mapping[int, str] = {_CLOSED: "ДА", _REJECTED: "НЕТ"}
_WORK = (
    ("Подготовить проект договора № {n}", "sokolova", "High"),
    ("Проверить смету № {n}", "Борис Лебедев", "Normal"),
    ("Review the specification no. {n}", "sokolova@example.com", "Low"),
)


class OpenProjectScenario(Scenario):
    name = SYSTEM
    title = Text("OpenProject", "OpenProject")
    input_queues = ("openproject.queue",)
    sent_queues = ("openproject.sent.queue",)
    fewest = 3  # one to create, the milestone, the one for nobody

    def __init__(self) -> None:
        self.server = OpenProjectSandbox()

    @contextmanager
    def servers(self) -> Iterator[Text]:
        with self.server as server:
            server.people(auto_finish_after=WORKING, statuses=(_CLOSED, _REJECTED))
            yield Text(f"OpenProject sandbox on {server.address}", f"песочница OpenProject на {server.address}")

    def variables(self, folder: Path) -> dict[str, str]:
        return {
            "OPENPROJECT_URL": self.server.url,
            "OPENPROJECT_TOKEN": self.server.token,
            "OPENPROJECT_DEFAULT_PROJECT": PROJECT,
            "OPENPROJECT_ANSWERS": "Closed=ДА,Rejected=НЕТ",
            "OPENPROJECT_AMBIGUOUS_WAIT": "1",
        }

    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        everyday = [_work_package(number, now) for number in range(tasks - self.fewest + 1)]
        specials = [
            again(everyday[len(everyday) // 3]),
            broken(SYSTEM, "op_create_task"),
            _milestone(now),
            _for_nobody(len(everyday), now),
        ]
        return spread(everyday, specials)

    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        objects: defaultdict[str, list[str]] = defaultdict(list)
        answers: dict[str, str | None] = {}
        closed: list[WorkPackage] = []
        milestones = {each.key for each in samples if each.kind == "instant"}
        for each in self.server.work_packages:
            key = str(each.custom.get("customField7"))
            objects[key].append(str(each.id))
            if each.status in _ANSWERS and key not in milestones:
                answers[key] = _ANSWERS[each.status]
                closed.append(each)
        latest = max(closed, key=lambda each: (each.updated_at, each.id), default=None)
        return Outside(objects, answers, len(closed), None if latest is None else _told(latest))


def _told(work_package: WorkPackage) -> str:
    return f"OpenProject: {_ANSWERS[work_package.status]} – {work_package.subject}"


def _work_package(number: int, now: datetime) -> Sample:
    title, assignee, priority = _WORK[number % len(_WORK)]
    title = title.format(n=200 + number)
    parameters = {
        "subject": title,
        "assignee": assignee,
        "priority": priority,
        "due_date": (now + timedelta(days=3 + number % 5)).strftime("%Y-%m-%d"),
        "description": "Процесс ждёт, пока пакет работ не закроют.",
    }
    return sample("task", title, _message("op_create_task", title, now, parameters))


def _milestone(now: datetime) -> Sample:
    title = "Запуск производства"
    parameters = {"subject": title, "date": (now + timedelta(days=30)).strftime("%Y-%m-%d")}
    return sample("instant", title, _message("op_create_milestone", title, now, parameters))


def _for_nobody(number: int, now: datetime) -> Sample:
    title = f"Передать проект уволенного сотрудника № {200 + number}"
    return sample("refused", title, _message("op_create_task", title, now, {"subject": title, "assignee": "nobody"}))


def _message(topic: str, step: str, now: datetime, parameters: Mapping[str, str]) -> dict[str, Any]:
    return message(SYSTEM, topic, step, now, parameters=parameters)
