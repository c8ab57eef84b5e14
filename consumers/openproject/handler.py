"""Handler of `openproject.queue`: from the topic of a message to what is done in OpenProject."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from base_handler import BaseMessageHandler, HandlerOutcome
from consumers.openproject.client import OpenProjectClient, elements_of, id_of
from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.directory import Directory
from consumers.openproject.errors import NotFoundError, UpdateConflictError
from consumers.openproject.fields import Draft, WorkPackageFields
from consumers.openproject.lookup import KEYS_AT_ONCE, WorkPackageLookup
from consumers.openproject.view import task_view
from core import values
from core.errors import AmbiguousError, OutageError, OutcomeError, PermanentError, TransientError
from core.inputs import Inputs, activity_name
from core.messages import IncomingMessage
from core.results import Accepted, Done, Result
from runtime.claims import KeyClaims, again, busy
from runtime.http import Guard
from runtime.json_client import Json

CREATE_PROJECT = "op_create_project"
CREATE_TASK = "op_create_task"
UPDATE_TASK = "op_update_task"
CREATE_MILESTONE = "op_create_milestone"
SUPPORTED_TOPICS = (CREATE_PROJECT, CREATE_TASK, UPDATE_TASK, CREATE_MILESTONE)

_IDENTIFIER = re.compile(r"(?![0-9]+$)[a-z0-9_-]{1,100}")  # docs/api/endpoints/projects
_CONFLICTS = 5  # times that an update is made anew because somebody else was quicker
_NAME_LIMIT = 255  # characters


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
        self._directory = Directory(client, settings.cache_ttl)
        self._fields = WorkPackageFields(settings, self._directory)
        self._lookup = WorkPackageLookup(client)
        self._claims = KeyClaims()
        self._wait = settings.ambiguous_wait

    @classmethod
    def from_settings(cls, settings: OpenProjectSettings, stop: threading.Event) -> OpenProjectTaskHandler:
        """Raises NotConfiguredError when OPENPROJECT_URL is empty."""
        return cls(settings, OpenProjectClient(settings, stop))

    def handle(self, message: IncomingMessage) -> Result:
        [(_, outcome)] = self.handle_batch([message])
        if isinstance(outcome, OutcomeError):
            raise outcome
        return outcome

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        """New work packages together, then the rest one by one: an update may be about one of the same batch."""
        created = [message for message in messages if message.task.topic in (CREATE_TASK, CREATE_MILESTONE)]
        owned: set[str] = set()
        try:
            yield from self._create(created, owned)
        finally:
            self._claims.release(owned)
        for message in messages:
            if message not in created:
                try:
                    outcome: HandlerOutcome = self._one(message)
                except OutcomeError as error:
                    outcome = error
                yield message, outcome

    def probe(self) -> None:
        """One request: the server answers and takes the token."""
        self._directory.statuses(max_age=0.0)

    def get_stats(self) -> dict[str, Any]:
        return self._client.stats()

    def _get_original_queue_name(self) -> str:
        return "openproject.queue"

    # -- work packages --------------------------------------------------------------------------------------------

    def _create(
        self, messages: Sequence[IncomingMessage], owned: set[str]
    ) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        groups: defaultdict[tuple[int, str], list[_Job]] = defaultdict(list)
        for message in messages:
            key = message.task.task_id
            if not self._claims.take(key):
                yield message, busy("task", self._wait)
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
                outcome = down or self._created(job, found.get(job.key))
                down = outcome if isinstance(outcome, OutageError) else None
                yield job.message, outcome

    def _created(self, job: _Job, existing: Json | None) -> HandlerOutcome:
        if existing is not None:
            return self._result(job, existing, duplicate=True)
        # A request that nobody heard of any more may be running still: the server gets time to finish it.
        if job.message.redelivered:
            self._claims.doubt(job.key, self._wait)
            return again("An earlier worker may be creating this task still", "redelivered", self._wait)
        if self._claims.is_in_doubt(job.key):
            reason = "OpenProject may be creating this task still, for another message of it"
            return again(reason, "key_in_doubt", self._wait)
        try:
            path = f"projects/{job.draft.project}/work_packages"
            made = self._client.write("POST", path, job.draft.body, job.message.ensure_ours)
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
        if existing is not None:
            return self._result(job, existing, duplicate=False)
        doubt.retry_after = self._wait
        self._claims.doubt(job.key, self._wait)
        return doubt

    def _result(self, job: _Job, work_package: Json, *, duplicate: bool) -> Result:
        response: dict[str, Any] = {"result": {"task": task_view(work_package, self._client)}, "success": True}
        number = str(work_package.get("id"))
        if work_package.get(job.draft.key_name) != job.key:
            # Fields that are not switched on for the type in the project are dropped without a word.
            response["warnings"] = [
                f"OpenProject has not kept the key in {job.draft.key_name} of work package {number}"
            ]
        if job.message.task.topic == CREATE_MILESTONE:
            return Done(response, external_id=number, duplicate=duplicate)
        return Accepted(response, external_id=number, duplicate=duplicate)

    # -- everything else ------------------------------------------------------------------------------------------

    def _one(self, message: IncomingMessage) -> Result:
        task = message.task
        if task.topic == UPDATE_TASK:
            return self._update(message)
        if task.topic == CREATE_PROJECT:
            return self._create_project(message)
        raise PermanentError(
            f"OpenProject has no topic {task.topic!r}; supported are {', '.join(SUPPORTED_TOPICS)}",
            code="unknown_topic",
        )

    def _update(self, message: IncomingMessage) -> Done:
        found = Inputs(message.task).first("work_package_id", "workPackageId", "op_task_id", "task_id", "taskId", "id")
        number = values.as_identifier(found[1]) if found else None
        if number is None:
            raise PermanentError(
                "There is no work package to update: give its id in work_package_id", code="task_not_found"
            )
        comment = Inputs(message.task).text("comment", "notes")
        changed = self._patched(message, number, is_optional=comment is not None)
        if comment is not None:
            is_there = message.may_have_been_begun and self._has_comment(number, comment)
            if not is_there:
                self._comment(number, comment, message.ensure_ours)
        return Done({"result": {"task": task_view(changed, self._client)}, "success": True}, external_id=str(number))

    def _patched(self, message: IncomingMessage, number: int, *, is_optional: bool) -> Json:
        for _ in range(_CONFLICTS):
            current = self._client.get(f"work_packages/{number}")
            project, kind = (id_of(current.get("_links"), name) for name in ("project", "type"))
            body = self._fields.for_update(message.task, current, project or 0, kind or 0)
            if not body:
                if is_optional:
                    return current
                raise PermanentError("The message names no field to update and no comment", code="nothing_to_update")
            try:
                # Repeating an update changes nothing, so a doubtful one is simply done again.
                body["lockVersion"] = current["lockVersion"]
                return self._client.write("PATCH", f"work_packages/{number}", body, message.ensure_ours)
            except UpdateConflictError:
                continue
        raise TransientError(f"Work package {number} is being changed by somebody else", code="UpdateConflict")

    def _comment(self, number: int, text: str, guard: Guard) -> None:
        self._client.write("POST", f"work_packages/{number}/activities", {"comment": {"raw": text}}, guard)

    def _has_comment(self, number: int, text: str) -> bool:
        activities = elements_of(self._client.get(f"work_packages/{number}/activities"))
        return any(_raw(each.get("comment")) == text for each in activities)

    def _create_project(self, message: IncomingMessage) -> Done:
        """The identifier is the key: the server refuses a second project with it."""
        task = message.task
        inputs = Inputs(task)
        name = values.cut(
            inputs.text("name", "project_name", "title") or activity_name(task) or f"Camunda {task.task_id}",
            _NAME_LIMIT,
        )
        given = inputs.text("identifier", "project_identifier")
        if given is not None and not _IDENTIFIER.fullmatch(given):
            raise values.BadValueError("identifier", given, "1 to 100 of a-z, 0-9, - and _, and no number")
        identifier = given or _derived_identifier(task.task_id)
        existing = self._project(identifier)
        if existing is None:
            body: Json = {"name": name, "identifier": identifier}
            if description := inputs.text("description"):
                body["description"] = {"format": "markdown", "raw": description}
            if (parent := inputs.first("parent", "parent_id", "parentId")) is not None:
                body["_links"] = {"parent": {"href": f"/api/v3/projects/{self._directory.project(parent[1])}"}}
            try:
                made = self._client.write("POST", "projects", body, message.ensure_ours)
                return _project_result(made, duplicate=False)
            except (AmbiguousError, PermanentError):
                # Executed after all, or another message of the same task was quicker.
                existing = self._project(identifier)
                if existing is None:
                    raise
        if given and str(existing.get("name")) != name:
            raise PermanentError(
                f"identifier: {given!r} is taken by the project {existing.get('name')!r}", code="identifier_taken"
            )
        return _project_result(existing, duplicate=True)

    def _project(self, identifier: str) -> Json | None:
        try:
            return self._client.get(f"projects/{identifier}")
        except NotFoundError:
            return None


def _project_result(project: Json, *, duplicate: bool) -> Done:
    number = str(project.get("id"))
    view = {"id": number, "title": project.get("name"), "identifier": project.get("identifier")}
    return Done({"result": {"task": view}, "success": True}, external_id=number, duplicate=duplicate)


def _derived_identifier(task_id: str) -> str:
    return f"camunda-{hashlib.sha256(task_id.encode()).hexdigest()[:24]}"


def _raw(comment: Any) -> str | None:
    return comment.get("raw") if isinstance(comment, dict) else None
