"""Which RabbitMQ is wanted: RABBITMQ_VERSION, the one switch of the demo, the tests and the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE = "RABBITMQ_VERSION"

# The Debian release that carries each, by the code name that it keeps for ever. No release carries 3.11 to 3.13, 4.1
# or 4.2 (deb.debian.org, 2026-11-28: bookworm 3.10.8, trixie 4.0.5, forky 4.3.6).
DEBIAN_RELEASES: Mapping[str, str] = {"3.10": "bookworm", "4.0": "trixie", "4.3": "forky"}


class VersionError(Exception):
    """A version of RabbitMQ that the sandbox cannot bring."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.choices = tuple(DEBIAN_RELEASES)
        super().__init__(f"{VARIABLE}={value!r}: the choices are {', '.join(self.choices)}, or leave it unset")


def chosen_version(environ: Mapping[str, str]) -> str | None:
    """The version that the environment asks for; None means whichever is at hand. Raises VersionError."""
    value = environ.get(VARIABLE, "").strip()
    if not value:
        return None
    if value not in DEBIAN_RELEASES:
        raise VersionError(value)
    return value
