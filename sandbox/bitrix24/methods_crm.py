"""crm.item.*: leads (1), deals (2), contacts (3) and companies (4). Unlike tasks, an unknown filter field is refused.

Source: pages crm-item-add, crm-item-get, crm-item-list, crm-item-update, crm-item-fields. A field that the kind of item
does not have is ignored; user fields go by `ufCrm…` or, with `useOriginalUfNames` Y, by `UF_CRM_…`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bitrix24 import multifields, php
from sandbox.bitrix24.clock import parse_moment
from sandbox.bitrix24.crm_fields import ENTITY_NAMES, HAS_MULTIFIELDS, SYSTEM_FIELDS, UNSET, CrmField
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.filters import conditions, predicate, split_key
from sandbox.bitrix24.portal import Portal, Reply
from sandbox.bitrix24.taskfields import camel_case
from sandbox.bitrix24.taskquery import PAGE_SIZE

Params = dict[str, Any]
Item = dict[str, Any]

_KINDS_OF_ITEMS = {"crm_lead": 1, "crm_contact": 3, "crm_company": 4}


def add(portal: Portal, params: Params) -> Reply:
    entity = _entity(params)
    fields = _stored(portal, entity, params, [])
    items, now = portal.crm[entity], portal.moment()
    item_id = max(items, default=0) + 1
    item: Item = {
        "id": item_id,
        "createdTime": now,
        "createdBy": portal.webhook_user,
        "assignedById": portal.webhook_user,
        "opened": True,
        **fields,
        "updatedTime": now,
        "updatedBy": portal.webhook_user,
    }
    if "title" in SYSTEM_FIELDS[entity] and not item.get("title"):
        item["title"] = f"{ENTITY_NAMES[entity].capitalize()} #{item_id}"
    items[item_id] = item
    return Reply({"item": _view(portal, entity, item, original=_original(params))})


def update(portal: Portal, params: Params) -> Reply:
    entity = _entity(params)
    item = _item(portal, entity, params)
    changes = _stored(portal, entity, params, item.get("fm", []))
    if entity == 3 and not any({**item, **changes}.get(name) for name in ("name", "lastName")):
        raise RestError("CRM_FIELD_ERROR_REQUIRED", "Поля «Имя» и «Фамилия» обязательны для заполнения")
    item |= {**changes, "updatedTime": portal.moment(), "updatedBy": portal.webhook_user}
    return Reply({"item": _view(portal, entity, item, original=_original(params))})


def get(portal: Portal, params: Params) -> Reply:
    entity = _entity(params)
    return Reply({"item": _view(portal, entity, _item(portal, entity, params), original=_original(params))})


def list_(portal: Portal, params: Params) -> Reply:
    entity, original = _entity(params), _original(params)
    items = _filtered(portal, entity, php.mapping(params.get("filter")), original=original)
    order = php.mapping(params.get("order")) or {"id": "ASC"}
    for key, direction in reversed(list(order.items())):
        field = _known(portal, entity, original=original).get(_field_name(key))
        if field is None:
            raise RestError("INVALID_ARG_VALUE", f"Invalid order: field '{key}' is not allowed in order")
        items.sort(key=_sort_key(field.name), reverse=str(direction).upper() == "DESC")
    start = php.integer(params.get("start", 0))
    page = items[max(start, 0) : max(start, 0) + PAGE_SIZE]
    select = [str(name) for name in php.values(params.get("select") or ["*"])]
    rows = [_selected(portal, entity, item, select, original=original) for item in page]
    if start < 0:
        return Reply({"items": rows}, total=0)
    following = start + PAGE_SIZE
    return Reply({"items": rows}, total=len(items), next=following if following < len(items) else None)


def fields(portal: Portal, params: Params) -> Reply:
    known = _known(portal, _entity(params), original=_original(params))
    return Reply({"fields": {name: field.described() for name, field in known.items()}})


def _entity(params: Params) -> int:
    entity = php.integer(params.get("entityTypeId"))
    if entity not in SYSTEM_FIELDS:
        raise RestError("NOT_FOUND", "Смарт-процесс не найден")
    return entity


def _original(params: Params) -> bool:
    return params.get("useOriginalUfNames") == "Y"


def _known(portal: Portal, entity: int, *, original: bool) -> dict[str, CrmField]:
    """The fields by the names that this call uses."""
    fields = [*SYSTEM_FIELDS[entity].values(), *portal.crm_fields.get(entity, ())]
    return {field.shown_name(original=original): field for field in fields}


def _item(portal: Portal, entity: int, params: Params) -> Item:
    item = portal.crm[entity].get(php.integer(params.get("id")))
    if item is None:
        raise RestError("NOT_FOUND", "Элемент не найден")
    return item


def _stored(portal: Portal, entity: int, params: Params, present: list[multifields.Entry]) -> Item:
    """Known, writable fields by their own names; all others are ignored."""
    wanted = php.mapping(params.get("fields"))
    known = _known(portal, entity, original=_original(params))
    stored: Item = {}
    for name, value in wanted.items():
        field = known.get(name)
        if field is None or field.read_only:
            continue
        kept = field.stored(value, portal.zone)
        _require_existing(portal, field, kept)
        if kept is not UNSET:
            stored[field.name] = kept
    if "fm" in wanted and entity in HAS_MULTIFIELDS:
        stored["fm"] = multifields.changed(present, wanted["fm"], portal.next_multifield)
    return stored


def _require_existing(portal: Portal, field: CrmField, kept: Any) -> None:
    if not isinstance(kept, int) or not kept or isinstance(kept, bool):
        return
    entity = _KINDS_OF_ITEMS.get(field.type)
    unknown_user = field.type == "user" and kept not in portal.users
    if unknown_user or (entity is not None and kept not in portal.crm[entity]):
        raise RestError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f"Неверное значение поля «{field.name}»")


def _filtered(portal: Portal, entity: int, filter_: Mapping[str, Any], *, original: bool) -> list[Item]:
    known = _known(portal, entity, original=original)
    for key in filter_:
        parts = split_key(key)
        name = parts[2] if parts else key
        if _field_name(name) not in known:
            raise RestError("INVALID_ARG_VALUE", f"Invalid filter: field '{name}' is not allowed in filter")
    items = list(portal.crm[entity].values())
    for condition in conditions(filter_):
        field = known[_field_name(condition.field)]
        holds = predicate(condition, _typing(portal, field.type))
        items = [item for item in items if holds(item.get(field.name))]
    return items


def _field_name(key: str) -> str:
    """Filters and orders may spell a field as the database does: `ORIGIN_ID` is `originId`."""
    return camel_case(key) if key.isupper() and not key.startswith("UF_") else key


def _typing(portal: Portal, kind: str) -> Callable[[Any], Any]:
    if kind == "datetime":
        return lambda text: parse_moment(str(text), portal.zone)
    if kind == "boolean":
        return php.truthy  # `1` and `0`, not `Y` and `N` (page crm-item-list)
    numbers = {"integer", "user", "crm_company", "crm_contact", "crm_lead", "enumeration", "employee"}
    return php.integer if kind in numbers else str


def _sort_key(field: str) -> Callable[[Item], tuple[bool, str, float]]:
    def sort_key(item: Item) -> tuple[bool, str, float]:
        value = item.get(field)
        if isinstance(value, (int, float)):
            return True, "", float(value)
        return value is not None, str(value), 0.0

    return sort_key


def _view(portal: Portal, entity: int, item: Item, *, original: bool) -> Item:
    known = _known(portal, entity, original=original)
    shown = {name: field.shown(item.get(field.name), portal.zone) for name, field in known.items()}
    if entity in HAS_MULTIFIELDS:
        entries = item.get("fm", [])
        shown["hasPhone"] = "Y" if multifields.has(entries, "PHONE") else "N"
        shown["hasEmail"] = "Y" if multifields.has(entries, "EMAIL") else "N"
        shown["fm"] = [dict(entry) for entry in entries]
    return shown | {"entityTypeId": entity}


def _selected(portal: Portal, entity: int, item: Item, select: list[str], *, original: bool) -> Any:
    """What was asked for and nothing else; an item of which nothing is left is PHP's empty array, `[]`.

    `fm` cannot be asked for (page crm-item-list). With the original names of user fields the portal compares the names
    of the database with those of the answer, so that of a selection only user fields are left (getJsonForItems in
    crm/lib/controller/item.php).
    """
    whole = _view(portal, entity, item, original=original)
    if "*" in select:
        return whole
    known = _known(portal, entity, original=original)
    wanted = {name for name in map(_field_name, select) if name in known}
    if "UF_*" in select:
        wanted |= {name for name, field in known.items() if field.is_user_field}
    if original:
        wanted = {name for name in wanted if known[name].is_user_field}
    return php.array({name: value for name, value in whole.items() if name in wanted})


METHODS: Mapping[str, Callable[[Portal, Params], Reply]] = {
    "crm.item.add": add,
    "crm.item.update": update,
    "crm.item.get": get,
    "crm.item.list": list_,
    "crm.item.fields": fields,
}
