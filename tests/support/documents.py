"""Reads the project's documents and, as text, the code that they describe."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from sandbox.process import ROOT

SKIPPED_FOLDERS = {"__pycache__", "logs", ".git", ".venv"}

Block = tuple[str, str]  # language, text


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project_files() -> list[Path]:
    """What people wrote, as paths from the root; caches of tools stand in folders that begin with a dot."""
    files = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [each for each in folders if each not in SKIPPED_FOLDERS]
        files += [(Path(folder) / name).relative_to(ROOT) for name in names]
    return [path for path in files if path.parts[0] in {".ci", ".gitignore"} or not path.parts[0].startswith(".")]


def blocks(name: str) -> list[Block]:
    """The fenced code blocks, in their order."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", read(name), re.S | re.M)
    return [(language, re.sub(f"^{indent}", "", text, flags=re.M)) for indent, language, text in found]


def without_words(block: Block) -> Block:
    """The block without what it says in the reader's language: all of an output, the captions of a diagram."""
    language, text = block
    if language == "text":
        return language, ""
    if language == "mermaid":  # of a frame its title, of a box the line below the names
        text = re.sub(r'(subgraph \w+\["|<br/>)[^"<>]*("\])', r"\1\2", text)
    return language, text


def block_with(name: str, language: str, part: str) -> str:
    return next(text for kind, text in blocks(name) if kind == language and part in text)


def prose(name: str) -> str:
    """The text without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", read(name), flags=re.S | re.M)


def code_spans(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def headings(name: str) -> list[str]:
    return re.findall(r"^#+ .*$", prose(name), re.M)


def anchors(name: str) -> set[str]:
    """The headings as links name them."""
    titles = (heading.lstrip("#").strip().lower() for heading in headings(name))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def links(name: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(name))


def links_inside(name: str) -> list[str]:
    """Those to files and headings of the project."""
    return [target for target in links(name) if not re.match(r"[a-z]+:", target)]


def table_rows(name: str) -> list[str]:
    """The lines of all tables, with their headers and rulers."""
    return [line for line in prose(name).splitlines() if line.startswith("|")]


def table(name: str, *header: str) -> list[list[str]]:
    """The rows of the first table whose header begins with these cells."""
    lines = iter(prose(name).splitlines())
    start = f"| {' | '.join(header)} |"
    if not any(line.startswith(start) for line in lines):
        raise LookupError(f"{name} has no table {start}")
    next(lines)  # the ruler
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def example_variables() -> dict[str, str]:
    """The variables of config.env.example with the values shown there."""
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", read("config.env.example"), re.M))


def codes_beside_the_events() -> set[str]:
    """Event codes that are written out where something is logged."""
    return {
        text
        for node in _daemon_nodes()
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "event" and not isinstance(value, ast.Call)
        for text in _texts(value)
    }


def refusal_codes() -> set[str]:
    """The codes of what reads messages and their properties; an f-string ends in the name of an identifier."""
    codes = set()
    sources = (read(f"{each}.py") for each in ("core/messages", "core/strict_json", "broker/properties"))
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.keyword) and node.arg == "code":
            ends = ("task_id", "topic") if isinstance(node.value, ast.JoinedStr) else ("",)
            codes |= {text + end for text in _texts(node.value) for end in ends}
    return codes


def _daemon_nodes() -> Iterator[ast.AST]:
    for path in project_files():
        if path.suffix == ".py" and path.parts[0] not in {"tests", "sandbox", "benchmarks"}:
            yield from ast.walk(ast.parse(read(str(path))))


def _texts(node: ast.AST) -> set[str]:
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}
