"""What a row plays on: a virtual host, a portal with people, a proxy, supervised workers, and Camunda's side."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from pika.exceptions import AMQPError

from benchmarks.faults import clock
from benchmarks.faults.access import Access
from benchmarks.faults.account import Evidence, Found, Published
from benchmarks.faults.driver import Driver
from benchmarks.faults.queues import Queues
from benchmarks.faults.stage_spec import StageSpec
from benchmarks.faults.systems import make_target
from benchmarks.faults.systems.bitrix import Bitrix
from benchmarks.faults.worker import BROKEN_DAEMON, Worker
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.camunda import ERRORS_QUEUE, RESPONSES_QUEUE
from sandbox.node_guard import GuardedFolder
from sandbox.process import DAEMON
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode

POLL = 0.1  # seconds between two looks
LOSS_PATIENCE = 5.0  # seconds to wait for answers before the queues are asked whether any can come
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 20}  # the limit is RabbitMQ 4's; 3.x has none by default
QUORUM_FIGURES_LAG = 6.0  # seconds: RabbitMQ counts a quorum queue every five

# Short times, so that many rounds fit: everything else is as an operator gets it.
SETTINGS = {
    "HEARTBEAT_INTERVAL": "0.5",
    "PROBE_INTERVAL": "0.3",
    "RETRY_DELAY": "0.2",
    "RETRY_ATTEMPTS": "10",
    "RABBITMQ_HEARTBEAT": "5",
    "RABBITMQ_RECONNECT_MAX_DELAY": "1",
    "PREFETCH": "60",
}

_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(.*)", re.MULTILINE)


class StageInterruptedError(Exception):
    """The run was told to stop."""


class Stage:
    """`with Stage(spec, node, vhost, …) as stage:` — everything is started by `start` and gone after the block."""

    def __init__(
        self,
        spec: StageSpec,
        node: RabbitNode,
        address: BrokerAddress,
        *,
        chance: random.Random,
        interrupted: threading.Event,
        short: bool = False,
        without: str | None = None,
        patience: float | None = None,
    ) -> None:
        """`without` takes one protection out of the workers (benchmarks.faults.removals).

        `patience`: seconds to wait for what must come, in place of the row's.
        """
        self.spec = spec
        self.node = node
        self.address = address
        self._interrupted = interrupted
        self._short = short
        self.patience = patience or spec.patience
        self._without = without
        self._chance = chance
        self._kill: str | None = None
        self._resources = ExitStack()
        self.round = 0  # from 1, while the fault strikes
        self._number = 0
        self._taken: list[Found] = []
        self.aside: dict[str, list[Found]] = {}  # what stood in the row's own queues at the end
        self.in_doubt = 0  # tasks that were in flight when something broke, beside those of killed workers
        self._has_wait_queues = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._resources.close()

    def _build(self) -> None:
        spec = self.spec
        self.folder = GuardedFolder()
        self._resources.callback(self.folder.close)
        self._clock_file = self.folder.path / "clock-error"
        self.set_clock_error(0.0)
        self._no_names_file = self.folder.path / "no-names"
        self.target = make_target(spec, self.folder.path)
        self._resources.enter_context(self.target)
        self.access = self._resources.enter_context(Access(spec, self.node, self.address, self.folder.path))
        self.queues = Queues(self.address.amqp_parameters(heartbeat=0))
        self._resources.callback(self.queues.close)
        own = (self.target.queue, self.target.sent_queue)
        self.queues.declare_topology(QUORUM if spec.quorum else {}, own)
        self.driver = Driver(
            self.address.amqp_parameters(heartbeat=0),
            self.target.queue,
            self.target.routing_key if spec.through_exchange else None,
        )
        self.workers = [self._worker(number) for number in range(spec.workers)]

    def _worker(self, number: int) -> Worker:
        variables = {
            **SETTINGS,
            **self.target.settings,
            **self.folder.environment,
            **self.access.variables(number),
            **self.target.variables(),
            # Workers of one machine share it: what was sent is known to whoever takes over.
            **({"STATE_DIR": str(self.folder.path / "state")} if self.target.at_once else {}),
            **self._ambiguous_wait(),
            **(self.target.slow if self.spec.slow else {}),
            **(self.target.impatient if self.spec.impatient else {}),
            **self.spec.settings,
        }
        worker = Worker(self.folder.path / f"worker-{number}", variables, self._command)
        self._resources.callback(worker.abandon)
        if self.spec.kill_at is not None:
            worker.expect(-signal.SIGKILL)
        return worker

    def _ambiguous_wait(self) -> dict[str, str]:
        variable, seconds = self.target.ambiguous_wait, self.spec.ambiguous_wait
        return {} if variable is None or seconds is None else {variable: f"{seconds:g}"}

    def _command(self) -> Sequence[str]:
        kill, self._kill = self._kill, None
        faults = {
            "--kill": kill,
            "--system": self.spec.system if kill else None,
            "--without": self._without,
            "--poison": self.spec.poison,
            "--chunk": None if self.spec.chunk is None else str(self.spec.chunk),
            "--clock": str(self._clock_file) if self.spec.skewed else None,
            "--nameless": str(self._no_names_file) if self.spec.nameless else None,
        }
        chosen = [part for name, value in faults.items() if value for part in (name, value)]
        return (*BROKEN_DAEMON, *chosen) if chosen else DAEMON

    # -- the play -------------------------------------------------------------------------------------------------

    @property
    def worker(self) -> Worker:
        return self.workers[0]

    @property
    def proxy(self) -> TcpProxy:
        """The way of the first worker to the broker."""
        return self.access.proxies[0]

    @property
    def portal(self) -> BitrixSandbox:
        """The portal of a row that is about Bitrix24."""
        if not isinstance(self.target, Bitrix):
            raise TypeError(f"{self.spec.name} plays {self.target.name}")
        return self.target.server

    def in_flight(self) -> int:
        """How many tasks of a system that recognises no repetition were in flight at all that has happened."""
        return self.target.at_once * sum(worker.deaths for worker in self.workers) + self.in_doubt

    def start(self) -> None:
        """Camunda's side, people and workers begin."""
        if self.spec.people_after is not None:
            self.let_people_work(self.spec.people_after)
        self.driver.start()
        self._resources.callback(self.driver.stop)
        for worker in self.workers:
            worker.start()

    def arm(self) -> None:
        """The next worker that starts will die at the row's kill point."""
        self._kill = f"{self.spec.kill_at}:{self._chance.randint(1, self.spec.kill_within)}"

    def set_clock_error(self, seconds: float) -> None:
        """The wall clock of the workers of a `skewed` row is wrong by so much from now on."""
        clock.set_error(self._clock_file, seconds)

    @contextmanager
    def names_lost(self) -> Iterator[None]:
        """The workers of a `nameless` row can resolve no name within the block."""
        self._no_names_file.touch()
        try:
            yield
        finally:
            self._no_names_file.unlink()

    def let_people_work(self, after: float) -> None:
        self.target.let_people_work(after)

    def feed(self, count: int, over: float) -> None:
        """Camunda's side publishes so many new tasks within `over` seconds."""
        tasks = [self.make_task(self._number + number) for number in range(count)]
        self._number += count
        self.driver.feed(tasks, over)

    def make_task(self, number: int) -> Published:
        """The row's task of that number."""
        made = (self.spec.make_task or self.target.task)(number)
        return made if self.spec.copies == 1 else replace(made, copies=self.spec.copies)

    def doubt(self) -> None:
        """What a system that recognises no repetition has in work now may be done a second time."""
        self.in_doubt += self.target.at_once

    def length(self, seconds: float, *, short: float) -> float:
        """How long a fault lasts: `seconds`, or `short` in the short matrix."""
        return short if self._short else seconds

    def pause(self, seconds: float) -> None:
        """Raises StageInterruptedError when the run is told to stop."""
        if self._interrupted.wait(seconds):
            raise StageInterruptedError

    def wait_for(self, condition: Callable[[], object], timeout: float, poll: float = POLL) -> bool:
        """Whether `condition()` came true within `timeout` seconds."""
        for _ in range(max(1, round(timeout / poll))):
            if condition():
                return True
            self.pause(poll)
        return bool(condition())

    def answered(self) -> int | None:
        """Tasks that have ended, as far as counting messages tells; None while the broker is away."""
        try:
            ended = self.queues.count(RESPONSES_QUEUE) + self.queues.count(ERRORS_QUEUE)
        except (AMQPError, OSError):
            return None
        with self._lock:
            return ended + len(self._taken)

    def progress(self) -> tuple[int, int | None]:
        """Changes whenever something has been created or answered."""
        return self.target.created, self.answered()

    def seems_over(self) -> bool:
        """By counting ready messages, which is cheap and true while nobody holds any."""
        answered = self.answered()
        return self.driver.is_idle and answered is not None and answered >= len(self.driver.confirmed)

    def quiesce(self) -> float:
        """Waits until everything that was fed has ended: no queue on the way holds anything, unsettled or not.

        The monotonic time of the last answer. A loss makes nobody wait: what is nowhere has ended, too. Raises
        TimeoutError when something is on its way still.
        """
        deadline = time.monotonic() + self.patience
        while (left := deadline - time.monotonic()) > 0:
            self.wait_for(self.seems_over, min(left, LOSS_PATIENCE))
            over = time.monotonic()
            if self.driver.is_idle and not self.held():
                return over
        held = ", ".join(f"{count} in {queue}" for queue, count in self.held().items()) or "nothing by now"
        raise TimeoutError(f"not all have ended in {self.patience:.0f} s: held are {held}")

    def take_responses(self) -> None:
        """Camunda's side reads its queue empty; what it got stays part of the evidence."""
        taken = self.queues.take(RESPONSES_QUEUE)
        with self._lock:
            self._taken += taken

    # -- the end --------------------------------------------------------------------------------------------------

    def held(self) -> dict[str, int]:
        """Messages in the queues on the way, unsettled ones included, by queue; empty ones left out."""
        on_the_way = self._messages_on_the_way()
        if on_the_way:
            return on_the_way
        if self.spec.quorum or self.spec.quorum_by_default:
            self.pause(QUORUM_FIGURES_LAG)
        elif not self._has_wait_queues:
            return {}
        # Messages go round between input and wait queues, which cannot be looked at in the same moment.
        return self._messages_on_the_way()

    def wait_queues(self) -> list[str]:
        """Those that there are now, of every input queue."""
        return [queue for queue in self.node.list_queues(self.address.vhost) if _is_wait_queue(queue)]

    def stop_workers(self) -> list[str]:
        """In order; what they did that nobody had asked for."""
        for worker in self.workers:
            worker.stop()
        return [surprise for worker in self.workers for surprise in worker.surprises]

    def tracebacks(self) -> list[str]:
        """The last line of each traceback that the workers have printed: a mistake in their code or in a mutant's."""
        return [error for worker in self.workers for error in _TRACEBACK.findall(worker.output())]

    def evidence(self) -> Evidence:
        """Reads all queues of the virtual host empty and deletes them. After `stop_workers`."""
        messages = list(self._taken)
        for queue in self.node.list_queues(self.address.vhost):
            messages += self.queues.take(queue)
            self.queues.delete(queue)
        aside = {name: [each for each in messages if each.queue == name] for name in self.spec.aside}
        self.aside = aside
        messages = [each for each in messages if each.queue not in aside]
        return Evidence(self.driver.confirmed, messages, self.target.objects(), self.target.read)

    def _messages_on_the_way(self) -> dict[str, int]:
        counts = self.node.list_queues(self.address.vhost)
        wait_queues = [queue for queue in counts if _is_wait_queue(queue)]
        self._has_wait_queues = bool(wait_queues)
        for queue in wait_queues:
            # RabbitMQ's figure of a quorum queue is seconds old, but nobody holds a message of these: all are ready.
            counts[queue] = self.queues.count(queue)
        ends = {RESPONSES_QUEUE, ERRORS_QUEUE, *self.spec.aside}
        return {queue: count for queue, count in counts.items() if count and queue not in ends}


def _is_wait_queue(queue: str) -> bool:
    return ".retry." in queue
