"""A message that may be another worker's by now: nothing is begun for it; what was under way is told to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from base_handler import BaseMessageHandler
from core.errors import BusinessError, BusyError, LostError, OutcomeError
from core.messages import IncomingMessage
from core.results import Accepted, Done, Result
from sandbox.onec import OneCSandbox
from sandbox.python_services import ServicesSandbox
from sandbox.telegram import TelegramSandbox
from testbench.harness import wait_until
from tests.support.email_server import MailServer
from tests.systems.default.test_handler import handler as default_handler
from tests.systems.default.test_handler import message as default_message
from tests.systems.email import support as email_support
from tests.systems.onec import support as onec_support
from tests.systems.python_services import support as services_support
from tests.systems.python_services.support import http, python
from tests.systems.telegram import support as telegram_support

HERE = "tests.support.services_callables"


class Ownership:
    """Ours as often as `times` it is asked."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> bool:
        self.times -= 1
        return self.times >= 0


def outcome(handler: BaseMessageHandler, message: IncomingMessage) -> Result | OutcomeError:
    try:
        return handler.handle(message)
    except OutcomeError as error:
        return error


Case = tuple[BaseMessageHandler, IncomingMessage, Callable[[], int]]  # and how much is in the system
Make = Callable[[Path], Iterator[Case]]


def mail(folder: Path) -> Iterator[Case]:
    with MailServer() as server:
        handler = email_support.handler_for(server, folder)
        yield handler, email_support.message("task-1"), lambda: len(server.mails)
        handler.close()


def chat(folder: Path) -> Iterator[Case]:
    with TelegramSandbox() as server, telegram_support.handler_for(server, folder) as handler:
        yield handler, telegram_support.message(key="task-1", text="<b>x</b>"), lambda: len(server.messages)


def service(folder: Path) -> Iterator[Case]:
    with (
        ServicesSandbox() as server,
        services_support.handler_for(folder, {"echo": http(server)}) as handler,
    ):
        yield handler, services_support.message(key="task-1"), lambda: len(server.by_key())


def function(folder: Path, *, idempotent: bool = False) -> Iterator[Case]:
    into = folder / "calls"
    services = {"count": python(f"{HERE}:count", idempotent=idempotent)}
    with services_support.handler_for(folder, services) as handler:
        message = services_support.message("call", key="task-1", into=str(into))
        yield handler, message, lambda: len(into.read_text().splitlines()) if into.exists() else 0


def idempotent_function(folder: Path) -> Iterator[Case]:
    yield from function(folder, idempotent=True)


def document(_folder: Path) -> Iterator[Case]:
    with OneCSandbox() as base:
        message = onec_support.message("1c_create_document", key="task-1")
        yield onec_support.handler_for(base), message, lambda: len(base.by_key())


def webhook(_folder: Path) -> Iterator[Case]:
    with ServicesSandbox() as server:
        handler = default_handler(webhook_url=SecretStr(server.base_url + "/sync/echo"))
        yield handler, default_message("unknown_topic", None), lambda: len(server.by_key())


MAKES = {make.__name__: make for make in (mail, chat, service, function, idempotent_function, document, webhook)}


@pytest.fixture(params=MAKES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    yield from MAKES[request.param](tmp_path)


def test_nothing_is_begun_for_a_message_that_may_be_another_workers(case: Case) -> None:
    """However often it was ours before: the last question comes directly before the system is told."""
    handler, message, count = case
    asked = 0
    while isinstance(found := outcome(handler, replace(message, is_ours=Ownership(asked))), LostError):
        assert count() == 0
        asked += 1
    assert asked > 0, "it is asked at all"
    assert isinstance(found, Accepted | Done)
    assert not found.duplicate, "nothing was left behind by what was lost"
    assert count() == 1


@pytest.mark.parametrize("name", ["mail", "chat", "function"])
def test_what_was_under_way_when_the_message_was_lost_is_found_by_whoever_gets_it_next(
    name: str, tmp_path: Path
) -> None:
    for handler, message, count in MAKES[name](tmp_path):
        first = handler.handle(message)  # its result is dropped: the message is another worker's
        second = handler.handle(replace(message, redelivered=True))
        assert isinstance(first, Done)
        assert isinstance(second, Done)
        assert (second.response, second.duplicate) == (first.response, True)
        assert count() == 1


def test_a_refusal_of_a_function_is_told_alike_by_whoever_gets_its_message_next(tmp_path: Path) -> None:
    """Also by one that was told to come again while the call was running, and is not marked as delivered twice."""
    into = tmp_path / "calls"
    services = {"count": python(f"{HERE}:count_and")}
    message = services_support.message(
        "call", key="task-1", into=str(into), then="raises", kind="BusinessError", text="no money left"
    )
    with services_support.handler_for(tmp_path, services) as handler:
        first = outcome(handler, message)
        for again in (replace(message, redelivered=True), replace(message, doubts=1)):
            second = outcome(handler, again)
            assert isinstance(first, BusinessError)
            assert isinstance(second, BusinessError)
            assert (second.code, second.reason) == (first.code, first.reason)
    assert into.read_text().splitlines() == ["task-1"]


def test_a_call_that_another_worker_of_the_machine_is_making_is_waited_for(tmp_path: Path) -> None:
    into = tmp_path / "calls"
    services = {"count": python(f"{HERE}:count_slowly", timeout=60)}
    message = services_support.message("call", key="task-1", into=str(into), seconds=1.0)
    with (
        services_support.handler_for(tmp_path, services) as here,
        services_support.handler_for(tmp_path, services) as there,
        ThreadPoolExecutor(1) as threads,
    ):
        running = threads.submit(here.handle, message)
        wait_until(into.exists, 30, "the call")
        found = outcome(there, replace(message, redelivered=True))
        assert isinstance(found, BusyError), "no report of what is running"
        assert isinstance(running.result(), Done)
        assert isinstance(outcome(there, replace(message, doubts=1)), Done)
    assert into.read_text().splitlines() == ["task-1"]
