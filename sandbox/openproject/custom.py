"""Custom fields: how they are described, written and shown (lib/api/v3/utilities/custom_field_injector.rb)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from sandbox.openproject.errors import violation, wrong_format
from sandbox.openproject.links import PRINCIPALS, number_of
from sandbox.openproject.objects import CustomField
from sandbox.openproject.state import State
from sandbox.openproject.views import formattable, href, version

Json = dict[str, Any]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PLAIN: Mapping[str, tuple[type, ...]] = {
    "String": (str,),
    "Link": (str,),
    "Float": (int, float),
    "Integer": (int,),
    "Boolean": (bool,),
    "Date": (str,),
}


def schema(each: CustomField, state: State, project: int | None, *, in_form: bool) -> Json:
    """What may be chosen is told in a form only (lib/api/decorators/schema_representer.rb, form_embedded)."""
    entry: Json = {
        "type": ("[]" if each.multiple else "") + each.kind,
        "name": each.name,
        "required": False,
        "hasDefault": False,
        "writable": True,  # of calculated values, too
        "_links": {},
    }
    if each.is_linked:
        entry["location"] = "_links"
    else:
        entry["options"] = {}
    if each.kind == "CalculatedValue":
        entry["formula"] = "{{cf_32}} * 2"
    if in_form:
        entry |= _allowed(each, state, project)
    return entry


def _allowed(each: CustomField, state: State, project: int | None) -> Json:
    if each.kind == "CustomOption":
        links = [href("custom_options", option.id, option.name) for option in each.options]
        rows = [option_view(option.id, option.name) for option in each.options]
        return {"_links": {"allowedValues": links}, "_embedded": {"allowedValues": rows}}
    if each.kind == "Version":
        found = [one for one in state.versions.values() if one.is_open]
        links = [href("versions", one.id, one.name) for one in found]
        return {"_links": {"allowedValues": links}, "_embedded": {"allowedValues": [version(one) for one in found]}}
    if each.kind == "User":
        member = {"operator": "=", "values": [str(project)]} if project else {"operator": "*", "values": []}
        filters = [
            {"status": {"operator": "!", "values": ["3"]}},
            {"type": {"operator": "=", "values": ["User", "Group", "PlaceholderUser"]}},
            {"member": member},
        ]
        address = f"/api/v3/principals?filters={quote(json.dumps(filters), safe='')}&pageSize=-1"
        return {"_links": {"allowedValues": {"href": address}}}
    if each.kind == "CustomField::Hierarchy::Item":
        return {"_links": {"allowedValues": {"href": f"/api/v3/custom_fields/{each.id}/items"}}}
    return {}


def option_view(number: int, value: str) -> Json:
    return {
        "_type": "CustomOption",
        "id": number,
        "value": value,
        "_links": {"self": href("custom_options", number, value)},
    }


def items_view(each: CustomField) -> list[Json]:
    """Depth first, the root with it, which has neither label nor depth (hierarchy/items_api.rb)."""
    return [item_view(each, item.id) for item in _in_order(each, None)]


def _in_order(each: CustomField, parent: int | None) -> Iterable[Any]:
    for item in each.items:
        if item.parent == parent:
            yield item
            yield from _in_order(each, item.id)


def item_view(each: CustomField, number: int) -> Json:
    by_id = {item.id: item for item in each.items}
    item = by_id[number]
    depth, above = -1, item.parent
    while above is not None:
        depth, above = depth + 1, by_id[above].parent
    links: Json = {
        "self": href("custom_field_items", item.id, item.title),
        "children": [href("custom_field_items", one.id, one.label) for one in each.items if one.parent == item.id],
        "branch": {"href": f"/api/v3/custom_field_items/{item.id}/branch"},
    }
    if item.parent is not None:
        links["parent"] = {"href": f"/api/v3/custom_field_items/{item.parent}", "title": by_id[item.parent].label}
    return {
        "_type": "HierarchyItem",
        "id": item.id,
        "label": item.label,
        "short": item.short,
        "weight": item.weight,
        "formattedWeight": item.weight,
        "depth": None if depth < 0 else depth,
        "_links": links,
    }


def apply(kept: Json, fields: Iterable[CustomField], body: Json, links: Mapping[str, Any], state: State) -> None:
    """Writes what the body says of these fields into `kept`; what else it says is dropped without a word."""
    for each in fields:
        if each.is_linked and each.key in links:
            given = links[each.key] if isinstance(links[each.key], list) else [links[each.key]]
            known, namespaces = _targets(each, state)
            chosen = [number_of({each.key: one}, each.key, known, *namespaces) for one in given]
            if len(chosen) > 1 and not each.multiple:
                raise violation(each.key, "Одно значение.")
            kept[each.key] = [number for number in chosen if number is not None]
        elif not each.is_linked and each.key in body and each.kind != "CalculatedValue":
            kept[each.key] = _plain(each, body[each.key])


def _targets(each: CustomField, state: State) -> tuple[Mapping[int, Any], tuple[str, ...]]:
    if each.kind == "CustomOption":
        return {option.id: option for option in each.options}, ("custom_options",)
    if each.kind == "Version":
        return {number: one for number, one in state.versions.items() if one.is_open}, ("versions",)
    if each.kind == "User":
        return state.people, PRINCIPALS
    return {item.id: item for item in each.items if item.label is not None}, ("custom_field_items",)


def _plain(each: CustomField, value: Any) -> Any:
    if each.kind == "Formattable":
        if value is not None and not (isinstance(value, Mapping) and isinstance(value.get("raw"), str)):
            raise wrong_format(each.key, "объект с raw")
        return None if value is None else value["raw"]
    if value is not None and (
        not isinstance(value, _PLAIN[each.kind]) or (each.kind != "Boolean" and isinstance(value, bool))
    ):
        raise wrong_format(each.key, each.kind)
    if each.kind == "Link" and isinstance(value, str) and value and not _SCHEME.match(value):
        return f"http://{value}"  # heuristic_parse (app/models/custom_value/link_strategy.rb)
    return value


def shown(kept: Json, fields: Iterable[CustomField], state: State) -> tuple[Json, Json]:
    """The values at the top level, and those in `_links`."""
    plain: Json = {}
    links: Json = {}
    for one in fields:
        value = kept.get(one.key)
        if one.is_linked:
            chosen = [_link(one, number, state) for number in value or []]
            links[one.key] = chosen if one.multiple else (chosen[0] if chosen else {"href": None, "title": None})
        elif one.kind == "Formattable":
            plain[one.key] = formattable(value or "")
        else:
            plain[one.key] = value
    return plain, links


def _link(each: CustomField, number: int, state: State) -> Json:
    if each.kind == "User":
        return href(state.people[number].path, number, state.people[number].name)
    known, namespaces = _targets(each, state)
    one = known.get(number)
    title = getattr(one, "title", None) or getattr(one, "name", None)
    return href(namespaces[0], number, title)
