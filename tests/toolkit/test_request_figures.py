"""Every request that was sent is counted once, by what came of it; one that was not sent is none."""

from __future__ import annotations

import socket
import time
from collections import Counter

import pytest

from core.errors import LostError, OutcomeError
from core.texts import Text
from sandbox.bitrix24 import BitrixSandbox
from tests.toolkit.test_http import client, half_a_body, hang_up, hang_up_once, serving, unused_port
from toolkit.http import HttpClient


def counted(http: HttpClient) -> dict[tuple[str, str], int]:
    return {key: count for key, count in http.figures.so_far().counts.items() if count}


@pytest.mark.parametrize(
    ("line", "status"), [("200 OK", "2xx"), ("404 No", "4xx"), ("503 Busy", "5xx"), ("999 ?", "5xx")]
)
def test_an_answer_is_counted_by_the_class_of_its_status(line: str, status: str) -> None:
    def script(connection: socket.socket, _request: bytes, _number: int) -> bool:
        connection.sendall(f"HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        return True

    with serving(script) as server:
        http = client()
        http.post_json(server.url, {}, write=True)
        http.post_json(server.url, {}, write=False)
        http.post_json(server.url, {}, write=False)
        http.close()
    assert counted(http) == {("write", status): 1, ("read", status): 2}
    durations = http.figures.so_far().durations
    assert {operation: each.count for operation, each in durations.items()} == {"write": 1, "read": 2}


def test_a_request_without_an_answer_is_counted_by_its_reason() -> None:
    def never(_connection: socket.socket, _request: bytes, _number: int) -> bool:
        time.sleep(1)
        return False

    def elsewhere(connection: socket.socket, _request: bytes, _number: int) -> bool:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n")
        return False

    found: Counter[tuple[str, str]] = Counter()
    for script in (never, elsewhere, half_a_body, hang_up):
        with serving(script) as server:
            http = client(read_timeout=0.2)
            with pytest.raises(OutcomeError):
                http.post_json(server.url, {}, write=True)
        found.update(counted(http))
    assert found == {("write", "timeout"): 1, ("write", "3xx"): 1, ("write", "dropped"): 2}


def test_what_does_not_get_through_to_the_server_is_counted_as_that() -> None:
    http = client(verify=True)
    for url in (f"http://127.0.0.1:{unused_port()}/", "http://no-such-host.invalid/", "http://[::1"):
        with pytest.raises(OutcomeError):
            http.post_json(url, {}, write=True)
    with BitrixSandbox(tls=True) as portal, pytest.raises(OutcomeError):
        http.post_json(f"{portal.webhook_url}server.time", {}, write=True)
    assert counted(http) == {("write", "connect"): 3, ("write", "tls"): 1}


def test_a_read_that_is_sent_again_is_two_requests() -> None:
    with serving(hang_up_once) as server:
        http = client()
        http.post_json(server.url, {}, write=False)
    assert counted(http) == {("read", "dropped"): 1, ("read", "2xx"): 1}


def test_what_the_guard_keeps_back_is_no_request() -> None:
    def guard() -> None:
        raise LostError(Text.of("another worker's"))

    with BitrixSandbox() as portal:
        http, url = client(), f"{portal.webhook_url}server.time"
        with pytest.raises(LostError):
            http.post_json(url, {}, write=True, guard=guard)
        with pytest.raises(LostError):
            http.send("GET", url, write=False, guard=guard)
    assert counted(http) == {}


def test_time_lost_to_a_limit_adds_up() -> None:
    http = client()
    for seconds in (0.0, 1.5, 0.25):
        http.figures.throttled(seconds)
    assert http.figures.so_far().throttled == 1.75
