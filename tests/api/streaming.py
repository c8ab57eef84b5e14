"""A client of streams of events that shares no code with the API: an own reader of the format, as WHATWG defines it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.api.support import OPERATOR, TIMEOUT, Client

STREAM = "/api/v1/events/stream"


@dataclass(frozen=True, slots=True)
class Sse:
    """One event; `id` is the last id that was told up to it."""

    id: str
    event: str
    data: Any


class Heard:
    """An open stream."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        self._events = parse(_lines(response), self.comments)

    def take(self, count: int) -> list[Sse]:
        """The next events, fewer where the stream ends."""
        return list(islice(self._events, count))

    def rest(self) -> list[Sse]:
        return list(self._events)


def parse(lines: Iterable[str], comments: list[str]) -> Iterator[Sse]:
    """Put lines together; what is not ended by an empty line is no event."""
    last_id, event = "", ""
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Sse(last_id, event or "message", json.loads("\n".join(data)))
            event, data = "", []
        elif not name:
            comments.append(value)
        elif name == "id":
            last_id = value
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)
        else:
            assert name == "retry", line
            assert value.isdecimal()


@contextmanager
def listening(client: Client, query: str = "", last: str | int | None = None) -> Iterator[Heard]:
    headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
    with client.ask("GET", STREAM + query, headers=headers, stream=True) as response:
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"].partition(";")[0] == "text/event-stream"
        yield Heard(response)


def silent_reader(base: str, last: int, room: int) -> socket.socket:
    """A client that asks for a stream and takes no more of it than fits into `room` bytes of its kernel's."""
    address = urlsplit(base)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    client.settimeout(TIMEOUT)
    client.connect((address.hostname, address.port))
    said = f"GET {STREAM} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR}\r\nLast-Event-ID: {last}\r\n\r\n"
    client.sendall(said.encode())
    return client


def _lines(response: requests.Response) -> Iterator[str]:
    waiting, heard = b"", time.monotonic()
    for some in response.iter_content(chunk_size=None):
        if not some.startswith(b":"):
            heard = time.monotonic()
        elif time.monotonic() - heard > TIMEOUT:  # comments would keep a test waiting for ever
            raise TimeoutError("no event comes")
        *lines, waiting = (waiting + some).split(b"\n")
        yield from (line.decode() for line in lines)
