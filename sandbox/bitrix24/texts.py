"""Texts of refusals, localised as the portal localises them: clients must not parse them."""

from __future__ import annotations

from collections.abc import Mapping

_RUSSIAN: Mapping[str, str] = {
    "title_missing": "Не задано название задачи",
    "responsible_missing": "Не задан исполнитель задачи",
    "responsible_unknown": "Пользователь, выбранный исполнителем, не найден",
    "creator_unknown": "Пользователь, выбранный постановщиком, не найден",
    "parent_unknown": "Базовая задача не найдена",
    "parent_is_self": "Задачу нельзя подчинить самой себе",
    "parent_is_child": "Задачи нельзя замыкать в цикл",
    "status_wrong": "Недопустимый статус задачи",
    "plan_reversed": "Планируемое завершение раньше планируемого начала",
    "plan_too_long": "Планируемая длительность задачи слишком велика",
    "field_required": "Не заполнено обязательное поле «{field}»",
    "field_wrong": "Недопустимое значение поля «{field}»",
    "not_allowed": "Действие над задачей не разрешено",
    "access_denied": "Доступ запрещен",
    "order_key": "Недопустимый ключ сортировки",
}
_ENGLISH: Mapping[str, str] = {
    "title_missing": "Task title is not specified",
    "responsible_missing": "Responsible person is not specified",
    "responsible_unknown": 'User specified in the "Responsible" field was not found',
    "creator_unknown": 'User specified in the "Creator" field was not found',
    "parent_unknown": 'Task specified in the "Parent task" field was not found',
    "parent_is_self": "A task cannot be its own parent",
    "parent_is_child": "Tasks cannot form a cycle",
    "status_wrong": "Incorrect status",
    "plan_reversed": "Planned end precedes planned start",
    "plan_too_long": "Planned duration is too long",
    "field_required": 'Required field "{field}" is empty',
    "field_wrong": 'Incorrect value of the field "{field}"',
    "not_allowed": "Action on the task is not allowed",
    "access_denied": "Access denied",
    "order_key": "Invalid sorting key",
}
_LANGUAGES: Mapping[str, Mapping[str, str]] = {"ru": _RUSSIAN, "en": _ENGLISH}


class Texts:
    """`texts("field_required", field="UF_X")` in the portal's language (`ru` or `en`)."""

    def __init__(self, language: str) -> None:
        self._texts = _LANGUAGES[language]

    def __call__(self, name: str, **values: str) -> str:
        return self._texts[name].format(**values)
