"""Splits a text of any length into the messages that hold it. Pure.

Telegram counts 4,096 characters (code points: tdlib/td 022d6020, td/telegram/MessageContent.cpp) after the markup was
read; UTF-16 units are counted here, of which there are never fewer. With the markup it reads 32,768 bytes
(tdlib/telegram-bot-api 01a3679c, Client.cpp). Cuts are made in the text before it is rendered, so that no tag and no
entity can be cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from consumers.telegram.markup import Rich, Run, is_styled, plain, render
from core import values
from core.errors import PermanentError
from core.texts import Text

LIMIT = 4096  # UTF-16 units; core.telegram.org/bots/api#sendmessage
SOURCE_LIMIT = 32_768  # bytes of UTF-8, with the markup
_SMALLEST = 16  # units; a text that needs more markup than that is refused
_ELLIPSIS = "…"

Cut = Callable[[Rich, int], Iterator[Rich]]


def units(text: str) -> int:
    """Return the length in UTF-16."""
    return len(text) + sum(character > "\uffff" for character in text)


def split(rich: Rich, limit: int = LIMIT) -> Iterator[Rich]:
    """Yield parts of at most `limit` units: cut between paragraphs, else lines, else words, else characters.

    Only whitespace around a cut is dropped (Telegram does so at both ends of a message); no part is blank.
    """
    for start, end in _spans(plain(rich), limit):
        yield _slice(rich, start, end)


def truncate(rich: Rich, limit: int = LIMIT) -> Iterator[Rich]:
    """Yield one part, ending in an ellipsis when something is missing; none for a blank text."""
    parts = split(rich, limit)
    first = next(parts, None)
    if first is not None:
        is_all = next(parts, None) is None
        yield first if is_all else (*next(split(rich, limit - units(_ELLIPSIS))), Run(_ELLIPSIS))


def fitting(rich: Rich, cut: Cut, limit: int = LIMIT) -> Iterator[Rich]:
    """Yield what `cut` (split or truncate) makes of the text, and less at once where its markup is too long.

    Raises PermanentError when it is too long for any text.
    """
    for part in cut(rich, limit):
        if not is_styled(part) or len(render(part).encode("utf-8", "replace")) <= SOURCE_LIMIT:
            yield part
        elif limit <= _SMALLEST:
            shown = values.shown(values.cut_characters(plain(part), 40))
            text = Text(
                f"text_html: the markup of {shown} alone has more than {SOURCE_LIMIT} bytes: shorten its addresses",
                f"text_html: одна разметка {shown} занимает больше {SOURCE_LIMIT} байт: сократите адреса в ней",
            )
            raise PermanentError(text, code="text_too_long")
        else:
            yield from fitting(part, cut, limit // 2)


def _spans(text: str, limit: int) -> Iterator[tuple[int, int]]:
    start = _after_blank(text, 0)
    while start < len(text):
        end = _cut(text, start, limit)
        yield start, start + len(text[start:end].rstrip())
        start = _after_blank(text, end)


def _after_blank(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    return start


def _cut(text: str, start: int, limit: int) -> int:
    end = _reach(text, start, limit)
    if end == len(text):
        return end
    earliest = start + (end - start) // 2  # a cut sooner than that would make many small messages
    for separator in ("\n\n", "\n"):
        found = text.rfind(separator, earliest, end + len(separator))
        if found >= 0:
            return found
    blank = next((place for place in range(end, earliest, -1) if text[place].isspace()), None)
    return blank if blank is not None else values.boundary(text, end, earliest)


def _reach(text: str, start: int, limit: int) -> int:
    used = 0
    for place in range(start, len(text)):
        used += units(text[place])
        if used > limit:
            return place
    return len(text)


def _slice(rich: Rich, start: int, end: int) -> Rich:
    runs: list[Run] = []
    begins = 0
    for run in rich:
        piece = run.text[max(0, start - begins) : max(0, end - begins)]
        if piece:
            runs.append(Run(piece, run.tags))
        begins += len(run.text)
    return tuple(runs)
