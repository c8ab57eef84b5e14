"""Tracks `bitrix24.sent.queue`: which tasks have people finished, and with what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from base_tracker import BaseTracker, ChangedTask, Changes
from consumers.bitrix.answers import AnswerTexts
from consumers.bitrix.batch import Answer, Command
from consumers.bitrix.changes import FinishedTasks
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.events import TaskUnseen
from consumers.bitrix.lookup import PAGE, TaskLookup, key_of, task_of
from consumers.bitrix.rows import Row, id_of, number_of_status, plain_id, rows_in
from core.errors import OutageError, OutcomeError, PermanentError, TransientError
from core.events.base import write
from core.messages import TrackedTask
from core.request_figures import RequestFigures
from core.results import Completed, Pending, Rejected, Verdict
from core.texts import Text
from toolkit.missing_tasks import UnseenTasks

DECLINED = 7  # a status of older portals; tasks.task.list calls it REAL_STATUS, replies call it `status`


class BitrixTaskTracker(BaseTracker):
    """Tracks tasks: asks the statuses of 2,500 tasks with one request; only finished tasks are read in full.

    `changes` returns what was finished or declined. A task that was deleted, or that the webhook's user may no longer
    read, changes nothing that could be asked for: only a full sweep finds it.
    """

    settings_class = BitrixSettings
    chunk_size = 2500

    def __init__(self, settings: BitrixSettings, client: BitrixClient) -> None:
        super().__init__("bitrix24")
        self._client = client
        self._finished_statuses = settings.finished_statuses
        self._key_field = settings.key_field
        self._lookup = TaskLookup(client, settings.key_field)
        self._answers = AnswerTexts(client, settings.answer_texts, settings.fields_cache_ttl)
        self._finished_tasks = FinishedTasks(client, settings.key_field, settings.finished_statuses | {DECLINED})
        advice = Text(
            "create the webhook as an administrator of the portal", "создайте вебхук от имени администратора портала"
        )
        self._unseen = UnseenTasks("Bitrix24", advice)

    @classmethod
    def from_settings(cls, settings: BitrixSettings, stop: threading.Event) -> BitrixTaskTracker:
        """Build the tracker. Raises NotConfiguredError when BITRIX_WEBHOOK_URL is empty."""
        return cls(settings, BitrixClient(settings, stop))

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        """Return one verdict per task.

        A row or a command that the portal spoils costs the verdict of its own task, which stays as it is.
        """
        self._unseen.begin()
        ids = self._ids(tasks)
        statuses, spoilt = self._statuses({task_id for task_id in ids.values() if task_id is not None})
        self._unseen.require_some_seen(len(tasks), len(statuses) + len(spoilt))
        finished, _ = self._get(
            [task_id for task_id, status in statuses.items() if status in self._finished_statuses],
            lambda: ["*", *self._answers.field_names()],
        )
        verdicts = []
        for task in tasks:
            bitrix_id = ids[task.task_id]
            verdicts.append(Pending() if bitrix_id in spoilt else self._verdict(task, bitrix_id, statuses, finished))
        return verdicts

    def changes(self, since: Any) -> Changes | None:
        return self._finished_tasks.changes(since)

    def finished_among(self, external_ids: Sequence[str]) -> Sequence[ChangedTask]:
        """Return those that are finished or declined, with their keys; 2,500 are one request.

        A portal tells of everybody's tasks: one that is missing, or may not be read, is nothing to speak of.
        """
        wanted = {each for each in external_ids if plain_id(each) == each}
        statuses = sorted(self._finished_statuses | {DECLINED})
        commands = [
            Command(
                "tasks.task.list",
                {
                    "order": {"ID": "asc"},
                    "filter": {"ID": page, "REAL_STATUS": statuses},
                    "select": ["ID", "STATUS", self._key_field],
                },
            )
            for page in _pages(sorted(wanted), PAGE)
        ]
        found: dict[str, ChangedTask] = {}
        for outcome in self._client.batch(commands).outcomes if commands else ():
            rows = _rows(outcome)
            if isinstance(rows, OutcomeError):
                raise rows
            for row in rows:  # a filter that the portal ignores must not make others' tasks ours
                task_id, status = id_of(row), number_of_status(row)
                if task_id in wanted and status in statuses:
                    found[task_id] = ChangedTask(task_id, key_of(row, self._key_field))
        return list(found.values())

    def get_stats(self) -> dict[str, Any]:
        return {**self._client.stats(), "unseen": len(self._unseen)}

    def request_figures(self) -> Sequence[RequestFigures]:
        return self._client.figures

    def _ids(self, tasks: Sequence[TrackedTask]) -> dict[str, str | None]:
        """Return Camunda task id -> Bitrix task id; a task whose id was never returned is looked up by its key."""
        ids = {task.task_id: task.external_id for task in tasks}
        nameless = [key for key, task_id in ids.items() if task_id is None]
        if nameless:
            found = self._lookup.find(nameless)
            ids.update({key: id_of(task) for key, task in found.items()})  # None for one that cannot be read
        return ids

    def _statuses(self, ids: Iterable[str]) -> tuple[dict[str, int], set[str]]:
        """Return Bitrix task id -> status of the tasks that the portal shows, and the tasks that it failed at."""
        pages = _pages(sorted(ids), PAGE)
        commands = [
            Command("tasks.task.list", {"order": {"ID": "asc"}, "filter": {"ID": page}, "select": ["ID", "STATUS"]})
            for page in pages
        ]
        statuses: dict[str, int] = {}
        useless: list[OutcomeError] = []
        for outcome in self._client.batch(commands).outcomes:
            rows = _rows(outcome)
            if isinstance(rows, OutcomeError):
                useless.append(rows)
            else:
                statuses.update(_readable((id_of(row), row) for row in rows))
        if useless and len(useless) == len(pages):
            raise useless[0]
        absent = [task_id for page in pages for task_id in page if task_id not in statuses]
        shown, spoilt = self._get(absent, lambda: ["ID", "STATUS"])
        statuses.update(_readable(shown.items()))
        return statuses, spoilt

    def _get(self, ids: Sequence[str], select: Callable[[], list[str]]) -> tuple[dict[str, Row], set[str]]:
        """Return the tasks that can be read, and those that the portal failed at. Neither kind holds up the others."""
        if not ids:
            return {}, set()
        fields = select()
        commands = [Command("tasks.task.get", {"taskId": task_id, "select": fields}) for task_id in ids]
        found: dict[str, Row] = {}
        spoilt: set[str] = set()
        for task_id, outcome in zip(ids, self._client.batch(commands).outcomes, strict=True):
            if isinstance(outcome, PermanentError | TransientError):
                write(TaskUnseen(task_id, str(outcome)))
            if isinstance(outcome, TransientError):
                spoilt.add(task_id)
            elif isinstance(outcome, OutcomeError) and not isinstance(outcome, PermanentError):
                raise outcome
            elif isinstance(outcome, Answer) and (task := task_of(outcome.result)) is not None:
                found[task_id] = task
        return found, spoilt

    def _verdict(
        self,
        task: TrackedTask,
        bitrix_id: str | None,
        statuses: Mapping[str, int],
        finished: Mapping[str, Row],
    ) -> Verdict:
        if bitrix_id is None or bitrix_id not in statuses:
            # Also for a row that cannot be read: as with one that is missing, the next looks decide.
            return self._unseen.verdict(task.task_id, _name(task, bitrix_id))
        self._unseen.seen(task.task_id)
        full = finished.get(bitrix_id)
        # Read again with the data: a person may have taken the task up once more in between.
        if full is not None and number_of_status(full) in self._finished_statuses:
            return Completed({"result": {"task": self._with_answer(full)}})
        if statuses[bitrix_id] == DECLINED and DECLINED not in self._finished_statuses:
            text = Text(
                f"Bitrix24 task {bitrix_id} was declined by its assignee",
                f"Bitrix24: задача {bitrix_id} отклонена исполнителем",
            )
            return Rejected(text, code="task_declined")
        return Pending()

    def _with_answer(self, task: Row) -> dict[str, Any]:
        text = self._answers.text(task)
        return {**task, "ufResultAnswer_text": text} if text is not None else dict(task)


def _name(task: TrackedTask, bitrix_id: str | None) -> Text:
    if bitrix_id:
        return Text(f"task {bitrix_id}", f"задача {bitrix_id}")
    return Text(f"the task of Camunda task {task.task_id}", f"задача для задачи Camunda {task.task_id}")


def _rows(outcome: Answer | OutcomeError) -> list[Any] | OutcomeError:
    """Return the rows, or the outcome that only this request met. Raises what concerns the whole portal."""
    if isinstance(outcome, TransientError):
        return outcome
    if isinstance(outcome, OutcomeError):
        raise outcome
    rows = rows_in(outcome.result, "tasks")
    if rows is None:
        return OutageError(
            Text("Bitrix24 tells no list of tasks", "Bitrix24: в ответе нет списка задач"), code="no_rows"
        )
    return rows


def _readable(tasks: Iterable[tuple[str | None, Any]]) -> dict[str, int]:
    """Return task id -> status, of the rows that have both."""
    known = ((task_id, number_of_status(task)) for task_id, task in tasks)
    return {task_id: status for task_id, status in known if task_id is not None and status is not None}


def _pages(items: Sequence[str], size: int) -> list[list[str]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
