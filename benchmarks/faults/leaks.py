"""Looks for the workers' secrets where none may be: logs, journal and other state, messages, metrics, the API.

Faults are when secrets leak: an error text quotes an address, a traceback shows a header.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.faults.account import Found
from benchmarks.faults.stage import Stage
from control.client import UNANSWERED, Workers

_MARKS = ("PASSWORD", "TOKEN", "WEBHOOK_URL", "SECRET", "API_KEY")
_SHORTEST = 6  # characters: what is shorter stands everywhere


def metrics_of(stage: Stage) -> str:
    """Return what the running workers tell about themselves; empty of one that is just being started."""
    told = []
    for worker in stage.workers:
        try:
            workers = Workers(Path(worker.variables["STATE_DIR"]))
            told += [*map(str, workers.ask("metrics")), *map(str, workers.ask("status"))]
        except (*UNANSWERED, OSError):
            continue
    return "\n".join(told)


def leaks(stage: Stage, messages: list[Found], told: str) -> Iterator[str]:
    """Yield one sentence for each place in which a secret stands. After the workers have ended."""
    for worker in stage.workers:
        wanted = {name: value.encode() for name, value in secrets_of(worker.variables).items()}
        places = {str(path.relative_to(worker.folder)): path.read_bytes() for path in _files(worker.folder)}
        places |= {f"a message in {each.queue}": each.body for each in messages}
        places["the console"], places["the metrics, the status and the API"] = worker.output().encode(), told.encode()
        for place, held in places.items():
            yield from (f"{name} stands in {place}" for name, value in wanted.items() if value in held)


def secrets_of(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the secret part of each setting that is one, by its name."""
    found: dict[str, str] = {}
    for name, value in variables.items():
        plain = name.removesuffix("_FILE")
        if plain.endswith(_MARKS):
            secret = _secret_of(value if plain == name else _read(Path(value)))
            if len(secret) >= _SHORTEST:
                found[plain] = secret
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _secret_of(value: str) -> str:
    """Return what is secret of a value: of Bitrix24's address the end of its path, of any other its password."""
    if "://" not in value:
        return value
    parts = urlsplit(value)
    return parts.path.rstrip("/").rpartition("/")[2] if parts.path.startswith("/rest/") else parts.password or ""


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
