"""A small AMQP 1.0 client: takes one message out of a queue of RabbitMQ 4 that AMQP 0-9-1 cannot get out.

One connection, one session, one receiving link, in blocking calls: https://www.rabbitmq.com/docs/amqp, OASIS AMQP 1.0
part 2. Bodies and properties are left as bytes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pika

from broker.amqp10_values import Described, Symbol, read_value, written

TIMEOUT = 10.0  # seconds without a word from the broker
_SASL_HEAD, _HEAD = b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x01\x00\x00"
_OPEN, _BEGIN, _ATTACH, _FLOW, _TRANSFER, _DISPOSITION = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
_DETACH, _END, _CLOSE, _INIT, _OUTCOME = 0x16, 0x17, 0x18, 0x41, 0x44
_SOURCE, _TARGET, _ACCEPTED, _RELEASED = 0x28, 0x29, 0x24, 0x26
_WINDOW = 2**31 - 1
_RECEIVER, _SETTLED, _DRAIN, _MORE = True, True, True, 5  # the last: a field of a transfer


class LinkError(Exception):
    """The broker does not speak AMQP 1.0 with this worker, or does not let it use the queue."""


@dataclass(frozen=True, slots=True)
class Transfer:
    id: int
    message: bytes


class Link:
    """A receiving link. Raises LinkError, OSError, ValueError, IndexError or struct.error: then nothing is settled."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    @classmethod
    @contextlib.contextmanager
    def opened(cls, parameters: pika.ConnectionParameters, queue: str) -> Iterator[Link]:
        """Open a link; what is received and not settled is back in the queue at the end."""
        stream = socket.create_connection((parameters.host, parameters.port), TIMEOUT)
        with contextlib.closing(stream):
            options = parameters.ssl_options
            if options is not None:
                stream = options.context.wrap_socket(stream, server_hostname=options.server_hostname)
            with contextlib.closing(stream):
                link = cls(stream)
                link._log_in(parameters)
                link._attach(parameters, queue)
                yield link
                link._say(_CLOSE, [])
                link._wait_for(_CLOSE)

    def take(self, credit: int) -> list[Transfer]:
        """Return the first `credit` messages of the queue, fewer when it has no more."""
        self._say(_FLOW, [self._next_id, _WINDOW, 0, _WINDOW, 0, self._delivered, credit, None, _DRAIN])
        taken: list[Transfer] = []
        parts, number = b"", 0
        while len(taken) < credit:
            code, fields, payload = self._hear()
            if code == _TRANSFER:
                number = fields[1] if len(fields) > 1 and fields[1] is not None else number
                parts += payload
                if len(fields) <= _MORE or not fields[_MORE]:
                    taken.append(Transfer(number, parts))
                    parts = b""
            elif code == _FLOW and len(fields) > 6 and fields[4] == 0 and fields[6] == 0:
                break  # drained
            elif code in (_DETACH, _END, _CLOSE):
                raise LinkError(str(fields))
        return taken

    def accept(self, number: int) -> None:
        self._say(_DISPOSITION, [_RECEIVER, number, number, _SETTLED, Described(_ACCEPTED, [])])

    def release(self, number: int) -> None:
        self._say(_DISPOSITION, [_RECEIVER, number, number, _SETTLED, Described(_RELEASED, [])])

    def _log_in(self, parameters: pika.ConnectionParameters) -> None:
        credentials: Any = parameters.credentials  # user name and password: broker.connection gives no others
        self._stream.sendall(_SASL_HEAD)
        if self._read(8) != _SASL_HEAD:
            raise LinkError("no SASL")
        self._hear()  # the mechanisms
        secret = f"\0{credentials.username}\0{credentials.password}".encode()
        self._say(_INIT, [Symbol("PLAIN"), secret, parameters.host], kind=1)
        _, fields, _ = self._wait_for(_OUTCOME)
        if fields[0] != 0:
            raise LinkError("the password is refused")
        self._stream.sendall(_HEAD)
        if self._read(8) != _HEAD:
            raise LinkError("no AMQP 1.0")

    def _attach(self, parameters: pika.ConnectionParameters, queue: str) -> None:
        self._say(_OPEN, ["task-creator rescue", f"vhost:{parameters.virtual_host}"])
        self._wait_for(_OPEN)
        self._say(_BEGIN, [None, 0, _WINDOW, _WINDOW])
        _, fields, _ = self._wait_for(_BEGIN)
        self._next_id = int(fields[1])
        source = Described(_SOURCE, [f"/queues/{quote(queue, safe='')}"])
        self._say(_ATTACH, ["rescue", 0, _RECEIVER, None, None, source, Described(_TARGET, [None])])
        _, fields, _ = self._wait_for(_ATTACH)
        if len(fields) <= 5 or fields[5] is None:
            raise LinkError("the queue is refused")
        self._delivered = int(fields[9] or 0) if len(fields) > 9 else 0

    def _wait_for(self, wanted: int) -> tuple[int, list[Any], bytes]:
        while True:
            code, fields, payload = self._hear()
            if code == wanted:
                return code, fields, payload
            if code in (_DETACH, _END, _CLOSE):
                raise LinkError(str(fields))

    def _say(self, code: int, fields: list[Any], *, kind: int = 0) -> None:
        body = written(Described(code, fields))
        self._stream.sendall(struct.pack(">IBBH", len(body) + 8, 2, kind, 0) + body)

    def _hear(self) -> tuple[int, list[Any], bytes]:
        """Return code, fields and payload of the next frame that is not empty."""
        while True:
            size, offset, _, _ = struct.unpack(">IBBH", self._read(8))
            body = self._read(size - 8)[4 * offset - 8 :]
            if body:
                performative, end = read_value(body, 0)
                if not isinstance(performative, Described):
                    raise LinkError("a frame that says nothing")
                fields = performative.value if isinstance(performative.value, list) else []
                return performative.descriptor, fields, body[end:]

    def _read(self, size: int) -> bytes:
        read = bytearray()
        while len(read) < size:
            part = self._stream.recv(size - len(read))
            if not part:
                raise LinkError("the broker has closed the connection")
            read += part
        return bytes(read)
