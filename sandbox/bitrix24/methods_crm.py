"""crm.item.*: leads (1), deals (2), contacts (3) and companies (4). Unlike tasks, an unknown filter field is refused.

Source: pages crm-item-add, crm-item-get, crm-item-list, crm-item-update, crm-item-fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.clock import iso, parse_moment
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.filters import conditions, predicate, split_key
from sandbox.bitrix24.portal import Portal, Reply
from sandbox.bitrix24.taskfields import camel_case
from sandbox.bitrix24.taskquery import PAGE_SIZE

Params = dict[str, Any]
Item = dict[str, Any]

ENTITY_NAMES: Mapping[int, str] = {1: "lead", 2: "deal", 3: "contact", 4: "company"}

_COMMON: Mapping[str, str] = {
    "id": "integer",
    "createdTime": "datetime",
    "updatedTime": "datetime",
    "createdBy": "user",
    "updatedBy": "user",
    "assignedById": "user",
    "opened": "boolean",
    "comments": "text",
    "sourceId": "crm_status",
    "sourceDescription": "text",
    "originatorId": "string",
    "originId": "string",
    "utmSource": "string",
    "utmMedium": "string",
    "utmCampaign": "string",
}
_SALE: Mapping[str, str] = {
    "title": "string",
    "stageId": "crm_status",
    "opportunity": "double",
    "currencyId": "crm_currency",
    "isManualOpportunity": "boolean",
    "companyId": "crm_company",
    "contactId": "crm_contact",
}
_PERSON: Mapping[str, str] = {
    "name": "string",
    "lastName": "string",
    "secondName": "string",
    "post": "string",
    "honorific": "crm_status",
    "birthdate": "date",
    "address": "string",
    "fm": "crm_multifield",
}
_FIELDS: Mapping[int, Mapping[str, str]] = {
    1: {**_COMMON, **_SALE, **_PERSON, "companyTitle": "string"},
    2: {
        **_COMMON,
        **_SALE,
        "categoryId": "integer",
        "typeId": "crm_status",
        "probability": "integer",
        "leadId": "crm_lead",
        "begindate": "date",
        "closedate": "date",
        "closed": "boolean",
        "additionalInfo": "text",
        "contactIds": "crm_contact",
    },
    3: {**_COMMON, **_PERSON, "typeId": "crm_status", "companyId": "crm_company", "companyIds": "crm_company"},
    4: {
        **_COMMON,
        "title": "string",
        "typeId": "crm_status",
        "industry": "crm_status",
        "employees": "crm_status",
        "revenue": "double",
        "currencyId": "crm_currency",
        "address": "string",
        "contactIds": "crm_contact",
        "fm": "crm_multifield",
    },
}
_READ_ONLY = frozenset({"id", "createdTime", "updatedTime", "createdBy", "updatedBy"})
_DATES = frozenset({"datetime", "date"})
_NUMBERS = frozenset({"integer", "user", "crm_company", "crm_contact", "crm_lead"})


def add(portal: Portal, params: Params) -> Reply:
    entity = _entity(params)
    fields = _stored(entity, php.mapping(params.get("fields")), {})
    items, now = portal.crm[entity], portal.moment()
    item_id = max(items, default=0) + 1
    item: Item = {
        "id": item_id,
        "createdTime": now,
        "createdBy": portal.webhook_user,
        "assignedById": portal.webhook_user,
        "opened": "N",
        **fields,
        "updatedTime": now,
        "updatedBy": portal.webhook_user,
    }
    if "title" in _FIELDS[entity] and not item.get("title"):
        item["title"] = f"{ENTITY_NAMES[entity].capitalize()} #{item_id}"
    items[item_id] = item
    return Reply({"item": _view(portal, entity, item)})


def update(portal: Portal, params: Params) -> Reply:
    entity = _entity(params)
    item = _item(portal, entity, params)
    item |= _stored(entity, php.mapping(params.get("fields")), item)
    item |= {"updatedTime": portal.moment(), "updatedBy": portal.webhook_user}
    return Reply({"item": _view(portal, entity, item)})


def get(portal: Portal, params: Params) -> Reply:
    entity = _entity(params)
    return Reply({"item": _view(portal, entity, _item(portal, entity, params))})


def list_(portal: Portal, params: Params) -> Reply:
    entity = _entity(params)
    items = _filtered(portal, entity, php.mapping(params.get("filter")))
    order = php.mapping(params.get("order")) or {"id": "ASC"}
    for key, direction in reversed(list(order.items())):
        field = _field_name(key)
        if field not in _FIELDS[entity]:
            raise RestError("INVALID_ARG_VALUE", f"Invalid order: field '{field}' is not allowed in order")
        items.sort(key=_sort_key(field), reverse=str(direction).upper() == "DESC")
    start = php.integer(params.get("start", 0))
    page = items[max(start, 0) : max(start, 0) + PAGE_SIZE]
    select = [str(name) for name in php.values(params.get("select") or ["*"])]
    rows = [_selected(_view(portal, entity, item), select) for item in page]
    if start < 0:
        return Reply({"items": rows}, total=0)
    following = start + PAGE_SIZE
    return Reply({"items": rows}, total=len(items), next=following if following < len(items) else None)


def fields(portal: Portal, params: Params) -> Reply:
    described = {
        name: {
            "type": kind,
            "isRequired": False,
            "isReadOnly": name in _READ_ONLY,
            "isImmutable": False,
            "isMultiple": name.endswith("Ids") or name == "fm",
            "isDynamic": False,
            "title": name,
            "upperName": re.sub(r"([A-Z])", r"_\1", name).upper(),
        }
        for name, kind in _FIELDS[_entity(params)].items()
    }
    return Reply({"fields": described})


def _entity(params: Params) -> int:
    entity = php.integer(params.get("entityTypeId"))
    if entity not in _FIELDS:
        raise RestError("NOT_FOUND", "Смарт-процесс не найден")
    return entity


def _item(portal: Portal, entity: int, params: Params) -> Item:
    item = portal.crm[entity].get(php.integer(params.get("id")))
    if item is None:
        raise RestError("NOT_FOUND", "Элемент не найден")
    return item


def _stored(entity: int, wanted: Mapping[str, Any], item: Item) -> Item:
    """Known, writable fields; all others are ignored. Multifields (`fm`) are merged by id."""
    stored: Item = {}
    for name, value in wanted.items():
        kind = _FIELDS[entity].get(name)
        if name in _READ_ONLY or (kind is None and not name.startswith("ufCrm")):
            continue
        if name == "fm":
            stored[name] = _multifields(value, item.get("fm", []))
        elif name.endswith("Ids"):
            if not isinstance(value, (list, dict)):
                kind_name = type(value).__name__
                raise RestError("100", f"Expected iterable value for multiple field, but got {kind_name} instead")
            stored[name] = [php.integer(each) for each in php.values(value)]
        elif kind == "double":
            stored[name] = 0.0 if php.is_empty(value) else _number(name, value)
        elif kind in _NUMBERS:
            stored[name] = php.integer(value)
        else:
            stored[name] = value
    return stored


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise RestError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f"Неверное значение поля «{name}»") from error


def _multifields(value: Any, present: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_id = {str(each["id"]): dict(each) for each in present}
    for key, each in php.items(value):
        # A list adds; a map changes the entry whose id is the key.
        known = by_id.get(key) if isinstance(value, Mapping) else None
        entry = known or {"id": max(map(int, by_id), default=0) + 1}
        by_id[str(entry["id"])] = entry | php.mapping(each)
    return list(by_id.values())


def _filtered(portal: Portal, entity: int, filter_: Mapping[str, Any]) -> list[Item]:
    known = _FIELDS[entity]
    for key in filter_:
        parts = split_key(key)
        field = _field_name(parts[2] if parts else key)
        if field not in known and not field.startswith("ufCrm"):
            raise RestError("INVALID_ARG_VALUE", f"Invalid filter: field '{field}' is not allowed in filter")
    items = list(portal.crm[entity].values())
    for condition in conditions(filter_):
        field = _field_name(condition.field)
        holds = predicate(condition, _typing(portal, known.get(field, "string")))
        items = [item for item in items if holds(item.get(field))]
    return items


def _field_name(key: str) -> str:
    """Filters and orders may spell a field as the database does: `ORIGIN_ID` is `originId`."""
    return camel_case(key) if key.isupper() else key


def _typing(portal: Portal, kind: str) -> Callable[[Any], Any]:
    if kind in _DATES:
        return lambda text: parse_moment(str(text), portal.zone)
    return php.integer if kind in _NUMBERS else str


def _sort_key(field: str) -> Callable[[Item], tuple[bool, str, float]]:
    def sort_key(item: Item) -> tuple[bool, str, float]:
        value = item.get(field)
        if isinstance(value, (int, float)):
            return True, "", float(value)
        return value is not None, str(value), 0.0

    return sort_key


def _view(portal: Portal, entity: int, item: Item) -> Item:
    shown = {name: item.get(name) for name in _FIELDS[entity]}
    shown |= {name: value for name, value in item.items() if name.startswith("ufCrm")}
    for name in ("createdTime", "updatedTime"):
        shown[name] = iso(item[name], portal.zone)
    return shown | {"entityTypeId": entity}


def _selected(item: Item, select: list[str]) -> Item:
    return item if "*" in select else {name: item[name] for name in ("id", *select) if name in item}


METHODS: Mapping[str, Callable[[Portal, Params], Reply]] = {
    "crm.item.add": add,
    "crm.item.update": update,
    "crm.item.get": get,
    "crm.item.list": list_,
    "crm.item.fields": fields,
}
