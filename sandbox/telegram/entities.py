"""Reads `parse_mode=HTML` as strictly as Telegram does: plain text and entities, or a refusal with the byte's place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.telegram.errors import ApiError, bad_request

_TYPES = {
    **dict.fromkeys(("b", "strong"), "bold"),
    **dict.fromkeys(("i", "em"), "italic"),
    **dict.fromkeys(("u", "ins"), "underline"),
    **dict.fromkeys(("s", "strike", "del"), "strikethrough"),
    **dict.fromkeys(("tg-spoiler", "span"), "spoiler"),
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}
_CHARACTERS = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_CHARACTER = re.compile(r"&(?:(lt|gt|amp|quot)|#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6}));?")
_NAME = re.compile(r"[^\s>]*")
_ATTRIBUTE = re.compile(r"\s+([A-Za-z-]+)(?:=(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+)))?")


@dataclass(frozen=True, slots=True)
class _Opened:
    name: str
    offset: int
    attributes: dict[str, str]


def units(text: str) -> int:
    """UTF-16 units, in which entities are counted."""
    return len(text.encode("utf-16-le")) // 2


def parse_html(source: str) -> tuple[str, list[dict[str, Any]]]:
    """Raises ApiError."""
    text: list[str] = []
    length = 0
    opened: list[_Opened] = []
    entities: list[dict[str, Any]] = []
    at = 0
    while at < len(source):
        if source.startswith("</", at):
            at = _close(source, at, opened, length, entities)
        elif source[at] == "<":
            tag, at = _open(source, at, length)
            opened.append(tag)
        else:
            character, at = _character(source, at)
            text.append(character)
            length += units(character)
    if opened:
        raise _unparsable(f'Can\'t find end tag corresponding to start tag "{opened[-1].name}"')
    return "".join(text), sorted(entities, key=lambda each: (each["offset"], -each["length"]))


def _character(source: str, at: int) -> tuple[str, int]:
    found = _CHARACTER.match(source, at)
    if found is None:
        return source[at], at + 1
    name, decimal, hexadecimal = found.groups()
    if name:
        return _CHARACTERS[name], found.end()
    number = int(decimal) if decimal else int(hexadecimal, 16)
    if not 0 < number <= 0x10FFFF or 0xD800 <= number < 0xE000:
        return source[at], at + 1
    return chr(number), found.end()


def _open(source: str, at: int, length: int) -> tuple[_Opened, int]:
    found = _NAME.match(source, at + 1)
    name = found[0].lower() if found else ""
    if name not in _TYPES:
        raise _unparsable(f'Unsupported start tag "{name}" at byte offset {_byte(source, at)}')
    position = at + 1 + len(name)
    attributes: dict[str, str] = {}
    while given := _ATTRIBUTE.match(source, position):
        attributes[given[1].lower()] = next((value for value in given.groups()[1:] if value is not None), "")
        position = given.end()
    while position < len(source) and source[position].isspace():
        position += 1
    if not source.startswith(">", position):
        raise _unparsable(f"Unclosed start tag at byte offset {_byte(source, at)}")
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise _unparsable(f'Tag "span" must have class "tg-spoiler" at byte offset {_byte(source, at)}')
    return _Opened(name, length, attributes), position + 1


def _close(source: str, at: int, opened: list[_Opened], length: int, entities: list[dict[str, Any]]) -> int:
    end = source.find(">", at)
    if end < 0:
        raise _unparsable(f"Unclosed end tag at byte offset {_byte(source, at)}")
    name = source[at + 2 : end].strip().lower()
    if not opened:
        raise _unparsable(f"Unexpected end tag at byte offset {_byte(source, at)}")
    tag = opened.pop()
    if name not in ("", tag.name):
        raise _unparsable(
            f'Unmatched end tag at byte offset {_byte(source, at)}, expected "</{tag.name}>", found "</{name}>"'
        )
    if length > tag.offset:
        entities.append({"type": _TYPES[tag.name], "offset": tag.offset, "length": length - tag.offset, **_more(tag)})
    return end + 1


def _more(tag: _Opened) -> dict[str, str]:
    if tag.name == "a" and "href" in tag.attributes:
        return {"url": _decoded(tag.attributes["href"])}
    if tag.name == "tg-emoji":
        return {"custom_emoji_id": tag.attributes.get("emoji-id", "")}
    return {}


def _decoded(value: str) -> str:
    pieces, at = [], 0
    while at < len(value):
        character, at = _character(value, at)
        pieces.append(character)
    return "".join(pieces)


def _byte(source: str, at: int) -> int:
    return len(source[:at].encode())


def _unparsable(what: str) -> ApiError:
    return bad_request(f"can't parse entities: {what}")
