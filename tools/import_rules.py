"""Which part of the program may import which: imports point down, and a few things are nobody's business.

`read(root)` reads the source as text; nothing is imported. Late imports inside functions, relative imports,
`if TYPE_CHECKING` and `import_module("literal")` count like any other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# From the bottom up, a row for each folder. A part imports itself and the rows before its own.
LAYERS = (
    {"core"},
    {"settings"},
    {"broker"},
    {"config"},
    {"base_handler", "base_tracker"},
    {"toolkit"},
    {"consumers"},
    {"runtime"},
    {"rabbitmq_publisher"},
    {"rabbitmq_consumer"},
    {"tracking"},
    {"processing"},
    {"message_processor"},
    {"journal", "metrics", "tracing"},
    {"control"},
    {"operation"},
    {"api"},
    {"web"},
    {"bridge"},
    {"assembly"},
    {"cli"},
    {"main", "simple_test", "test_bitrix_worker"},
)
# What plays the outside world, and what looks at the whole from there; in the same order.
BESIDE_THE_LAYERS = ("sandbox", "testbench", "tools", "benchmarks", "tests")

PIKA_USERS = {
    *("broker", "rabbitmq_publisher", "rabbitmq_consumer"),
    *("simple_test", "test_bitrix_worker", *BESIDE_THE_LAYERS),
}
OPENTELEMETRY_USERS = {"tracing", *BESIDE_THE_LAYERS}  # an extra: whoever imports it is loaded when it is asked for
SANDBOX_USERS = {"main", "cli", *BESIDE_THE_LAYERS}
CONSUMERS_USERS = {"assembly", "cli", *BESIDE_THE_LAYERS}  # the daemon loads them by name
# A list of what is open cannot fall behind new modules, as a list of what is closed did.
OPEN_TO_CONSUMERS = {"core", "settings", "base_handler", "base_tracker", "toolkit", "consumers"}

_LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
_LEVEL_BESIDE = {part: level for level, part in enumerate(BESIDE_THE_LAYERS)}


@dataclass(frozen=True, slots=True)
class Import:
    """`importer` and `target` are dotted module names; `target` is a module of the project as far as it is one."""

    importer: str
    target: str
    place: str  # "path:line"


@dataclass(frozen=True, slots=True)
class Source:
    """The names of a project's modules, and every import of each, in the order of paths and lines."""

    modules: frozenset[str]
    imports: tuple[Import, ...]


def read(root: Path) -> Source:
    files = _modules(root)
    return Source(frozenset(files), tuple(_imports(root, files)))


def violations(source: Source) -> list[str]:
    """One line for each import that breaks a rule, e.g. `core/policy.py:3: core.policy imports pika: core is ...`."""
    project = {_part(module) for module in source.modules}
    return [
        f"{found.place}: {found.importer} imports {found.target}: {rule}"
        for found in source.imports
        for rule in _broken_rules(found, project)
    ]


def circles(source: Source) -> list[str]:
    """Modules that import each other, at once or over others; an import for types only counts as well."""
    graph: dict[str, set[str]] = {module: set() for module in source.modules}
    for found in source.imports:
        if found.target in graph and found.target != found.importer:
            graph[found.importer].add(found.target)
    # What imports nothing that is left, or is imported by nothing that is left, is in no circle.
    while idle := [
        module
        for module, targets in graph.items()
        if not targets & graph.keys() or not any(module in each for each in graph.values())
    ]:
        graph = {module: targets for module, targets in graph.items() if module not in idle}
    return sorted(f"{module} <-> {', '.join(sorted(targets & graph.keys()))}" for module, targets in graph.items())


def _imports(root: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    for importer, path in modules.items():
        package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
        for line, target in _targets(ast.parse(path.read_bytes()), package, modules):
            yield Import(importer, target, f"{path.relative_to(root)}:{line}")


def _broken_rules(found: Import, project: set[str]) -> Iterator[str]:
    part, target = _part(found.importer), _part(found.target)
    if part not in _LEVEL and part not in _LEVEL_BESIDE:
        yield f"{part} has no layer yet: give it one in tools/import_rules.py"
    for levels in (_LEVEL, _LEVEL_BESIDE):
        if part != target and part in levels and levels.get(target, -1) >= levels[part]:
            yield f"imports point down, and {target} is not below {part}"
    if part == "core" and target != "core" and target not in sys.stdlib_module_names:
        yield "core is standard library only"
    if part == "sandbox" and target in project - {"sandbox", "core"}:
        yield "the sandbox stands for the outside world and shares no code with the daemon"
    if target == "pika" and not _within(found.importer, PIKA_USERS):
        yield "pika is for the modules that own a connection"
    if _part(target) == "opentelemetry" and part not in OPENTELEMETRY_USERS:
        yield "OpenTelemetry is optional: its spans are made in tracing"
    if target == "sandbox" and part not in SANDBOX_USERS:
        yield "the sandbox is for demo and tests"
    if target == "tests" and part != "tests":
        yield "tests are for tests"
    if target == "consumers" and part not in CONSUMERS_USERS and _system(found.importer) != _system(found.target):
        yield "a system is loaded by name and knows no other system"
    if part == "consumers" and target in (project | _LEVEL.keys()) - OPEN_TO_CONSUMERS:
        yield f"a system is built of {', '.join(sorted(OPEN_TO_CONSUMERS - {'consumers'}))} and knows nothing else"


def _part(module: str) -> str:
    return module.partition(".")[0]


def _system(module: str) -> str:
    """`consumers.bitrix.client` -> `consumers.bitrix`"""
    return ".".join(module.split(".")[:2])


def _within(module: str, allowed: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def _modules(root: Path) -> dict[str, Path]:
    """The project's modules by dotted name; folders that begin with a dot (.venv) are somebody else's."""
    tops = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    files = [file for top in tops for file in ([top] if top.suffix == ".py" else sorted(top.rglob("*.py")))]
    return {_module_name(file.relative_to(root)): file for file in files}


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _targets(tree: ast.AST, package: str, modules: Container[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=module, names=names, level=level):
                base = ".".join(filter(None, [_ancestor(package, level - 1) if level else "", module]))
                for alias in names:
                    submodule = f"{base}.{alias.name}"
                    yield node.lineno, submodule if submodule in modules else base
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                if node.args and isinstance(node.args[0], ast.Constant):
                    yield node.lineno, str(node.args[0].value)


def _ancestor(package: str, levels: int) -> str:
    return ".".join(package.split(".")[: len(package.split(".")) - levels])
