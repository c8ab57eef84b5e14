"""Turns the HTML of Telegram into text with styles, and back. Pure.

Text is kept as runs, each under the tags that are open there. Whatever slice of the runs is rendered is well-formed:
tags open at its ends are closed and opened again. Tags: core.telegram.org/bots/api#html-style.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from core import values
from core.errors import PermanentError
from core.texts import Text

_PLAIN_TAGS = ("b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "tg-spoiler", "pre")
# tag -> attribute -> what its value must look like
TAGS: Mapping[str, Mapping[str, str]] = {
    **{name: {} for name in _PLAIN_TAGS},
    "span": {"class": "tg-spoiler"},
    "a": {"href": ".+"},
    "code": {"class": "language-.+"},
    "blockquote": {"expandable": ".*"},
    "tg-emoji": {"emoji-id": "[0-9]+"},
}
_DEEPEST = 50  # tags within each other; every run of text names all of them
_OBLIGATORY = {("span", "class"), ("tg-emoji", "emoji-id")}

_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)(?=[\s/>])(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>"
)
_ATTRIBUTE = re.compile(
    r"\s*(?P<name>[A-Za-z][A-Za-z0-9-]*)(?:\s*=\s*(?:\"(?P<a>[^\"]*)\"|'(?P<b>[^']*)'|(?P<c>\S+)))?"
)

Fill = Callable[[str], str]


class MarkupError(PermanentError):
    """The HTML of the process's author is wrong; the text says where."""

    def __init__(self, problem: Text) -> None:
        tags = ", ".join(sorted(TAGS))
        text = Text(
            f"text_html: {problem.en}; Telegram knows the tags {tags}; write & < > as &amp; &lt; &gt;",
            f"text_html: {problem.ru}; Telegram знает теги {tags}; & < > пишутся как &amp; &lt; &gt;",
        )
        super().__init__(text, code="bad_markup")


@dataclass(frozen=True, slots=True, eq=False)  # two quotes side by side are two
class Tag:
    name: str
    attributes: tuple[tuple[str, str | None], ...] = ()

    def opening(self) -> str:
        return "<" + "".join([self.name, *map(_written, self.attributes)]) + ">"


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text under the same tags, the outermost first."""

    text: str
    tags: tuple[Tag, ...] = ()


Rich = tuple[Run, ...]


def parse(source: str, fill: Fill) -> Rich:
    """Return the text of a source. `fill` completes each piece of text and each attribute; it gives text, never markup.

    Raises MarkupError for tags that Telegram does not know and for tags that do not match.
    """
    return tuple(run for run in _runs(source, fill) if run.text)


def plain(rich: Iterable[Run]) -> str:
    return "".join(run.text for run in rich)


def is_styled(rich: Iterable[Run]) -> bool:
    return any(run.tags for run in rich)


def render(rich: Iterable[Run]) -> str:
    """Return the text as HTML for `parse_mode`."""
    pieces: list[str] = []
    opened: tuple[Tag, ...] = ()
    for run in (*rich, Run("")):
        kept = next((at for at, (a, b) in enumerate(zip(opened, run.tags, strict=False)) if a is not b), None)
        kept = min(len(opened), len(run.tags)) if kept is None else kept
        pieces += [f"</{tag.name}>" for tag in reversed(opened[kept:])]
        pieces += [tag.opening() for tag in run.tags[kept:]]
        pieces.append(html.escape(run.text, quote=False))
        opened = run.tags
    return "".join(pieces)


def _runs(source: str, fill: Fill) -> Iterator[Run]:
    opened: list[Tag] = []
    position = 0
    while position < len(source):
        start = source.find("<", position)
        until = len(source) if start < 0 else start
        yield Run(fill(html.unescape(source[position:until])), tuple(opened))
        if start < 0:
            break
        tag = _TAG.match(source, start)
        if tag is None:
            shown = values.shown(source[start : start + 30])
            raise MarkupError(Text(f"{shown} is no tag", f"{shown} – не тег"))
        _take(tag, opened, fill)
        position = tag.end()
    if opened:
        name = opened[-1].name
        raise MarkupError(Text(f"<{name}> is not closed", f"<{name}> не закрыт"))


def _take(found: re.Match[str], opened: list[Tag], fill: Fill) -> None:
    name, shown = found["name"].lower(), values.shown(found[0])
    if name not in TAGS:
        raise MarkupError(Text(f"{shown} is not a tag of Telegram", f"{shown} – не тег Telegram"))
    if not found["close"]:
        if len(opened) == _DEEPEST:
            raise MarkupError(
                Text(f"more than {_DEEPEST} tags are open at {shown}", f"у {shown} открыто больше {_DEEPEST} тегов")
            )
        opened.append(Tag(name, tuple(_attributes(name, found["attributes"], fill))))
    elif opened and opened[-1].name == name:
        opened.pop()
    else:
        last = f"<{opened[-1].name}>" if opened else ""
        inner = Text(f"; {last} is open there", f"; там открыт {last}") if opened else Text.of("")
        raise MarkupError(Text(f"</{name}> closes nothing{inner.en}", f"</{name}> ничего не закрывает{inner.ru}"))


def _attributes(tag: str, written: str, fill: Fill) -> Iterator[tuple[str, str | None]]:
    missing = {name for owner, name in _OBLIGATORY if owner == tag}
    position = 0
    written = written.rstrip()
    while position < len(written):
        found = _ATTRIBUTE.match(written, position)
        if found is None:
            shown = f"<{tag} {values.shown(written)}>"
            raise MarkupError(Text(f"the attributes of {shown} cannot be read", f"атрибуты {shown} не прочесть"))
        name = found["name"].lower()
        given = next((found[group] for group in "abc" if found[group] is not None), None)
        value = None if given is None else fill(html.unescape(given))
        if name not in TAGS[tag] or not re.fullmatch(TAGS[tag][name], value or "", re.DOTALL):
            shown = values.shown(found[0].strip())
            raise MarkupError(Text(f"<{tag}> cannot have {shown}", f"у <{tag}> не бывает {shown}"))
        missing.discard(name)
        yield name, value
        position = found.end()
    if missing:
        names = ", ".join(missing)
        raise MarkupError(Text(f"<{tag}> needs {names}", f"для <{tag}> нужно указать {names}"))


def _written(attribute: tuple[str, str | None]) -> str:
    name, value = attribute
    return f" {name}" if value is None else f' {name}="{html.escape(value)}"'
