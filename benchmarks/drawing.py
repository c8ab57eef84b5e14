"""Draws one figure with matplotlib: JSON on stdin, the path of the SVG as argument. Run by benchmarks.plot only,
with the rivals' interpreter; imports nothing of the project."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "task-creator"  # element ids that do not change from run to run
mpl.rcParams["svg.fonttype"] = "none"  # text stays text: a quarter of the size, and it can be searched
mpl.rcParams["font.size"] = 10

from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen first

STRONG = "#0b6e4f"
PALE = ("#8fa3ad", "#b8c4ca", "#6c7f89", "#d3dadd", "#4f6069", "#a9b7be", "#7d909a", "#c6d0d5")


def main() -> None:
    figure = json.load(sys.stdin)
    draw = {"bars": draw_bars, "lines": draw_lines}[figure["kind"]]
    plot, axes = plt.subplots(figsize=(8, draw_height(figure)), layout="constrained")
    axes.set_title(figure["title"], loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes, figure)
    plot.savefig(sys.argv[1], metadata={"Date": None})


def draw_height(figure: dict[str, Any]) -> float:
    rows = sum(value is not None for values in figure["series"].values() for value in values)
    return 1.2 + 0.34 * rows if figure["kind"] == "bars" else 4.5


def draw_bars(axes: Any, figure: dict[str, Any]) -> None:
    several = len(figure["groups"]) > 1
    labels, values, colors = [], [], []
    for index, group in enumerate(figure["groups"]):
        for number, (name, measured) in enumerate(figure["series"].items()):
            if measured[index] is not None:
                labels.append(f"{group}: {name}" if several else name)
                values.append(measured[index])
                colors.append(color_of(name, number, figure))
    drawn = axes.barh(range(len(values)), values, color=colors)
    axes.bar_label(drawn, [short(value) for value in values], padding=4)
    axes.set_yticks(range(len(values)), labels)
    axes.invert_yaxis()
    axes.set_xlabel(figure["unit"])
    axes.margins(x=0.12)
    if figure["log"]:
        axes.set_xscale("log")


def draw_lines(axes: Any, figure: dict[str, Any]) -> None:
    for number, (name, points) in enumerate(figure["series"].items()):
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, marker="o", markersize=4, color=color_of(name, number, figure), label=name)
    axes.set_xlabel(figure["x"])
    axes.set_ylabel(figure["y"])
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    if figure["log"]:
        axes.set_xscale("log")
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def color_of(name: str, number: int, figure: dict[str, Any]) -> str:
    return STRONG if name.startswith(figure["highlight"]) else PALE[number % len(PALE)]


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


main()
