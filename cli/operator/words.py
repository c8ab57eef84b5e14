"""What every part of the operator's grammar is made with. Nothing that a command needs to run is imported here."""

from __future__ import annotations

from argparse import ArgumentParser
from functools import partial
from typing import Any

from cli.parser import Parser
from core.texts import Language, Text


class Words:
    """Adds commands to argparse's `commands`, in the reader's language."""

    def __init__(self, commands: Any, lang: Language, program: str) -> None:
        self._commands = commands
        self._lang = lang
        self._program = program

    def _say(self, en: str, ru: str) -> str:
        return Text(en, ru).say(self._lang)

    def _command(self, name: str, runs: str, help: str, *, examples: str = "", among: Any = None) -> ArgumentParser:
        """Add a command; `runs` is `module.function` of cli.operator, `examples` are arguments of it, a line each."""
        parser: ArgumentParser = (among or self._commands).add_parser(name, help=help, description=help)
        if examples:
            lines = "\n".join(f"  {self._program} {line}" for line in examples.splitlines())
            parser.epilog = f"{self._say('examples', 'примеры')}:\n{lines}"
        parser.set_defaults(runs=runs)
        parser.add_argument("--json", action="store_true", help=self._say("print JSON", "вывести JSON"))
        parser.add_argument("--no-color", action="store_true", help=self._say("print no colours", "без цветов"))
        return parser

    def _group(self, name: str, help: str) -> Any:
        parser = self._commands.add_parser(name, help=help, description=help)
        return parser.add_subparsers(
            dest="action",
            required=True,
            metavar=self._say("COMMAND", "КОМАНДА"),
            parser_class=partial(Parser, self._lang),
        )
