"""Turns a Camunda task into the fields of a Bitrix24 task. Pure: no requests, no clock.

Values are looked for in the variables, then in the extension properties, then in the input parameters of the
metadata. Wrong input is Permanent and named, never guessed. Fields: api-reference/tasks/fields.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from consumers.bitrix.checklists import Checklist, parse
from consumers.bitrix.given import Given, Named, in_brackets
from consumers.bitrix.people import PERSON_NAMES, ROLE_NAMES, person, responsible
from consumers.bitrix.userfields import UNKNOWN_FIELD, UserField, find
from core import values
from core.errors import PermanentError
from core.inputs import activity_name
from core.messages import CamundaTask
from core.texts import Text

XML_ID = "XML_ID"
ANSWER_FIELD = "UF_RESULT_ANSWER"
ELEMENT_FIELD = "UF_ELEMENT_ID"
PROCESS_FIELD = "UF_PROCESS_INSTANCE_ID"
EXPECTED_FIELD = "UF_RESULT_EXPECTED"

_TITLE_LIMIT = 255  # characters
_THE_TITLE, _THE_DESCRIPTION = Text("The title", "Название"), Text("The description", "Описание")
_DESCRIPTION = ("description_additional", "description")
_PRIORITY_WORDS = {
    "low": 0, "низкий": 0, "medium": 1, "normal": 1, "средний": 1, "обычный": 1, "high": 2, "высокий": 2,
}  # fmt: skip

CHECKLISTS = "checklists"


@dataclass(frozen=True, slots=True)
class FieldRules:
    """The parts of the configuration and of the portal that the translation needs."""

    key_field: str
    default_responsible_id: int
    default_priority: int
    max_description_length: int
    zone: tzinfo
    roles: Mapping[str, int]
    user_fields: Mapping[str, UserField]


@dataclass(frozen=True, slots=True)
class Translated:
    """The `fields` of a request; what could not be used is in `warnings`.

    `missed`: a user field of this name is not known, which may only mean that it was made a moment ago.
    """

    fields: dict[str, Any]
    checklists: list[Checklist]
    warnings: list[Text]
    missed: bool = False


Translation = Callable[[CamundaTask, FieldRules, frozenset[str]], Translated]


def for_creation(task: CamundaTask, rules: FieldRules, others: frozenset[str] = frozenset()) -> Translated:
    """Return the `fields` of tasks.task.add, key included. Raises PermanentError.

    `others` are names that mean something in other systems' topics of this handler (CRM).
    """
    given = Given(task)
    named, missed = _user_fields(given, rules)
    title = given.text("title") or activity_name(task) or _topic_title(task.topic)
    description = given.text(*_DESCRIPTION) or title
    fields: dict[str, Any] = {
        "TITLE": given.cut(_THE_TITLE, title, _TITLE_LIMIT),
        "DESCRIPTION": given.cut(_THE_DESCRIPTION, description, rules.max_description_length),
        "RESPONSIBLE_ID": responsible(given, rules.roles) or rules.default_responsible_id,
        "PRIORITY": rules.default_priority,
        **_optional(given, rules),
        **named,
    }
    for name, value in ((ELEMENT_FIELD, task.activity_id), (PROCESS_FIELD, task.process_instance_id)):
        if value is not None and name in rules.user_fields:
            if fields.get(name, value) != value:
                other = values.shown(fields[name])
                given.warnings.append(
                    Text(
                        f"{name}: {other} was not used, it is {value}",
                        f"{name}: {other} не использовано, записано {value}",
                    )
                )
            fields[name] = value
    fields[rules.key_field] = task.task_id
    wanted = _checklists(given)
    given.tell_unused(task.topic, TASK_NAMES, others)
    return Translated(fields, wanted, given.told(), missed)


def for_update(task: CamundaTask, rules: FieldRules, others: frozenset[str] = frozenset()) -> Translated:
    """Return the `fields` of tasks.task.update: only what the message names. Raises PermanentError."""
    given = Given(task)
    named, missed = _user_fields(given, rules)
    fields = {**_optional(given, rules), **named}
    if title := given.text("title"):
        fields["TITLE"] = given.cut(_THE_TITLE, title, _TITLE_LIMIT)
    if description := given.text(*_DESCRIPTION):
        fields["DESCRIPTION"] = given.cut(_THE_DESCRIPTION, description, rules.max_description_length)
    if (person_id := responsible(given, rules.roles)) is not None:
        fields["RESPONSIBLE_ID"] = person_id
    wanted = _checklists(given)
    if not fields and not wanted:
        told = in_brackets(given.warnings)
        code = UNKNOWN_FIELD if missed else "nothing_to_update"
        text = Text(
            f"The message names no field of the task to update{told.en}",
            f"В сообщении не названо ни одного поля задачи для изменения{told.ru}",
        )
        raise PermanentError(text, code=code)
    given.tell_unused(task.topic, TASK_NAMES, others)
    return Translated(fields, wanted, given.told(), missed)


def update_target(task: CamundaTask) -> int | str:
    """Return which task is meant: its id, or (text) the key it was created with; else the message's own key."""
    found = Given(task).first("bitrix_task_id", "bitrixTaskId", "task_id", "taskId")
    if found is None:
        return task.task_id
    return values.as_identifier(found[1]) or values.text(found[1])


def _checklists(given: Given) -> list[Checklist]:
    found = given.first(CHECKLISTS)
    return parse(found[1], given.warnings) if found else []


def _optional(given: Given, rules: FieldRules) -> dict[str, Any]:
    fields = {}
    for field, (names, read) in OPTIONAL_FIELDS.items():
        if (found := given.first(*names)) is not None:
            fields[field] = read(*found, rules)
    return fields


def _user_fields(given: Given, rules: FieldRules) -> tuple[dict[str, Any], bool]:
    """Return the `UF_…` of the message, checked against the portal's; and whether one of a variable is not there."""
    accepted: dict[str, Any] = {}
    missed = False
    for named in given.user_fields():
        field = find(named.name, rules.user_fields)
        if field is None:
            missed |= _unknown(named, given)
        elif field.name in accepted:
            continue  # the same field by another name: what wins came first
        elif field.name == rules.key_field:
            # Another value would let the task be created twice.
            given.tell_key(named)
        elif field.name == ANSWER_FIELD and not named.of_step:
            given.warnings.append(
                Text(
                    f"{named.name} of an earlier step was not used: people answer in this field",
                    f"{named.name}: значение прежнего шага не использовано, в этом поле отвечают люди",
                )
            )
        elif field.name == EXPECTED_FIELD:
            accepted[field.name] = _expected(named, given)
        else:
            accepted[field.name] = field.accept(
                named.value, rules.zone, lambda name, value: person(name, value, rules.roles)
            )
    return accepted, missed


def _unknown(named: Named, given: Given) -> bool:
    """Report an unknown field.

    A misspelt name in one process must not stop the others: Permanent, not Configuration.
    """
    if named.of_step:
        text = Text(
            f"The portal has no user field {named.name} for tasks; correct the name in the process or create the "
            "field (python main.py bitrix init-fields creates the usual ones)",
            f"На портале нет пользовательского поля {named.name} для задач; исправьте имя в процессе или создайте "
            "поле (обычные создаёт python main.py bitrix init-fields)",
        )
        raise PermanentError(text, code=UNKNOWN_FIELD)
    given.warnings.append(
        Text(
            f"{named.name} was not used: the portal has no such user field for tasks",
            f"{named.name}: не использовано, на портале нет такого пользовательского поля для задач",
        )
    )
    return True


def _expected(named: Named, given: Given) -> int:
    """Return whether an answer is expected. Processes have always relied on it: what is no clear yes means no."""
    word = values.text(named.value).lower()
    if word not in values.TRUE_WORDS | values.FALSE_WORDS:
        shown = values.shown(named.value)
        given.warnings.append(
            Text(
                f"{named.name}: {shown} is neither yes nor no and was taken for no",
                f"{named.name}: {shown} – ни да, ни нет, принято за «нет»",
            )
        )
    return int(word in values.TRUE_WORDS)


def _priority(name: str, value: Any, _rules: FieldRules) -> int:
    """Return 0 low, 1 medium, 2 high. The specification's sample says "3": a scale that ends higher means high."""
    word = values.text(value).lower()
    if word in _PRIORITY_WORDS:
        return _PRIORITY_WORDS[word]
    try:
        return min(max(values.whole_number(name, value), 0), 2)
    except values.BadValueError:
        wanted = Text("a priority (0 low, 1 medium, 2 high)", "приоритет (0 низкий, 1 средний, 2 высокий)")
        raise values.BadValueError(name, value, wanted) from None


def _moment(name: str, value: Any, rules: FieldRules) -> str:
    return values.moment(name, value, rules.zone)


def _person(name: str, value: Any, rules: FieldRules) -> int:
    return person(name, value, rules.roles)


def _people(name: str, value: Any, rules: FieldRules) -> list[int]:
    return [_person(name, item, rules) for item in values.items(value)]


def _group(name: str, value: Any, _rules: FieldRules) -> int:
    return 0 if values.text(value) == "0" else values.identifier(name, value)


def _parent(name: str, value: Any, _rules: FieldRules) -> int:
    return values.identifier(name, value)


def _tags(_name: str, value: Any, _rules: FieldRules) -> list[str]:
    return [values.text(tag) for tag in values.items(value)]


def _topic_title(topic: str) -> str:
    return f"Задача из Camunda процесса ({topic})"


# Field of the task -> its names in a message, and how a value is read, which raises BadValueError.
OPTIONAL_FIELDS: Mapping[str, tuple[tuple[str, ...], Callable[[str, Any, FieldRules], Any]]] = {
    "PRIORITY": (("priority", "task_priority"), _priority),
    "DEADLINE": (("deadline", "due_date", "dueDate", "end_date", "finish_date"), _moment),
    "CREATED_BY": (("creator_id", "creatorId", "created_by", "createdBy", "projectManagerId"), _person),
    "GROUP_ID": (("group_id", "project_id", "projectId", "groupId"), _group),
    "PARENT_ID": (("parent_id", "parentId", "parent_task_id", "parentTaskId"), _parent),
    "ACCOMPLICES": (("accomplices",), _people),
    "AUDITORS": (("auditors",), _people),
    "TAGS": (("tags",), _tags),
}

# Every name that a message about a task may use, but for those that say which task is meant.
TASK_NAMES = frozenset(
    {
        "title",
        *_DESCRIPTION,
        *PERSON_NAMES,
        *ROLE_NAMES,
        CHECKLISTS,
        *(name for names, _ in OPTIONAL_FIELDS.values() for name in names),
    }
)
