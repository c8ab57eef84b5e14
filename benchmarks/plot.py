"""Plots of the benchmarks as SVG. matplotlib is in the rivals' environment only, so it draws in a process of its own.

    bars(FIGURES / "relay.svg", "Relay", unit="messages per second", groups=["1 KB"], series={"bare pika": [9800]})
    lines(FIGURES / "track.svg", "Sweep", x="open tasks", y="seconds", series={"ours": [(1000, 0.1), (10000, 0.8)]})

The same figures give the same bytes: a plot changes in the repository only when its figures do.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import rivals_python

_DRAWING = Path(__file__).parent / "drawing.py"


class PlotError(Exception):
    """The plot could not be drawn; the text is what matplotlib said."""


def bars(
    path: Path,
    title: str,
    *,
    unit: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    highlight: str = "Task Creator",
    log_scale: bool = False,
    environment: Path | None = None,
) -> None:
    """Horizontal bars: one for each series in each group (None: not measured), `highlight` in the strong colour.

    Raises PlotError, and InstallError when there is no environment to draw with.
    """
    figure = {"kind": "bars", "title": title, "unit": unit, "groups": groups, "series": series}
    _draw(path, {**figure, "highlight": highlight, "log": log_scale}, environment)


def lines(
    path: Path,
    title: str,
    *,
    x: str,
    y: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    highlight: str = "Task Creator",
    log_scale: bool = False,
    environment: Path | None = None,
) -> None:
    """One line through the (x, y) points of each series; `log_scale` for both axes. Raises as `bars` does."""
    figure = {"kind": "lines", "title": title, "x": x, "y": y, "series": series}
    _draw(path, {**figure, "highlight": highlight, "log": log_scale}, environment)


def _draw(path: Path, figure: Mapping[str, Any], environment: Path | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [rivals_python(environment), _DRAWING, path]
    done = subprocess.run(command, input=json.dumps(figure), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlotError(done.stderr[-2000:])
