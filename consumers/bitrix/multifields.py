"""Adds and changes phones, mail addresses, sites and messengers of leads, contacts and companies (`fm`).

A portal never replaces them by itself: a list adds, and an entry is changed or deleted by its id only. So an update
reads the item first; what is there already is not added again, and nothing is removed that the message does not name.
Documentation: tutorials/crm/how-to-edit-crm-objects/how-to-change-email-or-phone.md, crm/data-types.md#crm_multifield.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.bitrix.given import Given, bare
from consumers.bitrix.rows import plain_id, rows_of
from core import values
from core.errors import PermanentError
from core.texts import Text
from core.values import BadValueError

# Type -> its names in a message.
_NAMES: Mapping[str, tuple[str, ...]] = {"PHONE": ("phone",), "EMAIL": ("email",), "WEB": ("web", "site")}
_RAW = "fm"
MULTIFIELD_NAMES = frozenset({_RAW, *(name for names in _NAMES.values() for name in names)})

_VALUE_TYPES: Mapping[str, tuple[str, ...]] = {
    "PHONE": ("WORK", "MOBILE", "FAX", "HOME", "PAGER", "MAILING", "OTHER"),
    "EMAIL": ("WORK", "HOME", "MAILING", "OTHER"),
    "WEB": ("WORK", "HOME", "VK", "LIVEJOURNAL", "TWITTER", "OTHER"),
    "IM": ("TELEGRAM", "VK", "SKYPE", "VIBER", "BITRIX24", "OPENLINE", "IMOL", "ICQ", "MSN", "JABBER", "OTHER"),
    "LINK": (),
}
_KEYS = {"typeid": "typeId", "valuetype": "valueType", "type": "valueType", "value": "value", "id": "id"}
_SHAPE = Text(
    '{"value": "+7…", "valueType": "MOBILE"}, with "id" to change that entry, and an empty value to delete it',
    '{"value": "+7…", "valueType": "MOBILE"}, с "id" – чтобы изменить ту запись, с пустым value – чтобы удалить её',
)
_FORM = Text(f"of the form {_SHAPE.en}", f"запись вида {_SHAPE.ru}")

Entry = dict[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of a message. `entry_id`: that entry is changed, or deleted when `value` is empty."""

    type_id: str
    value: str
    value_type: str | None
    entry_id: str | None


def wanted_of(given: Given) -> list[Wanted]:
    """Return everything that the message gives, each once. Raises BadValueError."""
    wanted: list[Wanted] = []
    for type_id, names in _NAMES.items():
        if found := given.first(*names):
            name, value = found
            wanted += [_wanted(name, type_id, entry) for entry in _entries(value, commas=type_id != "WEB")]
    if found := given.first(_RAW):
        wanted += [_wanted(_RAW, None, entry) for entry in _entries(_with_ids(found[1]), commas=False)]
    return list(dict.fromkeys(wanted))


def for_new(wanted: Sequence[Wanted]) -> list[Entry]:
    """Return the `fm` of crm.item.add."""
    for each in wanted:
        if each.entry_id is not None or not each.value:
            text = Text(
                f"A new item has no entry {each.entry_id or ''} of {each.type_id} to change: give values without ids",
                f"У нового элемента нет записи {each.entry_id or ''} вида {each.type_id}, которую можно изменить: "
                "укажите значения без id",
            )
            raise PermanentError(text, code="unknown_multifield")
    return [_new(each) for each in wanted]


def operations(wanted: Sequence[Wanted], present: Sequence[Entry]) -> dict[str, Entry]:
    """Return the `fm` of crm.item.update, empty when everything is there already.

    Raises PermanentError for an unknown id.
    """
    needed: dict[str, Entry] = {}
    for each in wanted:
        if each.entry_id is None:
            entry = next((entry for entry in present if _is_alike(each, entry)), None)
            if entry is None:
                needed[f"n{len(needed)}"] = _new(each)
                continue
            value = entry["value"]  # in the form that the portal has given it
        else:
            entry = next((entry for entry in present if _has_id(each, entry)), None)
            if entry is None and not each.value:
                continue  # deleted already: an update may be repeated
            if entry is None:
                text = Text(
                    f"The item has no entry {each.entry_id} of {each.type_id}: the portal would add one",
                    f"У элемента нет записи {each.entry_id} вида {each.type_id}: портал добавил бы новую",
                )
                raise PermanentError(text, code="unknown_multifield")
            value = each.value
        changed = {"typeId": each.type_id, "valueType": each.value_type or entry["valueType"], "value": value}
        if not changed.items() <= entry.items():
            needed[entry["id"]] = changed
    return needed


def present_of(item: Mapping[str, Any]) -> list[Entry]:
    """Return the entries that an answer shows; those that cannot be read are passed over."""
    entries = []
    for row in rows_of(item.get(_RAW)) or ():
        entry_id = plain_id(row.get("id")) if isinstance(row, Mapping) else None
        if entry_id is not None:
            texts = {key: values.text(row.get(key) or "") for key in ("typeId", "valueType", "value")}
            entries.append({"id": entry_id, **texts})
    return entries


def missing(sent: Sequence[Entry], item: Mapping[str, Any]) -> list[str]:
    """Return the values that were sent and that the answer does not show."""
    shown = {(entry["typeId"], _comparable(entry["typeId"], entry["value"])) for entry in present_of(item)}
    return [
        entry["value"]
        for entry in sent
        if entry["value"] and (entry["typeId"], _comparable(entry["typeId"], entry["value"])) not in shown
    ]


def _with_ids(value: Any) -> Any:
    """Return the object that crm.item.update takes, as a list: its keys are ids, or `n0`, `n1` for new entries."""
    value = _decoded(value)
    if not isinstance(value, Mapping) or any(_KEYS.get(bare(str(key))) for key in value):
        return value
    return [
        {"id": key, **entry} if isinstance(entry, Mapping) and not str(key).startswith("n") else entry
        for key, entry in value.items()
    ]


def _entries(value: Any, *, commas: bool) -> list[Any]:
    value = _decoded(value)
    if isinstance(value, list) or (commas and isinstance(value, str)):
        return values.items(value)
    return [value]


def _decoded(value: Any) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BadValueError(_RAW, value, Text(f"JSON such as {_SHAPE.en}", f"JSON вида {_SHAPE.ru}")) from None


def _wanted(name: str, type_id: str | None, entry: Any) -> Wanted:
    if not isinstance(entry, Mapping):
        if type_id is None or isinstance(entry, list | bool):
            raise BadValueError(name, entry, _FORM)
        return Wanted(type_id, values.text(entry), None, None)
    given = {_KEYS.get(bare(str(key))): value for key, value in entry.items()}
    kind = values.text(given.get("typeId") or type_id or "").upper()
    value_type = values.text(given.get("valueType") or "").upper() or None
    entry_id = plain_id(given["id"]) if "id" in given else None
    if (
        None in given
        or kind not in _VALUE_TYPES
        or kind != (type_id or kind)
        or ("id" in given and entry_id is None)
        or ("value" not in given or isinstance(given["value"], Mapping | list | bool))
        or (values.is_blank(given["value"]) and entry_id is None)
    ):
        raise BadValueError(name, entry, _FORM)
    if value_type is not None and _VALUE_TYPES[kind] and value_type not in _VALUE_TYPES[kind]:
        usable = ", ".join(_VALUE_TYPES[kind])
        raise BadValueError(name, value_type, Text(f"one of {usable}", f"одно из значений {usable}"))
    return Wanted(kind, values.text(given["value"] if given["value"] is not None else ""), value_type, entry_id)


def _new(wanted: Wanted) -> Entry:
    usual = "WORK" if "WORK" in _VALUE_TYPES[wanted.type_id] else "OTHER"
    return {"typeId": wanted.type_id, "valueType": wanted.value_type or usual, "value": wanted.value}


def _is_alike(wanted: Wanted, entry: Entry) -> bool:
    mine, theirs = _comparable(wanted.type_id, wanted.value), _comparable(entry["typeId"], entry["value"])
    return entry["typeId"] == wanted.type_id and mine == theirs


def _has_id(wanted: Wanted, entry: Entry) -> bool:
    return entry["typeId"] == wanted.type_id and entry["id"] == wanted.entry_id


def _comparable(type_id: str, value: str) -> str:
    """Return a value to compare: addresses without case, phones as digits, since the portal writes them its own way."""
    if type_id == "PHONE" and (digits := "".join(filter(str.isdigit, value))):
        return digits
    return value.strip().casefold()
