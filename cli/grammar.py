"""The words of all commands. Nothing that a command needs to run is imported here: a help must come at once."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from cli.operator.grammar import add_commands
from cli.parser import Parser, number
from cli.texts import TEXTS
from core.texts import Language
from core.version import VERSION

MOST_TASKS = 5000  # that the demo sends
DEMO_SYSTEMS = ("bitrix24", "openproject", "1c", "python-services", "email", "telegram", "all")


def make_parser(lang: Language) -> Parser:
    texts = TEXTS[lang]
    of_command: Any = partial(Parser, lang)  # argparse calls it; the stub wants a class
    called = Path(sys.argv[0]).name
    program = called if called == "task-creator" else "main.py"
    parser = Parser(lang, prog=program, description=texts["about"])
    parser.add_argument("--version", action="version", version=f"Task Creator {VERSION}", help=texts["version"])
    commands = parser.add_subparsers(dest="command", metavar=texts["command"], parser_class=of_command)
    commands.add_parser("run", help=texts["run"])
    demo = commands.add_parser("demo", help=texts["demo"])
    demo.add_argument("--system", choices=DEMO_SYSTEMS, default="bitrix24", help=texts["system"])
    demo.add_argument("--keep", action="store_true", help=texts["keep"])
    demo.add_argument("--tasks", type=number, default=30, metavar="N", help=texts["tasks"])
    demo.add_argument("--json", metavar="FILE", help=texts["json"])
    sandbox = commands.add_parser("sandbox", help=texts["sandbox"], description=texts["sandbox"])
    sandbox.add_argument("--system", choices=DEMO_SYSTEMS, action="append", help=texts["of_sandbox"])
    sandbox.add_argument("--write-env", metavar="FILE", type=Path, help=texts["write-env"])
    sandbox.add_argument("--force", action="store_true", help=texts["force"])
    actions = {
        name: commands.add_parser(name, help=texts[name]).add_subparsers(
            dest="action", required=True, metavar=texts["command"], parser_class=of_command
        )
        for name in ("bitrix", "config")
    }
    actions["bitrix"].add_parser("init-fields", help=texts["init-fields"])
    check = actions["config"].add_parser("check", help=texts["check"])
    check.add_argument("--probe", action="store_true", help=texts["probe"])
    add_commands(commands, actions["config"], lang, program)
    commands.add_parser("help", help=texts["help"])
    return parser
