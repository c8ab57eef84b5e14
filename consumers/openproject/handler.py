"""Handles `openproject.queue`: from the topic of a message to what is done in OpenProject."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from base_handler import BaseMessageHandler, HandlerOutcome
from consumers.openproject import kept, names
from consumers.openproject.client import OpenProjectClient
from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.custom import CustomValues
from consumers.openproject.directory import Directory
from consumers.openproject.errors import UpdateConflictError
from consumers.openproject.fields import Draft, WorkPackageFields
from consumers.openproject.lookup import KEYS_AT_ONCE, WorkPackageLookup
from consumers.openproject.names import CREATE_MILESTONE, CREATE_PROJECT, CREATE_TASK, SUPPORTED_TOPICS, UPDATE_TASK
from consumers.openproject.projects import Projects
from consumers.openproject.reading import number_of, page_of
from consumers.openproject.remembered import Remembered
from consumers.openproject.schemas import Schemas
from consumers.openproject.view import task_view
from consumers.openproject.workpackages import WorkPackages
from core.errors import AmbiguousError, OutageError, OutcomeError, PermanentError, TransientError
from core.inputs import Inputs
from core.messages import IncomingMessage
from core.request_figures import RequestFigures
from core.results import Accepted, Done, FoundTask, Result, with_warnings
from core.texts import Text
from core.traces import within
from toolkit.claims import KeyClaims, being_created, busy, come_back_later
from toolkit.http import Guard
from toolkit.json_client import Json

_CONFLICTS = 5  # times that an update is made anew because somebody else was quicker


@dataclass(slots=True)
class _Job:
    message: IncomingMessage
    draft: Draft

    @property
    def key(self) -> str:
        return self.message.task.task_id


class OpenProjectTaskHandler(BaseMessageHandler):
    """Creates work packages (followed by the tracker); updates, milestones and projects are finished at once."""

    settings_class = OpenProjectSettings
    batch_size = KEYS_AT_ONCE  # one question tells which of them exist
    # No unique constraint: of two workers at once both could look, find nothing and create.
    exclusive = True

    def __init__(self, settings: OpenProjectSettings, client: OpenProjectClient) -> None:
        super().__init__("openproject")
        self._client = client
        self._remembered = Remembered(settings.cache_ttl)
        self._directory = Directory(client, self._remembered)
        self._work_packages = WorkPackages(client)
        schemas = Schemas(client, self._remembered)
        zone = ZoneInfo(settings.timezone)
        custom = CustomValues(schemas, self._directory, self._remembered, zone, settings.key_field)
        self._fields = WorkPackageFields(settings, self._directory, schemas, custom, self._work_packages)
        self._projects = Projects(client, self._directory, schemas, custom, self._remembered)
        self._lookup = WorkPackageLookup(client)
        self._claims = KeyClaims()
        self._wait = settings.ambiguous_wait

    @classmethod
    def from_settings(cls, settings: OpenProjectSettings, stop: threading.Event) -> OpenProjectTaskHandler:
        """Build the handler. Raises NotConfiguredError when OPENPROJECT_URL is empty."""
        return cls(settings, OpenProjectClient(settings, stop))

    def handle(self, message: IncomingMessage) -> Result:
        [(_, outcome)] = self.handle_batch([message])
        if isinstance(outcome, OutcomeError):
            raise outcome
        return outcome

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        """Do new work packages together, then the rest one by one: an update may be about one of the same batch."""
        created = [message for message in messages if message.task.topic in (CREATE_TASK, CREATE_MILESTONE)]
        owned: set[str] = set()
        try:
            yield from self._create(created, owned)
        finally:
            self._claims.release(owned)
        for message in messages:
            if message not in created:
                try:
                    with within(message.trace):
                        outcome: HandlerOutcome = self._one(message)
                except OutcomeError as error:
                    outcome = error
                yield message, outcome

    def probe(self) -> None:
        """Check with one request that the server answers and takes the token."""
        self._directory.statuses(max_age=0.0)

    def find_task(self, task_id: str) -> FoundTask | None:
        found = self._lookup.anywhere(self._fields.keyed_projects(), task_id)
        if found is None:
            return None
        view = task_view(found, self._client)
        return FoundTask(view["id"], view["title"], view["status"], view["url"])

    def task_address(self, external_id: str, topic: str | None) -> str | None:
        return None if topic == CREATE_PROJECT else self._client.address_of(external_id)

    def get_stats(self) -> dict[str, Any]:
        return self._client.stats()

    def request_figures(self) -> Sequence[RequestFigures]:
        return self._client.figures

    # -- work packages --------------------------------------------------------------------------------------------

    def _create(
        self, messages: Sequence[IncomingMessage], owned: set[str]
    ) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        groups: defaultdict[tuple[int, str], list[_Job]] = defaultdict(list)
        for message in messages:
            key = message.task.task_id
            if not self._claims.take(key):
                yield message, busy(self._wait)
                continue
            owned.add(key)
            try:
                draft = self._fields.for_creation(message.task, milestone=message.task.topic == CREATE_MILESTONE)
            except OutcomeError as error:
                yield message, error
            else:
                groups[draft.project, draft.key_name].append(_Job(message, draft))
        for (project, key_name), jobs in groups.items():
            try:
                found = self._lookup.find(project, key_name, [job.key for job in jobs])
            except OutcomeError as error:
                yield from ((job.message, error) for job in jobs)  # nothing is created blindly
                continue
            down: OutageError | None = None
            for job in jobs:
                existing = found.get(job.key)
                if isinstance(existing, OutcomeError):
                    yield job.message, existing
                    continue
                with within(job.message.trace):
                    outcome = down or self._created(job, existing)
                down = outcome if isinstance(outcome, OutageError) else None
                yield job.message, outcome

    def _created(self, job: _Job, existing: Json | None) -> HandlerOutcome:
        if existing is not None:
            return self._result(job, existing, duplicate=True)
        # A request that nobody heard of any more may be running still: the server gets time to finish it.
        if job.message.redelivered:
            self._claims.doubt(job.key, self._wait)
            return being_created(self._wait)
        if self._claims.is_in_doubt(job.key):
            reason = Text(
                "OpenProject may be creating this task still, for another message of it",
                "Возможно, OpenProject ещё создаёт эту задачу по другому её сообщению",
            )
            return come_back_later(reason, "key_in_doubt", self._wait)
        try:
            path = f"projects/{job.draft.project}/work_packages"
            made = self._client.write("POST", path, job.draft.body, job.message.ensure_ours)
            if number_of(made) is None:
                without = Text(
                    "OpenProject's answer to the creation has no id", "OpenProject: в ответе на создание нет id"
                )
                raise AmbiguousError(without, code="bad_answer")
        except AmbiguousError as error:
            return self._looked_up(job, error)
        except OutcomeError as error:
            return error
        return self._result(job, made, duplicate=False)

    def _looked_up(self, job: _Job, doubt: AmbiguousError) -> HandlerOutcome:
        try:
            existing = self._lookup.find(job.draft.project, job.draft.key_name, [job.key]).get(job.key)
        except OutcomeError:
            existing = None  # it stays in doubt
        if existing is not None and not isinstance(existing, OutcomeError):
            return self._result(job, existing, duplicate=False)
        doubt.retry_after = self._wait
        self._claims.doubt(job.key, self._wait)
        return doubt

    def _result(self, job: _Job, work_package: Json, *, duplicate: bool) -> Result:
        number, draft = str(number_of(work_package)), job.draft
        warnings = list(draft.warnings)
        if work_package.get(draft.key_name) != job.key:
            # Fields that are not switched on for the type in the project are dropped without a word.
            warnings.append(
                Text(
                    f"OpenProject has not kept the key in {draft.key_name} of work package {number}",
                    f"OpenProject не сохранил ключ в поле {draft.key_name} рабочего пакета {number}",
                )
            )
        if not duplicate:  # in one that was found people may have changed everything
            warnings += kept.differences(draft.body, work_package, besides=draft.key_name)
        response = self._response(work_package, warnings)
        if job.message.task.topic == CREATE_MILESTONE:
            return Done(response, external_id=number, duplicate=duplicate)
        return Accepted(response, external_id=number, duplicate=duplicate)

    def _response(self, work_package: Json, warnings: Sequence[Text]) -> dict[str, Any]:
        return with_warnings({"result": {"task": task_view(work_package, self._client)}, "success": True}, warnings)

    # -- everything else ------------------------------------------------------------------------------------------

    def _one(self, message: IncomingMessage) -> Result:
        task = message.task
        if task.topic == UPDATE_TASK:
            return self._update(message)
        if task.topic == CREATE_PROJECT:
            return self._projects.create(message)
        known = ", ".join(SUPPORTED_TOPICS)
        reason = Text(
            f"OpenProject has no topic {task.topic!r}; supported are {known}",
            f"OpenProject: топика {task.topic!r} нет; есть {known}",
        )
        raise PermanentError(reason, code="unknown_topic")

    def _update(self, message: IncomingMessage) -> Done:
        inputs = Inputs(message.task)
        found = inputs.first(*names.TARGET)
        if found is None:
            reason = Text(
                "There is no work package to update: give its id (42, #42, PROJ-42) in work_package_id",
                "Не сказано, какой рабочий пакет изменить: укажите его id (42, #42, PROJ-42) в work_package_id",
            )
            raise PermanentError(reason, code="task_not_found")
        work_package = self._work_packages.named(*found)
        number = number_of(work_package) or 0
        comment = inputs.text(*names.COMMENT)
        changed, warnings = self._patched(message, number, work_package, is_optional=comment is not None)
        if comment is not None:
            is_there = message.may_have_been_begun and self._has_comment(number, comment)
            if not is_there:
                self._comment(number, comment, message.ensure_ours)
        return Done(self._response(changed, warnings), external_id=str(number))

    def _patched(
        self, message: IncomingMessage, number: int, current: Json, *, is_optional: bool
    ) -> tuple[Json, list[Text]]:
        for _ in range(_CONFLICTS):
            try:
                change = self._fields.for_update(message.task, current, number)
                if not change.body:
                    if is_optional:
                        return current, change.warnings
                    nothing = Text(
                        "The message names no field to update and no comment",
                        "В сообщении нет ни полей для изменения, ни комментария",
                    )
                    raise PermanentError(nothing, code="nothing_to_update")
                # Repeating an update changes nothing, so a doubtful one is simply done again.
                body = {**change.body, "lockVersion": current.get("lockVersion")}
                made = self._client.write("PATCH", f"work_packages/{number}", body, message.ensure_ours)
            except UpdateConflictError:
                current = self._work_packages.read(number)
                continue
            if number_of(made) is None:
                without = Text(
                    "OpenProject's answer to the update has no id", "OpenProject: в ответе на изменение нет id"
                )
                raise TransientError(without, code="bad_answer")
            return made, change.warnings + kept.differences(change.body, made)
        conflict = Text(
            f"Work package {number} is being changed by somebody else",
            f"Рабочий пакет {number} сейчас меняет кто-то другой",
        )
        raise TransientError(conflict, code="UpdateConflict")

    def _comment(self, number: int, text: str, guard: Guard) -> None:
        self._client.write("POST", f"work_packages/{number}/activities", {"comment": {"raw": text}}, guard)

    def _has_comment(self, number: int, text: str) -> bool:
        path = f"work_packages/{number}/activities"
        activities = page_of(self._client.get(path), f"GET {path}").rows
        return any(_raw(each.get("comment")) == text for each in activities)


def _raw(comment: Any) -> Any:
    return comment.get("raw") if isinstance(comment, dict) else None
