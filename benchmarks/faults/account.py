"""What became of every task id, counted from the queues and the portal alone. Pure: evidence in, account out.

Nothing of the daemon is used here, neither its code nor its counters: messages are read as docs/contract.md
describes them, so that the daemon and its judge can disagree.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.camunda import ERRORS_QUEUE, RESPONSES_QUEUE

SUSPECTED = "kills_worker"  # the code of such an error report
# What a system that recognises no repetition leaves to people: it may have happened.
IN_DOUBT = frozenset({"may_have_run", "may_be_delivered"})

ReadAnswer = Callable[[Mapping[str, Any]], tuple[str, str | None]]
End = Literal["answered", "parked"]


@dataclass(frozen=True, slots=True)
class Published:
    """One task that the broker confirmed. `ends` is where it belongs: in the responses or in the error queue.

    `copies`: how often it was published on purpose; `maybe_more`: a publish without a confirm was repeated, so there
    may be one copy more. `checklist` is how many items its checklist has in the portal (headline included), `code` the
    reason that its error report must give, beside the original bytes (None: the report is not looked into). `headers`
    go along with the message; their names may be bytes.
    """

    key: str
    body: bytes
    ends: End = "answered"
    copies: int = 1
    maybe_more: bool = False
    checklist: int = 0
    code: str | None = None
    headers: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A message found in a queue at the end, or taken from it by its reader before."""

    queue: str
    message_id: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class PortalTask:
    """An object in the outside system: its id there, what the person answered, the titles of its checklist items."""

    id: str
    answer: str | None = None
    checklist: tuple[str, ...] = ()


def read_bitrix_answer(response: Mapping[str, Any]) -> tuple[str, str | None]:
    """The id of the task, and what the person answered, as `response_data` tells them."""
    told = response.get("result", {}).get("task", {})
    return str(told.get("id")), told.get("ufResultAnswer_text")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is counted; `tasks` by Camunda task id. `read` is what a response of the system tells."""

    published: Sequence[Published]
    messages: Sequence[Found]
    tasks: Mapping[str, Sequence[PortalTask]]
    read: ReadAnswer = read_bitrix_answer


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a row excuses.

    `answered_twice`: a copy of an answer with the same message id, where at-least-once makes it unavoidable.
    `suspected`: what is in hand at three deaths counts as their cause. `in_doubt`: how many tasks of a system that
    recognises no repetition were in flight when something broke; each may be there once more, or be told in doubt.
    """

    answered_twice: bool = False
    suspected: bool = False
    in_doubt: int = 0


@dataclass(slots=True)
class Account:
    """The task ids behind each verdict; a task may have several. `answered` and `parked` are good ends."""

    published: int = 0
    answered: int = 0
    parked: int = 0
    lost: list[str] = field(default_factory=list)
    created_twice: list[str] = field(default_factory=list)
    copies: int = 0  # objects beyond the first of each task
    in_doubt: list[str] = field(default_factory=list)  # told to people: it may have happened
    answered_twice: list[str] = field(default_factory=list)  # all answers of a task bear the same message id
    reported_twice: list[str] = field(default_factory=list)  # more error reports than messages
    published_again: set[str] = field(default_factory=set)  # by the driver, in doubt: a second answer is no surprise
    contradicted: list[str] = field(default_factory=list)  # answers with different ids, or answered and parked
    stuck: list[str] = field(default_factory=list)
    misrouted: list[str] = field(default_factory=list)  # parked but should be answered, or the other way round
    suspected: list[str] = field(default_factory=list)  # parked for being in hand at three deaths of the worker
    # Not what the person answered, a checklist that is not right, a report without its reason or the original bytes.
    wrong: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # messages that stand for nothing that was published

    def violations(self, allowed: Allowed) -> list[str]:
        """One line for each broken promise, with examples; none means that the row is green."""
        unexcused = [key for key in self.answered_twice if key not in self.published_again]
        is_bounded = self.copies + len(self.in_doubt) <= allowed.in_doubt
        verdicts = {
            "lost": self.lost,
            "created twice": [] if is_bounded else self.created_twice,
            "in doubt": [] if is_bounded else self.in_doubt,
            "answered twice": [] if allowed.answered_twice else unexcused,
            "reported twice": [] if allowed.answered_twice else self.reported_twice,
            "answered in different ways": self.contradicted,
            "stuck": self.stuck,
            "in the wrong queue": self.misrouted,
            "parked as deadly": [] if allowed.suspected else self.suspected,
            "with wrong content": self.wrong,
            "of unknown origin": self.unknown,
        }
        return [f"{len(keys)} {name}: {', '.join(keys[:3])}" for name, keys in verdicts.items() if keys]


def make_account(evidence: Evidence) -> Account:
    """Judges each task of the evidence, and each message that belongs to none."""
    keys = {each.body: each.key for each in evidence.published}
    by_key: defaultdict[str, list[Found]] = defaultdict(list)
    for message in evidence.messages:
        by_key[_key_of(message, keys)].append(message)
    account = Account(published=len(evidence.published))
    for task in evidence.published:
        _judge(task, by_key.pop(task.key, []), evidence.tasks.get(task.key, ()), account, evidence.read)
    account.unknown += sorted(by_key)
    account.unknown += sorted(evidence.tasks.keys() - {task.key for task in evidence.published})
    return account


def _judge(
    task: Published,
    messages: Sequence[Found],
    created: Sequence[PortalTask],
    account: Account,
    read: ReadAnswer,
) -> None:
    answers = [message for message in messages if message.queue == RESPONSES_QUEUE]
    reports = [message for message in messages if message.queue == ERRORS_QUEUE]
    waiting = [message for message in messages if message.queue not in {RESPONSES_QUEUE, ERRORS_QUEUE}]
    key = task.key
    if task.maybe_more:
        account.published_again.add(key)
    account.answered += bool(answers)
    account.parked += bool(reports and not answers)
    if not (answers or reports or waiting) or (task.ends == "parked" and 0 < len(reports) < task.copies):
        account.lost.append(key)  # each copy of what cannot be done is reported, for itself
    if len(created) > 1:
        account.created_twice.append(key)
        account.copies += len(created) - 1
    if waiting:
        account.stuck.append(f"{key} in {waiting[0].queue}")
    if (answers and reports) or len({message.message_id for message in answers}) > 1:
        account.contradicted.append(key)
    elif len(answers) > 1:
        account.answered_twice.append(key)
    if reports and task.ends == "answered":
        _judge_unexpected(key, reports, account)
    if len(reports) > task.copies and not task.maybe_more:
        account.reported_twice.append(key)
    if answers and task.ends == "parked":
        account.misrouted.append(key)
    is_wrong = any(_is_wrong(answer, created, read) for answer in answers) or not _has_its_checklist(task, created)
    if is_wrong or (task.code is not None and not all(_tells_all(report, task, created) for report in reports)):
        account.wrong.append(key)


def _judge_unexpected(key: str, reports: Sequence[Found], account: Account) -> None:
    codes = {_code_of(report) for report in reports}
    if codes == {SUSPECTED}:
        account.suspected.append(key)
    elif codes <= IN_DOUBT:
        account.in_doubt.append(key)
    else:
        account.misrouted.append(f"{key} ({', '.join(sorted(map(str, codes)))})")


def _is_wrong(answer: Found, created: Sequence[PortalTask], read: ReadAnswer) -> bool:
    told = read(json.loads(answer.body)["response_data"])
    return all(told != (task.id, task.answer) for task in created)


def _code_of(report: Found) -> str | None:
    try:
        return str(json.loads(report.body).get("code"))
    except (ValueError, AttributeError):  # the bytes themselves, without a report around them
        return None


def _tells_all(report: Found, task: Published, created: Sequence[PortalTask]) -> bool:
    """The reason, and what came in byte for byte, unless it has become a task."""
    if report.body == task.body:
        return True  # too large for a report around it; the reason is in a header
    fields = json.loads(report.body)
    has_bytes = task.body in report.body or fields.get("original_body_base64") == base64.b64encode(task.body).decode()
    return (has_bytes or bool(created)) and fields.get("code") == task.code


def _has_its_checklist(task: Published, created: Sequence[PortalTask]) -> bool:
    return all(len(each.checklist) == len(set(each.checklist)) == task.checklist for each in created)


def _key_of(message: Found, keys: Mapping[bytes, str]) -> str:
    """The task that a message is about; a text that names the queue when nobody can tell."""
    if message.body in keys:
        return keys[message.body]
    try:
        fields: Any = json.loads(message.body)
    except ValueError:
        fields = None
    match fields:
        case {"original_body_base64": str() as encoded}:
            # What could not be read as a task is known by its bytes, which must have come through unchanged.
            return keys.get(base64.b64decode(encoded), f"unknown bytes in {message.queue}")
        case {"original_message": {"task_id": str() as key}} | {"task_id": str() as key}:
            return key
    return f"unknown message in {message.queue}"
