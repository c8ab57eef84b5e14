"""What a command prints: data on stdout, as tables or as JSON; remarks and progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text as Rich

from cli.durations import say_duration, say_moment, say_shortly
from core.texts import Language, Text, escape
from operation.plain import masked

WIDE = 200  # columns where there is no terminal: nothing is cut for a file
_ANY = 10_000  # columns, to measure what would be wide
PROGRESS_EVERY = 10.0  # seconds between two lines of progress where there is no terminal
_TONES = {"good": "green", "bad": "red", "warn": "yellow", "dim": "dim", "": ""}


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a table; its `tone` (good, bad, warn, dim) only adds to what the words say."""

    text: str
    tone: str = ""


class Advance(Protocol):
    def __call__(self, done: int) -> None: ...


class Output:
    """The two streams of a command in the reader's language. What is unprintable in a text is written out.

    `mask` hides secrets in all that is printed.
    """

    def __init__(self, lang: Language, *, as_json: bool = False, color: bool = True) -> None:
        self.lang = lang
        self.as_json = as_json
        self.mask: Callable[[str], str] = lambda text: text
        self.now = time.time()
        self._out = _console(sys.stdout, color)
        self._err = _console(sys.stderr, color)

    # -- data -----------------------------------------------------------------------------------------------------

    def data(self, value: Mapping[str, Any]) -> None:
        """Print the answer as one JSON object."""
        sys.stdout.write(json.dumps(masked(value, self.mask), ensure_ascii=False, indent=2, default=str) + "\n")

    def print(self, text: str | Text, tone: str = "") -> None:
        """Print a line of the answer for people."""
        self._out.print(self._cell(Cell(self.say(text), tone)), soft_wrap=True)

    def table(self, columns: Sequence[str | Text], rows: Iterable[Sequence[str | Text | Cell]]) -> None:
        """Print a table. A column whose name ends with `#` holds numbers."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        for column in columns:
            name = self.say(column)
            table.add_column(name.removesuffix("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
        for row in rows:
            table.add_row(*(self._cell(each) for each in row))
        if self._out.measure(table, options=self._out.options.update(width=_ANY)).maximum > self._out.width:
            table.padding = 0
        self._out.print(table)

    def grid(self, rows: Iterable[Sequence[str | Text | Cell]]) -> None:
        """Print lines whose parts stand below each other; the last part has the rest of the line."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        for row in rows:
            grid.add_row(*(self._cell(each) for each in row))
        for column in grid.columns[:-1]:
            column.no_wrap = True
        for column in grid.columns:
            column.overflow = "fold"
        self._out.print(grid)

    @contextmanager
    def captured(self) -> Iterator[list[str]]:
        """Keep what the block prints for people from the stream; it is in the list at the end, without colours."""
        said: list[str] = []
        with self._out.capture() as capture:
            yield said
        said.append(Rich.from_ansi(capture.get()).plain + "\n")

    # -- remarks and progress ---------------------------------------------------------------------------------------

    def note(self, text: str | Text, tone: str = "") -> None:
        """Print a remark on stderr."""
        self._err.print(self._cell(Cell(self.say(text), tone)), soft_wrap=True)

    def confirm(self, question: Text) -> bool:
        """Ask a person on the terminal; yes is y, yes, д, да."""
        self._err.print(Rich(f"{escape(question.say(self.lang))} [y/N] "), end="")
        return sys.stdin.readline().strip().lower() in {"y", "yes", "д", "да"}

    @contextmanager
    def progress(self, what: Text, total: int) -> Iterator[Advance]:
        """Show how far something long is: a bar on a terminal, else a line each ten seconds."""
        told = what.say(self.lang)
        if not self._err.is_terminal:
            yield _Lines(self, told, total)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._err, transient=True) as bar:
            task = bar.add_task(told, total=total)
            yield lambda done: bar.update(task, completed=done)

    # -- words ------------------------------------------------------------------------------------------------------

    def say(self, text: str | Text) -> str:
        return Text.of(text).say(self.lang)

    def age(self, since: float | None) -> str:
        """Return how long ago a moment (unix seconds) was; a dash for None."""
        return "–" if since is None else say_duration(self.now - since, self.lang)

    def short_age(self, since: float | None) -> str:
        """Return the same for a cell of a table."""
        return "–" if since is None else say_shortly(self.now - since, self.lang)

    def ahead(self, moment: float) -> str:
        """Return in how much time a moment comes."""
        return say_duration(moment - time.time(), self.lang)

    def moment(self, unix: float | None) -> str:
        return "–" if unix is None else say_moment(unix, self.now)

    def _cell(self, value: str | Text | Cell) -> Rich:
        if isinstance(value, Cell):
            return Rich(escape(self.mask(value.text)), style=_TONES[value.tone])
        return Rich(escape(self.mask(self.say(value))))


class _Lines:
    def __init__(self, output: Output, what: str, total: int) -> None:
        self._output = output
        self._what = what
        self._total = total
        self._told = time.monotonic()

    def __call__(self, done: int) -> None:
        if time.monotonic() - self._told >= PROGRESS_EVERY:
            self._told = time.monotonic()
            self._output.note(f"{self._what}: {done}/{self._total}")


def _console(stream: Any, color: bool) -> Console:
    """Return a console; NO_COLOR (no-color.org) is rich's own affair."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False, no_color=None if color else True)
    if not console.is_terminal:
        console.width = WIDE
    return console
