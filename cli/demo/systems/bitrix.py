"""Bitrix24 in the demo: everyday work for the people of the sandbox, and the messages that go wrong."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cli.demo.messages import again, broken, message, sample, spread
from cli.demo.scenario import Outside, Sample, Scenario
from core.texts import Language, Text
from sandbox.bitrix24 import BitrixSandbox

SYSTEM = "bitrix24"
FEWEST_TASKS = 4  # one to create, one to update it, the deal, the one for nobody
WORKING = 6.0  # seconds that a person needs for a task

_DEAL = 2  # entityTypeId of deals
_FINISHED = 5  # status of a task

# Roles of the processes -> people of the sandbox (BITRIX_ROLES_FILE).
ROLES: Mapping[str, int] = {
    "head_of_engineering": 2,
    "engineer": 3,
    "field_engineer": 4,
    "chief_accountant": 5,
    "accountant": 6,
    "lawyer": 7,
    "sales": 8,
}
NOBODY = 9999  # the id of a user whom the portal does not have


class _Work(NamedTuple):
    """One step of some process: `deadline` is how its modeller writes dates."""

    title: str
    role: str
    question: str
    checklist: tuple[str, ...]
    tags: str
    priority: str
    deadline: Callable[[datetime], str]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _plain(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


_EVERYDAY_WORK = (
    _Work(
        "Согласовать договор поставки № {n}",
        "lawyer",
        "Согласовать договор?",
        ("Реквизиты", "Сроки и штрафы", "Подсудность"),
        "договор, поставка",
        "2",
        _iso,
    ),
    _Work("Оплатить счёт № {n}", "accountant", "Счёт оплачен?", (), "оплата", "2", _day),
    _Work(
        "Подготовить рабочее место № {n}",
        "engineer",
        "Рабочее место готово?",
        ("Ноутбук", "Пропуск", "Учётная запись"),
        "новый сотрудник",
        "1",
        _plain,
    ),
    _Work("Утвердить заявку на закупку № {n}", "head_of_engineering", "Утвердить?", (), "закупка", "1", _iso),
    _Work(
        "Заменить датчик на объекте № {n}",
        "field_engineer",
        "Датчик заменён?",
        ("Снять показания", "Заменить", "Сделать фото – «до» и «после»"),
        "выезд, объект",
        "1",
        _plain,
    ),
    _Work("Проверить авансовый отчёт № {n}", "chief_accountant", "Отчёт принят?", (), "отчёт", "0", _day),
    _Work("Prepare quotation no. {n} for a customer", "sales", "Was it accepted?", (), "sales, quotation", "1", _iso),
)


class BitrixScenario(Scenario):
    name = SYSTEM
    title = Text("Bitrix24", "Битрикс24")
    input_queues = ("bitrix24.queue",)
    sent_queues = ("bitrix24.sent.queue",)
    fewest = FEWEST_TASKS

    def __init__(self) -> None:
        self.portal = BitrixSandbox()

    @contextmanager
    def servers(self) -> Iterator[Text]:
        with self.portal as portal:
            portal.people(auto_finish_after=WORKING, answers=("ДА", "НЕТ"))
            people = len(portal.state.users)
            yield Text(
                f"Bitrix24 sandbox on {portal.address}, {people} people",
                f"песочница Битрикс24 на {portal.address}, сотрудников: {people}",
            )

    def variables(self, folder: Path) -> dict[str, str]:
        roles = folder / "roles.json"
        roles.write_text(json.dumps({"mappings": ROLES}))
        return {
            "BITRIX_WEBHOOK_URL": self.portal.webhook_url,
            "BITRIX_ROLES_FILE": str(roles),
            "BITRIX_RATE_LIMIT_PER_SECOND": "200",  # the sandbox has no limit
            "BITRIX_RATE_LIMIT_BURST": "1000",
            "BITRIX_AMBIGUOUS_WAIT": "1",  # nobody has to wait for a cloud that may still be at work
        }

    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        """Return tasks: one comes twice, one message is no task, one is for a user whom the portal does not have."""
        everyday = tasks - FEWEST_TASKS + 1
        samples = [
            _task(number, work, now)
            for number, work in zip(range(1, everyday + 1), itertools.cycle(_EVERYDAY_WORK), strict=False)
        ]
        first, twice = samples[0], samples[everyday // 3]
        specials = [
            again(twice),
            broken(SYSTEM, "bitrix_create_task"),
            _deal(now),
            _for_nobody(everyday + 1, now),
            _update(first, now),
        ]
        return spread(samples, specials)

    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        tasks: defaultdict[str, list[str]] = defaultdict(list)
        titles: defaultdict[str, list[str]] = defaultdict(list)
        answers: dict[str, str | None] = {}
        finished = []
        for task in self.portal.tasks:
            key = task["UF_CAMUNDA_ID_EXTERNAL_TASK"]
            tasks[key].append(str(task["ID"]))
            titles[task["TITLE"]].append(str(task["ID"]))
            answers[key] = self._answer_of(task)
            if task["STATUS"] == _FINISHED:
                finished.append(task)
        for deal in self.portal.crm_items(_DEAL):
            tasks[deal["originId"]].append(str(deal["id"]))
        for each in samples:
            if each.kind == "update":
                tasks[each.key] += titles[each.title]
        latest = max(finished, key=lambda task: (task["CLOSED_DATE"], task["ID"]), default=None)
        return Outside(tasks, answers, len(finished), None if latest is None else self._told(latest))

    def _told(self, task: Mapping[str, Any]) -> str:
        person = self.portal.state.users[task["RESPONSIBLE_ID"]]
        return f"{person.full_name}: {self._answer_of(task) or '✔'} – {task['TITLE']}"

    def _answer_of(self, task: Mapping[str, Any]) -> str | None:
        field = self.portal.state.user_fields.get("UF_RESULT_ANSWER")
        options = (field.options if field else None) or {}
        return options.get(task.get("UF_RESULT_ANSWER") or 0)


def _task(number: int, work: _Work, now: datetime) -> Sample:
    title = work.title.format(n=100 + number)
    extensions = {
        "assigneeId": work.role,
        "UF_RESULT_EXPECTED": "да" if number % 2 else "1",
        "UF_RESULT_QUESTION": work.question,
        "tags": work.tags,
    }
    if work.checklist:
        checklist = {"name": "Что проверить", "items": list(work.checklist)}
        extensions["checklists"] = json.dumps([checklist], ensure_ascii=False)
    parameters = {
        "title": title,
        "description": f"Процесс ждёт ответа на вопрос: {work.question}",
        "priority": work.priority,
        "deadline": work.deadline(now + timedelta(days=1 + number % 5)),
    }
    return sample("task", title, _message("bitrix_create_task", title, now, parameters, extensions))


def _for_nobody(number: int, now: datetime) -> Sample:
    title = f"Передать дела уволенного сотрудника № {100 + number}"
    parameters = {"title": title, "responsible_id": str(NOBODY)}
    return sample("refused", title, _message("bitrix_create_task", title, now, parameters))


def _deal(now: datetime) -> Sample:
    title = "Сделка: поставка датчиков, ООО «Ромашка»"
    parameters = {"title": title, "amount": "1250000", "currency": "RUB"}
    return sample("instant", title, _message("bitrix_create_deal", title, now, parameters))


def _update(target: Sample, now: datetime) -> Sample:
    title = f"{target.title} (срок перенесён)"
    parameters = {"title": title, "deadline": _iso(now + timedelta(days=14)), "task_id": target.key}
    return sample("update", title, _message("bitrix_update_task", title, now, parameters), after=target.key)


def _message(
    topic: str, step: str, now: datetime, parameters: Mapping[str, str], extensions: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return message(SYSTEM, topic, step, now, parameters=parameters, extensions=extensions)
