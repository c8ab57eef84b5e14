"""The sandboxes tell of changes as the real systems do: what they send, when, and that a lost hook is lost."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest
import requests

from sandbox.bitrix24 import BitrixSandbox
from sandbox.http_front import HttpFront, HttpRequest, RawAnswer
from sandbox.openproject import OpenProjectSandbox
from sandbox.openproject import writing as server_side
from testbench.harness import wait_until


class Listener:
    """An address that keeps what is posted to it."""

    def __init__(self) -> None:
        self.got: list[HttpRequest] = []
        self.status = 200
        self._front = HttpFront(self._serve, "127.0.0.1", 0, None, answered=lambda _seconds: None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._front.port}/hooks/x/secret"

    def _serve(self, request: HttpRequest) -> RawAnswer:
        self.got.append(request)
        return RawAnswer(self.status, b"{}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        self._front.come_up()
        try:
            yield
        finally:
            self._front.go_down()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    with listener.listening():
        yield listener


def form(request: HttpRequest) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(request.body.decode(), strict_parsing=True).items()}


def made(server: OpenProjectSandbox) -> int:
    with server.state.lock:
        return server_side.create(server.state, {"subject": "Договор"}, server.state.projects[1]).id


def test_bitrix24_tells_the_ids_of_its_tasks_and_the_token_that_was_shown(listener: Listener) -> None:
    with BitrixSandbox() as portal:
        hook = portal.tell(listener.url)
        task = portal.create_task("Договор")
        portal.finish(task)
        portal.delete(task)
        wait_until(lambda: len(listener.got) == 3, what="the hooks")
        added, updated, deleted = map(form, listener.got)
        address = portal.address
    assert {each.content_type for each in listener.got} == {"application/x-www-form-urlencoded"}
    assert [each["event"] for each in (added, updated, deleted)] == ["ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE"]
    # api-reference/tasks/events-tasks/on-task-*.md
    assert (added["data[FIELDS_BEFORE]"], added["data[FIELDS_AFTER][ID]"]) == ("undefined", str(task))
    assert (updated["data[FIELDS_BEFORE][ID]"], updated["data[FIELDS_AFTER][ID]"]) == (str(task), str(task))
    assert (deleted["data[FIELDS_BEFORE][ID]"], deleted["data[FIELDS_AFTER]"]) == (str(task), "undefined")
    assert {each["auth[application_token]"] for each in (added, updated, deleted)} == {hook.token}
    assert updated["auth[domain]"] == address
    assert not [name for name in updated if "STATUS" in name or "access_token" in name]


def test_bitrix24_tells_of_changes_over_rest_as_well_and_of_chosen_events_only(listener: Listener) -> None:
    with BitrixSandbox() as portal:
        portal.tell(listener.url, ["ONTASKUPDATE"])
        task = portal.create_task("Договор")
        requests.post(f"{portal.webhook_url}tasks.task.complete", json={"taskId": task}, timeout=10)
        wait_until(lambda: len(listener.got) == 1, what="the hook")
        assert form(listener.got[0])["event"] == "ONTASKUPDATE"


@pytest.mark.parametrize("status", [500, 404, None])
def test_a_hook_that_fails_is_not_sent_again(listener: Listener, status: int | None) -> None:
    with BitrixSandbox() as portal:
        url = listener.url if status else "http://127.0.0.1:9/"
        listener.status = status or 200
        portal.tell(url, ["ONTASKUPDATE"])
        task = portal.create_task("Договор")
        portal.set_status(task, 3)
        wait_until(lambda: portal.hooks_sent == 1, what="the hook")
        portal.set_status(task, 2)
        wait_until(lambda: portal.hooks_sent == 2, what="the next hook")
    assert len(listener.got) == (2 if status else 0)


def test_openproject_signs_what_it_tells(listener: Listener) -> None:
    with OpenProjectSandbox() as server:
        hook = server.tell(listener.url, aggregation=0.0)
        number = made(server)
        server.close(number)
        wait_until(lambda: len(listener.got) == 1, what="the hook")
    [request] = listener.got
    expected = hmac.new(hook.secret.encode(), request.body, hashlib.sha1).hexdigest()
    assert request.headers["x-op-signature"] == f"sha1={expected}"
    told = json.loads(request.body)
    assert (told["action"], told["work_package"]["id"]) == ("work_package:updated", number)
    assert told["work_package"]["_links"]["status"]["title"] == "Closed"


def test_openproject_tells_several_changes_once_when_its_journal_is_complete(listener: Listener) -> None:
    with OpenProjectSandbox() as server:
        server.tell(listener.url, aggregation=0.3)
        number = made(server)
        for subject in ("а", "б", "в"):
            server.change(number, subject=subject)
        wait_until(lambda: len(listener.got) == 1, what="the hook")
        server.change(number, subject="г")
        wait_until(lambda: len(listener.got) == 2, what="the next hook")
    assert [json.loads(each.body)["work_package"]["subject"] for each in listener.got] == ["в", "г"]


def test_openproject_tells_nothing_of_a_deletion(listener: Listener) -> None:
    with OpenProjectSandbox() as server:
        server.tell(listener.url, aggregation=0.1)
        gone, other = made(server), made(server)
        server.change(gone, subject="а")
        server.delete(gone)
        server.change(other, subject="б")
        wait_until(lambda: len(listener.got) == 1, what="the hook")
    assert [json.loads(each.body)["work_package"]["id"] for each in listener.got] == [other]


def test_a_sandbox_that_nobody_asked_tells_nothing() -> None:
    with BitrixSandbox() as portal, OpenProjectSandbox() as server:
        portal.finish(portal.create_task("Договор"))
        server.close(made(server))
        assert (portal.hooks_sent, server.hooks_sent) == (0, 0)
        assert not [each for each in threading.enumerate() if each.name == "sandbox-hooks"]
