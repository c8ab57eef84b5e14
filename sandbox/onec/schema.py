"""What the sandbox's infobase consists of: objects with their attributes, and the `$metadata` that tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"

_NAMESPACE = "StandardODATA"


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str
    type: str = "Edm.String"
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """One object of the configuration; `actions` are what may be called for it."""

    name: str
    attributes: tuple[Attribute, ...]
    actions: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.name.partition("_")[0]

    def attribute(self, name: str) -> Attribute | None:
        return next((each for each in self.attributes if each.name == name), None)


def text(name: str, max_length: int | None = None) -> Attribute:
    return Attribute(name, "Edm.String", max_length)


def date(name: str) -> Attribute:
    return Attribute(name, "Edm.DateTime")


def flag(name: str) -> Attribute:
    return Attribute(name, "Edm.Boolean")


def reference(name: str) -> Attribute:
    """A reference to objects of one type."""
    return Attribute(f"{name}_Key", "Edm.Guid")


def any_reference(name: str) -> tuple[Attribute, Attribute]:
    """A reference to objects of several types, with the name of the type beside it."""
    return Attribute(name), Attribute(f"{name}_Type")


_COMMON = (Attribute("Ref_Key", "Edm.Guid"), text("DataVersion"), flag("DeletionMark"))
_DOCUMENT = (*_COMMON, text("Number", 11), date("Date"), flag("Posted"))
_CATALOG = (*_COMMON, text("Code", 11), text("Description", 100))

IMPORTANCE = ("Высокая", "Обычная", "Низкая")

ENTITIES: Sequence[Entity] = (
    Entity(
        "Document_ЗаказКлиента",
        (
            *_DOCUMENT,
            reference("Контрагент"),
            Attribute("СуммаДокумента", "Edm.Double"),
            text("Комментарий"),
            text("Статус", 50),
            reference("Состояние"),
            Attribute("Важность", f"{_NAMESPACE}.ВажностьЗадачи"),
            flag("Срочный"),
            Attribute("Строк", "Edm.Int32"),
            date("ДатаСогласования"),
            Attribute("Товары", f"Collection({_NAMESPACE}.Document_ЗаказКлиента_Товары_RowType)"),
        ),
        ("Post", "Unpost"),
    ),
    Entity(
        "Catalog_Контрагенты",
        (*_CATALOG, text("НаименованиеПолное"), text("ИНН", 12), text("КПП", 9), text("Комментарий")),
    ),
    Entity("Catalog_Пользователи", (*_CATALOG, text("Логин", 50))),
    Entity(
        "Task_ЗадачаИсполнителя",
        (
            *_COMMON,
            text("Number", 11),
            date("Date"),
            text("Description", 150),
            flag("Executed"),
            reference("BusinessProcess"),
            *any_reference("Исполнитель"),
            text("Описание"),
            date("СрокИсполнения"),
            date("ДатаИсполнения"),
            text("РезультатВыполнения"),
            Attribute("Важность", f"{_NAMESPACE}.ВажностьЗадачи"),
        ),
        ("ExecuteTask", "UnexecuteTask"),
    ),
    Entity(
        "BusinessProcess_Задание",
        (
            *_COMMON,
            text("Number", 11),
            date("Date"),
            flag("Completed"),
            flag("Started"),
            text("Наименование", 150),
            text("Содержание"),
            *any_reference("Исполнитель"),
            date("СрокИсполнения"),
            date("ДатаЗавершения"),
            text("РезультатВыполнения"),
        ),
        ("Start",),
    ),
)

ROWS: Mapping[str, tuple[Attribute, ...]] = {
    "Document_ЗаказКлиента_Товары_RowType": (
        Attribute("LineNumber", "Edm.Int64"),
        reference("Номенклатура"),
        Attribute("Количество", "Edm.Double"),
        text("Содержание"),
    )
}
ENUMERATIONS: Mapping[str, tuple[str, ...]] = {"ВажностьЗадачи": IMPORTANCE}


def metadata_xml(entities: Sequence[Entity]) -> bytes:
    types = [_type("EntityType", each.name, each.attributes, key=True) for each in entities]
    types += [_type("ComplexType", name, attributes, key=False) for name, attributes in ROWS.items()]
    types += [_enumeration(name, members) for name, members in ENUMERATIONS.items()]
    sets = "".join(
        f"<EntitySet Name={quoteattr(each.name)} EntityType={quoteattr(f'{_NAMESPACE}.{each.name}')}/>"
        for each in entities
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">'
        '<edmx:DataServices m:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0" '
        'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        f'<Schema Namespace="{_NAMESPACE}" xmlns="http://schemas.microsoft.com/ado/2009/11/edm">'
        f'{"".join(types)}<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">{sets}'
        "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    ).encode()


def _type(kind: str, name: str, attributes: Sequence[Attribute], *, key: bool) -> str:
    keys = '<Key><PropertyRef Name="Ref_Key"/></Key>' if key else ""
    properties = "".join(
        f"<Property Name={quoteattr(each.name)} Type={quoteattr(each.type)} Nullable="
        f'"{str(each.name != "Ref_Key").lower()}"'
        f"{f' MaxLength={quoteattr(str(each.max_length))}' if each.max_length else ''}/>"
        for each in attributes
    )
    return f"<{kind} Name={quoteattr(name)}>{keys}{properties}</{kind}>"


def _enumeration(name: str, members: Sequence[str]) -> str:
    inner = "".join(f'<Member Name={quoteattr(each)} Value="{at}"/>' for at, each in enumerate(members))
    return f"<EnumType Name={quoteattr(name)}>{inner}</EnumType>"
