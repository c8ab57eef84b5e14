"""Properties of a message as bytes: what a client writes whose author knew another standard, or none."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pika
from hypothesis import strategies as st

HEADERS_FLAG, MESSAGE_ID_FLAG, PERSISTENT_FLAG = 1 << 13, 1 << 7, 1 << 12


class RawProperties(pika.BasicProperties):
    """pika's publisher writes these bytes as they are."""

    def __init__(self, section: bytes) -> None:
        super().__init__()
        self.section = section

    def encode(self) -> list[bytes]:
        return [self.section]


def section(table: bytes, message_id: bytes = b"id-1") -> bytes:
    """A property section with these headers, persistent."""
    flags = HEADERS_FLAG | MESSAGE_ID_FLAG | PERSISTENT_FLAG
    head = struct.pack(">HI", flags, len(table))
    return head + table + b"\x02" + bytes((len(message_id),)) + message_id


def entry(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + value


def text(value: bytes) -> bytes:
    return b"S" + struct.pack(">I", len(value)) + value


def timestamp(seconds: int) -> bytes:
    return b"T" + struct.pack(">q", seconds)


def table(entries: Sequence[bytes]) -> bytes:
    joined = b"".join(entries)
    return b"F" + struct.pack(">I", len(joined)) + joined


def listed(value: bytes) -> bytes:
    return b"A" + struct.pack(">I", len(value)) + value


def nested(levels: int) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = table([entry(b"n", value)])
    return value


UNREADABLE = {
    "a timestamp in milliseconds": entry(b"sent-at", timestamp(1_764_000_000_000)),
    "a timestamp before the year 1": entry(b"sent-at", timestamp(-(10**12))),
    "the greatest timestamp": entry(b"sent-at", timestamp(2**63 - 1)),
    "one in a table in a list": entry(b"list", listed(table([entry(b"at", timestamp(2**60))]))),
    "tables within tables": entry(b"deep", nested(3000)),
    "a name in cp1251": entry("задача".encode("cp1251"), text(b"7")),
    "a name that is a lone 0xff": entry(b"\xff", b"V"),
}


# -- whatever a broker can hand over ----------------------------------------------------------------------------------


def _number(code: str, format_: str, numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return numbers.map(lambda number: code.encode() + struct.pack(f">{format_}", number))


def _with_length(code: str, contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return contents.map(lambda content: code.encode() + struct.pack(">I", len(content)) + content)


_names = (st.text(max_size=12).map(str.encode) | st.binary(max_size=6)).filter(lambda name: len(name) < 256)
_leaves = st.one_of(
    st.sampled_from([b"V", b"t\x00", b"t\x01"]),
    _number("b", "b", st.integers(-128, 127)),
    _number("B", "B", st.integers(0, 255)),
    _number("s", "h", st.integers(-(2**15), 2**15 - 1)),
    _number("u", "H", st.integers(0, 2**16 - 1)),
    _number("I", "i", st.integers(-(2**31), 2**31 - 1)),
    _number("i", "I", st.integers(0, 2**32 - 1)),
    _number("l", "q", st.integers(-(2**63), 2**63 - 1)),
    _number("f", "f", st.floats(width=32)),
    _number("d", "d", st.floats()),
    st.tuples(st.integers(0, 255), st.integers(-(2**31), 2**31 - 1)).map(lambda pair: b"D" + struct.pack(">Bi", *pair)),
    _number("T", "Q", st.integers(0, 2**64 - 1) | st.integers(0, 2**40)),
    _with_length("S", st.text(max_size=20).map(str.encode) | st.binary(max_size=20)),
    _with_length("x", st.binary(max_size=20)),
)
_entries = st.lists(st.tuples(_names, _leaves).map(lambda pair: entry(*pair)), max_size=3).map(b"".join)
values = st.recursive(
    _leaves,
    lambda inner: (
        _with_length("A", st.lists(inner, max_size=3).map(b"".join))
        | _with_length("F", st.lists(st.tuples(_names, inner).map(lambda pair: entry(*pair)), max_size=3).map(b"".join))
    ),
    max_leaves=6,
)
_counts = ("task-creator-attempt", "task-creator-ambiguous", "task-creator-first-seen", "task-creator-last-error")
_spoken = ("CC", "BCC", "x-death", "x-delay", "task-creator-hops", "task-creator-origin", *_counts)
header_tables = st.lists(
    st.tuples(st.sampled_from(_spoken).map(str.encode) | _names, values).map(lambda pair: entry(*pair)), max_size=5
).map(b"".join)


@st.composite
def sections(draw: st.DrawFn) -> bytes:
    """Any property section that is whole, with any texts, numbers and headers in it."""
    pieces, flags = [], 0
    for place in range(14):
        if draw(st.booleans()):
            flags |= 1 << (15 - place)
            if place == 2:
                headers = draw(header_tables)
                pieces.append(struct.pack(">I", len(headers)) + headers)
            elif place in (3, 4):
                pieces.append(draw(st.sampled_from([b"\x00", b"\x01", b"\x02", b"\xff"])))
            elif place == 9:
                pieces.append(struct.pack(">Q", draw(st.integers(0, 2**64 - 1))))
            else:
                short = draw(st.text(max_size=10).map(str.encode) | st.binary(max_size=255))
                pieces.append(bytes((len(short),)) + short)
    return struct.pack(">H", flags) + b"".join(pieces)
