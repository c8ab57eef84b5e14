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
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
        for number, row in enumerate(self.rows):
            table.add_row(*row, style="bold red" if number in self.red else None)
        console.print(table)

    def markdown(self) -> str:
        """A GitHub table; the title is the caller's heading."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        return "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
