"""The RabbitMQ that a benchmark measures on: `--rabbitmq 4.3`, else RABBITMQ_VERSION, else whichever is at hand."""

from __future__ import annotations

import argparse
import os
import sys

from sandbox.rabbitmq_install import find_server
from sandbox.rabbitmq_server import Server
from sandbox.rabbitmq_versions import DEBIAN_RELEASES, VARIABLE, VersionError, chosen_version


def add_rabbitmq_option(parser: argparse.ArgumentParser) -> None:
    """A wrong value in the environment is refused like one on the command line."""
    parser.add_argument(
        "--rabbitmq",
        type=_version,
        default=os.environ.get(VARIABLE),
        metavar="VERSION",
        help=f"{', '.join(DEBIAN_RELEASES)} (default: {VARIABLE}, else whichever is at hand)",
    )


def wanted_server(options: argparse.Namespace) -> Server:
    """Raises NoServerError."""
    if os.environ.get("RABBITMQ_HOST", "").strip():
        print("RABBITMQ_HOST is not used: a benchmark breaks and measures nodes of its own", file=sys.stderr)
    return find_server(options.rabbitmq)


def _version(text: str) -> str | None:
    try:
        return chosen_version({VARIABLE: text})
    except VersionError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: the choices are {', '.join(error.choices)}") from error
