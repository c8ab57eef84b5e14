"""What clients make of a Date without a value (1970) is no deadline of any system, and the result says so.

camunda-external-task-client-js 3.1.0 reads an empty Date as the beginning of 1970 and writes it back.
"""

from __future__ import annotations

from pathlib import Path

from base_handler import BaseMessageHandler
from core.messages import IncomingMessage
from core.results import Accepted, Done
from sandbox.bitrix24 import BitrixSandbox
from sandbox.onec import OneCSandbox
from sandbox.openproject import OpenProjectSandbox
from sandbox.telegram import TelegramSandbox
from tests.systems.bitrix import support as bitrix_support
from tests.systems.onec import support as onec_support
from tests.systems.openproject import support as openproject_support
from tests.systems.telegram import support as telegram_support

EMPTY = "1970-01-01T03:00:00.000+0300"
TOLD = f"{EMPTY} is what clients make of an empty date; it counts as not given"


def warnings_of(handler: BaseMessageHandler, message: IncomingMessage) -> list[str]:
    [outcome] = bitrix_support.outcomes(handler, [message])
    assert isinstance(outcome, Accepted | Done), outcome
    told: list[str] = outcome.response.get("warnings", [])
    return told


def test_of_bitrix24() -> None:
    with BitrixSandbox() as portal:
        handler = bitrix_support.handler_for(portal)
        assert f"deadline: {TOLD}" in warnings_of(handler, bitrix_support.message(variables={"deadline": EMPTY}))
        assert not portal.tasks[0]["DEADLINE"]


def test_of_openproject() -> None:
    with OpenProjectSandbox() as server:
        handler = openproject_support.handler_for(server)
        assert f"due_date: {TOLD}" in warnings_of(handler, openproject_support.message(due_date=EMPTY))
        [package] = server.state.work_packages.values()
        assert package.due_date is None


def test_of_1c() -> None:
    with OneCSandbox() as base:
        handler = onec_support.handler_for(base)
        assert f"deadline: {TOLD}" in warnings_of(handler, onec_support.message(deadline=EMPTY))


def test_of_a_project_of_openproject() -> None:
    with OpenProjectSandbox() as server:
        handler = openproject_support.handler_for(server)
        message = openproject_support.message(topic="op_create_project", name="Склад", description=EMPTY)
        assert f"description: {TOLD}" in warnings_of(handler, message)


def test_of_telegram_wherever_it_stands(tmp_path: Path) -> None:
    with TelegramSandbox() as server, telegram_support.handler_for(server, tmp_path) as handler:
        message = telegram_support.message(text="да", message=EMPTY, title=EMPTY, message_thread_id=EMPTY)
        told = warnings_of(handler, message)
        assert sorted(told) == [f"{name}: {TOLD}" for name in ("message", "message_thread_id", "title")]
