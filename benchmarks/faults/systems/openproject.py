"""OpenProject: work packages that people close or reject. It can be asked for our key, and refuses no second one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.account import PortalTask, Published, read_bitrix_answer
from benchmarks.faults.stage_spec import StageSpec
from benchmarks.faults.systems.base import Call, Target
from benchmarks.faults.tasks import key_of, message
from sandbox.faults import Fault
from sandbox.openproject import OpenProjectSandbox, faults

_KEY_FIELD = "customField7"
_CLOSED, _REJECTED = 12, 14
_ANSWERS: Mapping[int, str] = {_CLOSED: "ДА", _REJECTED: "НЕТ"}


class OpenProject(Target):
    name = "openproject"
    queue = "openproject.queue"
    sent_queue = "openproject.sent.queue"
    routing_key = "openproject.task"
    promise = "once"
    ambiguous_wait = "OPENPROJECT_AMBIGUOUS_WAIT"
    deleted_code = "task_deleted"
    settings: ClassVar[Mapping[str, str]] = {"OPENPROJECT_AMBIGUOUS_WAIT": "1"}
    impatient: ClassVar[Mapping[str, str]] = {
        "OPENPROJECT_REQUEST_TIMEOUT": "1",
        "OPENPROJECT_CONNECT_TIMEOUT": "1",
    }
    slow: ClassVar[Mapping[str, str]] = {"OPENPROJECT_REQUEST_TIMEOUT": "6.5"}
    create = Call("post projects/*/work_packages")
    look_up = Call("get projects/*/work_packages")
    status = Call("get work_packages")

    def __init__(self, spec: StageSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self.server: OpenProjectSandbox = OpenProjectSandbox(latency=spec.latency, **spec.portal)

    def variables(self) -> dict[str, str]:
        return {
            "OPENPROJECT_URL": self.server.url,
            "OPENPROJECT_TOKEN": self.server.token,
            "OPENPROJECT_DEFAULT_PROJECT": "contracts",
            "OPENPROJECT_ANSWERS": "Closed=ДА,Rejected=НЕТ",
        }

    @staticmethod
    def task(number: int) -> Published:
        parameters = {"subject": f"Согласовать договор № {number}"}
        return Published(key_of(number), message(number, "openproject", "op_create_task", {}, parameters))

    def let_people_work(self, after: float) -> None:
        self.server.people(auto_finish_after=after, statuses=(_CLOSED, _REJECTED))

    @property
    def created(self) -> int:
        return len(self.server.state.work_packages)

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        found: defaultdict[str, list[PortalTask]] = defaultdict(list)
        for each in self.server.work_packages:
            found[str(each.custom.get(_KEY_FIELD))].append(PortalTask(str(each.id), _ANSWERS.get(each.status)))
        return found

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        return read_bitrix_answer(response)

    @staticmethod
    def failure(*, after_execution: bool = False) -> Fault:
        return faults.refusal(500, "InternalServerError", after_execution=after_execution)

    @staticmethod
    def limited() -> Fault:
        return faults.refusal(429, "TooManyRequests", retry_after=1)

    def revoke(self) -> None:
        self.server.revoke_token()

    def restore(self) -> None:
        self.server.restore_token()

    @property
    def requests(self) -> int:
        return self.server.requests

    def delete(self, key: str) -> None:
        for number in self.server.by_key().get(key, ()):
            self.server.delete(number)
