"""Settings of OpenTelemetry. What its SDK reads from OTEL_… itself may stand in `.env`, too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Annotated

from pydantic import Field, SecretStr

from core.texts import Text
from settings.base import EnvironmentSettings, Prefixed
from settings.errors import Mistake

PREFIX = "OTEL_"
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_LIKE = 0.9  # how like a variable of the SDK an unknown one in `.env` must be, to be a slip
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# What the SDK knows of these and this worker does not use would be ignored without a word.
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "OTEL_TRACES_EXPORTER": ("otlp", "none"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("http/protobuf",),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": ("http/protobuf",),
    "OTEL_PROPAGATORS": ("tracecontext", "tracecontext,baggage"),  # the second is what the SDK takes by itself
}


class TracingSettings(EnvironmentSettings):
    """Whether spans are recorded. `sdk` holds every variable of the SDK that is set."""

    opentelemetry: bool = False
    sdk: Annotated[Mapping[str, str | SecretStr], Prefixed(PREFIX, hidden_suffix="_HEADERS")] = Field(
        default_factory=dict
    )

    @property
    def is_wanted(self) -> bool:
        return self.opentelemetry and str(self.sdk.get("OTEL_SDK_DISABLED", "")).lower() != "true"

    @property
    def is_exported(self) -> bool:
        """Whether spans go to a collector; else their trace context is only passed on."""
        return self.sdk.get("OTEL_TRACES_EXPORTER") != "none"

    def variables(self) -> dict[str, str]:
        """Return the SDK's variables in clear."""
        told = self.sdk.items()
        return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in told}

    def notices(self) -> Iterator[tuple[str, Text]]:
        given = [name for name in _ENDPOINTS if name in self.sdk]
        if given and not self.opentelemetry:
            yield (
                "opentelemetry",
                Text(
                    f"off, so no spans are recorded, although {given[0]} is set",
                    f"выключена, спаны не записываются, хотя {given[0]} задана",
                ),
            )


def mistakes(settings: TracingSettings, in_file: Collection[str]) -> Iterator[Mistake]:
    """Yield what must be repaired before spans can be recorded. `in_file`: the variables that stand in `.env`."""
    if not settings.is_wanted:
        return
    if all(_is_installed(package) for package in _PACKAGES):
        yield from _misspelt({name for name in settings.sdk if name in in_file})
    else:
        yield _missing()
    for name, choices in _CHOICES.items():
        value = settings.sdk.get(name)
        if isinstance(value, str) and value not in choices:
            wanted = ", ".join(choices)
            yield Mistake(
                name,
                value,
                Text("is not possible with this worker", "этот воркер так не умеет"),
                Text(f"one of: {wanted}; or leave it unset", f"одно из: {wanted}; или не задавайте"),
            )


def _misspelt(names: set[str]) -> Iterator[Mistake]:
    """In the environment such a name is more likely another program's."""
    from opentelemetry import environment_variables as of_api
    from opentelemetry.sdk import environment_variables as of_sdk

    known = {name for name in (*vars(of_api), *vars(of_sdk)) if name.startswith(PREFIX)}
    for name in sorted(names - known):
        for close in get_close_matches(name, sorted(known), n=1, cutoff=_LIKE):
            yield Mistake(
                name,
                None,
                Text("is not known to OpenTelemetry's SDK", "SDK OpenTelemetry такой не знает"),
                Text(f"did you mean {close}?", f"возможно, вы имели в виду {close}?"),
            )


def _missing() -> Mistake:
    return Mistake(
        "OPENTELEMETRY",
        "on",
        Text("needs the packages of OpenTelemetry, which are not installed", "нужны пакеты OpenTelemetry, их нет"),
        Text(
            ".venv/bin/pip install --require-hashes -r requirements-otel.lock, or OPENTELEMETRY=off",
            ".venv/bin/pip install --require-hashes -r requirements-otel.lock или OPENTELEMETRY=off",
        ),
    )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False
