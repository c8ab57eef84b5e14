"""Reads header tables of AMQP 0-9-1: everything that RabbitMQ hands over is read, or refused with a reason for people.

pika 1.4.4 raises out of its I/O loop for a timestamp after the year 9999 and for deep nesting, reads floats as integers
and cannot write them (pika/data.py). The types are those of RabbitMQ:
https://www.rabbitmq.com/amqp-0-9-1-errata#section_3
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.texts import BilingualError, Text

DEPTH_LIMIT = 100  # tables and lists within each other; Python's readers and writers give up at about 1,000

_LONG = struct.Struct(">I").unpack_from
_SIGNED = struct.Struct(">q").unpack_from
_DECIMAL = struct.Struct(">Bi").unpack_from
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # of the years 1 and 9999
_FIXED = ((b"tbB", 1), (b"suU", 2), (b"iIf", 4), (b"D", 5), (b"lLdT", 8))
_SIZES = {code: size for codes, size in _FIXED for code in codes}
_WITH_LENGTH = frozenset(b"SxAF")
_NOTHING, _TEXT, _TABLE = b"VSF"

_CUT = Text("they end in the middle of a value", "они обрываются посреди значения")
_DEEP = Text(f"nested deeper than {DEPTH_LIMIT} levels", f"вложенность больше {DEPTH_LIMIT} уровней")

_Reader = Callable[[bytes, int, int], tuple[Any, int]]  # data, offset, depth -> value, offset behind it


class UnreadableError(BilingualError):
    """The bytes are no header table that this program understands; the text says which part and why."""


class WireValue(bytes):
    """A header's value as it came, with the octet of its type: what a copy takes along is never translated."""


def read_table(table: bytes) -> dict[str, Any]:
    """Return the headers as Python values; `table` is without its length. Raises UnreadableError."""
    try:
        return _read_entries(table, 0, len(table), 1)
    except (IndexError, struct.error):
        raise UnreadableError(_CUT) from None


def read_what_can_be_read(table: bytes) -> tuple[dict[str, Any], list[Text]]:
    """Return the headers that can be read, and a reason for each of the others."""
    readable: dict[str, Any] = {}
    reasons: list[Text] = []
    try:
        for name, value in _entries(table):
            try:
                readable.update(read_table(bytes((len(name),)) + name + value))
            except UnreadableError as error:
                reasons.append(error.text.led_by(f"{name.decode('utf-8', 'backslashreplace')}: "))
    except (IndexError, UnreadableError) as error:
        reasons.append(error.text if isinstance(error, UnreadableError) else _CUT)
    return readable, reasons


def wire_values(table: bytes) -> dict[str, WireValue]:
    """Return the headers of a table that `read_table` has read, each with its value as it came."""
    return {name.decode(): WireValue(value) for name, value in _entries(table)}


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 0
    while offset < len(table):
        start = offset + 1 + table[offset]
        code = table[start]
        if code in _WITH_LENGTH:
            end = start + 5 + int.from_bytes(table[start + 1 : start + 5])
        elif code == _NOTHING:
            end = start + 1
        elif code in _SIZES:
            end = start + 1 + _SIZES[code]
        else:
            raise UnreadableError(_unknown(code))
        if end > len(table):
            raise IndexError
        yield table[offset + 1 : start], table[start:end]
        offset = end


def _read_entries(data: bytes, offset: int, end: int, depth: int) -> dict[str, Any]:
    if depth > DEPTH_LIMIT:
        raise UnreadableError(_DEEP)
    if end > len(data):
        raise IndexError
    table: dict[str, Any] = {}
    while offset < end:
        start = offset + 1 + data[offset]
        try:
            name = data[offset + 1 : start].decode()
        except UnicodeDecodeError:
            raw = data[offset + 1 : start].decode("utf-8", "backslashreplace")
            raise UnreadableError(Text(f"the name {raw!r} is not UTF-8", f"имя {raw!r} не в UTF-8")) from None
        table[name], offset = _READERS[data[start]](data, start + 1, depth)
    if offset != end:
        raise IndexError
    return table


def _read_text(data: bytes, offset: int, _depth: int) -> tuple[str | bytes, int]:
    raw, end = _read_bytes(data, offset, 0)
    try:
        return raw.decode(), end
    except UnicodeDecodeError:
        return raw, end


def _read_bytes(data: bytes, offset: int, _depth: int) -> tuple[bytes, int]:
    end = offset + 4 + _LONG(data, offset)[0]
    if end > len(data):
        raise IndexError
    return data[offset + 4 : end], end


def _read_nested(data: bytes, offset: int, depth: int) -> tuple[dict[str, Any], int]:
    end = offset + 4 + _LONG(data, offset)[0]
    return _read_entries(data, offset + 4, end, depth + 1), end


def _read_list(data: bytes, offset: int, depth: int) -> tuple[list[Any], int]:
    if depth >= DEPTH_LIMIT:
        raise UnreadableError(_DEEP)
    end = offset + 4 + _LONG(data, offset)[0]
    offset += 4
    if end > len(data):
        raise IndexError
    values = []
    while offset < end:
        value, offset = _READERS[data[offset]](data, offset + 1, depth + 1)
        values.append(value)
    if offset != end:
        raise IndexError
    return values, end


def _read_timestamp(data: bytes, offset: int, _depth: int) -> tuple[datetime, int]:
    # Unsigned in the standard; RabbitMQ 4 writes what an AMQP 1.0 client dates before 1970 as a negative number.
    seconds = _SIGNED(data, offset)[0]
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        told = Text(
            f"the timestamp {seconds} is in no year from 1 to 9999, in seconds",
            f"отметка времени {seconds} в секундах не попадает в годы с 1 по 9999",
        )
        if 0 < seconds <= 1000 * _LAST_SECOND:
            told = Text(f"{told.en}; are these milliseconds?", f"{told.ru}; это миллисекунды?")
        raise UnreadableError(told)
    return _EPOCH + timedelta(seconds=seconds), offset + 8


def _read_decimal(data: bytes, offset: int, _depth: int) -> tuple[Decimal, int]:
    places, digits = _DECIMAL(data, offset)
    return Decimal(digits).scaleb(-places), offset + 5


def _reader_of(format_: str) -> _Reader:
    unpack, size = struct.Struct(format_).unpack_from, struct.calcsize(format_)

    def read(data: bytes, offset: int, _depth: int) -> tuple[Any, int]:
        return unpack(data, offset)[0], offset + size

    return read


def _unknown(code: int) -> Text:
    return Text(f"the type {chr(code)!r} of a value is unknown", f"тип значения {chr(code)!r} неизвестен")


class _Readers(dict[int, _Reader]):
    def __missing__(self, code: int) -> _Reader:
        raise UnreadableError(_unknown(code))


_READERS = _Readers(
    {
        **{ord(code): _reader_of(f">{code}") for code in "bBfd"},
        ord("t"): _reader_of(">?"),
        ord("s"): _reader_of(">h"),
        ord("U"): _reader_of(">h"),
        ord("u"): _reader_of(">H"),
        ord("I"): _reader_of(">i"),
        ord("i"): _reader_of(">I"),
        ord("l"): _reader_of(">q"),
        ord("L"): _reader_of(">q"),
        ord("D"): _read_decimal,
        _TEXT: _read_text,
        ord("x"): _read_bytes,
        ord("A"): _read_list,
        ord("T"): _read_timestamp,
        _TABLE: _read_nested,
        _NOTHING: lambda _data, offset, _depth: (None, offset),
    }
)
