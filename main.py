"""The entry point: reads the settings, runs the worker until it is told to stop, returns a named exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_INTERRUPTED, EXIT_OK
from core.settings_errors import Language, SettingsError

ENV_FILE = Path(".env")
MOST_TASKS = 5000  # that the demo sends
DEMO_SYSTEMS = ("bitrix24", "openproject", "1c", "python-services", "email", "telegram", "all")


def main(arguments: Sequence[str]) -> int:
    from cli.texts import language, make_streams_forgiving

    make_streams_forgiving()
    lang = language(os.environ)
    parser = _parser(lang)
    options = parser.parse_args(arguments)
    if options.command == "demo":
        from cli.demo.program import DemoOptions, run_demo
        from cli.demo.systems import make_scenario

        fewest = make_scenario(options.system).fewest
        if options.tasks < fewest:
            parser.error(f"--tasks {options.tasks}: --system {options.system} {fewest}..{MOST_TASKS}")
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

    signals = StopSignals()
    signals.install()  # before everything that takes time: whoever stops a worker that starts gets an orderly end, too

    from cli.startup import read_configuration, settle_garbage_collector, start_logging
    from cli.worker import Worker
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
        print(error, file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    return EXIT_OK if orderly else EXIT_INTERRUPTED


def _parser(lang: Language) -> argparse.ArgumentParser:
    from cli.texts import TEXTS

    texts = TEXTS[lang]
    parser = argparse.ArgumentParser(prog="main.py", description=texts["about"])
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", help=texts["run"])
    demo = commands.add_parser("demo", help=texts["demo"])
    demo.add_argument("--system", choices=DEMO_SYSTEMS, default="bitrix24", help=texts["system"])
    demo.add_argument("--keep", action="store_true", help=texts["keep"])
    demo.add_argument("--tasks", type=_task_count, default=30, metavar="N", help=texts["tasks"])
    demo.add_argument("--json", metavar="FILE", help=texts["json"])
    bitrix = commands.add_parser("bitrix", help=texts["bitrix"]).add_subparsers(dest="action", required=True)
    bitrix.add_parser("init-fields", help=texts["init_fields"])
    config = commands.add_parser("config", help=texts["config"]).add_subparsers(dest="action", required=True)
    config.add_parser("check", help=texts["check"]).add_argument("--probe", action="store_true", help=texts["probe"])
    return parser


def _task_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= MOST_TASKS):
        raise argparse.ArgumentTypeError(f"{text!r}: 1..{MOST_TASKS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
