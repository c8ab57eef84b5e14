"""The routes of the standard OData interface that the worker and its judges use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from sandbox.http_front import RawAnswer
from sandbox.onec.errors import ODataError, iis_page
from sandbox.onec.filters import parse
from sandbox.onec.schema import EMPTY_GUID, STREAM, Entity, metadata_xml
from sandbox.onec.store import Row, Store

_OBJECT = re.compile(r"([^/()]+)\(guid'([0-9A-Fa-f-]{36})'\)(?:/(\w+))?")
_OPTIONS = {"$format", "$filter", "$select", "$orderby", "$top", "$skip", "$inlinecount", "$expand", "allowedOnly"}
_ACTION_OPTIONS = {"PostingModeOperational", "RoutePoint"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request below /odata/standard.odata: `path` decoded, `query` decoded by name."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    version: str | None  # If-Match

    @property
    def as_json(self) -> bool:
        return self.query.get("$format") == "json"


def parse_query(text: str) -> dict[str, str]:
    """A plus is a plus: 1C's parser does not take it for a space."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def answer(store: Store, call: Call, address: str) -> RawAnswer:
    """With the lock held. Raises ODataError."""
    unknown = [name for name in call.query if name not in _OPTIONS | _ACTION_OPTIONS]
    if unknown:
        raise ODataError(400, 14, f"Неизвестная опция запроса «{unknown[0]}»")
    if call.path == "$metadata":
        return RawAnswer(
            200,
            metadata_xml(list(store.entities.values()), tells_lengths=store.tells_lengths),
            "application/xml;charset=utf-8",
        )
    if call.path == "":
        listed = [{"name": name, "url": name} for name in store.entities]
        return _json(200, {"odata.metadata": f"{address}$metadata", "value": listed})
    match = _OBJECT.fullmatch(call.path)
    if match is not None:
        return _object(store, call, f"{address}$metadata#", *match.groups())
    if call.path in store.entities:
        return _collection(store, call, address)
    if re.fullmatch(r"[^\W\d]\w*", call.path):
        raise ODataError(404, 8, f"Тип сущности «{call.path}» не найден")
    raise ODataError(400, 6, "Неправильный URL")


def _collection(store: Store, call: Call, address: str) -> RawAnswer:
    entity = store.entities[call.path]
    metadata = {"odata.metadata": f"{address}$metadata#{entity.name}"}
    if call.method == "POST":
        made = store.create(entity.name, call.body)
        return _json(201, {"odata.metadata": f"{metadata['odata.metadata']}/@Element", **_linked(entity, made)})
    if call.method != "GET":
        raise ODataError(405, 19, "Метод HTTP не поддерживается")
    return _json(200, {**metadata, **_listing(store, entity, call.query)})


def _object(store: Store, call: Call, context: str, *path: str | None) -> RawAnswer:
    name, key, action = str(path[0]), str(path[1]), path[2]
    store.entity(name)
    if action is not None:
        if call.method != "POST":
            raise ODataError(405, 19, "Метод HTTP не поддерживается")
        store.act(name, key, action)
        return RawAnswer(200, b"")
    match call.method:
        case "GET":
            row = store.row(name, key)
        case "PATCH" | "PUT":
            row = store.change(name, key, call.body, call.version)
        case "DELETE":
            store.delete(name, key)
            return RawAnswer(204, b"")
        case _:
            raise ODataError(405, 19, "Метод HTTP не поддерживается")
    entity = store.entities[name]
    selected = _selected(entity, row, _columns(entity, call.query.get("$select")))
    return _json(200, {"odata.metadata": f"{context}{name}/@Element", **selected})


def _listing(store: Store, entity: Entity, query: Mapping[str, str]) -> dict[str, Any]:
    found = parse(query["$filter"], entity) if query.get("$filter") else None
    if found is not None and found.keys is not None:
        rows = [row for key in found.keys if (row := store.rows[entity.name].get(key)) is not None]
    else:
        rows = list(store.rows[entity.name].values())
    rows = [row for row in rows if found is None or found.test(row)]
    visible = [row for row in rows if row["Ref_Key"] not in store.hidden]
    if len(visible) < len(rows) and query.get("allowedOnly") != "true":
        raise ODataError(403, 20, "Недостаточно прав доступа")
    for name, descending in reversed(_order(query.get("$orderby", ""), entity)):
        visible.sort(key=lambda row, name=name: row[name], reverse=descending)  # type: ignore[misc]
    skip, top = _number(query, "$skip", 0), _number(query, "$top", len(visible))
    listing: dict[str, Any] = {}
    if query.get("$inlinecount") == "allpages":
        listing["odata.count"] = str(len(visible))
        if not store.counted_pages:
            skip, top = 0, len(visible)
    page = visible[skip : skip + top]
    columns = _columns(entity, query.get("$select"))
    listing["value"] = [_selected(entity, row, columns) for row in page]
    return listing


def _order(text: str, entity: Entity) -> list[tuple[str, bool]]:
    order = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, direction = part.partition(" ")
        if entity.attribute(name) is None or direction.strip() not in {"", "asc", "desc"}:
            raise ODataError(400, 14, f"Ошибка разбора опции $orderby: {part}")
        order.append((name, direction.strip() == "desc"))
    return order


def _columns(entity: Entity, select: str | None) -> list[str] | None:
    """None: all of them."""
    if not select or select == "*":
        return None
    names = [name.strip() for name in select.split(",")]
    for name in names:
        attribute = entity.attribute(name)
        if attribute is None or attribute.type == STREAM:
            raise ODataError(400, 10, f"Свойство «{name}» не найдено")
    return names


def _selected(entity: Entity, row: Row, columns: list[str] | None) -> Row:
    return _linked(entity, row) if columns is None else {name: row[name] for name in columns}


def _linked(entity: Entity, row: Row) -> Row:
    """With a link for each reference that leads somewhere, as 1C adds them to an object (samples in public code)."""
    names = [each.name.removesuffix("_Key") for each in entity.attributes if each.type == "Edm.Guid"]
    led = [name for name in names if name != "Ref" and row[f"{name}_Key"] != EMPTY_GUID]
    return {**row, **{f"{name}@navigationLinkUrl": f"{entity.name}(guid'{row['Ref_Key']}')/{name}" for name in led}}


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise ODataError(400, 14, f"Ошибка разбора опции {name}")
    return int(text)


def _json(status: int, body: Mapping[str, Any]) -> RawAnswer:
    text = json.dumps(body, ensure_ascii=False).encode()
    return RawAnswer(status, text, "application/json;odata=minimalmetadata;charset=utf-8")


def too_long() -> RawAnswer:
    return iis_page(404, "HTTP Error 404.15 - Not Found: the query string is too long")
