"""Reads and writes values and messages of AMQP 1.0 as bytes.

OASIS AMQP 1.0, part 1 section 1.6 and part 3 section 3.2.
"""

from __future__ import annotations

import math
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NAMED: dict[int, Any] = {0x40: None, 0x41: True, 0x42: False, 0x43: 0, 0x44: 0, 0x45: []}
_FORMATS = {
    **dict(zip(range(0x50, 0x57), (">B", ">b", ">B", ">B", ">b", ">b", ">?"), strict=True)),
    **dict(zip((0x60, 0x61, 0x70, 0x71, 0x72), (">H", ">h", ">I", ">i", ">f"), strict=True)),
    **dict(zip((0x80, 0x81, 0x82, 0x83), (">Q", ">q", ">d", ">q"), strict=True)),
}
_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}  # by the high half of the code
_CHAR, _UUID = 0x73, 0x98
_DECIMALS = {0x74: "decimal32", 0x84: "decimal64", 0x94: "decimal128"}
_BINARY, _TEXTS = (0xA0, 0xB0), (0xA1, 0xA3, 0xB1, 0xB3)
_LISTS, _MAPS, _ARRAYS = (0xC0, 0xD0), (0xC1, 0xD1), (0xE0, 0xF0)

ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA, VALUE = 0x72, 0x73, 0x74, 0x75, 0x77


@dataclass(frozen=True, slots=True)
class Described:
    descriptor: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Lacking:
    """A value of a type that AMQP 0-9-1 lacks."""

    type: str
    text: str


class Symbol(str):
    """A text of the type symbol."""

    __slots__ = ()


def read_value(data: bytes, offset: int) -> tuple[Any, int]:
    """Return the value at `offset`, and the offset behind it. Raises ValueError, IndexError or struct.error."""
    code = data[offset]
    if code == 0x00:
        descriptor, offset = read_value(data, offset + 1)
        value, offset = read_value(data, offset)
        return Described(descriptor, value), offset
    return _read(code, data, offset + 1)


def sections(message: bytes) -> Iterator[tuple[Any, Any, bytes]]:
    """Yield descriptor, value and bytes of each section of a message."""
    offset = 0
    while offset < len(message):
        section, end = read_value(message, offset)
        code, value = (section.descriptor, section.value) if isinstance(section, Described) else (None, section)
        yield code, value, message[offset:end]
        offset = end


def lacking(value: Any) -> Iterator[str]:
    """Yield the names of types in `value` that AMQP 0-9-1 lacks."""
    match value:
        case Lacking():
            yield value.type
        case dict():
            for pair in value.items():
                yield from lacking(list(pair))
        case list():
            for inner in value:
                yield from lacking(inner)
        case Described():
            yield from lacking(value.value)


def written(value: Any) -> bytes:
    """Return the bytes of a value, as far as a receiver needs to write any: an int is an uint."""
    if isinstance(value, Described):
        return struct.pack(">BBB", 0x00, 0x53, value.descriptor) + written(value.value)
    if isinstance(value, list):
        items = b"".join(written(item) for item in value)
        return struct.pack(">BII", 0xD0, len(items) + 4, len(value)) + items
    if isinstance(value, str):
        encoded = value.encode()
        return struct.pack(">BI", 0xB3 if isinstance(value, Symbol) else 0xB1, len(encoded)) + encoded
    if isinstance(value, bytes):
        return struct.pack(">BI", 0xB0, len(value)) + value
    if value is None or isinstance(value, bool):
        return {None: b"\x40", True: b"\x41", False: b"\x42"}[value]
    return struct.pack(">BI", 0x70, value)


def _read(code: int, data: bytes, offset: int) -> tuple[Any, int]:
    if code in _NAMED:
        return _NAMED[code], offset
    if (code >> 4) in _WIDTHS:
        end = offset + _WIDTHS[code >> 4]
        return _fixed(code, data[offset:end]), end
    width = 1 if (code >> 4) in (0xA, 0xC, 0xE) else 4
    end = offset + width + int.from_bytes(data[offset : offset + width])
    if end > len(data):
        raise IndexError
    return _sized(code, data[offset + width : end], width), end


def _sized(code: int, content: bytes, width: int) -> Any:
    if code in _BINARY:
        return content
    if code in _TEXTS:
        return content.decode("utf-8", "backslashreplace")
    count, items = int.from_bytes(content[:width]), content[width:]
    if code in _ARRAYS:
        return _array(count, items)
    values = _values(count, items)
    if code in _MAPS:
        return {_key(name): value for name, value in zip(values[::2], values[1::2], strict=True)}
    if code in _LISTS:
        return values
    raise ValueError(f"the code {code:#x} is unknown")


def _values(count: int, items: bytes) -> list[Any]:
    values, at = [], 0
    for _ in range(count):
        value, at = read_value(items, at)
        values.append(value)
    return values


def _array(count: int, items: bytes) -> list[Any]:
    if not count:
        return []
    code, at = items[0], 1
    values = []
    for _ in range(count):
        value, at = _read(code, items, at)
        values.append(value)
    return values


def _fixed(code: int, raw: bytes) -> Any:
    if code == _UUID:
        return Lacking("uuid", str(uuid.UUID(bytes=raw)))
    if code == _CHAR:
        return Lacking("char", f"U+{int.from_bytes(raw):04X}")
    if code in _DECIMALS:
        return Lacking(_DECIMALS[code], raw.hex())
    if code not in _FORMATS:
        raise ValueError(f"the code {code:#x} is unknown")
    (value,) = struct.unpack(_FORMATS[code], raw)
    if isinstance(value, float) and not math.isfinite(value):
        return Lacking("float that is no number", str(value))
    return value


def _key(name: Any) -> Any:
    return name if isinstance(name, str | int | Lacking) else str(name)
