"""Creates the user fields that the daemon uses (`python main.py bitrix init-fields`); needs an administrator.

Documentation: api-reference/tasks/user-field/task-item-user-field-add.md. REST can create fields of the types
string, double, datetime and boolean only, so the choice of answers has to be made by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.bitrix.client import BitrixClient
from consumers.bitrix.fields import ANSWER_FIELD, ELEMENT_FIELD, EXPECTED_FIELD, PROCESS_FIELD, XML_ID
from consumers.bitrix.userfields import USER_FIELDS, fields_by_name

QUESTION_FIELD = "UF_RESULT_QUESTION"


@dataclass(frozen=True, slots=True)
class WantedField:
    name: str
    type: str
    label: str


@dataclass(slots=True)
class InitReport:
    """The names of fields by what became of them."""

    created: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    wrong_type: list[str] = field(default_factory=list)


def wanted_fields(key_field: str) -> list[WantedField]:
    wanted = [
        WantedField(ELEMENT_FIELD, "string", "Camunda: шаг процесса"),
        WantedField(PROCESS_FIELD, "string", "Camunda: экземпляр процесса"),
        WantedField(EXPECTED_FIELD, "boolean", "Ожидается ответ"),
        WantedField(QUESTION_FIELD, "string", "Вопрос"),
    ]
    key = WantedField(key_field, "string", "Camunda: внешняя задача")
    return wanted if key_field == XML_ID else [key, *wanted]


def init_fields(client: BitrixClient, key_field: str) -> InitReport:
    """Create what is missing; may be run again. Raises the outcome of a refused request."""
    known = fields_by_name(client.call(USER_FIELDS.method, USER_FIELDS.params))
    report = InitReport()
    for wanted in wanted_fields(key_field):
        existing = known.get(wanted.name)
        if existing is None:
            client.call("task.item.userfield.add", {"PARAMS": _params(wanted)}, write=True)
            report.created.append(wanted.name)
        elif existing.type == wanted.type:
            report.present.append(wanted.name)
        else:
            report.wrong_type.append(wanted.name)
    if ANSWER_FIELD in known:
        report.present.append(ANSWER_FIELD)
    return report


def _params(wanted: WantedField) -> dict[str, object]:
    return {
        "USER_TYPE_ID": wanted.type,
        "FIELD_NAME": wanted.name,
        "XML_ID": wanted.name,
        "EDIT_FORM_LABEL": {"ru": wanted.label, "en": wanted.label},
        "LABEL": wanted.label,
        "MULTIPLE": "N",
        "MANDATORY": "N",
    }
