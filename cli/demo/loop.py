"""Follows the messages of the demo on their way round, as the queues and the outside systems show them."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from broker.topology import wait_queue_name
from cli.demo.account import Account, Evidence, Row, make_account
from cli.demo.scenario import Outside, Sample, Scenario
from cli.demo.texts import say
from cli.demo.view import Stages
from cli.demo.worker import WorkerProcess
from core.policy import WAIT_STEPS
from core.texts import Language
from sandbox.camunda import ERRORS_QUEUE, RESPONSES_QUEUE, CamundaSide

PUBLISHING = 9.0  # seconds over which Camunda sends its messages
TICK = 0.2  # seconds between two looks at the queues
RETURN_TIMEOUT = 5.0  # seconds that the broker may take to notice a killed worker
SETTLED = 1.0  # seconds without a message on its way after which the loop counts as closed


class ClosedLoop:
    """The `samples` of one scenario, published, watched and counted."""

    def __init__(
        self,
        camunda: CamundaSide,
        scenario: Scenario,
        worker: WorkerProcess,
        samples: Sequence[Sample],
        lang: Language,
    ) -> None:
        self.samples = samples
        self._camunda = camunda
        self._scenario = scenario
        self._worker = worker
        self._lang = lang
        self._wait_queues = wait_queues(scenario)
        self._due = deque(enumerate(samples))
        self._published: list[Sample] = []
        self._started: float | None = None
        self._tracked: deque[int] = deque(maxlen=round(SETTLED / TICK))
        self._quiet_since: float | None = None
        self._stages = Stages()
        self._latest: str | None = None
        self._ends = len({sample.key for sample in samples})

    def wait_for_consumer(self, timeout: float) -> bool:
        """Wait until the worker takes messages of every queue; return False after `timeout`. Raises WorkerDiedError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._worker.check()
            states = [self._camunda.state(queue) for queue in self._scenario.input_queues]
            if all(state is not None and state.consumers for state in states):
                return True
            time.sleep(TICK)
        return False

    def publish_due(self) -> None:
        """Send what is due by now, evenly spread; a message about another task waits until that one exists."""
        self._started = self._started or time.monotonic()
        pause = PUBLISHING / len(self.samples)
        waiting: deque[tuple[int, Sample]] = deque()
        known = self._outside().objects
        while self._due and time.monotonic() - self._started >= self._due[0][0] * pause:
            number, sample = self._due.popleft()
            if sample.after is not None and not known.get(sample.after):
                waiting.append((number, sample))
                continue
            self._camunda.publish(sample.body, sample.routing_key, sample.headers)
            self._published.append(sample)
        self._due.extendleft(reversed(waiting))

    def look(self) -> Stages:
        """Return how many messages are where. Raises WorkerDiedError."""
        self._worker.check()
        outside = self._outside()
        updates = {sample.key for sample in self._published if sample.kind == "update"}
        # A sweep holds the sent messages for a moment, and the broker counts only those that nobody holds.
        self._tracked.append(self._counted(self._scenario.sent_queues))
        self._stages = Stages(
            sent=len(self._published),
            waiting=self._counted(self._scenario.input_queues),
            created=sum(len(ids) for key, ids in outside.objects.items() if key not in updates),
            tracked=max(self._tracked),
            finished=outside.finished,
            responses=self._camunda.count(RESPONSES_QUEUE),
            errors=self._camunda.count(ERRORS_QUEUE),
        )
        return self._stages

    def is_settled(self) -> bool:
        """True when every message has an end and none has been on its way for a while: no second answer follows."""
        now, stages = time.monotonic(), self._stages
        has_ends = not self._due and stages.responses + stages.errors >= self._ends
        is_quiet = has_ends and not stages.waiting and not stages.tracked and not self._counted(self._wait_queues)
        if not is_quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        return self._quiet_since is not None and now - self._quiet_since >= SETTLED

    def account(self) -> Account:
        """Return the account, counted anew."""
        return make_account(
            Evidence(
                self._published,
                self._outside(),
                self._camunda.peek(RESPONSES_QUEUE),
                self._camunda.peek(ERRORS_QUEUE),
            )
        )

    def places(self, account: Account) -> list[tuple[Row, str]]:
        """Return where the lost ones are. Only after the worker has stopped: what it holds is nowhere to be seen."""
        lang, deadline = self._lang, time.monotonic() + RETURN_TIMEOUT
        queues = self._queues_of(account.lost)
        while any(row.key not in queues for row in account.lost) and time.monotonic() < deadline:
            time.sleep(TICK)
            queues = self._queues_of(account.lost)
        places = []
        for row in account.lost:
            where = [say(lang, "in_queue", queue=queue) for queue in queues.get(row.key, ())]
            if row.ids:
                where.append(say(lang, "outside", system=self._scenario.title.say(lang), ids=", ".join(row.ids)))
            places.append((row, ", ".join(where) or say(lang, "nowhere")))
        for _, sample in self._due:
            places.append((Row.unsent(sample), say(lang, "unpublished")))
        return places

    def latest(self) -> str:
        """Return what a person did last."""
        if not self._scenario.has_people:
            return ""
        return self._latest or say(self._lang, "no_latest")

    def _queues_of(self, rows: Sequence[Row]) -> Mapping[str, list[str]]:
        """Return the queues that hold each row's message.

        The worker echoes a message byte for byte into whatever it makes of it.
        """
        found: defaultdict[str, list[str]] = defaultdict(list)
        originals = {sample.key: sample.body for sample in self._published}
        queues = (*self._scenario.input_queues, *self._wait_queues, *self._scenario.sent_queues)
        for queue in queues if rows else ():
            bodies = [message.body for message in self._camunda.peek(queue)]
            for row in rows:
                if any(originals[row.key] in body for body in bodies):
                    found[row.key].append(queue)
        return found

    def _counted(self, queues: Sequence[str]) -> int:
        return sum(map(self._camunda.count, queues))

    def _outside(self) -> Outside:
        outside = self._scenario.outside(self._published, self._lang)
        self._latest = outside.latest
        return outside


def wait_queues(scenario: Scenario) -> tuple[str, ...]:
    return tuple(wait_queue_name(queue, seconds) for queue in scenario.input_queues for seconds in WAIT_STEPS)
