"""Shows the demo: a board that moves on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table
from rich.text import Text

from cli.demo.account import Account, Row
from cli.demo.scenario import Scenario
from cli.demo.texts import say
from core.texts import Language

STEPS = 4
PLAIN_INTERVAL = 2.0  # seconds between two lines of the board where it cannot be redrawn

_NAMED_QUEUES = 2  # with more of them the board speaks of all together

_STYLES = {"errors": "red", "responses": "green", "finished": "green", "created": "cyan"}


@dataclass(frozen=True, slots=True)
class Stages:
    """How many messages or tasks are at each stage, in the order of their way."""

    sent: int = 0
    waiting: int = 0
    created: int = 0
    tracked: int = 0
    finished: int = 0
    responses: int = 0
    errors: int = 0


class DemoView:
    """The view of a run, written to `file`.

    Colours and redrawing only on a terminal; NO_COLOR and TERM=dumb are respected by rich.
    """

    def __init__(self, file: IO[str], lang: Language, scenario: Scenario) -> None:
        self._console = Console(file=file, highlight=False)
        self._lang = lang
        self._has_people = scenario.has_people
        self._names = {
            "system": scenario.title.say(lang),
            "queue": _one_or(scenario.input_queues, say(lang, "input_queues")),
            "sent_queue": _one_or(scenario.sent_queues, say(lang, "sent_queues")),
        }
        self._many = {
            stage
            for stage, queues in (("waiting", scenario.input_queues), ("tracked", scenario.sent_queues))
            if len(queues) > _NAMED_QUEUES
        }
        self._is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._status: Status | None = None
        self._live: Live | None = None
        self._total = 0
        self._board_started = 0.0
        self._last_line: tuple[float, Stages] = (0.0, Stages())

    def title(self) -> None:
        self._write(say(self._lang, "title" if self._has_people else "title_instant", **self._names), "bold")
        self._write("")

    def progress(self, text: str) -> None:
        """Show what is going on now; the next step replaces it where that can be done."""
        if not self._is_live:
            self._write(f"      {text}")
        elif self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def step(self, number: int, text: str) -> None:
        """Show that one of STEPS is done."""
        self._end_progress()
        self._write(f" {number}/{STEPS}  ✔ {text}", "green" if self._is_live else "")

    @contextmanager
    def board(self, total: int) -> Iterator[None]:
        """Show a board while the block runs, in which `stages` may be called; `total` messages are on their way."""
        self._total, self._board_started = total, time.monotonic()
        self._write("")
        if not self._is_live:
            yield
            return
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield

    def stages(self, now: Stages, latest: str) -> None:
        """Show the board; `latest` is what a person did last."""
        if self._live is not None:
            self._live.update(self._table(now, latest), refresh=True)
            return
        shown_at, shown = self._last_line
        if now != shown and time.monotonic() - shown_at >= PLAIN_INTERVAL:
            self._write(self._line(now))
            self._last_line = (time.monotonic(), now)

    def final_stages(self, now: Stages, latest: str) -> None:
        """Show the last state in any case."""
        self._last_line = (0.0, self._last_line[1])
        self.stages(now, latest)

    def summary(self, account: Account, seconds: float) -> None:
        lang = self._lang
        note = ""
        if self._has_people:
            note = say(lang, "created_note", tasks=account.created, instant=account.instant, updated=account.updated)
        answers = ", ".join(f"{answer} {count}" for answer, count in account.given_answers.items())
        rows = account.rows
        self._heading("summary")
        self._figure("sent", account.sent)
        self._figure("created" if self._has_people else "created_instant", account.created + account.instant, note)
        self._figure("duplicates", account.duplicates_avoided)
        self._figure("completed", account.completed, answers)
        self._figure("errors", len(account.in_error_queue))
        alike = Counter((self._name(row), row.errors[0].say(lang)) for row in account.in_error_queue)
        for (name, reason), count in alike.items():
            self._write(f"     • {name}" if count == 1 else f"     • {count} × {name}", "yellow")
            self._write(f"       {reason}", "dim")
        self._figure("created_twice", sum(row.is_created_twice for row in rows), bad=True)
        self._figure("answered_twice", sum(row.is_answered_twice for row in rows), bad=True)
        self._figure("lost", len(account.lost), bad=True)
        if account.faults:
            self._heading("faults")
        for row in account.faults:
            text = say(
                lang,
                "fault",
                key=row.key,
                title=self._name(row),
                ids=", ".join(row.ids),
                answers=row.answers,
                errors=[each.say(lang) for each in row.errors],
            )
            self._write(f"   {text}", "bold red")
        self._write("")
        self._write(f" {say(lang, 'counted', seconds=round(seconds))}")

    def missing(self, places: list[tuple[Row, str]], seconds: float) -> None:
        """Show where every task is that has not come through."""
        self._write("")
        self._write(f" {say(self._lang, 'missing', seconds=round(seconds))}", "bold red")
        for row, where in places:
            self._write(f"   {say(self._lang, 'missing_row', key=row.key, title=self._name(row), where=where)}")

    def next_steps(self, systems: Sequence[str]) -> None:
        self._heading("next")
        for name in ("next_env", "next_check", "next_fields", "next_run", "next_keep", "next_systems"):
            self._write(f"   {say(self._lang, name, systems=', '.join(systems))}")

    def kept(self, commands: list[str], places: list[tuple[str, str]]) -> None:
        """Show how to reach what was left running."""
        self._heading("kept")
        for command in commands:
            self._write(f"   {command}")
        self._write("")
        for name, place in places:
            self._write(f"   {say(self._lang, name)}: {place}")

    def say(self, text: str) -> None:
        self._end_progress()
        self._write(text)

    def close(self) -> None:
        """Give the terminal back, whatever was shown."""
        self._end_progress()

    def _heading(self, name: str) -> None:
        self._write("")
        self._write(f" {say(self._lang, name)}", "bold")

    def _figure(self, name: str, number: int, note: str = "", *, bad: bool = False) -> None:
        style = ("bold red" if number else "bold green") if bad else ""
        text = f"   {say(self._lang, name, **self._names):<31}{number:>4}"
        self._write(f"{text}  {note}" if note else text, style)

    def _name(self, row: Row) -> str:
        return row.title or say(self._lang, "broken_title")

    def _write(self, text: str, style: str = "") -> None:
        """Write a text.

        Without a terminal nobody knows a width: lines stay whole. On one, what is wrapped keeps its indentation.
        """
        if not self._is_live:
            self._console.print(Text(text, style=style), soft_wrap=True)
            return
        for line in text.split("\n"):
            indent = len(line) - len(line.lstrip())
            self._console.print(Padding(Text(line.lstrip(), style=style), (0, 0, 0, indent)))

    def _end_progress(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _seconds(self) -> str:
        return say(self._lang, "elapsed", seconds=int(time.monotonic() - self._board_started))

    def _line(self, now: Stages) -> str:
        name = "plain_line" if self._has_people else "plain_line_instant"
        return f"{self._seconds():>6}  {say(self._lang, name, **asdict(now), **self._names)}"

    def _label(self, stage: str) -> str:
        if stage == "created" and not self._has_people:
            stage = "created_instant"
        if stage in self._many:
            stage = f"{stage}_many"
        return say(self._lang, f"stage_{stage}", **self._names)

    def _table(self, now: Stages, latest: str) -> RenderableType:
        table = Table(box=None, padding=(0, 1), show_header=False)
        table.add_column(min_width=32)
        table.add_column(justify="right", min_width=5)
        table.add_column()
        stages = [field for field in fields(now) if self._has_people or field.name != "finished"]
        for field in stages:
            count, style = getattr(now, field.name), _STYLES.get(field.name, "blue")
            bar = ProgressBar(max(self._total, 1), count, width=32, complete_style=style, finished_style=style)
            table.add_row(self._label(field.name), str(count), bar)
        line = Text(f" {self._seconds()}   {latest}", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(table, line)


def _one_or(names: Sequence[str], many: str) -> str:
    return names[-1] if len(names) <= _NAMED_QUEUES else many
