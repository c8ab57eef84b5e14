"""Which messages of the error queue somebody means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from operation.reports import Report


@dataclass(frozen=True, slots=True)
class Choice:
    """Messages of the error queue; what is None or empty leaves a choice open. Times in unix seconds.

    `ids` are any that a report holds: of the task, the message, the process instance, the task in the outside system,
    a business key; `name` is the one that the journal calls so. `text` is looked for in the reason and in the title.
    `before` keeps what fails again while a command runs from being taken once more.
    """

    ids: Sequence[str] = ()
    name: str | None = None
    group: str | None = None
    system: str | None = None
    code: str | None = None
    topic: str | None = None
    since: float | None = None
    text: str | None = None
    before: float | None = None

    def fits(self, report: Report) -> bool:
        if self.ids and not set(self.ids) & set(_ids_of(report)):
            return False
        wanted = (
            (self.name, report.name),
            (self.group, report.group),
            (self.system, report.system),
            (self.code, report.code),
            (self.topic, report.topic),
        )
        if any(told is not None and told != found for told, found in wanted):
            return False
        if self.since is not None and (report.at is None or report.at < self.since):
            return False
        if self.before is not None and report.at is not None and report.at >= self.before:
            return False
        if self.text is None:
            return True
        said = "\n".join((report.reason.en, report.reason.ru, report.title or ""))
        return self.text.lower() in said.lower()


def _ids_of(report: Report) -> tuple[str | None, ...]:
    return (
        report.name,
        report.task_id,
        report.process_instance_id,
        report.business_key,
        report.external_id,
        report.group,
    )
