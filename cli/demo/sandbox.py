"""`main.py sandbox`: a private RabbitMQ and local servers of the systems, to develop against; no worker runs.

Nothing stays behind when it ends, the file with the settings included.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cli.demo.broker import open_broker
from cli.demo.scenario import Scenario, Together
from cli.demo.systems import ALL, make_scenario
from cli.demo.texts import say
from cli.demo.worker import SWEEP_INTERVAL
from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_FAILURE, EXIT_OK
from cli.files import exists_already, write_new
from cli.running import CommandError
from core.texts import Language, Text
from sandbox.camunda import CamundaSideError
from sandbox.node_guard import GuardedFolder, GuardError
from sandbox.rabbitmq_install import NoServerError
from sandbox.rabbitmq_server import NodeError
from sandbox.rabbitmq_versions import VARIABLE
from settings.errors import SettingsError

_READY = Text(
    "It runs until Ctrl+C. A worker works against it with these variables:",
    "Работает до Ctrl+C. Воркер работает с ней при таких переменных:",
)
_WRITTEN = Text(
    "It runs until Ctrl+C. A worker works against it with these settings as its .env: {file}",
    "Работает до Ctrl+C. Воркер работает с ней с этими настройками в качестве .env: {file}",
)
_PEOPLE = Text(
    "Its people finish their tasks after some seconds.", "Её люди закрывают свои задачи через несколько секунд."
)
_ENDED = Text("ended; nothing is left", "закончено, ничего не осталось")


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of a sandbox: names of scenarios, the file for the settings, whether one may be overwritten."""

    systems: Sequence[str]
    env_file: Path | None
    is_forced: bool


def run_sandbox(options: SandboxOptions, environ: Mapping[str, str], lang: Language) -> int:
    """Run until SIGINT or SIGTERM; return the exit code."""
    interrupts: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if not interrupts:  # the end is under way already: what is left of it must not be left out
            interrupts.append(number)
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        code = _run(options, environ, lang)
    except Exception:
        # An interrupt in the middle of a dialogue with the broker comes out as an error of that dialogue.
        if not interrupts:
            raise
        code = EXIT_OK
    if interrupts:
        print(f"\n{_ENDED.say(lang)}", file=sys.stderr)
        return EXIT_OK
    return code


def _run(options: SandboxOptions, environ: Mapping[str, str], lang: Language) -> int:
    try:
        if options.env_file is not None and options.env_file.exists() and not options.is_forced:
            raise exists_already(options.env_file)  # before anything is started
        _Sandbox(options, environ, lang).run()
    except KeyboardInterrupt:
        return EXIT_OK
    except CommandError as error:
        code, told = error.exit_code, error.text.say(lang)
    except SettingsError as error:
        code, told = EXIT_BAD_CONFIGURATION, error.render(lang)
    except NoServerError as error:
        choices = "\n".join(f"  - {say(lang, f'choice_{key}')}" for key in error.choices)
        code, told = EXIT_FAILURE, f"{say(lang, 'no_server', reasons='; '.join(error.reasons))}\n{choices}"
    except (NodeError, GuardError, CamundaSideError) as error:
        code, told = EXIT_FAILURE, str(error)
    else:
        return EXIT_OK
    print(told, file=sys.stderr)
    return code


class _Sandbox:
    def __init__(self, options: SandboxOptions, environ: Mapping[str, str], lang: Language) -> None:
        self._options = options
        self._scenario = _scenario(options.systems)
        # Whatever RabbitMQ this shell has settings of: it is somebody's.
        self._environ = {name: value for name, value in environ.items() if name == VARIABLE}
        self._lang = lang

    def run(self) -> None:
        with ExitStack() as stack:
            broker = stack.enter_context(open_broker(self._environ, self._lang, progress=self._note))
            self._note(broker.description)
            self._note(stack.enter_context(self._scenario.servers()).say(self._lang))
            folder = GuardedFolder()
            stack.callback(folder.close)
            systems = self._scenario.variables(folder.path)
            self._tell({**broker.environment, **systems, "HEARTBEAT_INTERVAL": str(SWEEP_INTERVAL)}, stack)
            threading.Event().wait()

    def _tell(self, variables: Mapping[str, str], stack: ExitStack) -> None:
        env_file = self._options.env_file
        if env_file is None:
            self._note(_READY.say(self._lang))
            for name, value in variables.items():
                print(f"export {name}={shlex.quote(value)}")
        else:
            content = "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items()).encode()
            write_new(env_file, content, is_forced=self._options.is_forced)
            stack.callback(_remove, env_file, content)
            self._note(_WRITTEN.say(self._lang).format(file=env_file.absolute()))
        if self._scenario.has_people:
            self._note(_PEOPLE.say(self._lang))
        sys.stdout.flush()

    @staticmethod
    def _note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _scenario(systems: Sequence[str]) -> Scenario:
    names = list(dict.fromkeys(systems))
    if len(names) == 1 or ALL in names:
        return make_scenario(ALL if ALL in names else names[0])
    return Together(",".join(names), Text.of(", ".join(names)), [make_scenario(name) for name in names])


def _quoted(value: str) -> str:
    """Return a value as it stands in a `.env`."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _remove(path: Path, content: bytes) -> None:
    """Remove the file, unless somebody has made it his own."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            path.unlink()
