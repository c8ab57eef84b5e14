"""What the sandbox's infobase consists of: objects with their attributes, and the `$metadata` that tells of them.

How attributes of each type look is said in the platform's developer guide, 8.3.27, 17.4.3: an enumeration is
`Edm.String`, an attribute of several types two properties of `Edm.String` (the value as text, and the name of its
type), a value storage three (the content itself, `_Base64Data`, `_Type`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from xml.sax.saxutils import quoteattr

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"
UNDEFINED = "StandardODATA.Undefined"  # the type of a value that is not there

_NAMESPACE = "StandardODATA"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One property. `members` are the values of an enumeration, `kinds` the types of which a composite one may be."""

    name: str
    type: str = "Edm.String"
    max_length: int | None = None
    members: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


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


def rows(name: str, entity: str) -> Attribute:
    """A tabular part; ROWS has its columns."""
    return Attribute(name, f"Collection({_NAMESPACE}.{entity}_{name}_RowType)")


def columns(of: Attribute) -> tuple[Attribute, ...] | None:
    """Those of a tabular part."""
    inner = of.type.removeprefix("Collection(").removesuffix(")")
    return ROWS.get(inner.removeprefix(f"{_NAMESPACE}.")) if inner != of.type else None


def several(name: str, *kinds: str) -> tuple[Attribute, Attribute]:
    """An attribute of several types, with the name of the type beside it."""
    return Attribute(name, kinds=kinds), Attribute(f"{name}_Type")


def enumeration(name: str, members: tuple[str, ...]) -> Attribute:
    return Attribute(name, members=members)


def storage(name: str) -> tuple[Attribute, Attribute, Attribute]:
    """A value storage (`ХранилищеЗначения`); the first is a link and stands in no row."""
    return Attribute(name, STREAM), Attribute(f"{name}_Base64Data", "Edm.Binary"), Attribute(f"{name}_Type")


STREAM = "Edm.Stream"

_COMMON = (Attribute("Ref_Key", "Edm.Guid"), text("DataVersion"), flag("DeletionMark"))
_DOCUMENT = (*_COMMON, text("Number", 11), date("Date"), flag("Posted"))
_CATALOG = (*_COMMON, text("Code", 11), text("Description", 100))

IMPORTANCE = ("Высокая", "Обычная", "Низкая")
PERFORMERS = (f"{_NAMESPACE}.Catalog_Пользователи", f"{_NAMESPACE}.Catalog_Контрагенты")
# What a value of the standard library's additional attributes may be. That enumerations bear this name: public code of
# DirectumCompany/rx-demo-1c, IncomingInvoiceServerFunctions.cs (`Статус_Type = "UnavailableEnums.СтатусОплатыСчета"`).
ANY_KIND = (
    *("Edm.String", "Edm.Double", "Edm.DateTime", "Edm.Boolean"),
    *PERFORMERS,
    "UnavailableEnums.ВажностьЗадачи",
)

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
            enumeration("Важность", IMPORTANCE),
            flag("Срочный"),
            Attribute("Строк", "Edm.Int32"),
            date("ДатаСогласования"),
            *several("Основание", *ANY_KIND),
            *storage("Подпись"),
            rows("Товары", "Document_ЗаказКлиента"),
            rows("ДополнительныеРеквизиты", "Document_ЗаказКлиента"),
        ),
        ("Post", "Unpost"),
    ),
    Entity(
        "Catalog_Контрагенты",
        (
            *_CATALOG,
            *(text("НаименованиеПолное"), text("ИНН", 12), text("КПП", 9), text("Комментарий")),
            rows("ДополнительныеРеквизиты", "Catalog_Контрагенты"),
        ),
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
            *several("Исполнитель", *PERFORMERS),
            text("Описание"),
            date("СрокИсполнения"),
            date("ДатаИсполнения"),
            text("РезультатВыполнения"),
            enumeration("Важность", IMPORTANCE),
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
            *several("Исполнитель", *PERFORMERS),
            date("СрокИсполнения"),
            date("ДатаЗавершения"),
            text("РезультатВыполнения"),
        ),
        ("Start",),
    ),
)

_ROW = (Attribute("Ref_Key", "Edm.Guid"), Attribute("LineNumber", "Edm.Int64"))
# As the standard library (БСП, УправлениеСвойствами) has them in each object with additional attributes: one row for
# each property; a text in ТекстоваяСтрока is shown instead of the value where the property is a text without limit.
_ADDITIONAL = (*_ROW, reference("Свойство"), *several("Значение", *ANY_KIND), text("ТекстоваяСтрока"))

ROWS: Mapping[str, tuple[Attribute, ...]] = {
    "Document_ЗаказКлиента_Товары_RowType": (
        *_ROW,
        reference("Номенклатура"),
        Attribute("Количество", "Edm.Double"),
        text("Содержание"),
    ),
    "Document_ЗаказКлиента_ДополнительныеРеквизиты_RowType": _ADDITIONAL,
    "Catalog_Контрагенты_ДополнительныеРеквизиты_RowType": _ADDITIONAL,
}
ENUMERATIONS: Mapping[str, tuple[str, ...]] = {"ВажностьЗадачи": IMPORTANCE}


def metadata_xml(entities: Sequence[Entity], *, tells_lengths: bool = True) -> bytes:
    """`tells_lengths=False`: without MaxLength. Public samples of $metadata are of both kinds."""
    write = partial(_type, tells_lengths=tells_lengths)
    types = [write("EntityType", each.name, each.attributes, key=True) for each in entities]
    types += [write("ComplexType", name, attributes, key=False) for name, attributes in ROWS.items()]
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


def _type(kind: str, name: str, attributes: Sequence[Attribute], *, key: bool, tells_lengths: bool) -> str:
    keys = '<Key><PropertyRef Name="Ref_Key"/></Key>' if key else ""
    properties = "".join(
        f"<Property Name={quoteattr(each.name)} Type={quoteattr(each.type)} Nullable="
        f'"{str(each.name != "Ref_Key").lower()}"'
        f"{f' MaxLength={quoteattr(str(each.max_length))}' if each.max_length and tells_lengths else ''}/>"
        for each in attributes
    )
    return f"<{kind} Name={quoteattr(name)}>{keys}{properties}</{kind}>"


def _enumeration(name: str, members: Sequence[str]) -> str:
    inner = "".join(f'<Member Name={quoteattr(each)} Value="{at}"/>' for at, each in enumerate(members))
    return f"<EnumType Name={quoteattr(name)}>{inner}</EnumType>"
