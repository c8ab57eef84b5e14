"""1C: business processes that are started and whose task a person executes.

Their key is made of ours, so a second one is refused by the infobase itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.account import PortalTask, Published
from benchmarks.faults.stage_spec import StageSpec
from benchmarks.faults.systems.base import Call, Target
from benchmarks.faults.tasks import key_of, message
from sandbox.faults import Fault
from sandbox.onec import OneCSandbox, faults

_ENTITY = "BusinessProcess_Задание"
_RESULTS = ("Исполнено", "Отклонено")


class OneC(Target):
    name = "1c"
    queue = "1c.queue"
    sent_queue = "1c.sent.queue"
    routing_key = "1c.task"
    promise = "once by key"
    deleted_code = "task_deleted"
    impatient: ClassVar[Mapping[str, str]] = {"ONEC_REQUEST_TIMEOUT": "1", "ONEC_CONNECT_TIMEOUT": "1"}
    create = Call(f"post {_ENTITY}*")  # to make it, and to start it
    look_up = Call(f"get {_ENTITY}(*")
    status = Call(f"get {_ENTITY}")

    def __init__(self, spec: StageSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self.server: OneCSandbox = OneCSandbox(latency=spec.latency, **spec.portal)

    def variables(self) -> dict[str, str]:
        return {
            "ONEC_URL": self.server.url,
            "ONEC_USERNAME": self.server.username,
            "ONEC_PASSWORD": self.server.password,
        }

    @staticmethod
    def task(number: int) -> Published:
        variables = {"title": f"Согласовать договор № {number}", "assignee": "Анна Соколова"}
        return Published(key_of(number), message(number, "1c", "1c_create_task", variables))

    def let_people_work(self, after: float) -> None:
        self.server.people(auto_finish_after=after, results=_RESULTS)

    @property
    def created(self) -> int:
        return len(self.server.store.rows[_ENTITY])

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        rows = {str(row["Ref_Key"]): row for row in self.server.rows(_ENTITY)}
        return {
            key: [PortalTask(guid, _result_of(rows.get(guid, {}))) for guid in map(_guid_of, refs)]
            for key, refs in self.server.by_key().items()
        }

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        told = response.get("result", {}).get("task", {})
        return str(told.get("id")), told.get("onec_result")

    @staticmethod
    def failure(*, after_execution: bool = False) -> Fault:
        return faults.odata(500, -1, "Внутренняя ошибка сервера", after_execution=after_execution)

    @staticmethod
    def limited() -> Fault:
        return faults.no_licence()

    def revoke(self) -> None:
        self.server.revoke_password()

    def restore(self) -> None:
        self.server.restore_password()

    @property
    def requests(self) -> int:
        return self.server.requests

    def delete(self, key: str) -> None:
        for ref in self.server.by_key().get(key, ()):
            self.server.delete(ref)


def _guid_of(ref: str) -> str:
    return ref.rpartition("/")[2]


def _result_of(row: Mapping[str, Any]) -> str | None:
    result = row.get("РезультатВыполнения")
    return str(result) if result else None
