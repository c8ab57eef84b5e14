"""Runs one scenario of the demo from the first server to the account at the end."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import FrameType
from typing import IO

from broker.unreachable import explain
from cli.demo.account import Account
from cli.demo.broker import DemoBroker, ForeignQueuesError, open_broker, rabbitmq_variables
from cli.demo.loop import TICK, ClosedLoop, wait_queues
from cli.demo.scenario import Sample, Scenario
from cli.demo.systems import SYSTEMS, make_scenario
from cli.demo.texts import say
from cli.demo.view import DemoView
from cli.demo.worker import SWEEP_INTERVAL, WorkerDiedError, WorkerProcess
from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK
from core.texts import Language
from sandbox.camunda import CamundaSide, CamundaSideError
from sandbox.node_guard import GuardedFolder, GuardError
from sandbox.rabbitmq_install import NoServerError
from sandbox.rabbitmq_server import NodeError
from settings.errors import SettingsError

READY_TIMEOUT = 30.0
TIMEOUT = 120.0  # seconds for the whole loop, more for many tasks
TIMEOUT_PER_TASK = 0.2


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of a demo.

    `system` is the name of a scenario; `json_file`: where the account goes as JSON, "-" is stdout.
    """

    system: str
    keep: bool
    tasks: int
    json_file: str | None


def run_demo(options: DemoOptions, environ: Mapping[str, str], lang: Language) -> int:
    """Run until the loop is closed; the exit code says whether everything came through exactly once."""
    interrupts: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        # Both unwind the stack, so that nothing is left running; a shell may have told us to ignore the first.
        signal.signal(number, on_signal)
    scenario = make_scenario(options.system)
    view = DemoView(sys.stderr if options.json_file == "-" else sys.stdout, lang, scenario)
    try:
        code = _run(options, environ, lang, view, scenario)
    except Exception:
        # An interrupt in the middle of a dialogue with the broker comes out as an error of that dialogue.
        if not interrupts:
            raise
        code = EXIT_INTERRUPTED
    if interrupts and code != EXIT_OK:
        view.say(say(lang, "stopped"))
        return EXIT_INTERRUPTED
    return code


def _run(options: DemoOptions, environ: Mapping[str, str], lang: Language, view: DemoView, scenario: Scenario) -> int:
    try:
        with _account_file(options.json_file) as file:
            return _Demo(options, environ, lang, view=view, scenario=scenario, account_file=file).run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SettingsError as error:
        view.say(error.render(lang))
        return EXIT_BAD_CONFIGURATION
    except NoServerError as error:
        view.say(say(lang, "no_server", reasons="; ".join(error.reasons)))
        view.say("\n".join(f"  - {say(lang, f'choice_{key}')}" for key in error.choices))
    except ForeignQueuesError as error:
        view.say(say(lang, "foreign", vhost=error.vhost, found=_some(error.found)))
        view.say(f"  - {say(lang, 'foreign_1')}\n  - {say(lang, 'foreign_2')}")
    except CamundaSideError as error:
        view.say(say(lang, "no_connection", reason=explain(error.__cause__ or error).say(lang)))
        named = rabbitmq_variables(environ)
        view.say(f"  - {say(lang, 'named_by', names=', '.join(named))}")
        view.say(f"  - {say(lang, 'unset', names=' '.join(named))}")
    except (NodeError, GuardError, _AccountFileError) as error:
        view.say(str(error))
    finally:
        view.close()
    return EXIT_FAILURE


class _AccountFileError(Exception):
    """The file of --json cannot be written."""


class _Demo:
    """One run of the demo, in the main thread; only the sandbox has threads."""

    def __init__(
        self,
        options: DemoOptions,
        environ: Mapping[str, str],
        lang: Language,
        *,
        view: DemoView,
        scenario: Scenario,
        account_file: IO[str] | None,
    ) -> None:
        self._options = options
        self._environ = environ
        self._lang = lang
        self._view = view
        self._account_file = account_file
        self._scenario = scenario
        self._started = time.monotonic()

    def run(self) -> int:
        view, lang, scenario = self._view, self._lang, self._scenario
        queues = (*scenario.input_queues, *scenario.sent_queues, *wait_queues(scenario))
        view.title()
        with contextlib.ExitStack() as stack:
            broker = stack.enter_context(open_broker(self._environ, lang, queues, view.progress))
            view.step(1, broker.description)
            view.step(2, stack.enter_context(scenario.servers()).say(lang))
            folder = GuardedFolder()
            stack.callback(folder.close)
            view.progress(say(lang, "worker_starts"))
            variables = scenario.variables(folder.path)
            worker = WorkerProcess(folder, broker.environment, variables)
            worker.start()
            stack.callback(self._stop, worker)
            with CamundaSide(broker.parameters) as camunda:
                samples = scenario.samples(self._options.tasks, _now())
                loop = ClosedLoop(camunda, scenario, worker, samples, lang)
                is_good = self._close_the_loop(loop, worker)
            if is_good and self._options.keep:
                self._keep(broker, variables, worker)
        if is_good and self._options.keep:
            view.say(say(lang, "stopped"))
        elif is_good:
            view.next_steps(SYSTEMS)
        return EXIT_OK if is_good else EXIT_FAILURE

    def _close_the_loop(self, loop: ClosedLoop, worker: WorkerProcess) -> bool:
        """Return True when every message came through exactly once; the reader has then seen the account."""
        is_closed = False
        try:
            if loop.wait_for_consumer(READY_TIMEOUT):
                self._view.step(3, say(self._lang, "worker", pid=worker.pid, seconds=SWEEP_INTERVAL))
                self._view.step(4, self._sending(loop.samples))
                is_closed = self._watch(loop)
            else:
                self._view.say(say(self._lang, "worker_not_ready", seconds=round(READY_TIMEOUT)))
        except WorkerDiedError as error:
            self._view.say(say(self._lang, "worker_died", reason=error))
        if not (is_closed and self._options.keep):
            self._stop(worker)  # what it holds goes back into the queues, where it is counted
        account = loop.account()
        is_good = is_closed and account.is_perfect
        self._report(account, loop, is_good=is_good)
        if not is_good:
            self._view.say(f"{say(self._lang, 'log')}: {_kept_log(worker)}")
        return is_good

    def _sending(self, samples: Sequence[Sample]) -> str:
        kinds = Counter(sample.kind for sample in samples)
        counts = {name: kinds[name] for name in ("duplicate", "broken", "refused")}
        return say(self._lang, "sending", messages=len(samples), **counts)

    def _watch(self, loop: ClosedLoop) -> bool:
        """Return True when every message has come to its end, False when that takes too long.

        Raises WorkerDiedError.
        """
        deadline = time.monotonic() + TIMEOUT + TIMEOUT_PER_TASK * self._options.tasks
        with self._view.board(len(loop.samples)):
            while time.monotonic() < deadline:
                loop.publish_due()
                self._view.stages(loop.look(), loop.latest())
                if loop.is_settled():
                    self._view.final_stages(loop.look(), loop.latest())
                    return True
                time.sleep(TICK)
        return False

    def _report(self, account: Account, loop: ClosedLoop, *, is_good: bool) -> None:
        seconds = time.monotonic() - self._started
        self._view.close()
        if missing := loop.places(account):
            self._view.missing(missing, seconds)
        self._view.summary(account, seconds)
        if self._account_file is not None:
            document = {"ok": is_good, "seconds": round(seconds, 1), **account.as_json()}
            json.dump(document, self._account_file, ensure_ascii=False)
            self._account_file.write("\n")
            self._account_file.flush()

    def _keep(self, broker: DemoBroker, variables: Mapping[str, str], worker: WorkerProcess) -> None:
        settings = {**broker.private_environment, **variables}
        commands = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
        if "BITRIX_WEBHOOK_URL" in variables:
            commands.append(".venv/bin/python test_bitrix_worker.py")
        self._view.kept(commands, [("amqp", broker.url), ("log", str(worker.console))])
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()

    def _stop(self, worker: WorkerProcess) -> None:
        if worker.is_running:
            self._view.progress(say(self._lang, "stopping"))
        worker.stop()


@contextlib.contextmanager
def _account_file(path: str | None) -> Iterator[IO[str] | None]:
    """Give the file of the account.

    Opened before anything is started: a wrong path must not cost the run. Raises _AccountFileError.
    """
    if path is None or path == "-":
        yield sys.stdout if path else None
        return
    try:
        file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - only its opening may fail in this way
    except OSError as error:
        raise _AccountFileError(f"--json {path}: {error.strerror}") from error
    with file:
        yield file


def _kept_log(worker: WorkerProcess) -> str:
    """Return a copy of the worker's log that outlives the demo, for those who want to know why."""
    descriptor, path = tempfile.mkstemp(prefix="task-creator-demo-", suffix=".log")
    with open(descriptor, "wb") as copy, worker.console.open("rb") as log:
        shutil.copyfileobj(log, copy)
    return path


def _some(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f", … ({len(names)})" if len(names) > shown else "")


def _now() -> datetime:
    return datetime.now().astimezone()
