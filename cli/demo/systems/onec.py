"""1C in the demo: tasks for people, documents that they post, a counterparty, an exchange of data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cli.demo.messages import again, broken, message, sample, spread
from cli.demo.scenario import Outside, Sample, Scenario
from core.texts import Language, Text
from sandbox.onec import OneCSandbox

SYSTEM = "1c"
WORKING = 5.0  # seconds that a person needs for a task

_TASKS = "Task_ЗадачаИсполнителя"
_WORK = (
    ("Проверить первичные документы № {n}", "Анна Соколова"),
    ("Согласовать акт сверки № {n}", "Борис Лебедев"),
    ("Подтвердить отгрузку № {n}", "Анна Соколова"),
)


class OneCScenario(Scenario):
    name = SYSTEM
    title = Text("1C", "1С")
    input_queues = ("1c.queue",)
    sent_queues = ("1c.sent.queue",)
    fewest = 5  # a task, a document, a counterparty, an exchange, the one for nobody

    def __init__(self) -> None:
        self.base = OneCSandbox()

    @contextmanager
    def servers(self) -> Iterator[Text]:
        with self.base as base:
            base.people(auto_finish_after=WORKING)
            yield Text(f"1C sandbox on {base.address}", f"песочница 1С на {base.address}")

    def variables(self, folder: Path) -> dict[str, str]:
        return {
            "ONEC_URL": self.base.url,
            "ONEC_USERNAME": self.base.username,
            "ONEC_PASSWORD": self.base.password,
        }

    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        everyday = [_task(number, now) for number in range(tasks - self.fewest + 1)]
        specials = [
            again(everyday[len(everyday) // 3]),
            broken(SYSTEM, "1c_create_task"),
            _document(now),
            _counterparty(now),
            _exchange(now),
            _for_nobody(len(everyday), now),
        ]
        return spread(everyday, specials)

    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        done = [row for row in self.base.rows(_TASKS) if row.get("Executed") is True]
        posted = [row for row in self.base.rows("Document_ЗаказКлиента") if row.get("Posted") is True]
        latest = max(done, key=lambda row: str(row.get("ДатаИсполнения")), default=None)
        told = None if latest is None else f"1С: ✔ {latest.get('Description')}"
        return Outside(self.base.by_key(), {}, len(done) + len(posted), told)


def _task(number: int, now: datetime) -> Sample:
    title, assignee = _WORK[number % len(_WORK)]
    title = title.format(n=300 + number)
    variables = {
        "title": title,
        "assignee": assignee,
        "description": "Процесс ждёт исполнения задачи.",
        "due_date": (now + timedelta(days=2 + number % 4)).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    return sample("task", title, _message("1c_create_task", title, now, variables))


def _document(now: datetime) -> Sample:
    title = "Заказ клиента на 125 000"
    variables = {"amount": "125000", "comment": title, "date": now.strftime("%Y-%m-%dT%H:%M:%S")}
    return sample("task", title, _message("1c_create_document", title, now, variables))


def _counterparty(now: datetime) -> Sample:
    title = "ООО «Ромашка»"
    variables = {"name": title, "inn": "7701234567", "kpp": "770101001"}
    return sample("instant", title, _message("1c_create_counterparty", title, now, variables))


def _exchange(now: datetime) -> Sample:
    title = "Обмен остатками"
    return sample("instant", title, _message("1c_sync_data", title, now, {"warehouse": "Основной"}))


def _for_nobody(number: int, now: datetime) -> Sample:
    title = f"Передать дела уволенного бухгалтера № {300 + number}"
    variables = {"title": title, "assignee": "Никто Никтоевич"}
    return sample("refused", title, _message("1c_create_task", title, now, variables))


def _message(topic: str, step: str, now: datetime, variables: Mapping[str, Any]) -> dict[str, Any]:
    return message(SYSTEM, topic, step, now, variables=variables)
