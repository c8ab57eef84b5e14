"""Where a benchmark leaves its result: figures as JSON, and its section of a document, made and never hand-written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
FIGURES = DOCS / "performance"  # <name>.json beside the plots


def write_figures(name: str, figures: Mapping[str, Any]) -> Path:
    """Keeps the figures of one benchmark so that its plot and its section can be made again."""
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{name}.json"
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    return path


def write_section(document: Path, name: str, markdown: str) -> None:
    """Replaces what stands between the marks of `name` in the document. Raises LookupError without such marks."""
    text = document.read_text()
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise LookupError(f"{document.name} has no section marked {begin.strip()} … {end.strip()}")
    document.write_text(pattern.sub(lambda _: f"{begin}\n{markdown.strip()}\n\n{end}", text))
