"""Random operations and faults against the real processor and a real broker, and the promises checked afterwards.

Everything is counted from outside: each published message carries a number of its own, which its result or its error
report repeats.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule

from broker.topology import wait_queue_name
from core.errors import ConfigurationError, OutageError
from core.policy import WAIT_STEPS
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.harness import ERRORS, camunda_message
from tests.support.model_worker import MakeWorker, ModelWorker
from tests.support.model_world import RETRIES, Act, ModelHandler, OutsideSystem

QUIET_TIMEOUT = 30.0  # seconds until everything must be through once the faults are over
LATE = 3.0  # seconds
OUTAGES = 2  # in one run: a task that meets many outages while others succeed is taken for the culprit
milliseconds = st.sampled_from([5, 50, 150])
WAIT_QUEUES = [step for step in WAIT_STEPS if step <= 2]  # all that the model's delays can reach


class BrokenPromiseError(AssertionError):
    """A message was lost, stuck or changed, or an object was created twice."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run of the machine needs: an empty virtual host, and how workers and handlers are made."""

    node: RabbitNode
    broker: Broker
    numbers: Iterator[int]  # names queues and tasks so that runs do not meet
    make_worker: MakeWorker = ModelWorker
    make_handler: Callable[..., ModelHandler] = ModelHandler


class ProcessorMachine(RuleBasedStateMachine):
    """One input queue, up to two workers, any number of faults; `teardown` ends the faults and checks the promises."""

    tasks = Bundle("tasks")

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self._setup = setup
        self._broker = setup.broker
        self._name = f"model{next(setup.numbers)}"
        self.queue = f"{self._name}.queue"
        self._sent_queue = f"{self._name}.sent.queue"
        self._numbers = itertools.count()
        self._published: dict[int, str] = {}  # number of each published copy -> its task id
        self._garbage: list[bytes] = []
        self._outages = 0
        self._closed = False
        self._exclusive = True
        self.outside = OutsideSystem(unique=False)
        self.workers: list[ModelWorker] = []

    @initialize(exclusive=st.booleans())
    def begin(self, exclusive: bool) -> None:
        """A queue shared by all workers is for systems that refuse a second object with the same key."""
        self._exclusive = exclusive
        self.outside = OutsideSystem(unique=not exclusive)
        self._broker.declare(self.queue)
        self.start_worker()

    # -- operations -----------------------------------------------------------------------------------------------

    @rule(target=tasks, acts=st.lists(st.sampled_from(Act), min_size=1, max_size=12))
    def publish(self, acts: list[Act]) -> str:
        bodies: list[bytes | str] = []
        for act in acts:
            task_id = f"{self._name}-{next(self._numbers)}"
            self.outside.acts[task_id] = act
            bodies.append(self._copy(task_id))
        self._broker.publish_all(self.queue, bodies)
        return task_id

    @rule(task_id=tasks, count=st.integers(1, 3))
    def publish_again(self, task_id: str, count: int) -> None:
        self._broker.publish_all(self.queue, [self._copy(task_id) for _ in range(count)])

    @rule(garbage=st.binary(max_size=40))
    def publish_garbage(self, garbage: bytes) -> None:
        # A leading zero byte is no JSON, whatever follows.
        body = b"\0%d " % next(self._numbers) + garbage
        self._garbage.append(body)
        self._broker.publish(self.queue, body)

    @precondition(lambda self: len(self.workers) < 2)
    @rule()
    def start_worker(self) -> None:
        handler = self._setup.make_handler(self.outside, exclusive=self._exclusive)
        self.workers.append(self._setup.make_worker(self._broker.address, self.queue, handler))

    @precondition(lambda self: self.workers)
    @rule()
    def stop_worker(self) -> None:
        self.workers.pop(0).stop_orderly()

    # -- faults ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.workers)
    @rule(unheard_for=milliseconds)
    def kill_worker(self, unheard_for: int) -> None:
        """As a machine that loses its network and then its power: what it sends in the meantime gets nowhere."""
        worker = self.workers.pop(0)
        worker.outlet.stall()
        self.let_it_work(unheard_for)
        worker.kill()

    @precondition(lambda self: self.workers)
    @rule()
    def cut_both_connections(self) -> None:
        self.workers[0].cut()

    @precondition(lambda self: self.workers)
    @rule()
    def cut_the_intake(self) -> None:
        self.workers[0].intake.cut()

    @precondition(lambda self: self.workers)
    @rule()
    def cut_the_outlet(self) -> None:
        self.workers[0].outlet.cut()

    @precondition(lambda self: self.workers)
    @rule()
    def stall_the_outlet(self) -> None:
        """Results and confirms stay on the wire; a kill that follows loses them."""
        self.workers[0].outlet.stall()

    @precondition(lambda self: self.workers)
    @rule(seconds=st.sampled_from([0.01, 0.05]))
    def slow_the_wires(self, seconds: float) -> None:
        self.workers[0].intake.delay(seconds)
        self.workers[0].outlet.delay(seconds)

    @precondition(lambda self: self.workers)
    @rule()
    def mend_the_wires(self) -> None:
        self.workers[0].intake.restore()
        self.workers[0].outlet.restore()

    @precondition(lambda self: not self._closed)
    @rule()
    def close_all_connections(self) -> None:
        self._closed = True  # once: rabbitmqctl takes longer than all other steps together
        self._setup.node.ctl("close_all_connections", "--vhost", self._broker.vhost, "closed by the model")

    @precondition(lambda self: self._outages < OUTAGES and self.outside.down is None)
    @rule(error=st.sampled_from([OutageError("connection refused"), ConfigurationError("the webhook was revoked")]))
    def the_system_goes_down(self, error: OutageError | ConfigurationError) -> None:
        self._outages += 1
        self.outside.down = error

    @precondition(lambda self: self.outside.down is not None)
    @rule()
    def the_system_comes_back(self) -> None:
        self.outside.down = None

    @rule(pause=milliseconds)
    def let_it_work(self, pause: int) -> None:
        """Chance decides what the next fault meets; without a pause it meets messages that nobody has taken yet."""
        time.sleep(pause / 1000)

    # -- the end --------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._end_the_faults()
            self._wait_until_quiet()
            self._check()
        finally:
            for worker in self.workers:
                worker.kill()
            self._delete_queues()

    def _end_the_faults(self) -> None:
        self.outside.down = None
        while self.workers:
            self.stop_worker()

    def _wait_until_quiet(self) -> None:
        """Lets one worker after the other work until nothing is left to do."""
        deadline = time.monotonic() + QUIET_TIMEOUT
        while self._waiting() or self._comes_back_late():
            if time.monotonic() > deadline:
                places = {queue: count for queue in self._working_queues() if (count := self._broker.count(queue))}
                raise BrokenPromiseError(f"stuck: {places}")
            self.start_worker()
            while (self._ready() or not self.workers[0].is_idle()) and time.monotonic() < deadline:
                self.let_it_work(50)
            self.stop_worker()  # what it held goes back and is seen again

    def _comes_back_late(self) -> bool:
        """Whether something turns up that was in no queue: RabbitMQ itself may have it between two of them."""
        patience = time.monotonic() + LATE
        while self._unaccounted() and time.monotonic() < patience:
            if self._waiting():
                return True
            self.let_it_work(150)
        return False

    def _unaccounted(self) -> set[int]:
        """Published copies that neither the sent queue nor the error queue repeats."""
        kept = [json.loads(body) for queue in (self._sent_queue, ERRORS) for _, body in self._peek(queue)]
        return set(self._published) - {each["original_message"]["copy"] for each in kept if "original_message" in each}

    def _waiting(self) -> int:
        """Ready messages. They go round between input and wait queues, so each is looked at after the other, twice."""
        return sum(self._ready() for _ in range(2))

    def _ready(self) -> int:
        return self._broker.count_all(self._working_queues())

    def _working_queues(self) -> list[str]:
        return [self.queue, *(wait_queue_name(self.queue, step) for step in WAIT_QUEUES)]

    def _check(self) -> None:
        lost = Counter(self.outside.acts[self._published[number]].value for number in self._unaccounted())
        _require(not lost, f"lost: {dict(lost)}")
        reports = [json.loads(body) for _, body in self._peek(ERRORS)]
        self._check_results()
        self._check_reports([report for report in reports if "original_message" in report])
        self._check_garbage([report for report in reports if "original_body_base64" in report])
        self._check_objects()

    def _check_results(self) -> None:
        for properties, body in self._peek(self._sent_queue):
            task_id = json.loads(body)["original_message"]["task_id"]
            _require(self.outside.acts[task_id].is_stored, f"{task_id} must not be in the sent queue")
            _require(properties.message_id == f"{task_id}:sent", f"copies of {task_id} cannot be told apart")

    def _check_reports(self, reports: list[dict[str, Any]]) -> None:
        for report in reports:
            task_id, act = report["task_id"], self.outside.acts[report["task_id"]]
            _require(not act.is_stored, f"{task_id} ({act.value}) must not be in the error queue: {report['error']}")
            _require(report["outcome"] == act.outcome, f"{task_id} ({act.value}) was reported as {report['outcome']}")
        for task_id, attempt in self.outside.attempts.items():
            _require(attempt <= RETRIES + 1, f"{task_id} was tried {attempt} times")

    def _check_garbage(self, reports: list[dict[str, Any]]) -> None:
        reported = {base64.b64decode(report["original_body_base64"]) for report in reports}
        _require(reported == set(self._garbage), f"bytes lost or changed: {set(self._garbage) ^ reported}")

    def _check_objects(self) -> None:
        expected = Counter({task_id: 1 for task_id, act in self.outside.acts.items() if act.creates})
        created = +self.outside.created
        differences = {"too many": created - expected, "missing": expected - created}
        told = [f"{dict(found)} {what}" for what, found in differences.items() if found]
        _require(not told, f"objects: {', '.join(told)}")

    def _copy(self, task_id: str) -> bytes:
        number = next(self._numbers)
        self._published[number] = task_id
        return camunda_message(task_id, copy=number)

    def _peek(self, queue: str) -> list[tuple[Any, bytes]]:
        return self._broker.peek(queue) if self._broker.count(queue) else []

    def _delete_queues(self) -> None:
        with self._broker.channel() as channel:
            for queue in (*self._working_queues(), self._sent_queue, ERRORS):
                channel.queue_delete(queue)


def _require(promise: bool, otherwise: str) -> None:
    if not promise:
        raise BrokenPromiseError(otherwise)
