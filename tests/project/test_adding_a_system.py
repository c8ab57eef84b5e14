"""The document about adding a system, followed to the letter: its code creates, tracks and survives."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config import WorkerSettings
from core.messages import IncomingMessage, Limits, decode_task
from core.results import Accepted, Acknowledged
from runtime.loader import make_handler
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.http_front import HttpRequest, RawAnswer
from sandbox.http_sandbox import HttpSandbox
from testbench.daemon import Daemon
from testbench.harness import ERRORS, camunda_message
from tests.support import documents, system_stories
from tests.support.commands import run
from tests.support.system_stories import System

DOCUMENT, RUSSIAN = "docs/adding-a-system.md", "docs/adding-a-system.ru.md"


class TicketService(HttpSandbox):
    """The service of the document: one ticket for each key, and a search by ids."""

    def __init__(self, *, closes_at_once: bool = False) -> None:
        super().__init__(host="127.0.0.1", port=0, tls=False, seed=0)
        self.tickets: dict[str, dict[str, Any]] = {}
        self.searches = 0
        self._status = "closed" if closes_at_once else "open"
        self._lock = threading.Lock()

    def _serve(self, request: HttpRequest) -> RawAnswer:
        asked = json.loads(request.body)
        with self._lock:
            if request.path == "/api/tickets":
                if asked["title"] == "refuse":
                    return RawAnswer(422, b'{"message": "no such title"}')
                new = {"id": len(self.tickets) + 7, "status": self._status, **asked}
                return RawAnswer(201, json.dumps(self.tickets.setdefault(asked["key"], new)).encode())
            self.searches += 1
            found = [each for each in self.tickets.values() if str(each["id"]) in asked["ids"]]
            return RawAnswer(200, json.dumps({"tickets": found}).encode())


@pytest.fixture
def module(tmp_path: Path) -> str:
    """The folder from which the daemon imports the document's code as `tickets`."""
    (tmp_path / "tickets.py").write_text(documents.block_with(DOCUMENT, "python", "class TicketHandler"))
    return str(tmp_path)


def variables(service: TicketService, module: str) -> dict[str, str]:
    lines = documents.block_with(DOCUMENT, "sh", "TICKETS_URL=").replace("consumers.tickets", "tickets").splitlines()
    given = {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    return {**given, "TICKETS_URL": f"{service.base_url}/api", "PYTHONPATH": module}


def system(service: TicketService, module: str) -> System:
    return System(
        queue="tickets.queue",
        variables=variables(service, module),
        task=lambda task_id: camunda_message(task_id, topic="make_ticket", variables={"title": "Принтер"}),
        objects=lambda: {key: [ticket] for key, ticket in dict(service.tickets).items()},
        go_down=service.go_down,
        come_back=service.come_back,
    )


@pytest.fixture
def closing() -> Iterator[TicketService]:
    with TicketService(closes_at_once=True) as service:
        yield service


def test_it_is_forty_lines_at_the_most() -> None:
    lines = documents.block_with(DOCUMENT, "python", "class TicketHandler").splitlines()
    count = len([line for line in lines if line.strip()])
    assert count <= 40
    for name in ("README.md", "README.ru.md"):
        assert re.search(rf"\b{count} (?:lines of code|строк кода)", documents.prose(name)), f"{count} in {name}"


def test_both_languages_show_the_same_code() -> None:
    for part in ("class TicketHandler", "class NewSystemHandler", "class SimpleHandler"):
        assert documents.block_with(DOCUMENT, "python", part) == documents.block_with(RUSSIAN, "python", part)
    english, russian = (documents.code_spans(documents.prose(name)) for name in (DOCUMENT, RUSSIAN))
    assert sorted(english) == sorted(russian)


def test_the_loop_closes(
    closing: TicketService, module: str, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.the_loop_closes(system(closing, module), vhost, broker, tmp_path, count=30)
    assert closing.searches < 30, "asked in bulk"


def test_kills_and_double_publishing_make_no_second_ticket(
    closing: TicketService, module: str, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.kills_create_nothing_twice(system(closing, module), vhost, broker, tmp_path, count=60, kills=2)


def test_an_outage_spends_no_attempt(
    closing: TicketService, module: str, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.an_outage_spends_no_attempt(system(closing, module), vhost, broker, tmp_path, count=10)


def test_a_refusal_reaches_people_with_the_services_own_words(
    closing: TicketService, module: str, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    broker.declare("tickets.queue")
    broker.publish("tickets.queue", camunda_message("t", topic="x", variables={"title": "refuse"}))
    with Daemon(vhost, tmp_path, variables(closing, module)) as daemon:
        broker.wait_for_count(ERRORS, 1, 60)
        assert daemon.stop() == 0
    [(_, body)] = broker.get_all(ERRORS)
    assert "no such title" in json.loads(body)["error"]


def test_the_check_of_the_document_knows_it(closing: TicketService, module: str, tmp_path: Path) -> None:
    done = run("main.py", ["config", "check"], variables(closing, module), tmp_path)
    assert done.returncode == 0
    assert "tickets.queue" in done.stdout
    assert "TicketHandler" in done.stdout


def example(part: str, **names: Any) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "example", **names}
    exec(documents.block_with(DOCUMENT, "python", part), namespace)
    return namespace


def incoming(title: str) -> IncomingMessage:
    return IncomingMessage(decode_task(camunda_message(f"task-{title}", variables={"title": title}), Limits()), "q")


def test_the_handlers_of_the_old_kind_work() -> None:
    api = SimpleNamespace(create_task=lambda message: {"created": message["task_id"]} if message else None)
    names = example("_process_message_impl", new_system_api=api)
    handler = make_handler(names["NewSystemHandler"], None, threading.Event())
    assert handler.handle(incoming("one")) == Accepted({"created": "task-one"})
    assert handler._get_original_queue_name() == "newsystem.queue"
    simple = make_handler(example("class SimpleHandler")["SimpleHandler"], None, threading.Event())
    assert simple.handle(incoming("one")) == Acknowledged()


def test_the_map_entries_are_accepted() -> None:
    maps = example("QUEUE_HANDLERS = {")
    lines = documents.block_with(DOCUMENT, "sh", "QUEUE_HANDLERS=").splitlines()
    given = {name.lower(): value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    del given["tickets_url"]
    settings = WorkerSettings(**given)  # type: ignore[arg-type] # texts, as from the environment
    entry = maps["QUEUE_HANDLERS"]["tickets.queue"]
    assert settings.queue_handlers["tickets.queue"].handler_class == entry["handler_class"]
    assert "bitrix24.queue" in settings.queue_handlers, "merged, not replaced"
    assert settings.tracker_config["tickets.sent.queue"].tracker_class == "TicketTracker"
