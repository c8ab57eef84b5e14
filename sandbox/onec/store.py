"""The objects of the sandbox's infobase and what may be done with them, by 1C's rules."""

from __future__ import annotations

import base64
import re
import struct
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sandbox.onec.errors import ODataError
from sandbox.onec.schema import EMPTY_DATE, EMPTY_GUID, ENTITIES, Attribute, Entity

Row = dict[str, Any]

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_READ_ONLY = {"DataVersion", "Posted", "Executed", "Completed", "Started"}
_FIRST_NUMBER = {"Document": "КА00-", "Task": "", "BusinessProcess": "", "Catalog": ""}


class Store:
    """Usable from any thread under `lock`. `keeps_keys=False`: an infobase that gives its own Ref_Key."""

    def __init__(self, entities: Iterable[Entity] = ENTITIES, *, keeps_keys: bool = True) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.entities = {each.name: each for each in entities}
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in self.entities}
        self.made: dict[int, tuple[str, str]] = {}  # (entity, key) by the number of its creation
        self.hidden: set[str] = set()  # keys that the user may not see
        self.keeps_keys = keeps_keys
        self.clock_offset = timedelta()
        self._versions = 0

    def now(self) -> datetime:
        """The infobase's local time."""
        return datetime.now() + self.clock_offset  # noqa: DTZ005 - 1C knows no zones

    def stamp(self) -> str:
        return self.now().isoformat(timespec="seconds")

    def entity(self, name: str) -> Entity:
        if name not in self.entities:
            raise ODataError(404, 8, f"Тип сущности «{name}» не найден")
        return self.entities[name]

    def row(self, entity: str, key: str) -> Row:
        found = self.rows[self.entity(entity).name].get(key.lower())
        if found is None:
            raise ODataError(404, 9, f"Экземпляр сущности «{entity}» не найден")
        if key.lower() in self.hidden:
            raise ODataError(403, 20, "Недостаточно прав доступа")
        return found

    def visible(self, entity: str) -> Iterator[Row]:
        for key, row in self.rows[entity].items():
            if key not in self.hidden:
                yield row

    def create(self, name: str, body: Mapping[str, Any]) -> Row:
        entity = self.entity(name)
        key = str(body.get("Ref_Key") or "").lower()
        if key in {"", EMPTY_GUID} or not self.keeps_keys:
            key = str(uuid.uuid4())
        if not _GUID.fullmatch(key):
            raise ODataError(400, 4, "Неправильное значение свойства «Ref_Key»")
        if key in self.rows[name]:
            raise ODataError(400, 15, "Сущность с таким ключом уже существует")
        row: Row = {each.name: _empty(each) for each in entity.attributes}
        self._write(entity, row, body)
        row["Ref_Key"] = key
        number = f"{_FIRST_NUMBER[entity.kind]}{len(self.rows[name]) + 1:06d}"
        row |= {name: number for name in ("Number", "Code") if name in row and not row[name]}
        self.rows[name][key] = row
        self.made[len(self.made) + 1] = (name, key)
        self.touch(row)
        return row

    def change(self, name: str, key: str, body: Mapping[str, Any], version: str | None) -> Row:
        row = self.row(name, key)
        if version is not None and version != row["DataVersion"]:
            raise ODataError(412, 0, "Версия объекта изменилась или объект удален")
        self._write(self.entity(name), row, body)
        self.touch(row)
        return row

    def delete(self, name: str, key: str) -> None:
        self.row(name, key)
        del self.rows[name][key.lower()]
        self.changed.notify_all()

    def act(self, name: str, key: str, action: str) -> None:
        if action not in self.entity(name).actions:
            raise ODataError(404, 11, f"Метод «{action}» не найден")
        row = self.row(name, key)
        match action:
            case "Post":
                row["Posted"] = True
            case "Unpost":
                row["Posted"] = False
            case "Start":
                self._start(row)
            case "ExecuteTask":
                self.execute(row)
            case "UnexecuteTask":
                row |= {"Executed": False, "ДатаИсполнения": EMPTY_DATE}
        self.touch(row)

    def execute(self, row: Row, result: str = "") -> None:
        if row["Executed"]:
            raise ODataError(500, -1, "Задача уже выполнена")
        row |= {"Executed": True, "ДатаИсполнения": self.stamp(), "РезультатВыполнения": result}
        process = self.rows["BusinessProcess_Задание"].get(row["BusinessProcess_Key"])
        if process is not None:
            process |= {"Completed": True, "ДатаЗавершения": self.stamp(), "РезультатВыполнения": result}
            self.touch(process)

    def touch(self, row: Row) -> None:
        self._versions += 1
        row["DataVersion"] = base64.b64encode(struct.pack(">Q", self._versions)).decode()
        self.changed.notify_all()

    def _start(self, process: Row) -> None:
        if process["Started"]:
            raise ODataError(500, -1, "Бизнес-процесс уже стартован")
        process["Started"] = True
        task = {
            "BusinessProcess_Key": process["Ref_Key"],
            "Description": process["Наименование"],
            "Описание": process["Содержание"],
            "Исполнитель": process["Исполнитель"],
            "Исполнитель_Type": process["Исполнитель_Type"],
            "СрокИсполнения": process["СрокИсполнения"],
        }
        keeps, self.keeps_keys = self.keeps_keys, True
        self.create("Task_ЗадачаИсполнителя", task)
        self.keeps_keys = keeps

    def _write(self, entity: Entity, row: Row, body: Mapping[str, Any]) -> None:
        written: Row = {}
        for name, value in body.items():
            if name == "Ref_Key" or name.endswith("@odata.bind"):
                continue
            attribute = entity.attribute(name)
            if attribute is None:
                raise ODataError(400, 10, f"Свойство «{name}» не найдено")
            if name in _READ_ONLY and row.get(name) != value:
                raise ODataError(400, 16, f"Ошибка присваивания свойства «{name}»")
            written[name] = _checked(attribute, value)
        row |= written


def _empty(attribute: Attribute) -> Any:
    if attribute.name.endswith("_Type"):
        return "StandardODATA.Undefined"
    if attribute.type.startswith("Collection("):
        return []
    empty = {
        "Edm.Guid": EMPTY_GUID,
        "Edm.DateTime": EMPTY_DATE,
        "Edm.Boolean": False,
        "Edm.Double": 0,
        "Edm.Int32": 0,
    }
    return empty.get(attribute.type, "")


def _checked(attribute: Attribute, value: Any) -> Any:
    checks: Mapping[str, Callable[[], bool]] = {
        "Edm.String": lambda: isinstance(value, str),
        "Edm.Guid": lambda: isinstance(value, str) and bool(_GUID.fullmatch(value.lower())),
        "Edm.Boolean": lambda: isinstance(value, bool),
        "Edm.Double": lambda: isinstance(value, int | float) and not isinstance(value, bool),
        "Edm.Int32": lambda: isinstance(value, int) and not isinstance(value, bool),
        "Edm.DateTime": lambda: isinstance(value, str) and _is_local(value),
    }
    if attribute.type in checks and not checks[attribute.type]():
        raise ODataError(400, 4, f"Неправильное значение свойства «{attribute.name}»")
    if attribute.max_length is not None and len(value) > attribute.max_length:
        return value[: attribute.max_length]  # without a word, as the database does
    return value.lower() if attribute.type == "Edm.Guid" else value


def _is_local(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False
