"""Turns a Camunda task into the fields of a CRM item. Pure: no requests, no clock.

Nothing is sent that this kind of item does not have: the portal would ignore it. Fields: crm-item-add.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from consumers.bitrix import multifields
from consumers.bitrix.crm_kinds import Kind
from consumers.bitrix.crm_schema import Schema
from consumers.bitrix.given import Given, Named, bare
from consumers.bitrix.multifields import MULTIFIELD_NAMES, Wanted
from consumers.bitrix.people import PERSON_NAMES, ROLE_NAMES, person, responsible
from consumers.bitrix.userfields import UNKNOWN_FIELD, find
from core import values
from core.errors import PermanentError
from core.inputs import activity_name
from core.messages import CamundaTask
from core.texts import Text

ORIGINATOR = "camunda"


def _text(_: str, value: Any) -> str:
    return values.text(value)


# Field -> (its names in a message, translation). In the step's metadata any other field goes by its own name.
_FIELDS: Mapping[str, tuple[tuple[str, ...], Callable[[str, Any], Any]]] = {
    "title": (("title",), _text),
    "name": (("name", "first_name"), _text),
    "lastName": (("lastName", "last_name"), _text),
    "secondName": (("secondName", "second_name"), _text),
    "companyTitle": (("companyTitle", "company_title"), _text),
    "post": (("post", "position"), _text),
    "comments": (("comments", "description"), _text),
    "opportunity": (("opportunity", "amount", "sum"), values.number),
    "currencyId": (("currencyId", "currency_id", "currency"), _text),
    "stageId": (("stageId", "stage_id"), _text),
    "categoryId": (("categoryId", "category_id"), values.whole_number),
    "typeId": (("typeId", "type_id"), _text),
    "sourceId": (("sourceId", "source_id"), _text),
    "sourceDescription": (("sourceDescription", "source_description"), _text),
    "companyId": (("companyId", "company_id"), values.identifier),
    "contactId": (("contactId", "contact_id"), values.identifier),
}
_ASSIGNED = "assignedById"
_ASSIGNED_NAMES = (_ASSIGNED, "assigned_by_id")
_KEY_FIELDS = frozenset({"originatorId", "originId"})

# Every name that a message about a CRM item may use, but for those that say which item is meant.
CRM_NAMES = frozenset(
    {
        *PERSON_NAMES,
        *ROLE_NAMES,
        *_ASSIGNED_NAMES,
        *MULTIFIELD_NAMES,
        *(name for names, _ in _FIELDS.values() for name in names),
    }
)


@dataclass(frozen=True, slots=True)
class CrmRules:
    """The parts of the configuration and of the portal that the translation needs."""

    schema: Schema
    zone: tzinfo
    roles: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TranslatedItem:
    """A message as a CRM item.

    `fields` without phones and the like, which are in `contacts`; `missed` as in consumers/bitrix/fields.py.
    """

    fields: dict[str, Any]
    contacts: Sequence[Wanted]
    warnings: list[Text]
    missed: bool = False


def item_fields(
    task: CamundaTask, kind: Kind, rules: CrmRules, *, new: bool, others: frozenset[str] = frozenset()
) -> TranslatedItem:
    """Return the fields for crm.item.add (`new`) or crm.item.update. Raises PermanentError naming a wrong value.

    `others` are names that mean something in other topics of this handler (tasks).
    """
    given = Given(task)
    given.use(*kind.id_names)
    fields = _named_fields(given, kind, rules, new=new)
    if _ASSIGNED in rules.schema.own:
        person_id = responsible(given, rules.roles, _ASSIGNED_NAMES)
        fields |= {_ASSIGNED: person_id} if person_id is not None else {}
    if new and not fields.get(kind.title_field) and not fields.get("lastName"):
        fields[kind.title_field] = given.text("title") or activity_name(task) or f"Camunda {task.task_id}"
    named, missed = _user_fields(given, kind, rules)
    fields |= {**_own_fields(given, fields, rules), **named}
    contacts = multifields.wanted_of(given) if kind.has_contacts else []
    given.tell_unused(task.topic, CRM_NAMES, others)
    return TranslatedItem(fields, contacts, given.told(), missed)


def not_stored(sent: Mapping[str, Any], item: Mapping[str, Any]) -> list[Text]:
    """Return a warning for each field that was sent with a value and that the answer shows without one."""
    return [
        Text(
            f"{name}: Bitrix24 did not store {values.shown(value)}",
            f"{name}: Bitrix24 не сохранил {values.shown(value)}",
        )
        for name, value in sent.items()
        if name in item and _is_nothing(item[name]) and not _is_nothing(value)
    ]


def _named_fields(given: Given, kind: Kind, rules: CrmRules, *, new: bool) -> dict[str, Any]:
    own_names = set(kind.id_names) if not new else set()
    fields = {}
    for field, (names, translate) in _FIELDS.items():
        if field not in rules.schema.own:
            continue
        found = given.first(*(name for name in names if name not in own_names))
        if found is not None:
            fields[field] = translate(*found)
    return fields


def _own_fields(given: Given, fields: Mapping[str, Any], rules: CrmRules) -> dict[str, Any]:
    """Return what the step's metadata names by the portal's own names: `closedate`, `OBSERVERS`."""
    own: dict[str, Any] = {}
    for named in given.of_step(rules.schema.spellings.keys() - CRM_NAMES):
        name = rules.schema.spellings[named.name]
        if name in _KEY_FIELDS:
            given.tell_key(named)
        elif name not in fields and name not in own:
            own[name] = _accepted(rules, rules.schema.own[name], named)
    return own


def _user_fields(given: Given, kind: Kind, rules: CrmRules) -> tuple[dict[str, Any], bool]:
    """Return the `UF_CRM_…` of the message, checked against the portal's; and whether a variable's one is not there."""
    accepted: dict[str, Any] = {}
    missed = False
    for named in given.user_fields():
        field = find(named.name, rules.schema.user_fields)
        if field is None:
            missed |= _unknown(named, kind, given)
        elif field.name not in accepted:  # else: the same field by another name, what wins came first
            accepted[field.name] = _accepted(rules, field, named)
    return accepted, missed


def _accepted(rules: CrmRules, field: Any, named: Named) -> Any:
    return field.accept(named.value, rules.zone, lambda name, value: person(name, value, rules.roles))


def _unknown(named: Named, kind: Kind, given: Given) -> bool:
    """Report an unknown user field.

    User fields of CRM items are called UF_CRM_…: only such a name in the step's metadata was meant for the item.
    """
    text = Text(
        f"the portal has no user field {named.name} for a {kind.name}",
        f"на портале нет пользовательского поля {named.name} для {kind.genitive}",
    )
    if named.of_step and bare(named.name).startswith("ufcrm"):
        refusal = Text(f"{text.en}; correct the name in the process", f"{text.ru}; исправьте имя в процессе")
        raise PermanentError(refusal.led_by(f"{named.name}: "), code=UNKNOWN_FIELD)
    given.warnings.append(Text(f"{named.name} was not used: {text.en}", f"{named.name}: не использовано, {text.ru}"))
    return True


def _is_nothing(value: Any) -> bool:
    return value in (None, "", [], {}, 0, "0", "N", False)
