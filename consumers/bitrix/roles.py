"""The file that maps roles of the processes (`assigneeId` in the BPMN diagram) to user ids of the portal.

YAML (or JSON), either `mappings: {role: {bitrix_responsible_id: 12}}` or `mappings: {role: 12}`. It is read again
after a while, so that people can be replaced without a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import ConfigurationError


class Roles:
    """The roles file with a cache of `ttl` seconds; no file means no roles."""

    def __init__(self, path: Path | None, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._ttl = ttl
        self._clock = clock
        self._read_at: float | None = None
        self._roles: Mapping[str, int] = {}
        self._lock = threading.Lock()

    def current(self) -> Mapping[str, int]:
        """Role -> user id. Raises ConfigurationError when the file is unreadable or misshaped."""
        if self._path is None:
            return {}
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at > self._ttl:
                self._roles = _read(self._path)
                self._read_at = self._clock()
            return self._roles


def _read(path: Path) -> dict[str, int]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"BITRIX_ROLES_FILE {path}: {error}", code="roles_file") from error
    mappings = document.get("mappings") if isinstance(document, Mapping) else None
    if not isinstance(mappings, Mapping):
        raise ConfigurationError(f"BITRIX_ROLES_FILE {path} has no `mappings:`", code="roles_file")
    roles = {}
    for role, entry in mappings.items():
        user = entry.get("bitrix_responsible_id") if isinstance(entry, Mapping) else entry
        if user is not None:  # a role without a user yet; its tasks are refused by name
            roles[str(role)] = _user(path, role, user)
    return roles


def _user(path: Path, role: Any, user: Any) -> int:
    if isinstance(user, int | str) and not isinstance(user, bool) and str(user).isdecimal() and int(user) > 0:
        return int(user)
    raise ConfigurationError(f"BITRIX_ROLES_FILE {path}: role {role} has no user id but {user!r}", code="roles_file")
