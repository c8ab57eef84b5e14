"""Finds which tasks people have finished since a moment of the portal's own clock.

That makes a quiet sweep one request: tasks.task.list filtered by `>=CHANGED_DATE` and REAL_STATUS, pages of 50 in the
order of ID (api-reference/tasks/tasks-task-list.md). The clock is `time.date_start` of each answer
(api-reference/data-types.md), so ours may be wrong. It counts whole seconds, and a change may become visible after the
moment that it carries: each question reaches `OVERLAP` back, and what was reported already is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from base_tracker import Changes
from consumers.bitrix.batch import BATCH_LIMIT, Answer, Command, moment_of
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.events import TrackerBlind
from consumers.bitrix.lookup import PAGE, key_of
from consumers.bitrix.rows import Row, id_of, number_of_status, rows_in
from core.errors import OutcomeError
from core.events.base import write
from toolkit.watermark import Change, Mark

OVERLAP = timedelta(seconds=120)
MOST_ROWS = PAGE * BATCH_LIMIT  # the first page, the others in one batch; with more, a full sweep costs little more

_NEVER = datetime(2037, 1, 1, tzinfo=UTC)  # no task was changed that late


class _FilterIgnoredError(Exception):
    """The portal has returned a task that was not asked for."""


class FinishedTasks:
    """The tasks in one of `statuses`, by the time of their last change; `key_field` holds the Camunda task id."""

    def __init__(self, client: BitrixClient, key_field: str, statuses: frozenset[int]) -> None:
        self._client = client
        self._key_field = key_field
        self._statuses = statuses
        self._has_warned = False

    def changes(self, since: Mark | None) -> Changes | None:
        """Return the changes; None if the portal cannot say.

        That is for too many, a clock that went back, a filter that it ignores. Raises an outcome when the portal cannot
        be asked.
        """
        try:
            return self._first_mark() if since is None else self._since(since)
        except _FilterIgnoredError as error:
            if not self._has_warned:
                write(TrackerBlind(str(error)))
            self._has_warned = True
            return None

    def _first_mark(self) -> Changes | None:
        answer = self._ask(_NEVER)
        self._finished(answer, _NEVER)  # a row is proof enough that the filter is ignored
        return Changes((), Mark(answer.asked_at)) if answer.asked_at is not None else None

    def _since(self, mark: Mark) -> Changes | None:
        earliest = mark.since(OVERLAP)
        first = self._ask(earliest)
        rows = self._finished(first, earliest)
        now, total = first.asked_at, first.total
        if now is None or now < earliest or total is None or total > MOST_ROWS:
            return None
        rows |= self._further_rows(earliest, total)
        if len(rows) < total:
            return None  # a task left the list while it was turned over, and another one slipped past
        return mark.advanced(rows, now, OVERLAP)

    def _ask(self, earliest: datetime) -> Answer:
        command = self._command(earliest, 0)
        return self._client.call(command.method, command.params)

    def _further_rows(self, earliest: datetime, total: int) -> set[Change]:
        rows: set[Change] = set()
        commands = [self._command(earliest, start) for start in range(PAGE, total, PAGE)]
        for outcome in self._client.batch(commands).outcomes:
            if isinstance(outcome, OutcomeError):
                raise outcome
            rows |= self._finished(outcome, earliest)
        return rows

    def _command(self, earliest: datetime, start: int) -> Command:
        params: dict[str, Any] = {
            "order": {"ID": "asc"},
            "filter": {">=CHANGED_DATE": earliest.isoformat(), "REAL_STATUS": sorted(self._statuses)},
            "select": ["ID", "STATUS", "CHANGED_DATE", self._key_field],
            "start": start,
        }
        return Command("tasks.task.list", params)

    def _finished(self, answer: Answer, earliest: datetime) -> set[Change]:
        """Return the changes without rows that cannot be read.

        Fewer than the portal counts mean a full sweep, which finds their tasks.
        """
        tasks = rows_in(answer.result, "tasks") or ()
        return {self._checked(task, earliest) for task in tasks if id_of(task) is not None}

    def _checked(self, task: Row, earliest: datetime) -> Change:
        changed, status = moment_of(task.get("changedDate")), number_of_status(task)
        if changed is None or changed < earliest or status not in self._statuses:
            raise _FilterIgnoredError(
                f"Bitrix24 told task {id_of(task)} of status {status}, changed {task.get('changedDate')}, when it "
                f"was asked for those changed since {earliest.isoformat()}"
            )
        return Change(id_of(task) or "", changed, key_of(task, self._key_field))
