"""Reads the file that maps roles of the processes (`assigneeId` in the BPMN diagram) to user ids of the portal.

YAML (or JSON), either `mappings: {role: {bitrix_responsible_id: 12}}` or `mappings: {role: 12}`. A file that is changed
is used at once, so that people can be replaced without a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from consumers.bitrix.rows import plain_id
from core.errors import ConfigurationError
from core.texts import BilingualError, Text
from settings.changing_file import ChangingFile

VARIABLE = "BITRIX_ROLES_FILE"


class RolesProblem(BilingualError, ValueError):  # noqa: N818  # like ValueProblem, told as a mistake of the settings
    """What is wrong with the file."""


class Roles:
    """Role -> user id; no file means no roles. `max_age` in seconds, as of ChangingFile."""

    def __init__(self, path: Path | None, max_age: float) -> None:
        self._file = ChangingFile(VARIABLE, path, _usable, max_age=max_age) if path is not None else None

    def current(self) -> Mapping[str, int]:
        """Return the roles as they are now. Raises ConfigurationError while the file has never been usable."""
        return self._file.current() if self._file is not None else {}


def read_roles(path: Path) -> dict[str, int]:
    """Read the file of roles. Raises RolesProblem."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8-sig"), _StrictLoader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RolesProblem(Text(f"cannot be read: {why}", f"не читается: {why}")) from error
    except UnicodeDecodeError as error:
        raise RolesProblem(Text("is not UTF-8", "не в кодировке UTF-8")) from error
    except RolesProblem:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = " ".join(str(error).split())
        raise RolesProblem(Text(f"is not YAML: {where}", f"это не YAML: {where}")) from error
    mappings = document.get("mappings") if isinstance(document, Mapping) else None
    if not isinstance(mappings, Mapping):
        raise RolesProblem(Text("has no `mappings:` with roles in it", "нет раздела `mappings:` с ролями"))
    roles = {}
    for role, entry in mappings.items():
        if isinstance(role, bool):
            raise RolesProblem(
                Text(
                    f"the role {role} was yes, no, on or off: write it in quotes",
                    f"роль {role} записана как yes, no, on или off: возьмите её в кавычки",
                )
            )
        user = entry.get("bitrix_responsible_id") if isinstance(entry, Mapping) else entry
        if user is not None:  # a role without a user yet; its tasks are refused by name
            roles[str(role)] = _user(role, user)
    return roles


def _user(role: Any, user: Any) -> int:
    if (user_id := plain_id(user)) is not None:
        return int(user_id)
    raise RolesProblem(
        Text(f"role {role} has no user id but {user!r}", f"у роли {role} не id пользователя, а {user!r}")
    )


def _usable(path: Path) -> dict[str, int]:
    try:
        return read_roles(path)
    except RolesProblem as problem:
        text = problem.text.led_by(f"{VARIABLE} {path}: ")
        raise ConfigurationError(text, code="roles_file") from problem


class _StrictLoader(yaml.SafeLoader):
    """A loader that refuses a role that stands twice: YAML readers keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value != "<<":
                if key_node.value in seen:
                    role, where = key_node.value, " ".join(str(key_node.start_mark).split())
                    raise RolesProblem(
                        Text(f"is not YAML: {role} stands twice {where}", f"это не YAML: {role} стоит дважды {where}")
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)
