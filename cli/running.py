"""Runs an operator's command: reads the settings, and turns what goes wrong into one sentence and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from assembly.startup import read_configuration
from broker.errors import BROKER_ERRORS, describe_in_both
from cli.exit_codes import (
    EXIT_BAD_CONFIGURATION,
    EXIT_CHECK_FAILED,
    EXIT_CONFLICT,
    EXIT_INTERRUPTED,
    EXIT_NO_PERMISSION,
    EXIT_NO_WORKER,
    EXIT_NOT_FOUND,
)
from cli.output import Output
from control.client import ForbiddenError, NoWorkerError, SilentWorkerError
from control.protocol import RefusedError
from core.texts import BilingualError, Language, Text
from journal.store import StoreError
from operation.desk import Desk
from runtime.loader import LoadError
from settings.errors import SettingsError

_REFUSALS = {"not_held": EXIT_CONFLICT, "unknown_system": EXIT_NOT_FOUND, "not_tracked": EXIT_NOT_FOUND}


class CommandError(BilingualError):
    """A command ends with this exit code, and says why."""

    def __init__(self, exit_code: int, text: Text) -> None:
        super().__init__(text)
        self.exit_code = exit_code


Command = Callable[[Desk, Output, Any], int]  # returns the exit code


def command_named(name: str) -> Command:
    """Return the command that cli.operator.grammar names, e.g. `status.run`."""
    module, _, function = name.partition(".")
    command: Command = getattr(import_module(f"cli.operator.{module}"), function)
    return command


def run_command(command: Command, options: Any, environ: Mapping[str, str], env_file: Path, lang: Language) -> int:
    output = Output(lang, as_json=getattr(options, "json", False), color=not getattr(options, "no_color", False))
    try:
        startup = read_configuration(environ, env_file)
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except LoadError as error:
        output.note(error.text, "bad")
        return EXIT_BAD_CONFIGURATION
    output.mask = startup.secrets.mask
    desk = Desk(startup.settings, startup.secrets.mask, startup.handlers)
    try:
        return command(desk, output, options)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except CommandError as error:
        code, text = error.exit_code, error.text
    except RefusedError as error:
        code, text = _REFUSALS.get(error.code, EXIT_CHECK_FAILED), error.text
    except NoWorkerError as error:
        code, text = EXIT_NO_WORKER, error.text
    except SilentWorkerError as error:
        code, text = EXIT_NO_WORKER, error.text
    except ForbiddenError as error:
        code, text = EXIT_NO_PERMISSION, error.text
    except StoreError as error:
        code, text = EXIT_CHECK_FAILED, error.text
    except LoadError as error:
        code, text = EXIT_BAD_CONFIGURATION, error.text
    except BROKER_ERRORS as error:
        code, text = EXIT_CHECK_FAILED, describe_in_both(error).led_by("RabbitMQ: ")
    finally:
        desk.close()
    output.note(text, "bad")
    return code
