"""Reads `parse_mode=HTML` as Telegram does: plain text and entities, or a refusal with the byte's place.

Source: core.telegram.org/bots/api#html-style; tdlib/td 022d6020, td/telegram/MessageEntity.cpp (parse_html) and its
cases in test/message_entities.cpp. Left out: tg-time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.telegram.errors import ApiError, bad_request
from sandbox.telegram.links import checked, user_of
from sandbox.telegram.units import Entity, byte, in_order, units

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
_CHARACTER = re.compile(r"&(?:([A-Za-z]+)|#x([0-9a-fA-F]+)|#([0-9]+));?")
_NAME = re.compile(r"[^\s>]*")
_END = re.compile(r"</([^\s>]*)\s*>")
_ATTRIBUTE = re.compile(r"\s+([^\s=>/\"']+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9.-]*)(?=[\s>])))?")
_LARGEST = 0x10FFFF


@dataclass(frozen=True, slots=True)
class _Opened:
    name: str
    offset: int
    begins: int  # in the pieces of text
    attributes: dict[str, str]


class _Html:
    def __init__(self, source: str) -> None:
        self.source = source
        self.text: list[str] = []
        self.entities: list[Entity] = []
        self._length = 0
        self._opened: list[_Opened] = []

    def parse(self) -> None:
        at = 0
        while at < len(self.source):
            if self.source.startswith("</", at):
                at = self._close(at)
            elif self.source[at] == "<":
                tag, at = _open(self.source, at, self._length, len(self.text))
                self._opened.append(tag)
            else:
                character, at = _character(self.source, at)
                self.text.append(character)
                self._length += units(character)
        if self._opened:
            raise unparsable(f'Can\'t find end tag corresponding to start tag "{self._opened[-1].name}"')

    def _close(self, at: int) -> int:
        place = byte(self.source, at)
        if not self._opened:
            raise unparsable(f"Unexpected end tag at byte offset {place}")
        found = _END.match(self.source, at)
        if found is None:
            raise unparsable(f"Unclosed end tag at byte offset {place}")
        name, tag = found[1].lower(), self._opened.pop()
        if name not in ("", tag.name):
            raise unparsable(f'Unmatched end tag at byte offset {place}, expected "</{tag.name}>", found "</{name}>"')
        if self._length > tag.offset:
            _add(tag, self._length - tag.offset, "".join(self.text[tag.begins :]), self.entities)
        return found.end()


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Raises ApiError."""
    html = _Html(source)
    html.parse()
    text = "".join(html.text)
    if re.search("[\ud800-\udfff]", text):
        raise unparsable(
            "Text contains invalid Unicode characters after decoding HTML entities, check for unmatched surrogate "
            "code units"
        )
    return text, in_order(html.entities)


def unparsable(what: str) -> ApiError:
    return bad_request(f"can't parse entities: {what}")


def _character(source: str, at: int) -> tuple[str, int]:
    found = _CHARACTER.match(source, at)
    if found is None:
        return source[at], at + 1
    name, hexadecimal, decimal = found.groups()
    if name:
        known = _CHARACTERS.get(name)
        return (known, found.end()) if known else (source[at], at + 1)
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    if not 0 < number < _LARGEST or len(found[0].rstrip(";")) >= 10:
        return source[at], at + 1
    return chr(number), found.end()


def _open(source: str, at: int, length: int, begins: int) -> tuple[_Opened, int]:
    found = _NAME.match(source, at + 1)
    name = found[0].lower() if found else ""
    position = at + 1 + len(name)
    if position == len(source):
        raise unparsable(f"Unclosed start tag at byte offset {byte(source, at)}")
    if name not in _TYPES:
        raise unparsable(f'Unsupported start tag "{name}" at byte offset {byte(source, at)}')
    attributes: dict[str, str] = {}
    while given := _ATTRIBUTE.match(source, position):
        quoted, single, token = given[2], given[3], given[4]
        value = quoted if quoted is not None else single
        attributes[given[1]] = (token or "").lower() if value is None else _decoded(value)
        position = given.end()
    while position < len(source) and source[position].isspace():
        position += 1
    if not source.startswith(">", position):
        raise _bad_attributes(source, at, position, name)
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise unparsable(f'Tag "span" must have class "tg-spoiler" at byte offset {byte(source, at)}')
    return _Opened(name, length, begins, attributes), position + 1


def _bad_attributes(source: str, at: int, position: int, name: str) -> ApiError:
    if position < len(source) and source[position] in "=/\"'":
        return unparsable(f'Empty attribute name in the tag "{name}" at byte offset {byte(source, at)}')
    return unparsable(f"Unclosed start tag at byte offset {byte(source, at)}")


def _add(tag: _Opened, length: int, inside: str, entities: list[Entity]) -> None:
    entity: Entity = {"type": _TYPES[tag.name], "offset": tag.offset, "length": length}
    language = tag.attributes.get("class", "").removeprefix("language-") if tag.name == "code" else ""
    latest = entities[-1] if entities else {}
    same_place = (latest.get("offset"), latest.get("length")) == (tag.offset, length)
    if tag.name == "a":
        url = tag.attributes.get("href") or inside
        if (user := user_of(url)) is not None:
            entities.append({**entity, "type": "text_mention", "user": user})
        elif (link := checked(url)) is not None:
            entities.append({**entity, "url": link})
    elif tag.name == "tg-emoji":
        if not re.fullmatch("[1-9][0-9]*", tag.attributes.get("emoji-id", "")):
            raise unparsable("Invalid custom emoji identifier specified")
        entities.append({**entity, "custom_emoji_id": tag.attributes["emoji-id"]})
    elif tag.name == "pre" and same_place and latest.get("type") == "code" and latest.get("language"):
        latest["type"] = "pre"
    elif tag.name == "code" and same_place and latest.get("type") == "pre" and language:
        latest["language"] = language
    elif tag.name == "code":
        entities.append({**entity, "language": language} if language else entity)
    elif tag.name == "blockquote" and "expandable" in tag.attributes:
        entities.append({**entity, "type": "expandable_blockquote"})
    else:
        entities.append(entity)


def _decoded(value: str) -> str:
    pieces, at = [], 0
    while at < len(value):
        character, at = _character(value, at)
        pieces.append(character)
    return "".join(pieces)
