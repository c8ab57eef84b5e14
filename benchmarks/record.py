"""Where a benchmark leaves its result: figures as JSON, and its section of a document, made and never hand-written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.sections import with_sections

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
    document.write_text(with_sections(document, {name: markdown}))
