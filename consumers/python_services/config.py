"""Settings of the Python services. An empty SERVICES_FILE switches the system off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from consumers.python_services.processes import callable_problem
from consumers.python_services.registry import HttpSpec, PythonSpec, Registry
from consumers.python_services.registry_file import Problem, UnreadableError, named_variables, read_registry
from core.errors import NotConfiguredError
from core.texts import Text
from settings.base import EnvironmentSettings, NamedSecrets, PositiveCount, Seconds, StateDir
from settings.errors import FieldProblem
from toolkit.http_settings import clear_text_notice


def _variables(given: Mapping[str, str]) -> Iterator[str]:
    if given.get("file"):
        yield from named_variables(Path(given["file"]))


def _accepts(given: Mapping[str, str], secrets: Mapping[str, str]) -> bool:
    _, problems = read_registry(Path(given["file"]), {name: SecretStr(secret) for name, secret in secrets.items()})
    return not problems


class ServicesSettings(EnvironmentSettings):
    """The settings of services: which there are, and how patient the worker is with them. Times are in seconds."""

    env_prefix = "SERVICES_"

    file: Path | None = None
    secrets: Annotated[Mapping[str, SecretStr], NamedSecrets(_variables, _accepts)] = Field(default_factory=dict)
    polls_per_sweep: PositiveCount = 500
    ambiguous_wait: Seconds = 30.0
    outage_wait: Seconds = 60.0
    import_timeout: Seconds = 30.0
    state_dir: StateDir = Path("state")

    def registry(self) -> Registry:
        """Return the services, checked by cross_check. Raises NotConfiguredError when SERVICES_FILE is empty."""
        if self.file is None:
            raise NotConfiguredError(variable="SERVICES_FILE")
        return self._read[0]

    def cross_check(self) -> Iterator[FieldProblem]:
        if self.file is None:
            return
        try:
            registry, problems = self._read
        except UnreadableError as error:
            yield FieldProblem("file", error.problem, error.hint)
            return
        for each in (*problems, *self._unusable_callables(registry)):
            # No colon: what follows "auth:" or "token:" would be masked as a secret.
            said = each.problem.led_by(f"{each.path} – ")
            yield FieldProblem("file", said, each.hint)

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.file is None:
            return
        try:
            services = self._read[0].services
        except UnreadableError:
            return
        for name, spec in services.items():
            if isinstance(spec, HttpSpec) and spec.auth.type in {"basic", "bearer", "header"}:
                secret = Text(f"the secret of services.{name}", f"секрет services.{name}")
                yield from clear_text_notice("file", spec.url, secret)

    @cached_property
    def _read(self) -> tuple[Registry, list[Problem]]:
        return read_registry(self.file or Path(), self.secrets)

    def _unusable_callables(self, registry: Registry) -> Iterator[Problem]:
        for name, spec in registry.services.items():
            if isinstance(spec, PythonSpec):
                reason = callable_problem(spec.callable, self.import_timeout)
                if reason is not None:
                    yield Problem(
                        f"services.{name}.callable",
                        Text(
                            f"{spec.callable} cannot be used: {reason.en}", f"{spec.callable} не годится: {reason.ru}"
                        ),
                        Text(
                            "it must be importable by the worker's Python from its folder or PYTHONPATH",
                            "её должен находить Python воркера: в его папке или через PYTHONPATH",
                        ),
                    )
