"""The entry point: reads the settings, runs the worker until it is told to stop, returns a named exit code."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK
from core.texts import Language
from settings.errors import SettingsError

if TYPE_CHECKING:
    from argparse import Namespace

    from cli.parser import Parser

ENV_FILE = Path(".env")


def main(arguments: Sequence[str]) -> int:
    from cli.grammar import make_parser
    from cli.texts import language, make_streams_forgiving

    make_streams_forgiving()
    lang = language(os.environ)
    parser = make_parser(lang)
    options = parser.parse_args(arguments)
    if options.command == "help":
        parser.print_help()
        return EXIT_OK
    if options.command in ("demo", "sandbox"):
        return play(parser, options, lang)
    if options.command == "bitrix":
        from cli.bitrix import init_fields

        return init_fields(os.environ, ENV_FILE, lang)
    if runs := getattr(options, "runs", None):
        from cli.running import command_named, run_command

        return run_command(command_named(runs), options, os.environ, ENV_FILE, lang)
    if options.command == "config":
        from cli.config_check import check_configuration

        return check_configuration(os.environ, ENV_FILE, lang, probe=options.probe)
    return run_worker(lang)


def play(parser: Parser, options: Namespace, lang: Language) -> int:
    """Run what plays the outside world: the demo, or the sandbox alone."""
    if options.command == "sandbox":
        from cli.demo.sandbox import SandboxOptions, run_sandbox

        return run_sandbox(
            SandboxOptions(options.system or ["all"], options.write_env, options.force), os.environ, lang
        )
    from cli.demo.program import DemoOptions, run_demo
    from cli.demo.systems import make_scenario
    from cli.grammar import MOST_TASKS
    from cli.texts import TEXTS

    fewest = make_scenario(options.system).fewest
    if not fewest <= options.tasks <= MOST_TASKS:
        given = {"given": options.tasks, "system": options.system, "fewest": fewest, "most": MOST_TASKS}
        parser.error(TEXTS[lang]["range"].format(**given))
    return run_demo(DemoOptions(options.system, options.keep, options.tasks, options.json), os.environ, lang)


def run_worker(lang: Language) -> int:
    from runtime.lifecycle import StopSignals

    if sys.stderr is not None:
        # "What does it wait for?" is answered by what each thread is doing.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    signals = StopSignals()
    signals.install()  # before everything that takes time: whoever stops a worker that starts gets an orderly end, too

    from assembly.startup import read_configuration, settle_garbage_collector
    from assembly.tracing import make_tracing
    from assembly.worker import Worker
    from runtime.loader import LoadError
    from runtime.logs import setup_logging
    from runtime.systemd import Notifier

    try:
        startup = read_configuration(os.environ, ENV_FILE)
        with setup_logging(startup.settings.worker, startup.secrets):
            worker = Worker(
                startup.settings,
                startup.handlers,
                startup.trackers,
                mask=startup.secrets.mask,
                tracing=make_tracing(startup.settings),
            )
            settle_garbage_collector()
            orderly = worker.run(signals, Notifier.from_environment(os.environ))
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except LoadError as error:
        print(error.text.say(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    return EXIT_OK if orderly else EXIT_INTERRUPTED


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
