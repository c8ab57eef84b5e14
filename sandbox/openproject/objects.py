"""What the server stores: its objects, and the administrator's settings that change how it behaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Instance:
    """`semantic`: work packages are called PROJ-42 (since 17.5). `admin`: the token's user sees logins and addresses.

    `working_days`: a date on a Saturday or Sunday becomes the Monday after, as every new installation does it.
    `rights` are what the token's user may do: `view`, `add`, `edit`, `add_project`.
    """

    version: tuple[int, int] = (17, 6)
    semantic: bool = False
    admin: bool = True
    working_days: bool = True
    rights: frozenset[str] = frozenset({"view", "add", "edit", "add_project"})

    @property
    def knows_display_ids(self) -> bool:
        return self.version >= (17, 5)


@dataclass(frozen=True, slots=True)
class Project:
    """`types` are the ids of the work package types that are switched on, `former` are identifiers it had before."""

    id: int
    identifier: str
    name: str
    types: Sequence[int] = (1, 2, 3)
    parent: int | None = None
    description: str = ""
    former: Sequence[str] = ()
    custom: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkPackageType:
    id: int
    name: str
    is_milestone: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    id: int
    name: str
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A priority, a version, a role or an option of a list; `is_open` is for versions."""

    id: int
    name: str
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a hierarchy (`short`) or of a scored list (`weight`); the root has no label."""

    id: int
    label: str | None
    parent: int | None = None
    short: str | None = None
    weight: str | None = None

    @property
    def title(self) -> str | None:
        """As the server writes it: the label, then the short name or the weight in brackets."""
        if self.label is None:
            return None
        suffix = self.short or self.weight
        return f"{self.label} ({suffix})" if suffix else self.label


@dataclass(frozen=True, slots=True)
class Person:
    """A user, or a group of them (`kind` "Group"), which has neither login nor address."""

    id: int
    name: str
    login: str = ""
    email: str = ""
    kind: str = "User"

    @property
    def path(self) -> str:
        return {"Group": "groups", "PlaceholderUser": "placeholder_users"}.get(self.kind, "users")


@dataclass(frozen=True, slots=True)
class Membership:
    id: int
    project: int
    principal: int
    roles: Sequence[int] = (3,)


@dataclass(frozen=True, slots=True)
class CustomField:
    """`types` and `projects` (None: all) are where it is switched on; elsewhere it is dropped without a word.

    `kind` is the type that a schema tells. `options` are for a list, `items` for a hierarchy or scored list.
    """

    id: int
    name: str
    kind: str = "String"
    options: Sequence[Named] = ()
    types: Sequence[int] | None = None
    projects: Sequence[int] | None = None
    is_filter: bool = True
    multiple: bool = False
    items: Sequence[Item] = ()

    @property
    def key(self) -> str:
        return f"customField{self.id}"

    @property
    def is_linked(self) -> bool:
        """Whether its values stand in `_links` (custom_field_injector.rb, LINK_FORMATS)."""
        return self.kind in {"CustomOption", "User", "Version", "CustomField::Hierarchy::Item"}

    def is_on(self, project: int, kind: int) -> bool:
        return (self.types is None or kind in self.types) and (self.projects is None or project in self.projects)


@dataclass(slots=True)
class WorkPackage:
    """`custom` holds values, of linked fields the ids; `sequence` is the number within the project, if it has one."""

    id: int
    project: int
    type: int
    status: int
    priority: int
    author: int
    subject: str
    created_at: datetime
    updated_at: datetime
    lock_version: int = 0
    description: str = ""
    start_date: str | None = None
    due_date: str | None = None
    date: str | None = None
    estimated_time: str | None = None
    assignee: int | None = None
    responsible: int | None = None
    version: int | None = None
    parent: int | None = None
    sequence: int | None = None
    custom: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    visible: bool = True  # False: the token's user may not see it any more


PROJECTS: Sequence[Project] = (
    Project(1, "contracts", "Договоры"),
    Project(2, "office", "Офис"),
    Project(3, "bare", "Без ключа", types=(1, 3)),
)
TYPES = (WorkPackageType(1, "Task"), WorkPackageType(2, "Milestone", is_milestone=True), WorkPackageType(3, "Bug"))
STATUSES = (
    Status(1, "New"),
    Status(7, "In progress"),
    Status(12, "Closed", is_closed=True),
    Status(14, "Rejected", is_closed=True),
)
PRIORITIES = (Named(7, "Low"), Named(8, "Normal"), Named(9, "High"))
VERSIONS = (Named(1, "1.0"), Named(2, "Релиз осени"), Named(3, "0.9", is_open=False))
ROLES = (Named(3, "Member"), Named(4, "Project admin"))
PEOPLE = (
    Person(1, "OpenProject Admin", "admin", "admin@example.com"),
    Person(4, "Анна Соколова", "sokolova", "sokolova@example.com"),
    Person(5, "Борис Лебедев", "lebedev", "lebedev@example.com"),
    Person(6, "Юристы", kind="Group"),
)
MEMBERSHIPS = (
    *(Membership(number, project, 1, (4,)) for number, project in ((1, 1), (2, 2), (3, 3))),
    *(Membership(10 + number, 1, number) for number in (4, 5, 6)),
)
REGIONS = (
    Item(70, None),
    Item(71, "Россия", 70, short="RU"),
    Item(72, "Москва", 71),
    Item(73, "Тверь", 71, short="TVR"),
    Item(74, "Казахстан", 70, short="KZ"),
    Item(75, "Астана", 74),
    Item(76, "Центр", 72),
    Item(77, "Центр", 75),
)
RISKS = (Item(80, None), Item(81, "низкий", 80, weight="1.0"), Item(82, "высокий", 80, weight="10.5"))
CUSTOM_FIELDS = (
    CustomField(7, "Camunda ID", projects=(1, 2)),
    CustomField(9, "Решение", "CustomOption", (Named(31, "Да"), Named(32, "Нет"))),
    CustomField(10, "Сумма", "Float"),
    CustomField(
        11,
        "Метки",
        "CustomOption",
        (Named(41, "срочно"), Named(42, "юристы"), Named(43, "Москва, центр")),
        multiple=True,
    ),
    CustomField(12, "Регион", "CustomField::Hierarchy::Item", items=REGIONS, multiple=True),
    CustomField(13, "Риск", "CustomField::Hierarchy::Item", items=RISKS),
    CustomField(14, "Ссылка", "Link"),
    CustomField(15, "Куратор", "User"),
    CustomField(16, "Наблюдатели", "User", multiple=True),
    CustomField(17, "Сборка", "Version"),
    CustomField(18, "Количество", "Integer"),
    CustomField(19, "Оплачено", "Boolean"),
    CustomField(20, "Дата акта", "Date"),
    CustomField(21, "Примечание", "Formattable"),
)
# Calculated values exist for projects only (config/initializers/custom_field_format.rb).
PROJECT_FIELDS = (
    CustomField(30, "Заказчик"),
    CustomField(31, "Класс", "CustomOption", (Named(51, "A"), Named(52, "B"))),
    CustomField(32, "Бюджет", "Float"),
    CustomField(33, "Итого", "CalculatedValue"),
)
