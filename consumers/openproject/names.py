"""Lists the names of a message's inputs, and finds those that a topic has no use for.

The first name of each is the one that the README gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.inputs import Inputs
from core.texts import Text

CREATE_PROJECT = "op_create_project"
CREATE_TASK = "op_create_task"
UPDATE_TASK = "op_update_task"
CREATE_MILESTONE = "op_create_milestone"
SUPPORTED_TOPICS = (CREATE_PROJECT, CREATE_TASK, UPDATE_TASK, CREATE_MILESTONE)

PROJECT = ("project", "project_id", "projectId", "project_identifier", "projectIdentifier")
TYPE = ("type", "type_id", "typeId")
SUBJECT = ("subject", "title", "name")
DESCRIPTION = ("description_additional", "description")
STATUS = ("status", "status_id", "statusId")
PRIORITY = ("priority", "priority_id", "task_priority")
ASSIGNEE = ("assignee", "assignee_id", "assigneeId", "responsible_id")
ACCOUNTABLE = ("accountable", "responsible")
VERSION = ("version", "version_id")
PARENT = ("parent", "parent_id", "parentId", "parent_task_id", "parentTaskId")
START = ("start_date", "startDate")
DUE = ("due_date", "dueDate", "deadline", "end_date", "endDate", "finish_date", "date")
ESTIMATED = ("estimated_time", "estimatedTime", "estimated_hours", "estimatedHours")
TARGET = ("work_package_id", "workPackageId", "op_task_id", "task_id", "taskId", "id")
COMMENT = ("comment", "notes")
PROJECT_NAME = ("name", "project_name", "title", "subject")
IDENTIFIER = ("identifier", "project_identifier")

PROJECT_PARENT = ("parent", "parent_id", "parentId")

_OF_WORK_PACKAGES = (
    *(PROJECT, TYPE, STATUS, PRIORITY, ASSIGNEE, ACCOUNTABLE, VERSION, PARENT, START, DUE, ESTIMATED),
    ("comment", "work_package_id"),
)
_OF_A_CREATION = ("comment", "work_package_id", "identifier")
# What is meant for other topics only: a process has its variables for all of its steps.
_UNUSED: Mapping[str, Sequence[str]] = {
    CREATE_TASK: _OF_A_CREATION,
    CREATE_MILESTONE: _OF_A_CREATION,
    UPDATE_TASK: ("identifier",),
    CREATE_PROJECT: [
        name for group in _OF_WORK_PACKAGES for name in group if name not in {*IDENTIFIER, *PROJECT_PARENT}
    ],
}


def unused(inputs: Inputs, topic: str) -> list[Text]:
    """Return one sentence that names what the message gives and this topic does not use; none if there is nothing."""
    given = ", ".join(name for name in _UNUSED[topic] if inputs.first(name) is not None)
    return [Text(f"{topic} does not use {given}", f"{topic} не использует {given}")] if given else []
