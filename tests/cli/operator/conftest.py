"""Where an operator works, and his commands in the test's own process: one of its own costs a second of imports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import main
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from tests.cli.operator.support import Place
from tests.support.commands import environment


@dataclass(frozen=True, slots=True)
class Done:
    """What a command has printed, and its exit code; the names are those of subprocess."""

    returncode: int
    stdout: str
    stderr: str


Typed = Callable[..., Done]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Typed:
    """`typed(variables, "errors", "list")`: as from a shell, in an empty folder, with these settings alone."""

    def run(variables: Mapping[str, str], *words: str) -> Done:
        with monkeypatch.context() as patch:
            wanted = environment(variables)
            for name in os.environ.keys() - wanted.keys():
                patch.delenv(name)
            for name, value in wanted.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            capsys.readouterr()
            try:
                code = main.entry(words)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


@pytest.fixture
def place(vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> Place:
    """A virtual host, a portal and a folder for a worker and the commands about it."""
    return Place(vhost, tmp_path, portal)
