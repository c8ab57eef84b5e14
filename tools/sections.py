"""The sections of documents that are made: what stands between the marks of a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def with_sections(document: Path, sections: Mapping[str, str]) -> str:
    """The document's text with each Markdown between the marks of its name. Raises LookupError without such marks."""
    text = document.read_text(encoding="utf-8")
    for name, markdown in sections.items():
        text = _with(text, name, markdown, document.name)
    return text


def _with(text: str, name: str, markdown: str, where: str) -> str:
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise LookupError(f"{where} has no section marked {begin.strip()} … {end.strip()}")
    return pattern.sub(lambda _: f"{begin}\n{markdown.strip()}\n\n{end}", text)
