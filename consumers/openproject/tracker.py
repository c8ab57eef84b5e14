"""Tracks `openproject.sent.queue`: which work packages have people closed, and how."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from base_tracker import BaseTracker, ChangedTask, Changes
from consumers.openproject.changes import ClosedWorkPackages
from consumers.openproject.client import OpenProjectClient, filters
from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.directory import Directory
from consumers.openproject.errors import NotFoundError
from consumers.openproject.keys import TaskKeys
from consumers.openproject.reading import linked_number, number_of
from consumers.openproject.remembered import Remembered
from consumers.openproject.schemas import Schemas
from consumers.openproject.view import task_view
from consumers.openproject.workpackages import number_in
from core.errors import OutageError, PermanentError
from core.messages import TrackedTask
from core.request_figures import RequestFigures
from core.results import Completed, Pending, Rejected, Verdict
from core.texts import Text
from toolkit.json_client import Json
from toolkit.missing_tasks import UnseenTasks


@dataclass(slots=True)
class _Look:
    """The result of one check; what is in none of these is open."""

    closed: dict[int, Json] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)


class OpenProjectTaskTracker(BaseTracker):
    """Tracks work packages: asks which of 250 are closed with one request; those that are come back whole."""

    settings_class = OpenProjectSettings
    chunk_size = 2500

    def __init__(self, settings: OpenProjectSettings, client: OpenProjectClient) -> None:
        super().__init__("openproject")
        self._client = client
        self._id_chunk = settings.id_chunk
        self._answers = {name.casefold(): text for name, text in settings.answers.items()}
        remembered = Remembered(settings.cache_ttl)
        self._directory = Directory(client, remembered)
        self._keys = TaskKeys(Schemas(client, remembered), settings.key_field)
        self._closed = ClosedWorkPackages(client, self._keys)
        advice = Text(
            "give the token's user a role in the projects again", "верните пользователю маркера роль в проектах"
        )
        self._unseen = UnseenTasks("OpenProject", advice)
        self._unreadable = UnseenTasks("OpenProject", Text.of(""))

    @classmethod
    def from_settings(cls, settings: OpenProjectSettings, stop: threading.Event) -> OpenProjectTaskTracker:
        """Build the tracker. Raises NotConfiguredError when OPENPROJECT_URL is empty."""
        return cls(settings, OpenProjectClient(settings, stop))

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        try:
            return self._checked(tasks)
        except PermanentError as error:  # no message is to blame, and the next sweep asks again
            raise OutageError(error.text, code=error.code) from error

    def _checked(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        self._unseen.begin()
        self._unreadable.begin()
        numbers = sorted({number for task in tasks if (number := _number(task.external_id)) is not None})
        look = self._looked_at(numbers)
        self._unseen.require_some_seen(len(numbers), len(numbers) - len(look.missing))
        if look.unreadable and len(look.unreadable) == len(numbers):
            reason = Text(
                "OpenProject's answers about work packages cannot be read",
                "OpenProject: ответы о рабочих пакетах не читаются",
            )
            raise OutageError(reason, code="bad_answer")
        return [self._verdict(task, look) for task in tasks]

    def changes(self, since: Any) -> Changes | None:
        try:
            return self._closed.changes(since)
        except PermanentError:  # a filter that this server does not know: every task is looked at
            return None

    def finished_among(self, external_ids: Sequence[str]) -> Sequence[ChangedTask]:
        """Return those that are closed, with their keys.

        A server tells of all its projects. An id that the token's user may not see costs some more questions.
        """
        look = self._looked_at(sorted({number for each in external_ids if (number := _number(each)) is not None}))
        return [ChangedTask(str(number), self._keys.of(row)) for number, row in look.closed.items()]

    def get_stats(self) -> dict[str, Any]:
        return {**self._client.stats(), "unseen": len(self._unseen), "unreadable": len(self._unreadable)}

    def request_figures(self) -> Sequence[RequestFigures]:
        return self._client.figures

    def _looked_at(self, numbers: Sequence[int]) -> _Look:
        look = _Look()
        for start in range(0, len(numbers), self._id_chunk):
            self._look(numbers[start : start + self._id_chunk], look)
        return look

    def _look(self, numbers: Sequence[int], look: _Look) -> None:
        """Find the closed ones and missing ones of `numbers`.

        One id that the server does not show makes it refuse the whole question, and a row that cannot be read may be
        about any of them: halves are asked then.
        """
        condition = filters(id=("=", [str(number) for number in numbers]), status=("c", []))
        rows: list[Json] = []
        unreadable = 0
        try:
            for page in self._client.pages("work_packages", filters=condition, sortBy=[["id", "asc"]]):
                rows += page.rows
                unreadable += page.unreadable
        except PermanentError:
            if len(numbers) == 1:
                self._look_at(numbers[0], look)
            else:
                self._look_at_halves(numbers, look)
            return
        unreadable += sum(number_of(row) is None for row in rows)
        if unreadable and len(numbers) > 1:
            self._look_at_halves(numbers, look)
            return
        if unreadable:
            look.unreadable.add(numbers[0])
        wanted = set(numbers)
        for row in rows:
            if (number := number_of(row)) is not None and number in wanted:
                self._note(number, row, look)

    def _look_at_halves(self, numbers: Sequence[int], look: _Look) -> None:
        middle = len(numbers) // 2
        self._look(numbers[:middle], look)
        self._look(numbers[middle:], look)

    def _look_at(self, number: int, look: _Look) -> None:
        try:
            row = self._client.get(f"work_packages/{number}")
        except NotFoundError:
            look.missing.add(number)
            return
        except PermanentError:
            look.unreadable.add(number)
            return
        self._note(number, row, look)

    def _note(self, number: int, row: Json, look: _Look) -> None:
        status = linked_number(row.get("_links"), "status")
        is_closed = None if status is None else self._directory.is_closed(status)
        if is_closed is None:
            look.unreadable.add(number)
        elif is_closed:
            look.closed[number] = row

    def _verdict(self, task: TrackedTask, look: _Look) -> Verdict:
        number = _number(task.external_id)
        if number is None:
            reason = Text(
                f"The sent message names no work package but {task.external_id!r}",
                f"В отправленном сообщении вместо рабочего пакета указано {task.external_id!r}",
            )
            return Rejected(reason, code="no_external_id")
        name = Text(f"work package {number}", f"рабочий пакет {number}")
        if number in look.missing:
            return self._unseen.verdict(task.task_id, name)
        self._unseen.seen(task.task_id)
        if number in look.unreadable:
            verdict = self._unreadable.verdict(task.task_id, name)
            reason = Text(
                f"OpenProject says nothing readable about the status of work package {number}",
                f"OpenProject: статус рабочего пакета {number} прочитать нельзя",
            )
            return Rejected(reason, code="task_unreadable") if isinstance(verdict, Rejected) else verdict
        self._unreadable.seen(task.task_id)
        if (row := look.closed.get(number)) is None:
            return Pending()
        return Completed({"result": {"task": self._with_answer(task_view(row, self._client))}})

    def _with_answer(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return the view with the status as an answer.

        In the form in which Camunda's side reads one (docs/contract.md, Response).
        """
        for name in (str(task.get("status") or ""), str(task.get("statusId") or "")):
            if (text := self._answers.get(name.casefold())) is not None:
                return {**task, "ufResultExpected": "1", "ufResultAnswer_text": text}
        return task


def _number(text: str | None) -> int | None:
    return None if text is None else number_in(text)
