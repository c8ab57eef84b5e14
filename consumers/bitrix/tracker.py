"""Tracker of `bitrix24.sent.queue`: which tasks have people finished, and with what."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from base_tracker import BaseTracker, Changes
from consumers.bitrix.answers import AnswerTexts
from consumers.bitrix.batch import Answer, Command
from consumers.bitrix.changes import FinishedTasks
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.lookup import PAGE, Row, TaskLookup, task_of
from core.errors import OutcomeError, PermanentError
from core.messages import TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from runtime.unseen import UnseenTasks

log = logging.getLogger(__name__)

DECLINED = 7  # a status of older portals; tasks.task.list calls it REAL_STATUS, replies call it `status`


class BitrixTaskTracker(BaseTracker):
    """Asks the statuses of 2,500 tasks with one request; only finished tasks are read in full.

    `changes` tells what was finished or declined. A task that was deleted, or that the webhook's user may no longer
    read, changes nothing that could be asked for: only a full sweep finds it.
    """

    settings_class = BitrixSettings
    chunk_size = 2500

    def __init__(self, settings: BitrixSettings, client: BitrixClient) -> None:
        super().__init__("bitrix24")
        self._client = client
        self._finished_statuses = settings.finished_statuses
        self._lookup = TaskLookup(client, settings.key_field)
        self._answers = AnswerTexts(client, settings.answer_texts, settings.fields_cache_ttl)
        self._finished_tasks = FinishedTasks(client, settings.key_field, settings.finished_statuses | {DECLINED})
        self._unseen = UnseenTasks("Bitrix24", "create the webhook as an administrator of the portal")

    @classmethod
    def from_settings(cls, settings: BitrixSettings, stop: threading.Event) -> BitrixTaskTracker:
        """Raises NotConfiguredError when BITRIX_WEBHOOK_URL is empty."""
        return cls(settings, BitrixClient(settings, stop))

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        self._unseen.begin()
        ids = self._ids(tasks)
        statuses = self._statuses({task_id for task_id in ids.values() if task_id is not None})
        self._unseen.refuse_blindness(len(tasks), len(statuses))
        finished = self._read_full(
            [task_id for task_id, status in statuses.items() if status in self._finished_statuses]
        )
        return [self._verdict(task, ids[task.task_id], statuses, finished) for task in tasks]

    def changes(self, since: Any) -> Changes | None:
        return self._finished_tasks.changes(since)

    def get_stats(self) -> dict[str, Any]:
        return {**self._client.stats(), "unseen": len(self._unseen)}

    def _ids(self, tasks: Sequence[TrackedTask]) -> dict[str, str | None]:
        """Camunda task id -> Bitrix task id; a task whose id was never told is looked up by its key."""
        ids = {task.task_id: task.external_id for task in tasks}
        nameless = [key for key, task_id in ids.items() if task_id is None]
        if nameless:
            ids.update({key: str(row["id"]) for key, row in self._lookup.find(nameless).items()})
        return ids

    def _statuses(self, ids: Iterable[str]) -> dict[str, int]:
        """Bitrix task id -> status, without the tasks that the portal does not show."""
        pages = _pages(sorted(ids), PAGE)
        commands = [
            Command("tasks.task.list", {"order": {"ID": "asc"}, "filter": {"ID": page}, "select": ["ID", "STATUS"]})
            for page in pages
        ]
        statuses: dict[str, int] = {}
        for answer in self._ask(commands):
            rows = answer.result.get("tasks", []) if isinstance(answer.result, Mapping) else []
            statuses.update({str(row["id"]): int(row["status"]) for row in rows})
        absent = [task_id for page in pages for task_id in page if task_id not in statuses]
        for task_id, task in self._get(absent, ["ID", "STATUS"]).items():
            statuses[task_id] = int(task["status"])
        return statuses

    def _read_full(self, ids: Sequence[str]) -> dict[str, Row]:
        return self._get(ids, ["*", *self._answers.field_names()]) if ids else {}

    def _get(self, ids: Sequence[str], select: list[str]) -> dict[str, Row]:
        """The tasks that can be read. One that is refused by itself must not hold up the others."""
        commands = [Command("tasks.task.get", {"taskId": task_id, "select": select}) for task_id in ids]
        found = {}
        for task_id, outcome in zip(ids, self._client.batch(commands).outcomes, strict=True):
            if isinstance(outcome, PermanentError):
                extra = {"event": "task.unseen", "external_id": task_id}
                log.warning("Bitrix24 does not show the task: %s", outcome, extra=extra)
            elif isinstance(outcome, OutcomeError):
                raise outcome
            elif (task := task_of(outcome.result)) is not None:
                found[task_id] = task
        return found

    def _ask(self, commands: Sequence[Command]) -> list[Answer]:
        answers = []
        for outcome in self._client.batch(commands).outcomes:
            if isinstance(outcome, OutcomeError):
                raise outcome
            answers.append(outcome)
        return answers

    def _verdict(
        self,
        task: TrackedTask,
        bitrix_id: str | None,
        statuses: Mapping[str, int],
        finished: Mapping[str, Row],
    ) -> Verdict:
        if bitrix_id is None or bitrix_id not in statuses:
            name = f"task {bitrix_id}" if bitrix_id else f"the task of Camunda task {task.task_id}"
            return self._unseen.verdict(task.task_id, name)
        self._unseen.seen(task.task_id)
        full = finished.get(bitrix_id)
        # Read again with the data: a person may have taken the task up once more in between.
        if full is not None and int(full["status"]) in self._finished_statuses:
            return Completed({"result": {"task": self._with_answer(full)}})
        if statuses[bitrix_id] == DECLINED and DECLINED not in self._finished_statuses:
            return Rejected(f"Bitrix24 task {bitrix_id} was declined by its assignee", code="task_declined")
        return Pending()

    def _with_answer(self, task: Row) -> dict[str, Any]:
        text = self._answers.text(task)
        return {**task, "ufResultAnswer_text": text} if text is not None else dict(task)


def _pages(items: Sequence[str], size: int) -> list[list[str]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
