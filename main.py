"""The entry point: reads the settings, runs the worker until it is told to stop, returns a named exit code."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK
from core.texts import Language
from core.version import VERSION
from settings.errors import SettingsError

if TYPE_CHECKING:
    from cli.parser import Parser

ENV_FILE = Path(".env")
MOST_TASKS = 5000  # that the demo sends
DEMO_SYSTEMS = ("bitrix24", "openproject", "1c", "python-services", "email", "telegram", "all")


def main(arguments: Sequence[str]) -> int:
    from cli.texts import TEXTS, language, make_streams_forgiving

    make_streams_forgiving()
    lang = language(os.environ)
    texts = TEXTS[lang]
    parser = _parser(lang)
    options = parser.parse_args(arguments)
    if options.command == "help":
        parser.print_help()
        return EXIT_OK
    if options.command == "demo":
        from cli.demo.program import DemoOptions, run_demo
        from cli.demo.systems import make_scenario

        fewest = make_scenario(options.system).fewest
        if not fewest <= options.tasks <= MOST_TASKS:
            given = {"given": options.tasks, "system": options.system, "fewest": fewest, "most": MOST_TASKS}
            parser.error(texts["range"].format(**given))
        return run_demo(DemoOptions(options.system, options.keep, options.tasks, options.json), os.environ, lang)
    if options.command == "bitrix":
        from cli.bitrix import init_fields

        return init_fields(os.environ, ENV_FILE, lang)
    if options.command == "config":
        from cli.config_check import check_configuration

        return check_configuration(os.environ, ENV_FILE, lang, probe=options.probe)
    return run_worker(lang)


def run_worker(lang: Language) -> int:
    from runtime.lifecycle import StopSignals

    if sys.stderr is not None:
        # "What does it wait for?" is answered by what each thread is doing.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    signals = StopSignals()
    signals.install()  # before everything that takes time: whoever stops a worker that starts gets an orderly end, too

    from assembly.startup import read_configuration, settle_garbage_collector, start_logging
    from assembly.worker import Worker
    from runtime.loader import LoadError
    from runtime.systemd import Notifier

    try:
        startup = read_configuration(os.environ, ENV_FILE)
        with start_logging(startup):
            worker = Worker(startup.settings, startup.handlers, startup.trackers, mask=startup.secrets.mask)
            settle_garbage_collector()
            orderly = worker.run(signals, Notifier.from_environment(os.environ))
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except LoadError as error:
        print(error.text.say(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    return EXIT_OK if orderly else EXIT_INTERRUPTED


def _parser(lang: Language) -> Parser:
    from cli.parser import Parser, number
    from cli.texts import TEXTS

    texts = TEXTS[lang]
    of_command: Any = partial(Parser, lang)  # argparse calls it; the stub wants a class
    called = Path(sys.argv[0]).name
    prog = called if called == "task-creator" else "main.py"
    parser = Parser(lang, prog=prog, description=texts["about"])
    parser.add_argument("--version", action="version", version=f"Task Creator {VERSION}", help=texts["version"])
    commands = parser.add_subparsers(dest="command", metavar=texts["command"], parser_class=of_command)
    commands.add_parser("run", help=texts["run"])
    demo = commands.add_parser("demo", help=texts["demo"])
    demo.add_argument("--system", choices=DEMO_SYSTEMS, default="bitrix24", help=texts["system"])
    demo.add_argument("--keep", action="store_true", help=texts["keep"])
    demo.add_argument("--tasks", type=number, default=30, metavar="N", help=texts["tasks"])
    demo.add_argument("--json", metavar="FILE", help=texts["json"])
    for name, action in (("bitrix", "init-fields"), ("config", "check")):
        actions = commands.add_parser(name, help=texts[name]).add_subparsers(
            dest="action", required=True, metavar=texts["command"], parser_class=of_command
        )
        parser_of_action = actions.add_parser(action, help=texts[action])
        if action == "check":
            parser_of_action.add_argument("--probe", action="store_true", help=texts["probe"])
    commands.add_parser("help", help=texts["help"])
    return parser


def entry(arguments: Sequence[str]) -> int:
    """Run `main` for a shell, whose reader may stop reading (`… | head`) without a traceback of ours."""
    try:
        code = main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    return code


def command() -> int:
    """Run the installed `task-creator`; return its exit code."""
    return entry(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(command())
