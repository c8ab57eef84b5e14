"""What is in the error queue, by cause: from the journal where that knows it all, else from the queue itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.texts import Text
from journal.reading import MOST
from journal.records import ErrorGroup, Wanted
from journal.states import State
from journal.store import StoreError
from operation.choosing import Choice
from operation.desk import Desk
from operation.error_queue import ErrorQueue
from operation.reports import Report

LOOKED_THROUGH = 50_000  # messages of a queue that are looked through for a list; more is told by the journal alone


@dataclass(slots=True)
class Group:
    """Failures of one cause. Times in unix seconds, where they are known; `sample` is the name of the latest one."""

    group: str
    count: int
    first: float | None
    last: float | None
    system: str | None
    code: str | None
    outcome: str | None
    reason: Text
    sample: str
    topics: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Overview:
    """`in_queue` counts all messages of the error queue, `groups` what was chosen; the largest group comes first."""

    groups: Sequence[Group]
    in_queue: int
    source: Literal["journal", "queue"]
    remarks: Sequence[Text] = ()


def overview(desk: Desk, errors: ErrorQueue, choice: Choice) -> Overview:
    """Return the groups of what is chosen. Raises BROKER_ERRORS."""
    in_queue = errors.depth()
    remarks: list[Text] = []
    is_known = False
    if choice.ids or choice.text is not None:
        is_known = in_queue > LOOKED_THROUGH
    else:
        try:
            known = _known(desk)
        except StoreError as error:
            remarks.append(error.text)
            known = None
        is_known = known is not None and (known == in_queue or in_queue > LOOKED_THROUGH)
        if is_known and known != in_queue:
            remarks.append(
                Text(
                    f"the journal knows {known} of {in_queue} messages; journal rebuild tells it the others",
                    f"журнал знает {known} сообщений из {in_queue}; остальные добавит journal rebuild",
                )
            )
    if is_known and desk.journal is not None:
        wanted = Wanted(
            system=choice.system, topic=choice.topic, code=choice.code, group=choice.group, since=choice.since
        )
        return Overview(
            [_of_journal(each) for each in desk.journal.error_groups(wanted, MOST)], in_queue, "journal", remarks
        )
    return Overview(grouped(errors.look(choice)), in_queue, "queue", remarks)


def grouped(reports: Iterable[Report]) -> list[Group]:
    """Put reports together by their cause, the largest group first."""
    groups: dict[str, Group] = {}
    for report in reports:
        group = groups.get(report.group)
        if group is None:
            group = groups[report.group] = Group(
                *(report.group, 0, report.at, report.at, report.system, report.code, report.outcome),
                *(report.reason, report.name),
            )
        group.count += 1
        if report.at is not None:
            group.first = report.at if group.first is None else min(group.first, report.at)
            if group.last is None or report.at >= group.last:
                group.last, group.sample, group.reason = report.at, report.name, report.reason
        if report.topic is not None and report.topic not in group.topics:
            group.topics.append(report.topic)
    return sorted(groups.values(), key=lambda each: (-each.count, each.group))


def _known(desk: Desk) -> int | None:
    """Return how many messages of the error queue the journal knows; None where there is none. Raises StoreError."""
    if desk.journal is None:
        return None
    in_errors = (State.FAILED, State.REJECTED)
    return sum(own[state][0] for own in desk.journal.standing().values() for state in in_errors if state in own)


def _of_journal(group: ErrorGroup) -> Group:
    sample = group.sample
    reason = Text(sample.reason or "", sample.reason_ru or sample.reason or "")
    return Group(
        *(group.group, group.count, group.first, group.last, sample.system or None, sample.code, sample.outcome),
        *(reason, sample.name, [] if sample.topic is None else [sample.topic]),
    )
