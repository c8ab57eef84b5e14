"""Tracks `1c.sent.queue`: which tasks, processes and documents have people finished, and how."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from base_tracker import BaseTracker, Changes
from consumers.onec.changes import FinishedObjects
from consumers.onec.client import Json, OneCClient, rows_of
from consumers.onec.completion import Completion, completion_of
from consumers.onec.config import OneCSettings
from consumers.onec.errors import NAME
from consumers.onec.literals import ObjectRef, any_of, as_guid, guid, object_ref
from consumers.onec.mapping import usual_finish
from consumers.onec.metadata import ODataMetadata
from consumers.onec.view import task_view
from core import values
from core.errors import ConfigurationError, PermanentError
from core.events.base import write
from core.events.systems import TrackingFailed
from core.messages import TrackedTask
from core.request_figures import RequestFigures
from core.results import Completed, Pending, Rejected, Verdict
from core.texts import Text
from toolkit.missing_tasks import UnseenTasks

_Answer = TypeVar("_Answer")


class OneCTracker(BaseTracker):
    """Tracks objects: asks about ONEC_KEYS_PER_QUERY with one request; those that are finished come back whole."""

    settings_class = OneCSettings
    chunk_size = 2500

    def __init__(self, settings: OneCSettings, client: OneCClient) -> None:
        super().__init__("1c")
        self._client = client
        self._keys_per_query = settings.keys_per_query
        zone = ZoneInfo(settings.timezone)
        mapping = settings.mapping()
        self._finishes = mapping.tracked()
        self._publication = ODataMetadata(client, mapping.entities, settings.metadata_ttl)
        self._finished = FinishedObjects(client, settings.page_size, lambda: datetime.now(zone).replace(tzinfo=None))
        advice = Text(
            "give the rights to the infobase user of ONEC_USERNAME again",
            "верните права пользователю базы из ONEC_USERNAME",
        )
        self._unseen = UnseenTasks(NAME, advice)
        self._unclear: set[ObjectRef] = set()  # may stand in rows that this check could not read

    @classmethod
    def from_settings(cls, settings: OneCSettings, stop: threading.Event) -> OneCTracker:
        """Build the tracker. Raises NotConfiguredError when ONEC_URL is empty."""
        return cls(settings, OneCClient(settings, stop))

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        self._unseen.begin()
        self._unclear = set()
        refs = [object_ref(task.external_id) for task in tasks]
        keys: defaultdict[str, set[str]] = defaultdict(set)
        for ref in refs:
            if ref is not None:
                keys[ref.entity].add(ref.key)
        states: dict[ObjectRef, Json] = {}
        completions: dict[str, Completion] = {}
        mistakes: dict[str, ConfigurationError] = {}
        for entity, wanted in keys.items():
            try:
                completions[entity] = self._completion(entity)
                # A kind of object that neither mapping nor 1C knows (any more) is one that is not seen.
                if entity in self._finishes or entity in self._publication.current().entities:
                    states |= self._looked_at(completions[entity], sorted(wanted))
                else:
                    self._unseen.require_some_seen(len(wanted), 0)
            except ConfigurationError as error:
                mistakes[entity] = error
        self._tell(mistakes, keys)
        return [
            Pending() if ref is not None and ref.entity in mistakes else self._verdict(task, ref, states, completions)
            for task, ref in zip(tasks, refs, strict=True)
        ]

    def changes(self, since: Any) -> Changes | None:
        if not self._finishes:
            return None
        completions: dict[str, Completion] = {}
        for entity in self._finishes:
            # One that 1C does not offer is found by the next full sweep, which tells it; the others are asked for.
            with contextlib.suppress(ConfigurationError):
                completions[entity] = self._completion(entity)
        return _asked(lambda: self._finished.changes(since, completions))

    def get_stats(self) -> dict[str, Any]:
        return {**self._client.stats(), "unseen": len(self._unseen)}

    def request_figures(self) -> Sequence[RequestFigures]:
        return self._client.figures

    def _tell(self, mistakes: Mapping[str, ConfigurationError], asked: Collection[str]) -> None:
        """Report kinds of objects that cannot be asked about.

        One of them holds up its own tasks only; raises when there is no other.
        """
        for entity, error in mistakes.items():
            if len(mistakes) == len(asked):
                raise error
            write(TrackingFailed(self.system_name, f"tasks of {entity} wait, the others are tracked: {error}"))

    def _completion(self, entity: str) -> Completion:
        mapped = entity in self._finishes
        finish = self._finishes.get(entity) or usual_finish(entity)
        return self._publication.consulted(lambda known: completion_of(entity, finish, known, mapped=mapped))

    def _looked_at(self, completion: Completion, keys: Sequence[str]) -> dict[ObjectRef, Json]:
        """Return what 1C shows of them; what is finished whole."""
        rows = self._rows(completion, keys, select=completion.select)
        unclear = sum(each.entity == completion.entity for each in self._unclear)
        self._unseen.require_some_seen(len(keys) - unclear, len(rows))
        finished = [key for key, row in rows.items() if completion.state(row) in {"done", "failed"}]
        # Whole, and judged once more by what it is now: somebody may have opened it again in between.
        rows |= self._rows(completion, finished, select=None)
        return {ObjectRef(completion.entity, key): row for key, row in rows.items()}

    def _rows(self, completion: Completion, keys: Sequence[str], *, select: str | None) -> dict[str, Json]:
        found: dict[str, Json] = {}
        options = {} if select is None else {"select": select}
        for portion in self._portions(keys):
            condition = any_of(f"Ref_Key eq {guid(key)}" for key in portion)
            page = _asked(partial(self._client.query, completion.entity, filter=condition, allowed_only=1, **options))
            readable = [(key, row) for row in rows_of(page) if (key := as_guid(row.get("Ref_Key"))) is not None]
            rows = dict(readable)
            if len(readable) < len(page["value"]):
                self._note_unclear(completion.entity, set(portion) - rows.keys(), len(page["value"]) - len(readable))
            if not rows.keys() <= set(portion):
                reason = Text(
                    f"1C ignores the filter by Ref_Key of {completion.entity}: objects cannot be recognised",
                    f"1С не учитывает фильтр по Ref_Key у {completion.entity}: объекты нельзя узнать",
                )
                raise ConfigurationError(reason, code="key_filter")
            found |= rows
        return found

    def _note_unclear(self, entity: str, keys: Collection[str], count: int) -> None:
        """Note a row that nobody can read. It may be that of any of these: none of them is called deleted for it."""
        self._unclear |= {ObjectRef(entity, key) for key in keys}
        text = f"1C has told {count} rows of {entity} that name no object; their tasks wait"
        write(TrackingFailed(self.system_name, text))

    def _portions(self, keys: Sequence[str]) -> Iterator[Sequence[str]]:
        for start in range(0, len(keys), self._keys_per_query):
            yield keys[start : start + self._keys_per_query]

    def _verdict(
        self,
        task: TrackedTask,
        ref: ObjectRef | None,
        states: Mapping[ObjectRef, Json],
        completions: Mapping[str, Completion],
    ) -> Verdict:
        if ref is None:
            reason = Text(
                f"The sent message names no object of 1C but {task.external_id!r}",
                f"В отправленном сообщении вместо объекта 1С указано {task.external_id!r}",
            )
            return Rejected(reason, code="no_external_id")
        row = states.get(ref)
        if ref in self._unclear:
            return Pending()
        completion = completions[ref.entity]
        state = completion.state(row) if row is not None else "deleted"
        if row is None or state == "deleted":
            return self._unseen.verdict(task.task_id, str(ref))
        self._unseen.seen(task.task_id)
        if state == "open":
            return Pending()
        view = task_view(ref, row, completion.finish)
        if state == "failed":
            status = repr(view["status"])
            reason = Text(f"{ref} ended as {status} in 1C", f"{ref}: в 1С завершено со статусом {status}")
            return Rejected(reason, code="task_failed")
        return Completed({"result": {"task": _with_answer(view, completion)}})


def _with_answer(view: dict[str, Any], completion: Completion) -> dict[str, Any]:
    """Return the view with the result or status as an answer.

    In the form in which Camunda's side reads one (docs/contract.md, Response).
    """
    answers = {name.casefold(): text for name, text in completion.finish.answers.items()}
    for given in (view.get("onec_result"), view["status"]):
        if given is not None and (text := answers.get(values.text(given).casefold())) is not None:
            return {**view, "ufResultExpected": "1", "ufResultAnswer_text": text}
    return view


def _asked(question: Callable[[], _Answer]) -> _Answer:
    """Ask a question. One that 1C finds wrong is the mapping's fault: no task is given up for it."""
    try:
        return question()
    except PermanentError as error:
        raise ConfigurationError(error.text, code=error.code) from None
