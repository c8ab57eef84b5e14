"""The messages of the demo on their way round, as the queues and the portal show them."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from cli.demo_account import Account, Evidence, PortalState, Row, make_account
from cli.demo_broker import INPUT_QUEUE, SENT_QUEUE, WAIT_QUEUES
from cli.demo_tasks import Sample
from cli.demo_texts import say
from cli.demo_view import Stages
from cli.demo_worker import WorkerProcess
from core.settings_errors import Language
from sandbox.bitrix24 import BitrixSandbox
from sandbox.camunda import ERRORS_QUEUE, RESPONSES_QUEUE, CamundaSide

PUBLISHING = 9.0  # seconds over which Camunda sends its messages
TICK = 0.2  # seconds between two looks at the queues
RETURN_TIMEOUT = 5.0  # seconds that the broker may take to notice a killed worker
SETTLED = 1.0  # seconds without a message on its way after which the loop counts as closed

_DEAL = 2  # entityTypeId of deals
_FINISHED = 5  # status of a task


class ClosedLoop:
    """The messages on their way round, as the queues and the portal show them."""

    def __init__(
        self, camunda: CamundaSide, portal: BitrixSandbox, worker: WorkerProcess, samples: Sequence[Sample]
    ) -> None:
        self.samples = samples
        self._camunda = camunda
        self._portal = portal
        self._worker = worker
        self._due = deque(enumerate(samples))
        self._published: list[Sample] = []
        self._started: float | None = None
        self._tracked: deque[int] = deque(maxlen=round(SETTLED / TICK))
        self._quiet_since: float | None = None
        self._stages = Stages()
        self._latest: Mapping[str, Any] | None = None
        self._ends = len({sample.key for sample in samples})

    def wait_for_consumer(self, timeout: float) -> bool:
        """Until the worker takes messages. Raises WorkerDiedError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._worker.check()
            state = self._camunda.state(INPUT_QUEUE)
            if state is not None and state.consumers:
                return True
            time.sleep(TICK)
        return False

    def publish_due(self) -> None:
        """Sends what is due by now, evenly spread; a message about another task waits until that one exists."""
        self._started = self._started or time.monotonic()
        pause = PUBLISHING / len(self.samples)
        waiting: deque[tuple[int, Sample]] = deque()
        known = self._portal.tasks_by_key()
        while self._due and time.monotonic() - self._started >= self._due[0][0] * pause:
            number, sample = self._due.popleft()
            if sample.after is not None and sample.after not in known:
                waiting.append((number, sample))
                continue
            self._camunda.publish(sample.body, sample.routing_key, sample.headers)
            self._published.append(sample)
        self._due.extendleft(reversed(waiting))

    def look(self) -> Stages:
        """How many are where. Raises WorkerDiedError."""
        self._worker.check()
        portal = self._portal_state()
        # A sweep holds the sent messages for a moment, and the broker counts only those that nobody holds.
        self._tracked.append(self._camunda.count(SENT_QUEUE))
        self._stages = Stages(
            sent=len(self._published),
            waiting=self._camunda.count(INPUT_QUEUE),
            created=sum(map(len, (*portal.tasks.values(), *portal.deals.values()))),
            tracked=max(self._tracked),
            finished=portal.finished,
            responses=self._camunda.count(RESPONSES_QUEUE),
            errors=self._camunda.count(ERRORS_QUEUE),
        )
        return self._stages

    def is_settled(self) -> bool:
        """True when every message has an end and none has been on its way for a while: no second answer follows."""
        now, stages = time.monotonic(), self._stages
        has_ends = not self._due and stages.responses + stages.errors >= self._ends
        is_quiet = has_ends and not stages.waiting and not stages.tracked and not self._delayed()
        if not is_quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        return self._quiet_since is not None and now - self._quiet_since >= SETTLED

    def account(self) -> Account:
        """The books, counted anew."""
        return make_account(
            Evidence(
                self._published,
                self._portal_state(),
                self._camunda.peek(RESPONSES_QUEUE),
                self._camunda.peek(ERRORS_QUEUE),
            )
        )

    def places(self, account: Account, lang: Language) -> list[tuple[Row, str]]:
        """Where the lost ones are. Only after the worker has stopped: what it holds is nowhere to be seen."""
        deadline = time.monotonic() + RETURN_TIMEOUT
        queues = self._queues_of(account.lost)
        while any(row.key not in queues for row in account.lost) and time.monotonic() < deadline:
            time.sleep(TICK)
            queues = self._queues_of(account.lost)
        places = []
        for row in account.lost:
            where = [say(lang, "in_queue", queue=queue) for queue in queues.get(row.key, ())]
            if row.bitrix_ids:
                where.append(say(lang, "at_portal", ids=row.bitrix_ids))
            places.append((row, ", ".join(where) or say(lang, "nowhere")))
        for _, sample in self._due:
            places.append((Row.unsent(sample), say(lang, "unpublished")))
        return places

    def _queues_of(self, rows: Sequence[Row]) -> Mapping[str, list[str]]:
        """The worker echoes a message byte for byte into whatever it makes of it: by its bytes it is found."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        originals = {sample.key: sample.body for sample in self._published}
        for queue in (INPUT_QUEUE, *WAIT_QUEUES, SENT_QUEUE) if rows else ():
            bodies = [message.body for message in self._camunda.peek(queue)]
            for row in rows:
                if any(originals[row.key] in body for body in bodies):
                    found[row.key].append(queue)
        return found

    def latest(self, lang: Language) -> str:
        """What a person did last."""
        if self._latest is None:
            return say(lang, "no_latest")
        person = self._portal.state.users[self._latest["RESPONSIBLE_ID"]]
        answer = self._answer_of(self._latest) or "✔"
        return say(lang, "latest", person=person.full_name, answer=answer, title=self._latest["TITLE"])

    def _delayed(self) -> int:
        return sum(map(self._camunda.count, WAIT_QUEUES))

    def _portal_state(self) -> PortalState:
        tasks: defaultdict[str, list[int]] = defaultdict(list)
        titles: defaultdict[str, list[int]] = defaultdict(list)
        deals: defaultdict[str, list[int]] = defaultdict(list)
        answers: dict[str, str | None] = {}
        finished = []
        for task in self._portal.tasks:
            key = task["UF_CAMUNDA_ID_EXTERNAL_TASK"]
            tasks[key].append(task["ID"])
            titles[task["TITLE"]].append(task["ID"])
            answers[key] = self._answer_of(task)
            if task["STATUS"] == _FINISHED:
                finished.append(task)
        for deal in self._portal.crm_items(_DEAL):
            deals[deal["originId"]].append(deal["id"])
        self._latest = max(finished, key=lambda task: (task["CLOSED_DATE"], task["ID"]), default=None)
        return PortalState(tasks, deals, titles, answers, len(finished))

    def _answer_of(self, task: Mapping[str, Any]) -> str | None:
        field = self._portal.state.user_fields.get("UF_RESULT_ANSWER")
        options = (field.options if field else None) or {}
        return options.get(task.get("UF_RESULT_ANSWER") or 0)
