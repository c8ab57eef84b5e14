"""The objects of the sandbox's infobase and what may be done with them, by 1C's rules."""

from __future__ import annotations

import base64
import struct
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sandbox.onec.errors import ODataError
from sandbox.onec.schema import EMPTY_DATE, EMPTY_GUID, ENTITIES, Entity
from sandbox.onec.values import empty_row, is_guid, written

Row = dict[str, Any]

_READ_ONLY = {"DataVersion", "Posted", "Executed", "Completed", "Started"}
_FIRST_NUMBER = {"Document": "КА00-", "Task": "", "BusinessProcess": "", "Catalog": ""}


class Store:
    """Usable from any thread under `lock`.

    `keeps_keys=False`: an infobase that gives its own Ref_Key. `tells_lengths=False`: its $metadata has no MaxLength.
    `counted_pages`: $inlinecount leaves $skip and $top in force; the platform's guide says that it does not (8.3.27,
    17.4.6.2).
    """

    def __init__(
        self,
        entities: Iterable[Entity] = ENTITIES,
        *,
        keeps_keys: bool = True,
        tells_lengths: bool = True,
        counted_pages: bool = False,
    ) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.entities = {each.name: each for each in entities}
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in self.entities}
        self.made: dict[int, tuple[str, str]] = {}  # (entity, key) by the number of its creation
        self.hidden: set[str] = set()  # keys that the user may not see
        self.keeps_keys = keeps_keys
        self.tells_lengths = tells_lengths
        self.counted_pages = counted_pages
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
        if not is_guid(key):
            raise ODataError(400, 4, "Неправильное значение свойства «Ref_Key»")
        if key in self.rows[name]:
            raise ODataError(400, 15, "Сущность с таким ключом уже существует")
        row = {**empty_row(entity.attributes), "Ref_Key": key}
        self._write(entity, row, body)
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
        """What an object does not have is ignored, as the platform's guide says (8.3.27, 17.4.13.1.2)."""
        for name in _READ_ONLY & body.keys():
            if entity.attribute(name) is not None and row.get(name) != body[name]:
                raise ODataError(400, 16, f"Ошибка присваивания свойства «{name}»")
        changed = {name: value for name, value in written(entity.attributes, body).items() if name != "Ref_Key"}
        for each in (line for value in changed.values() if isinstance(value, list) for line in value):
            each["Ref_Key"] = row["Ref_Key"]
        row |= changed
