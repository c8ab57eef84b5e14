"""What people do at the portal while their tasks are tracked: they delete one, or take a finished one up again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.faults.row import Row
from benchmarks.faults.stage import Stage
from benchmarks.faults.strikes import PATIENCE, Blow, armed
from benchmarks.faults.systems.bitrix import ANSWERS
from sandbox.bitrix24 import faults
from sandbox.bitrix24.taskfields import COMPLETED, IN_PROGRESS

GROUP = "people"

FEW = 5  # tasks; the tracker takes it for lost rights when ten are gone and no other is to be seen
_DOOMED = 90_000  # numbers from here on are not used for other tasks
ANSWER_FIELD = "UF_RESULT_ANSWER"
_NO_FAULT = faults.delay(0)


def rows() -> list[Row]:
    return [
        Row(
            "task-deleted",
            GROUP,
            f"{FEW} open tasks are deleted: they end in the error queue as task_deleted, the others are answered",
            strike=delete_tasks,
            people_after=4,
        ),
        Row(
            "task-reopened",
            GROUP,
            "finished tasks are taken up again just before the tracker reads them, and finished with another answer",
            strike=take_up_again,
        ),
    ]


def delete_tasks(stage: Stage, _chance: random.Random) -> None:
    numbers = range(_DOOMED + FEW * stage.round, _DOOMED + FEW * (stage.round + 1))
    code = stage.target.deleted_code
    doomed = [replace(stage.make_task(number), ends="parked", code=code) for number in numbers]
    stage.driver.feed(doomed)
    keys = {each.key for each in doomed}
    if not stage.wait_for(lambda: keys <= stage.target.objects().keys(), PATIENCE):
        raise TimeoutError("the tasks to be deleted were not created")
    stage.pause(1)  # what is made in several steps is whole by then
    for key in keys:
        stage.target.delete(key)


def take_up_again(stage: Stage, _chance: random.Random) -> None:
    """The tracker has been told that a task is finished; before it reads the task, a person goes on with it."""
    portal = stage.portal
    taken_up: dict[int, str] = {}  # Bitrix id -> the answer that it will have

    def person(params: Mapping[str, Any]) -> bool:
        task_id = int(params["taskId"])
        if len(taken_up) < FEW and task_id not in taken_up and portal.task(task_id)["STATUS"] == COMPLETED:
            taken_up[task_id] = _another_answer(stage, task_id)
            portal.change(task_id, STATUS=IN_PROGRESS)
        return False  # the call itself meets no fault

    with armed(stage, Blow(_NO_FAULT, "tasks.task.get", match=person)):
        stage.feed(20, 0.5)
        if not stage.wait_for(lambda: len(taken_up) == FEW, PATIENCE):
            raise TimeoutError("the tracker has read no finished tasks")
        stage.pause(1.2)  # two sweeps, which must not answer these
    for task_id, answer in taken_up.items():
        portal.finish(task_id, answer=answer)


def _another_answer(stage: Stage, task_id: int) -> str:
    given = stage.portal.task(task_id)[ANSWER_FIELD]
    return next(each for each in ANSWERS if stage.portal.state.user_fields.option_id(ANSWER_FIELD, each) != given)
