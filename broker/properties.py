"""Reads and writes the properties of a message as this daemon needs them.

What pika cannot read it raises from within its I/O loop: the connection is lost, the message comes again on the next
one, and no queue of the worker gets past it. Here it becomes a delivery that says of itself that it is unreadable.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pika
from pika import data

from broker.fields import UnreadableError, WireValue, read_table, read_what_can_be_read, wire_values
from core.errors import InvalidMessageError
from core.texts import Text

_HEADERS = "headers"
_OCTETS = ("delivery_mode", "priority")
_TIMESTAMP = "timestamp"
_ORDER = (  # on the wire; the first has the highest bit of the flags
    "content_type",
    "content_encoding",
    _HEADERS,
    *_OCTETS,
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    _TIMESTAMP,
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
_ALIKE = ("content_type", "content_encoding")
_FLAGS = tuple((1 << (15 - place), name) for place, name in enumerate(_ORDER))
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")
_LONG_LONG = struct.Struct(">Q")


class ReceivedProperties(pika.BasicProperties):
    """The properties as they came. A text that is not UTF-8 keeps its bytes as lone surrogates (`surrogateescape`).

    `unreadable` says why not all could be read; what could be read is there even then, and `raw` is all of it. No
    publisher can set it: it is no header.
    """

    unreadable: Text | None = None
    raw: bytes = b""
    _table: bytes = b""

    def decode(self, encoded: bytes, offset: int = 0) -> ReceivedProperties:
        """Read the properties. Never raises."""
        try:
            self._decode(encoded, offset)
        except (IndexError, struct.error):
            self._refuse(Text("they end in the middle of a property", "они обрываются посреди свойства"))
        if self.unreadable is not None:
            self.raw = encoded[offset:]
        return self

    def wire_headers(self) -> dict[str, WireValue]:
        """Return the readable headers' values as they came, for a copy."""
        return {} if self.unreadable is not None else wire_values(self._table)

    def refusal(self) -> InvalidMessageError | None:
        """Return why this message can only go to the error queue; None if it can be handled."""
        if self.unreadable is None:
            return None
        reason = Text(
            f"the message's properties cannot be read: {self.unreadable.en}",
            f"свойства сообщения прочитать нельзя: {self.unreadable.ru}",
        )
        return InvalidMessageError(reason, code="unreadable_properties")

    def told(self) -> dict[str, Any]:
        """Return what can be reported of unreadable properties, in JSON's words; `{}` for readable ones."""
        if self.unreadable is None:
            return {}
        readable = {name: value for name in _ORDER if (value := getattr(self, name)) is not None}
        return {"properties": _plain(readable), "properties_base64": base64.b64encode(self.raw).decode("ascii")}

    def _decode(self, encoded: bytes, offset: int) -> None:
        flags = _SHORT.unpack_from(encoded, offset)[0]
        offset += 2
        for flag, name in _FLAGS:
            if not flags & flag:
                continue
            if name is _HEADERS:
                start = offset + 4
                offset = start + _LONG.unpack_from(encoded, offset)[0]
                self._table = encoded[start:offset]
                self._read_headers()
            elif name in _OCTETS:
                setattr(self, name, encoded[offset])
                offset += 1
            elif name is _TIMESTAMP:
                self.timestamp = _LONG_LONG.unpack_from(encoded, offset)[0]
                offset += 8
            else:
                start = offset + 1
                offset = start + encoded[offset]
                setattr(self, name, encoded[start:offset].decode("utf-8", "surrogateescape"))
        if offset > len(encoded):
            raise IndexError

    def _read_headers(self) -> None:
        try:
            self.headers = read_table(self._table)
        except UnreadableError:
            self.headers, reasons = read_what_can_be_read(self._table)
            for reason in reasons[:5]:
                self._refuse(Text(f"header {reason.en}", f"заголовок {reason.ru}"))

    def _refuse(self, reason: Text) -> None:
        self.unreadable = Text.join("; ", [self.unreadable, reason]) if self.unreadable else reason


class OutgoingProperties(pika.BasicProperties):
    """The properties that the publisher writes: headers that came with a message go out as they came."""

    def encode(self) -> list[bytes]:
        flags = 0
        pieces: list[bytes] = [b""]
        values = self.__dict__
        for flag, name in _FLAGS:
            value = values[name]
            if value is None:
                continue
            flags |= flag
            if name is _HEADERS:
                table = _written(value)
                pieces += (_LONG.pack(len(table)), table)
            elif name in _OCTETS:
                pieces.append(bytes((value,)))
            elif name is _TIMESTAMP:
                pieces.append(_LONG_LONG.pack(value))
            elif name in _ALIKE:
                pieces.append(_known(value))
            else:
                pieces.append(_short(value))
        pieces[0] = _SHORT.pack(flags)
        return pieces


def _written(headers: Mapping[str, Any]) -> bytes:
    pieces: list[bytes] = []
    for name, value in headers.items():
        pieces.append(_known(name))
        if type(value) is str:
            text = value.encode()
            pieces += (b"S", _LONG.pack(len(text)), text)
        elif isinstance(value, WireValue):
            pieces.append(value)
        else:
            data.encode_value(pieces, value)
    return b"".join(pieces)


def _short(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogateescape")
    return bytes((len(encoded),)) + encoded


_known = lru_cache(maxsize=256)(_short)  # what is the same in message after message


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {_plain(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    is_json = value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_json else str(value)
