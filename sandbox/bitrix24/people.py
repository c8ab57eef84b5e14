"""Who works on the portal: users and departments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    last_name: str
    email: str = ""
    position: str = ""
    department: int = 1
    active: bool = True
    user_type: str = "employee"

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.last_name}"


@dataclass(frozen=True, slots=True)
class Department:
    id: int
    name: str
    parent: int | None = None
    head: int | None = None
    sort: int = 500


DEFAULT_USERS: Sequence[User] = (
    User(1, "Анна", "Соколова", "sokolova@example.com", "Администратор", 1),
    User(2, "Борис", "Лебедев", "lebedev@example.com", "Руководитель отдела", 2),
    User(3, "Вера", "Козлова", "kozlova@example.com", "Инженер", 2),
    User(4, "Глеб", "Новиков", "novikov@example.com", "Инженер", 2),
    User(5, "Дарья", "Морозова", "morozova@example.com", "Главный бухгалтер", 3),
    User(6, "Егор", "Волков", "volkov@example.com", "Бухгалтер", 3),
    User(7, "Жанна", "Зайцева", "zaitseva@example.com", "Юрист", 4),
    User(8, "Захар", "Павлов", "pavlov@example.com", "Менеджер", 4),
)

DEFAULT_DEPARTMENTS: Sequence[Department] = (
    Department(1, "Компания", head=1),
    Department(2, "Технический отдел", parent=1, head=2),
    Department(3, "Бухгалтерия", parent=1, head=5),
    Department(4, "Коммерческий отдел", parent=1, head=8),
)
