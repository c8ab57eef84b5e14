"""Draws the house: its folders with a sentence each, the floors they stand on, the arrows between them.

    python -m tools.house

A floor is the longest way down: what imports nothing of the project stands on floor 0. An arrow that climbs, or a
circle, breaks the rule of tools.import_rules.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from tools.import_rules import LAYERS, Source, circles, read, violations

ROOT = Path(__file__).resolve().parent.parent

Graph = Mapping[str, set[str]]


def rooms(root: Path) -> dict[str, str]:
    """Folder, or module of the root -> its first sentence."""
    found = {}
    for path in sorted(root.iterdir()):
        source = path / "__init__.py" if path.is_dir() else path
        if source.suffix == ".py" and source.is_file():
            told = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
            found[path.stem] = told.partition("\n")[0]
    return found


def installed_rooms(root: Path) -> set[str]:
    """The rooms that are the program itself, not what stands beside its layers."""
    return {part for layer in LAYERS for part in layer} & rooms(root).keys()


def arrows(source: Source, known: Collection[str]) -> Graph:
    """Who imports whom, by the rooms of the root."""
    graph = defaultdict[str, set[str]](set)
    for found in source.imports:
        importer, target = (name.partition(".")[0] for name in (found.importer, found.target))
        if importer != target and importer in known and target in known:
            graph[importer].add(target)
    return graph


def floors(graph: Graph, names: Mapping[str, str]) -> dict[str, int]:
    """Each room's floor. Raises RecursionError for a circle of rooms."""
    known: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in known:
            known[room] = 1 + max((floor(below) for below in graph.get(room, ())), default=-1)
        return known[room]

    return {room: floor(room) for room in names}


def drawn(root: Path) -> Iterator[str]:
    names, source = rooms(root), read(root)
    graph = arrows(source, names)
    level = floors(graph, names)
    for room in sorted(names, key=lambda each: (-level[each], each)):
        kind = f"{room}/" if (root / room).is_dir() else f"{room}.py"
        yield f"{level[room]:>2}  {kind:<26}{names[room]}"
    count = sum(len(targets) for targets in graph.values())
    yield ""
    yield f"{len(names)} rooms on {max(level.values()) + 1} floors, {count} arrows"
    broken, circling = len(violations(source)), len(circles(source))
    yield f"{broken} imports break a rule, {circling} modules import themselves over others"


if __name__ == "__main__":
    print("\n".join(drawn(ROOT)))
