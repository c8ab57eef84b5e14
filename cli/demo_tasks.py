"""What Camunda sends in the demo: everyday work for the people of the sandbox, and the messages that go wrong."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sandbox.camunda import encode_task, task_headers

Kind = Literal["task", "duplicate", "update", "deal", "unknown_responsible", "broken"]

SYSTEM = "bitrix24"
FEWEST_TASKS = 4  # one to create, one to update it, the deal, the one for nobody
MOST_TASKS = 5000

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

_BROKEN_BODY = '{"task_id": "оборвано на полусло'.encode()


@dataclass(frozen=True, slots=True)
class Sample:
    """One message to publish. `after` is the Camunda task whose Bitrix24 task must exist before.

    `key` says which message it is: the Camunda task id, or a word of ours for the one that has none.
    """

    kind: Kind
    key: str
    title: str
    body: bytes
    routing_key: str
    headers: Mapping[str, Any]
    after: str | None = None


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


def sample_messages(tasks: int, now: datetime) -> list[Sample]:
    """`tasks` different Camunda tasks in the order of publishing, one of them twice, and one message that is no task.

    `tasks` is at least FEWEST_TASKS. `now` (with a time zone) is the moment from which deadlines count.
    """
    everyday = tasks - FEWEST_TASKS + 1
    samples = [
        _task(number, work, now)
        for number, work in zip(range(1, everyday + 1), itertools.cycle(_EVERYDAY_WORK), strict=False)
    ]
    first, twice = samples[0], samples[everyday // 3]
    specials = (
        Sample("duplicate", twice.key, twice.title, twice.body, twice.routing_key, twice.headers),
        Sample("broken", "broken", "", _BROKEN_BODY, f"{SYSTEM}.bitrix_create_task", {}),
        _deal(now),
        _for_nobody(everyday + 1, now),
        _update(first, now),
    )
    for position, special in enumerate(specials, start=2):
        samples.insert(len(samples) * position // (len(specials) + 1), special)
    return samples


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
    return _sample("task", title, _message("bitrix_create_task", title, now, extensions, parameters))


def _for_nobody(number: int, now: datetime) -> Sample:
    title = f"Передать дела уволенного сотрудника № {100 + number}"
    message = _message("bitrix_create_task", title, now, {}, {"title": title, "responsible_id": str(NOBODY)})
    return _sample("unknown_responsible", title, message)


def _deal(now: datetime) -> Sample:
    title = "Сделка: поставка датчиков, ООО «Ромашка»"
    parameters = {"title": title, "amount": "1250000", "currency": "RUB"}
    return _sample("deal", title, _message("bitrix_create_deal", title, now, {}, parameters))


def _update(target: Sample, now: datetime) -> Sample:
    title = f"{target.title} (срок перенесён)"
    parameters = {"title": title, "deadline": _iso(now + timedelta(days=14)), "task_id": target.key}
    return _sample("update", title, _message("bitrix_update_task", title, now, {}, parameters), after=target.key)


def _sample(kind: Kind, title: str, message: Mapping[str, Any], after: str | None = None) -> Sample:
    routing_key = f"{message['system']}.{message['topic']}"
    return Sample(kind, message["task_id"], title, encode_task(message), routing_key, task_headers(message), after)


def _message(
    topic: str, step: str, now: datetime, extensions: Mapping[str, str], parameters: Mapping[str, str]
) -> dict[str, Any]:
    """A task message with the keys of the contract, in their order."""
    instance, activity = str(uuid.uuid4()), f"Activity_{topic}"
    variables = {"initiator": {"type": "String", "value": "Анна Соколова", "valueInfo": {}}}
    return {
        "task_id": str(uuid.uuid4()),
        "topic": topic,
        "system": SYSTEM,
        "variables": {"initiator": "Анна Соколова"},
        "process_variables": variables,
        "process_instance_id": instance,
        "process_definition_key": "Process_demo",
        "activity_id": activity,
        "activity_instance_id": f"{activity}:{instance[:8]}",
        "worker_id": "universal-worker",
        "retries": None,
        "created_time": now.strftime("%Y-%m-%dT%H:%M:%S.000%z"),
        "priority": 0,
        "tenant_id": None,
        "business_key": f"DEMO-{instance[:8]}",
        "timestamp": int(now.timestamp() * 1000),
        "metadata": {
            "extensionProperties": dict(extensions),
            "inputParameters": dict(parameters),
            "activityInfo": {"id": activity, "name": step, "type": "external", "topic": topic},
            "processVariables": variables,
        },
    }
