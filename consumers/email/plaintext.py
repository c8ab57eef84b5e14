"""Makes the text of an HTML mail for readers that show no HTML: paragraphs, list marks, addresses of links, no layout.

A small reader of our own, in linear time: the standard library's HTMLParser needs minutes for 60 KB of unclosed tags.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_ATTRIBUTE = re.compile(r"""\bhref\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_NAME = re.compile(r"/?[a-z][a-z0-9]*")
_RAW = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "title", "textarea")}
_UNSEEN = {"script", "style", "head", "title", "template"}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre", "hr"}
_LINES = {"br", "div", "tr", "li", "section", "article", "header", "footer", "dt", "dd"}


def text_of(markup: str) -> str:
    """Return lines of text; everything that is no tag is text."""
    pieces: list[str] = []
    link = unseen = ""
    for name, content in _tokens(markup):
        if unseen:
            unseen = "" if name == f"/{unseen}" else unseen
        elif not name:
            pieces.append(re.sub(r"\s+", " ", html.unescape(content)))
        elif name in _UNSEEN:
            unseen = name
        elif name == "a":
            link = _target(content)
        elif name == "/a":
            if link and link != "".join(pieces[-1:]).strip():
                pieces.append(f" ({link})")
            link = ""
        elif name == "li":
            pieces.append("\n- ")
        elif name in ("td", "th"):
            pieces.append(" ")
        elif name.lstrip("/") in _PARAGRAPHS:
            pieces.append("\n\n")
        elif name in _LINES:
            pieces.append("\n")
    lines = (re.sub(r" +", " ", line).strip() for line in "".join(pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _tokens(markup: str) -> Iterator[tuple[str, str]]:
    """Yield (name of the tag, its inside), and ("", text) for what stands between tags."""
    position = 0
    while (start := markup.find("<", position)) >= 0:
        if start > position:
            yield "", markup[position:start]
        comment = markup.startswith("<!--", start)
        end = markup.find("-->" if comment else ">", start)
        if end < 0:  # never closed: text to the end
            position = start
            break
        inside = markup[start + 1 : end]
        name = _NAME.match(inside[:40].lower())
        if name:
            yield name[0], inside
        elif not inside.startswith(("!", "?", "/")):
            yield "", markup[start : end + 1]
        position = end + (3 if comment else 1)
        if name and name[0] in _RAW:
            closing = _RAW[name[0]].search(markup, position)
            position = closing.start() if closing else len(markup)
    if position < len(markup):
        yield "", markup[position:]


def _target(inside: str) -> str:
    found = _ATTRIBUTE.search(inside)
    target = html.unescape(next(filter(None, found.groups()), "")) if found else ""
    return target.removeprefix("mailto:") if not target.lower().startswith(("javascript:", "#")) else ""
