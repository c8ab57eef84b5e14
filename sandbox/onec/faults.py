"""Faults on purpose: those of every sandbox, and 1C's own refusals in their five forms.

base.inject(faults.odata(500, -1, "Конфликт блокировок"), "POST Document_*")
base.inject(faults.reset(after_execution=True), "POST *")      # executed, and the answer is lost
"""

from __future__ import annotations

from sandbox.faults import Fault, answer, broken_json, delay, gzip_bomb, html, huge_body, redirect, reset, trickle
from sandbox.onec import errors

__all__ = [
    "Fault",
    "answer",
    "application_error",
    "broken_json",
    "delay",
    "gzip_bomb",
    "html",
    "huge_body",
    "locked",
    "no_licence",
    "odata",
    "odata_as_xml",
    "platform",
    "platform_as_xml",
    "redirect",
    "reset",
    "trickle",
]


def odata(status: int, code: int | str, message: str, *, after_execution: bool = False) -> Fault:
    return answer(errors.odata_json(status, code, message), after_execution=after_execution)


def odata_as_xml(status: int, code: int | str, message: str, *, after_execution: bool = False) -> Fault:
    return answer(errors.odata_xml(status, code, message), after_execution=after_execution)


def platform(status: int, message: str, *, after_execution: bool = False) -> Fault:
    return answer(errors.platform_json(status, message), after_execution=after_execution)


def platform_as_xml(status: int, message: str, *, after_execution: bool = False) -> Fault:
    return answer(errors.platform_xml(status, message), after_execution=after_execution)


def application_error(message: str, status: int = 500, *, after_execution: bool = False) -> Fault:
    return answer(errors.application_page(status, message), after_execution=after_execution)


def locked() -> Fault:
    """An administrator has forbidden sessions: an update is being installed."""
    return platform(403, "Начало сеанса с информационной базой запрещено. Ведутся технические работы")


def no_licence() -> Fault:
    return platform(500, "Не обнаружено свободной лицензии!")
