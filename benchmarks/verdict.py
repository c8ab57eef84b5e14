"""A target that a benchmark set itself, and whether it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console


@dataclass(frozen=True, slots=True)
class Verdict:
    """`text` holds the figure and the target: "48.1 tasks per request, wanted at least 40"."""

    text: str
    kept: bool


def conclude(verdicts: Sequence[Verdict], console: Console) -> int:
    """The last lines of a benchmark, and its exit code: 1 when a target is missed."""
    for verdict in verdicts:
        mark, style = ("kept", "green") if verdict.kept else ("MISSED", "bold red")
        console.print(f"{mark}: {verdict.text}", style=style, highlight=False)
    return 0 if all(verdict.kept for verdict in verdicts) else 1


def markdown(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(f"- {'kept' if each.kept else '**missed**'}: {each.text}" for each in verdicts)
