"""From a Camunda task to the fields of a Bitrix24 task. Pure: no requests, no clock.

Values are looked for in the variables, then in the extension properties, then in the input parameters of the
metadata. Wrong input is Permanent and named, never guessed. Fields: api-reference/tasks/fields.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from consumers.bitrix.userfields import UserField, accept_all
from core import values
from core.errors import PermanentError
from core.inputs import Inputs, activity_name
from core.messages import CamundaTask

XML_ID = "XML_ID"
ELEMENT_FIELD = "UF_ELEMENT_ID"
PROCESS_FIELD = "UF_PROCESS_INSTANCE_ID"
EXPECTED_FIELD = "UF_RESULT_EXPECTED"

_TITLE_LIMIT = 255  # characters
_DEADLINES = ("deadline", "due_date", "dueDate", "end_date", "finish_date")
_PRIORITY_WORDS = {
    "low": 0, "низкий": 0, "medium": 1, "normal": 1, "средний": 1, "обычный": 1, "high": 2, "высокий": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FieldRules:
    """What the translation needs to know of the configuration and of the portal."""

    key_field: str
    default_responsible_id: int
    default_priority: int
    max_description_length: int
    zone: tzinfo
    roles: Mapping[str, int]
    user_fields: Mapping[str, UserField]


Translation = Callable[[CamundaTask, FieldRules], dict[str, Any]]


def for_creation(task: CamundaTask, rules: FieldRules) -> dict[str, Any]:
    """The `fields` of tasks.task.add, key included. Raises PermanentError."""
    inputs = Inputs(task)
    title = values.cut(inputs.text("title") or activity_name(task) or _topic_title(task.topic), _TITLE_LIMIT)
    fields: dict[str, Any] = {
        "TITLE": title,
        "DESCRIPTION": values.cut(_description(inputs) or title, rules.max_description_length),
        "RESPONSIBLE_ID": _responsible(inputs, rules) or rules.default_responsible_id,
        "PRIORITY": rules.default_priority,
        **_optional(inputs, rules),
        **_user_fields(inputs, rules),
    }
    for name, value in ((ELEMENT_FIELD, task.activity_id), (PROCESS_FIELD, task.process_instance_id)):
        if value is not None and name in rules.user_fields:
            fields[name] = value
    fields[rules.key_field] = task.task_id
    return fields


def for_update(task: CamundaTask, rules: FieldRules) -> dict[str, Any]:
    """The `fields` of tasks.task.update: only what the message names. Raises PermanentError."""
    inputs = Inputs(task)
    fields = {**_optional(inputs, rules), **_user_fields(inputs, rules)}
    if title := inputs.text("title"):
        fields["TITLE"] = values.cut(title, _TITLE_LIMIT)
    if description := _description(inputs):
        fields["DESCRIPTION"] = values.cut(description, rules.max_description_length)
    if responsible := _responsible(inputs, rules):
        fields["RESPONSIBLE_ID"] = responsible
    if not fields:
        raise PermanentError("The message names no field of the task to update", code="nothing_to_update")
    return fields


def update_target(task: CamundaTask) -> int | str:
    """Which task is meant: its id, or (text) the key it was created with; without either, the message's own key."""
    found = Inputs(task).first("bitrix_task_id", "bitrixTaskId", "task_id", "taskId")
    if found is None:
        return task.task_id
    return values.as_identifier(found[1]) or values.text(found[1])


def checklists_of(task: CamundaTask) -> Any:
    """The raw `checklists` of the message."""
    found = Inputs(task).first("checklists")
    return found[1] if found else None


def _optional(inputs: Inputs, rules: FieldRules) -> dict[str, Any]:
    def person(name: str, value: Any) -> int:
        return _person(name, value, rules.roles, role_first=False)

    def people(name: str, value: Any) -> list[int]:
        return [person(name, item) for item in values.items(value)]

    translations: tuple[tuple[str, tuple[str, ...], Callable[[str, Any], Any]], ...] = (
        ("PRIORITY", ("priority", "task_priority"), _priority),
        ("DEADLINE", _DEADLINES, lambda name, value: values.moment(name, value, rules.zone)),
        ("CREATED_BY", ("creator_id", "creatorId", "created_by", "createdBy", "projectManagerId"), person),
        ("GROUP_ID", ("group_id", "project_id", "projectId", "groupId"), _group),
        ("PARENT_ID", ("parent_id", "parentId", "parent_task_id", "parentTaskId"), values.identifier),
        ("ACCOMPLICES", ("accomplices",), people),
        ("AUDITORS", ("auditors",), people),
        ("TAGS", ("tags",), lambda _, value: [values.text(tag) for tag in values.items(value)]),
    )
    fields = {}
    for field, names, translate in translations:
        if (found := inputs.first(*names)) is not None:
            fields[field] = translate(*found)
    return fields


def _user_fields(inputs: Inputs, rules: FieldRules) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for source in (inputs.parameters, inputs.extensions):
        given.update({name.upper(): source[name] for name in source if name.upper().startswith("UF_")})
    given.pop(rules.key_field, None)  # the key is ours: another value would let the task be created twice
    expected = given.get(EXPECTED_FIELD)
    if not values.is_blank(expected):
        # Processes have always relied on it: what is no clear yes means that no answer is expected.
        given[EXPECTED_FIELD] = int(values.text(expected).lower() in values.TRUE_WORDS)
    return accept_all(given, rules.user_fields, rules.zone)


def _responsible(inputs: Inputs, rules: FieldRules) -> int | None:
    if found := inputs.first("responsible_id", "responsibleId"):
        return _person(*found, rules.roles, role_first=False)
    if found := inputs.first("assigneeId"):
        return _person(*found, rules.roles, role_first=True)
    return None


def _person(name: str, value: Any, roles: Mapping[str, int], *, role_first: bool) -> int:
    """A user by id or by role. `assigneeId` is a role even when it looks like a number; other fields are ids."""
    role, user_id = roles.get(values.text(value)), values.as_identifier(value)
    found = (role or user_id) if role_first else (user_id or role)
    if found is not None:
        return found
    raise values.BadValueError(name, value, "a user id or a role of BITRIX_ROLES_FILE")


def _priority(name: str, value: Any) -> int:
    """0 low, 1 medium, 2 high. The specification's sample says "3": a scale that ends higher means high."""
    word = values.text(value).lower()
    if word in _PRIORITY_WORDS:
        return _PRIORITY_WORDS[word]
    try:
        return min(max(values.whole_number(name, value), 0), 2)
    except values.BadValueError:
        raise values.BadValueError(name, value, "a priority (0 low, 1 medium, 2 high)") from None


def _group(name: str, value: Any) -> int:
    return 0 if values.text(value) == "0" else values.identifier(name, value)


def _description(inputs: Inputs) -> str | None:
    return inputs.text("description_additional", "description")


def _topic_title(topic: str) -> str:
    return f"Задача из Camunda процесса ({topic})"
