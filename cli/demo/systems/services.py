"""Python services in the demo: answers at once, jobs that are asked until they are finished, a function, a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.demo.messages import again, broken, message, sample, spread
from cli.demo.scenario import Outside, Sample, Scenario
from core.texts import Language, Text
from sandbox.python_services import ServicesSandbox

SYSTEM = "python-services"
WORKING = 4.0  # seconds that a job takes

_REGISTRY = """
[services.users]
kind = "http"
topics = ["create_user", "user_*"]
url = "{base}/sync/users"

[services.disk]
kind = "http"
topics = ["create_yandex_file", "yandex_*", "file_*", "data_*"]
url = "{base}/jobs/disk"
poll = {{min = 1, max = 2, deadline = 600}}
"""
_WORK = (
    ("create_user", "Создать учётную запись № {n}", "instant"),
    ("create_yandex_file", "Положить отчёт № {n} на Диск", "task"),
    ("data_processing", "Посчитать показатели № {n}", "task"),
    ("user_management", "Выдать права № {n}", "instant"),
    ("file_processing", "Распознать скан № {n}", "task"),
)


class ServicesScenario(Scenario):
    name = SYSTEM
    title = Text("Python services", "сервисы на Python")
    input_queues = ("default.queue", "python-services.queue")
    sent_queues = ("python-services.sent.queue",)
    fewest = 3  # one, one with a job, the one for nobody

    def __init__(self) -> None:
        self.server = ServicesSandbox()

    @contextmanager
    def servers(self) -> Iterator[Text]:
        with self.server as server:
            server.people(auto_finish_after=WORKING)
            yield Text(f"two services on {server.address}", f"два сервиса на {server.address}")

    def variables(self, folder: Path) -> dict[str, str]:
        registry = folder / "services.toml"
        registry.write_text(_REGISTRY.format(base=self.server.base_url), encoding="utf-8")
        return {"SERVICES_FILE": str(registry), "SERVICES_AMBIGUOUS_WAIT": "1"}

    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        everyday = [_task(number, now) for number in range(tasks - 1)]
        specials = [again(everyday[1]), broken(SYSTEM, "create_user"), _for_nobody(now)]
        return spread(everyday, specials)

    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        objects = {key: [str(number) for number in numbers] for key, numbers in self.server.by_key().items()}
        finished = [job for job in self.server.jobs if job.status == "succeeded"]
        titles = {each.key: each.title for each in samples}
        told = f"✔ {titles.get(finished[-1].task_id, finished[-1].service)}" if finished else None
        return Outside(objects, {}, len(finished), told)


def _task(number: int, now: datetime) -> Sample:
    topic, title, kind = _WORK[number % len(_WORK)]
    title = title.format(n=600 + number)
    return sample("task" if kind == "task" else "instant", title, _message(topic, title, now, {"name": title}))


def _for_nobody(now: datetime) -> Sample:
    title = "Топик, которого никто не знает"
    return sample("refused", title, _message("python", title, now, {}))


def _message(topic: str, step: str, now: datetime, variables: Mapping[str, Any]) -> dict[str, Any]:
    return message(SYSTEM, topic, step, now, variables=variables)
