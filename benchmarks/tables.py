"""One table, shown twice: in the terminal and as Markdown in the documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table as RichTable


@dataclass(slots=True)
class Table:
    """`rows` are texts, one for each column. `red` holds the numbers of the rows that break a promise."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    red: set[int] = field(default_factory=set)

    def add(self, *cells: object, red: bool = False) -> None:
        if len(cells) != len(self.columns):
            raise ValueError(f"{self.title}: {len(cells)} cells for {len(self.columns)} columns")
        if red:
            self.red.add(len(self.rows))
        self.rows.append([str(cell) for cell in cells])

    def show(self, console: Console) -> None:
        table = RichTable(title=self.title, title_justify="left", title_style="bold")
        for column, is_text in zip(self.columns, self._are_text(), strict=True):
            table.add_column(column, justify="left" if is_text else "right", overflow="fold")
        for number, row in enumerate(self.rows):
            table.add_row(*row, style="bold red" if number in self.red else None)
        console.print(table)

    def markdown(self) -> str:
        """A GitHub table; the title is the caller's heading. Red rows are marked by a cross."""
        rows = [[f"✘ {row[0]}", *row[1:]] if number in self.red else row for number, row in enumerate(self.rows)]
        lines = [self.columns, ["---" if is_text else "---:" for is_text in self._are_text()], *rows]
        return "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in lines)

    def _are_text(self) -> list[bool]:
        """By column. The first one names the row; the cells of the others begin with a letter, or they are figures."""
        columns = range(len(self.columns))
        return [number == 0 or any(row[number][:1].isalpha() for row in self.rows) for number in columns]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
