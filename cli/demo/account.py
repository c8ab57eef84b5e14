"""Counts for the demo what became of every message, by task id, from the queues and the outside systems alone. Pure."""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from cli.demo.scenario import IN_ERROR_QUEUE, Kind, Outside, Sample
from core.texts import Text
from sandbox.camunda import StoredMessage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is counted. The queues' messages are those found there at the end."""

    published: Sequence[Sample]
    outside: Outside
    responses: Sequence[StoredMessage]
    errors: Sequence[StoredMessage]


@dataclass(frozen=True, slots=True)
class Row:
    """One task (or the message that is none): how often it was sent, its ids outside, its responses and errors.

    `expected_answer` is what the person said there, `answers` what the responses say to Camunda.
    """

    kind: Kind
    key: str
    title: str
    copies: int
    ids: list[str]
    answers: list[str | None]
    errors: list[Text]
    expected_answer: str | None

    @classmethod
    def unsent(cls, sample: Sample) -> Row:
        return cls(sample.kind, sample.key, sample.title, 0, [], [], [], None)

    @property
    def is_lost(self) -> bool:
        return not self.answers and not self.errors

    @property
    def is_created_twice(self) -> bool:
        return len(self.ids) > 1

    @property
    def is_answered_twice(self) -> bool:
        return len(self.answers) + len(self.errors) > 1

    @property
    def is_surprising(self) -> bool:
        """Whether it ended, but not as it should have: in the wrong queue, without its task, or with a wrong answer."""
        if self.is_lost:
            return False
        if self.kind in IN_ERROR_QUEUE:
            return bool(self.answers or self.ids)
        return not self.answers or not self.ids or self.answers[0] != self.expected_answer


@dataclass(frozen=True, slots=True)
class Account:
    """The rows in the order of publishing, and the sums that the summary shows."""

    rows: list[Row] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(row.copies for row in self.rows)

    @property
    def created(self) -> int:
        return sum(len(row.ids) for row in self.rows if row.kind == "task")

    @property
    def instant(self) -> int:
        return sum(len(row.ids) for row in self.rows if row.kind == "instant")

    @property
    def updated(self) -> int:
        return sum(len(row.ids) for row in self.rows if row.kind == "update")

    @property
    def duplicates_avoided(self) -> int:
        return sum(row.copies - 1 for row in self.rows if len(row.ids) == 1)

    @property
    def completed(self) -> int:
        return sum(1 for row in self.rows if row.answers)

    @property
    def given_answers(self) -> dict[str, int]:
        return dict(Counter(row.answers[0] for row in self.rows if row.answers and row.answers[0] is not None))

    @property
    def in_error_queue(self) -> list[Row]:
        return [row for row in self.rows if row.errors]

    @property
    def lost(self) -> list[Row]:
        return [row for row in self.rows if row.is_lost]

    @property
    def faults(self) -> list[Row]:
        """The rows that must not happen, losses apart."""
        return [row for row in self.rows if row.is_created_twice or row.is_answered_twice or row.is_surprising]

    @property
    def is_perfect(self) -> bool:
        return not self.lost and not self.faults

    def as_json(self) -> dict[str, Any]:
        """Return the sums, and the rows from which anybody can count them again."""
        return {
            "sent": self.sent,
            "created": self.created,
            "instant": self.instant,
            "updated": self.updated,
            "duplicates_avoided": self.duplicates_avoided,
            "completed": self.completed,
            "answers": self.given_answers,
            "in_error_queue": [{"key": row.key, "reason": row.errors[0].en} for row in self.in_error_queue],
            "lost": len(self.lost),
            "created_twice": sum(row.is_created_twice for row in self.rows),
            "answered_twice": sum(row.is_answered_twice for row in self.rows),
            "surprising": sum(row.is_surprising for row in self.rows),
            "rows": [{**asdict(row), "errors": [each.en for each in row.errors]} for row in self.rows],
        }


def make_account(evidence: Evidence) -> Account:
    answers = _by_key(evidence.responses, _answer)
    errors = _by_key(evidence.errors, _error_of(evidence.published))
    copies = Counter(sample.key for sample in evidence.published)
    # A duplicate may be the first of the two to come.
    kinds = {sample.key: sample.kind for sample in evidence.published if sample.kind != "duplicate"}
    rows: dict[str, Row] = {}
    for sample in evidence.published:
        if sample.key not in rows:
            rows[sample.key] = Row(
                kinds.get(sample.key, "task"),
                sample.key,
                sample.title,
                copies[sample.key],
                list(evidence.outside.objects.get(sample.key, ())),
                answers[sample.key],
                errors[sample.key],
                evidence.outside.answers.get(sample.key),
            )
    return Account(list(rows.values()))


def _by_key(
    messages: Iterable[StoredMessage], read: Callable[[dict[str, Any]], tuple[str, _T]]
) -> defaultdict[str, list[_T]]:
    found: defaultdict[str, list[_T]] = defaultdict(list)
    for message in messages:
        key, value = read(json.loads(message.body))
        found[key].append(value)
    return found


def _answer(response: dict[str, Any]) -> tuple[str, str | None]:
    key = response["original_message"]["task_id"]
    match response["response_data"]:
        case {"result": {"task": {"ufResultAnswer_text": str() as answer}}}:
            return key, answer
    return key, None


def _error_of(published: Sequence[Sample]) -> Callable[[dict[str, Any]], tuple[str, Text]]:
    keys = {sample.body: sample.key for sample in published}

    def read(report: dict[str, Any]) -> tuple[str, Text]:
        reason = Text(report["error"], report["error_ru"])
        if report["task_id"] is not None:
            return report["task_id"], reason
        # What is no task has no id: it is known by its bytes, which must have come through unchanged.
        return keys.get(base64.b64decode(report["original_body_base64"]), "unknown bytes"), reason

    return read
