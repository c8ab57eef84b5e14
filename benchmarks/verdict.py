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


def show(verdicts: Sequence[Verdict], console: Console) -> None:
    for verdict in verdicts:
        mark, style = ("kept", "green") if verdict.kept else ("MISSED", "bold red")
        console.print(f"{mark}: {verdict.text}", style=style, highlight=False)


def markdown(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(f"- {'kept' if each.kept else '**missed**'}: {each.text}" for each in verdicts)
