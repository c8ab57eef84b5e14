"""Bitrix24: tasks with checklists that people finish with an answer. It can be asked for our key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.account import PortalTask, Published, read_bitrix_answer
from benchmarks.faults.stage_spec import StageSpec
from benchmarks.faults.systems.base import Call, Params, Target
from benchmarks.faults.tasks import INPUT_QUEUE, SENT_QUEUE, task
from sandbox.bitrix24 import BitrixSandbox, faults
from sandbox.faults import Fault

KEY_FIELD = "UF_CAMUNDA_ID_EXTERNAL_TASK"
ANSWERS = ("ДА", "НЕТ")


def creates(params: Params) -> bool:
    """A batch that creates tasks."""
    return any("tasks.task.add" in str(command) for command in params.get("cmd", {}).values())


def is_look_up(params: Params) -> bool:
    """A list of tasks by their Camunda ids: what the handler asks before it creates."""
    return any(name.startswith("UF_") for name in params.get("filter", {}))


def is_status_question(params: Params) -> bool:
    """A list of tasks by their ids: what the tracker asks."""
    return "ID" in params.get("filter", {})


class Bitrix(Target):
    name = "bitrix24"
    queue = INPUT_QUEUE
    sent_queue = SENT_QUEUE
    routing_key = "bitrix24.task"
    promise = "once"
    ambiguous_wait = "BITRIX_AMBIGUOUS_WAIT"
    deleted_code = "task_deleted"
    settings: ClassVar[Mapping[str, str]] = {
        "BITRIX_AMBIGUOUS_WAIT": "1",
        "BITRIX_RATE_LIMIT_PER_SECOND": "1000",  # the sandbox has no limit
        "BITRIX_RATE_LIMIT_BURST": "1000",
    }
    impatient: ClassVar[Mapping[str, str]] = {"BITRIX_REQUEST_TIMEOUT": "1", "BITRIX_CONNECT_TIMEOUT": "1"}
    slow: ClassVar[Mapping[str, str]] = {"BITRIX_REQUEST_TIMEOUT": "6.5"}
    create = Call("batch", creates)
    look_up = Call("tasks.task.list", is_look_up)
    status = Call("tasks.task.get")

    def __init__(self, spec: StageSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self.server: BitrixSandbox = BitrixSandbox(latency=spec.latency, **spec.portal)

    def variables(self) -> dict[str, str]:
        return {
            "BITRIX_WEBHOOK_URL": self.server.webhook_url,
            "BITRIX_CA_FILE": str(self.server.ca_file) if self.spec.portal.get("tls") else "",
        }

    @staticmethod
    def task(number: int) -> Published:
        return task(number)

    def let_people_work(self, after: float) -> None:
        self.server.people(auto_finish_after=after, answers=ANSWERS)

    @property
    def created(self) -> int:
        return self.server.task_count

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        found: defaultdict[str, list[PortalTask]] = defaultdict(list)
        field = self.server.state.user_fields.get("UF_RESULT_ANSWER")
        options = (field.options if field else None) or {}
        for each in self.server.tasks:
            titles = tuple(str(item["TITLE"]) for item in self.server.checklists(each["ID"]))
            answer = options.get(each.get("UF_RESULT_ANSWER") or 0)
            found[each[KEY_FIELD]].append(PortalTask(str(each["ID"]), answer, titles))
        return found

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        return read_bitrix_answer(response)

    @staticmethod
    def failure(*, after_execution: bool = False) -> Fault:
        return faults.error("INTERNAL_SERVER_ERROR", after_execution=after_execution)

    @staticmethod
    def limited() -> Fault:
        return faults.error("OPERATION_TIME_LIMIT", retry_after=1)

    def delete(self, key: str) -> None:
        for number in self.server.tasks_by_key().get(key, ()):
            self.server.delete(number)

    def revoke(self) -> None:
        self.server.revoke_webhook("NO_AUTH_FOUND")

    def restore(self) -> None:
        self.server.restore_webhook()

    @property
    def requests(self) -> int:
        return self.server.requests.http
