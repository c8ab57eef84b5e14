"""What becomes of the text of a message: markup or `entities`, control characters, white space at its ends.

Source: tdlib/telegram-bot-api 01a3679c, Client.cpp (get_formatted_text, get_text_entity); tdlib/td 022d6020,
td/telegram/misc.cpp (clean_input_string), MessageEntity.cpp (fix_formatted_text). Left out: entities that Telegram
finds by itself (addresses, @names, commands), and how it cuts overlapping ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.telegram.errors import bad_request
from sandbox.telegram.html_markup import parse_html
from sandbox.telegram.links import checked
from sandbox.telegram.markdown import parse_markdown, parse_markdown_v2
from sandbox.telegram.units import Entity, in_order, units

LIMIT = 4096  # characters (code points) of the text as people see it: MessageContent.cpp, utf8_length
SOURCE_LIMIT = 32_768  # bytes of the text with its markup

_READERS: Mapping[str, Callable[[str], tuple[str, list[Entity]]]] = {
    "html": parse_html,
    "markdownv2": parse_markdown_v2,
    "markdown": parse_markdown,
}
_STYLES = ("bold", "italic", "underline", "strikethrough", "spoiler")
_QUOTES = frozenset({"blockquote", "expandable_blockquote"})
_PLAIN = frozenset({*_STYLES, *_QUOTES, "code"})
_FARTHEST = 1_000_000
_FOUND_BY_TELEGRAM = frozenset(
    ("mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bank_card_number")
)
# Dropped without a word: line and paragraph separators, marks of direction, lines above and below, the ring above.
_DROPPED = re.compile("[\r\u2028-\u202e\u0333\u033f\u030a]")
_SPACES = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x20]")
_INVISIBLE = re.compile("[ \n\u200b-\u200f\u202e\ufeff\u00a0\u2000-\u200a\u202f\u205f\u2800\u3000\ufffc\u1680\u180e]*")


def read(params: Mapping[str, Any]) -> tuple[str, list[Entity]]:
    """Before the chat is looked at. Raises ApiError."""
    source = params.get("text", "")
    if not source:
        raise bad_request("message text is empty")
    if len(source.encode("utf-8", "surrogatepass")) > SOURCE_LIMIT:
        raise bad_request("text is too long")
    mode = params.get("parse_mode", "").lower()
    if mode not in ("", "none"):
        reader = _READERS.get(mode)
        if reader is None:
            raise bad_request("unsupported parse_mode")
        return reader(source)
    return source, _given(params.get("entities", ""))


def finished(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """As it is stored. Raises ApiError."""
    cleaned, moved_to = _cleaned(text)
    spans = [_moved(entity, moved_to, units(text)) for entity in entities]
    begins = len(cleaned) - len(cleaned.lstrip(" \n"))  # blanks are one unit each
    begins = min([begins, *(span["offset"] for span in spans if span["length"])])  # what is marked is not trimmed
    kept = cleaned.rstrip(" \n")[begins:]
    if _INVISIBLE.fullmatch(kept):
        raise bad_request("text must be non-empty")
    if len(kept) > LIMIT:
        raise bad_request("message is too long")
    return kept, _fixed([{**span, "offset": span["offset"] - begins} for span in spans], units(kept))


def _cleaned(text: str) -> tuple[str, list[int]]:
    """And for each unit of the text the unit where it is now."""
    kept: list[str] = []
    moved_to: list[int] = []
    at = 0
    for character in text:
        written = "" if _DROPPED.match(character) else " " if _SPACES.match(character) else character
        kept.append(written)
        moved_to += range(at, at + units(written)) if written else [at]
        at += units(written)
    return "".join(kept), [*moved_to, at]


def _moved(entity: Entity, moved_to: list[int], size: int) -> Entity:
    for name in ("offset", "length"):
        if not 0 <= entity[name] <= _FARTHEST:
            raise bad_request(f"receive an entity with incorrect {name} {entity[name]}")
    if entity["type"] == "text_link" and checked(str(entity["url"])) is None:
        raise bad_request(f"entity URL '{entity['url']}' is invalid: Wrong HTTP URL")
    begins, ends = min(entity["offset"], size), min(entity["offset"] + entity["length"], size)
    return {**entity, "offset": moved_to[begins], "length": moved_to[ends] - moved_to[begins]}


def _fixed(entities: list[Entity], size: int) -> list[Entity]:
    """Nothing empty, nothing that overlaps halfway, no style inside code, styles cut where a link begins or ends."""
    inside = [_shortened(entity, size) for entity in entities]
    blocks: list[Entity] = []
    for entity in in_order([each for each in inside if each["length"] > 0 and each["type"] not in _STYLES]):
        if all(_is_apart(entity, other) or _is_quoted(entity, other) for other in blocks):
            blocks.append({name: value for name, value in entity.items() if name != "language" or _is_pre(entity)})
    return in_order([*blocks, *(piece for style in _STYLES for piece in _pieces(style, inside, blocks))])


def _pieces(style: str, entities: list[Entity], blocks: list[Entity]) -> list[Entity]:
    covered = {unit for each in entities if each["type"] == style for unit in _units_of(each)}
    covered -= {unit for each in blocks if each["type"] in {"code", "pre"} for unit in _units_of(each)}
    solid = [each for each in blocks if each["type"] not in _QUOTES]
    cuts = {edge for each in solid for edge in (each["offset"], each["offset"] + each["length"])}
    pieces: list[Entity] = []
    for unit in sorted(covered):
        if pieces and pieces[-1]["offset"] + pieces[-1]["length"] == unit and unit not in cuts:
            pieces[-1]["length"] += 1
        else:
            pieces.append({"type": style, "offset": unit, "length": 1})
    return pieces


def _units_of(entity: Entity) -> range:
    return range(entity["offset"], entity["offset"] + entity["length"])


def _shortened(entity: Entity, size: int) -> Entity:
    return {**entity, "length": min(entity["length"], size - entity["offset"])}


def _is_apart(one: Entity, other: Entity) -> bool:
    return bool(other["offset"] + other["length"] <= one["offset"] or one["offset"] + one["length"] <= other["offset"])


def _is_quoted(one: Entity, other: Entity) -> bool:
    """The other is a quotation that holds all of the one, which is none."""
    ends = one["offset"] + one["length"]
    return bool(other["type"] in _QUOTES and one["type"] not in _QUOTES and ends <= other["offset"] + other["length"])


def _is_pre(entity: Entity) -> bool:
    return bool(entity["type"] == "pre")


def _given(written: str) -> list[Entity]:
    try:
        entities = json.loads(written) if written else []
    except ValueError:
        entities = []
    return [made for each in entities if (made := _entity(each)) is not None] if isinstance(entities, list) else []


def _entity(given: Any) -> Entity | None:
    """None for a type that Telegram finds by itself."""
    if not isinstance(given, Mapping):
        raise _wrong("expected an Object")
    for name in ("offset", "length"):
        if type(given.get(name)) is not int:
            raise _wrong(f'Field "{name}" must be of type Number')
    kind = given.get("type")
    place = {"offset": given["offset"], "length": given["length"]}
    if kind in _FOUND_BY_TELEGRAM:
        return None
    if kind in _PLAIN:
        return {"type": kind, **place}
    if kind == "pre":
        language = given.get("language")
        return {"type": kind, **place, **({"language": language} if language else {})}
    wanted = {"text_link": "url", "text_mention": "user", "custom_emoji": "custom_emoji_id"}.get(str(kind))
    if wanted is None:
        raise _wrong("Unsupported type specified")
    if wanted not in given:
        raise _wrong(f'Can\'t find field "{wanted}"')
    return {"type": kind, **place, wanted: given[wanted]}


def _wrong(problem: str) -> Exception:
    return bad_request(f"can't parse MessageEntity: {problem}")
