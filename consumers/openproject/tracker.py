"""Tracker of `openproject.sent.queue`: which work packages have people closed, and how."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from base_tracker import BaseTracker, Changes
from consumers.openproject.changes import ClosedWorkPackages
from consumers.openproject.client import OpenProjectClient, filters, id_of
from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.directory import Directory
from consumers.openproject.errors import InvalidQueryError, NotFoundError
from consumers.openproject.view import task_view
from core.messages import TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from runtime.json_client import Json
from runtime.unseen import UnseenTasks


class OpenProjectTaskTracker(BaseTracker):
    """Asks which of 250 work packages are closed with one request; those that are come back whole."""

    settings_class = OpenProjectSettings
    chunk_size = 2500

    def __init__(self, settings: OpenProjectSettings, client: OpenProjectClient) -> None:
        super().__init__("openproject")
        self._client = client
        self._id_chunk = settings.id_chunk
        self._answers = {name.casefold(): text for name, text in settings.answers.items()}
        self._directory = Directory(client, settings.cache_ttl)
        self._closed = ClosedWorkPackages(client)
        self._unseen = UnseenTasks("OpenProject", "give the token's user a role in the projects again")

    @classmethod
    def from_settings(cls, settings: OpenProjectSettings, stop: threading.Event) -> OpenProjectTaskTracker:
        """Raises NotConfiguredError when OPENPROJECT_URL is empty."""
        return cls(settings, OpenProjectClient(settings, stop))

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        self._unseen.begin()
        numbers = sorted({number for task in tasks if (number := _number(task.external_id)) is not None})
        closed: dict[int, Json] = {}
        missing: set[int] = set()
        for start in range(0, len(numbers), self._id_chunk):
            self._look(numbers[start : start + self._id_chunk], closed, missing)
        self._unseen.refuse_blindness(len(numbers), len(numbers) - len(missing))
        return [self._verdict(task, closed, missing) for task in tasks]

    def changes(self, since: Any) -> Changes | None:
        return self._closed.changes(since)

    def get_stats(self) -> dict[str, Any]:
        return {**self._client.stats(), "unseen": len(self._unseen)}

    def _look(self, numbers: Sequence[int], closed: dict[int, Json], missing: set[int]) -> None:
        """One id that the server does not show makes it refuse the whole question: halves are asked then."""
        condition = filters(id=("=", [str(number) for number in numbers]), status=("c", []))
        try:
            rows = list(self._client.elements("work_packages", filters=condition, sortBy=[["id", "asc"]]))
        except InvalidQueryError:
            if len(numbers) > 1:
                middle = len(numbers) // 2
                self._look(numbers[:middle], closed, missing)
                self._look(numbers[middle:], closed, missing)
            else:
                self._look_at(numbers[0], closed, missing)
            return
        wanted = set(numbers)
        closed.update({int(row["id"]): row for row in rows if int(row["id"]) in wanted and self._is_closed(row)})

    def _look_at(self, number: int, closed: dict[int, Json], missing: set[int]) -> None:
        try:
            row = self._client.get(f"work_packages/{number}")
        except NotFoundError:
            missing.add(number)
            return
        if self._is_closed(row):
            closed[number] = row

    def _is_closed(self, row: Json) -> bool:
        status = id_of(row.get("_links"), "status")
        return status is not None and self._directory.is_closed(status)

    def _verdict(self, task: TrackedTask, closed: Mapping[int, Json], missing: set[int]) -> Verdict:
        number = _number(task.external_id)
        if number is None:
            return Rejected(f"The sent message names no work package but {task.external_id!r}", code="no_external_id")
        if number in missing:
            return self._unseen.verdict(task.task_id, f"work package {number}")
        self._unseen.seen(task.task_id)
        if (row := closed.get(number)) is None:
            return Pending()
        return Completed({"result": {"task": self._with_answer(task_view(row, self._client))}})

    def _with_answer(self, task: dict[str, Any]) -> dict[str, Any]:
        """The status as an answer, in the form in which Camunda's side reads one (docs/contract.md, Response)."""
        for name in (str(task.get("status") or ""), str(task.get("statusId") or "")):
            if (text := self._answers.get(name.casefold())) is not None:
                return {**task, "ufResultExpected": "1", "ufResultAnswer_text": text}
        return task


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 19 else None
