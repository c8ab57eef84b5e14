"""Where a process may put the values of a task: variables, then extension properties, then input parameters. Pure."""

from __future__ import annotations

from typing import Any

from core import values
from core.messages import CamundaTask, plain


class Inputs:
    """The places where a process may put a value, first one wins; blank values count as not given."""

    def __init__(self, task: CamundaTask) -> None:
        self.variables = task.variables
        self.extensions = _plain_section(task, "extensionProperties")
        self.parameters = _plain_section(task, "inputParameters")

    def first(self, *names: str) -> tuple[str, Any] | None:
        for source in (self.variables, self.extensions, self.parameters):
            for name in names:
                if not values.is_blank(source.get(name)):
                    return name, source[name]
        return None

    def text(self, *names: str) -> str | None:
        found = self.first(*names)
        return values.text(found[1]) or None if found else None


def activity_name(task: CamundaTask) -> str:
    """The name of the step in the diagram, or an empty text."""
    return values.text(task.metadata_section("activityInfo").get("name") or "")


def _plain_section(task: CamundaTask, name: str) -> dict[str, Any]:
    return {str(key): plain(value) for key, value in task.metadata_section(name).items()}
