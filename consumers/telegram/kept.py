"""Finds what Telegram has not kept of a message: it drops links and characters silently. Pure.

Links need http, https, tg or ton and a dot in the host (tdlib/td 022d6020, td/telegram/LinkManager.cpp); marks of
direction and some marks above letters are dropped (td/telegram/misc.cpp); nothing is marked within code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from consumers.telegram.markup import Rich, Tag, plain
from consumers.telegram.text import units
from core import values
from core.texts import Text

_TOLD = 5  # tags or characters
_SHOWN = 200  # characters of a tag
_LINKS = frozenset({"text_link", "text_mention", "url", "mention", "email", "phone_number"})
_QUOTES = frozenset({"blockquote", "expandable_blockquote"})
_CODE = frozenset({"code", "pre"})
# tag -> what it may be in Telegram's answer
_ENTITIES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("b", "strong"), frozenset({"bold"})),
    **dict.fromkeys(("i", "em"), frozenset({"italic"})),
    **dict.fromkeys(("u", "ins"), frozenset({"underline"})),
    **dict.fromkeys(("s", "strike", "del"), frozenset({"strikethrough"})),
    **dict.fromkeys(("tg-spoiler", "span"), frozenset({"spoiler"})),
    **dict.fromkeys(("code", "pre"), _CODE),
    "a": _LINKS,
    "blockquote": _QUOTES,
    "tg-emoji": frozenset({"custom_emoji"}),
}
_BLANK = re.compile(r"[\s\x00-\x20]")  # blanks are changed and trimmed as Telegram likes


class _Entity(NamedTuple):
    kind: str
    offset: int
    end: int


def not_kept(part: Rich, message: Mapping[str, Any]) -> Iterator[Text]:
    """Yield a sentence for what differs; none when the answer does not show the text."""
    shown = message.get("text")
    if not isinstance(shown, str):
        return
    sent = plain(part)
    places = list(_letters(shown))
    if _BLANK.sub("", shown) != _BLANK.sub("", sent):
        what = _difference(sent, shown)
        yield Text(
            f"Telegram shows another text than was sent: {what.en}",
            f"Telegram показывает не тот текст, который был отправлен: {what.ru}",
        )
    elif lost := _lost(part, places, list(_entities(message.get("entities", ())))):
        tags = written(lost)
        text = Text(f"Telegram shows the text without {tags.en}", f"Telegram показывает текст без {tags.ru}")
        if any(tag.name == "a" for tag in lost):
            text = Text(
                f"{text.en}; a link needs http or https and a host with a dot",
                f"{text.ru}; ссылке нужны http или https и имя узла с точкой",
            )
        yield text


def addresses(part: Rich) -> list[Tag]:
    """Return the links that are lost without markup."""
    return list(dict.fromkeys(tag for run in part for tag in run.tags if tag.name == "a" and tag.attributes))


def written(tags: Iterable[Tag]) -> Text:
    shown = list(dict.fromkeys(values.cut_characters(tag.opening(), _SHOWN) for tag in tags))
    first, more = ", ".join(shown[:_TOLD]), len(shown) - _TOLD
    return Text(f"{first} and {more} more", f"{first} и ещё {more}") if more > 0 else Text.of(first)


def _difference(sent: str, shown: str) -> Text:
    missing = sorted(Counter(_BLANK.sub("", sent)) - Counter(shown))
    if not missing:
        return Text(f"{len(shown)} characters, of {len(sent)}", f"символов {len(shown)} из {len(sent)}")
    those = ", ".join(f"U+{ord(character):04X}" for character in missing[:_TOLD])
    return Text(f"without {those}", f"без {those}")


def _lost(part: Rich, places: list[int], entities: list[_Entity]) -> list[Tag]:
    """Return the tags that nothing in the answer stands for where their text begins."""
    lost: dict[Tag, None] = {}
    letters = 0
    for run in part:
        count = len(_BLANK.sub("", run.text))
        if count:
            at = places[letters]
            kinds = {entity.kind for entity in entities if entity.offset <= at < entity.end}
            lost.update((tag, None) for tag in run.tags if not _ENTITIES[tag.name] & kinds)
        letters += count
    return list(lost)


def _letters(text: str) -> Iterator[int]:
    """Yield where each character that is no blank stands, in UTF-16 units."""
    at = 0
    for character in text:
        if not _BLANK.match(character):
            yield at
        at += units(character)


def _entities(told: Any) -> Iterator[_Entity]:
    for each in told if isinstance(told, list) else ():
        if isinstance(each, Mapping):
            kind, offset, length = each.get("type"), each.get("offset"), each.get("length")
            if isinstance(kind, str) and type(offset) is int and type(length) is int:
                yield _Entity(kind, offset, offset + length)
