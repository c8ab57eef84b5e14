"""The entry point: reads the settings, runs the worker until it is told to stop, returns a named exit code."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK
from core.texts import Language
from settings.errors import SettingsError

ENV_FILE = Path(".env")


def main(arguments: Sequence[str]) -> int:
    from cli.grammar import MOST_TASKS, make_parser
    from cli.texts import TEXTS, language, make_streams_forgiving

    make_streams_forgiving()
    lang = language(os.environ)
    texts = TEXTS[lang]
    parser = make_parser(lang)
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
    if runs := getattr(options, "runs", None):
        from cli.running import command_named, run_command

        return run_command(command_named(runs), options, os.environ, ENV_FILE, lang)
    return run_worker(lang)


def run_worker(lang: Language) -> int:
    from runtime.lifecycle import StopSignals

    if sys.stderr is not None:
        # "What does it wait for?" is answered by what each thread is doing.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    signals = StopSignals()
    signals.install()  # before everything that takes time: whoever stops a worker that starts gets an orderly end, too

    from assembly.startup import read_configuration, settle_garbage_collector
    from assembly.worker import Worker
    from runtime.loader import LoadError
    from runtime.logs import setup_logging
    from runtime.systemd import Notifier

    try:
        startup = read_configuration(os.environ, ENV_FILE)
        with setup_logging(startup.settings.worker, startup.secrets):
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
