"""A long backlog through one call of the handler: what it costs, what it holds, what it owes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from consumers.bitrix.handler import BitrixTaskHandler
from core.errors import AmbiguousError, OutcomeError
from core.messages import IncomingMessage
from core.results import Accepted, Done
from sandbox.bitrix24 import BitrixSandbox, faults
from sandbox.http_front import HttpRequest, RawAnswer
from tests.systems.bitrix.support import duplicates, handler_for, message


class Backlog:
    """Feeds a handler as the processor does, and knows what is in its hands."""

    def __init__(self, messages: Sequence[IncomingMessage]) -> None:
        self._waiting = deque(messages)
        self.in_hand = 0
        self.most_in_hand = 0
        self.outcomes: list[tuple[IncomingMessage, object]] = []

    @property
    def left(self) -> int:
        return len(self._waiting)

    def more(self, limit: int) -> list[IncomingMessage]:
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self.in_hand += len(taken)
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        return taken

    def run(self, handler: BitrixTaskHandler, first: int) -> None:
        for each, outcome in handler.handle_backlog(self.more(first), self.more):
            self.in_hand -= 1
            self.outcomes.append((each, outcome))


def test_a_request_carries_49_tasks_and_the_lookup_of_the_next_ones() -> None:
    with BitrixSandbox() as portal:
        backlog = Backlog([message() for _ in range(980)])
        backlog.run(handler_for(portal), first=1)
        assert portal.task_count == 980
        assert len(backlog.outcomes) == 980
        # The portal's check and the first lookup, then 20 × 49 tasks.
        assert portal.requests.http == 2 + 20


def test_never_more_than_batch_size_messages_are_in_hand() -> None:
    with BitrixSandbox() as portal:
        backlog = Backlog([message() for _ in range(500)])
        backlog.run(handler_for(portal), first=BitrixTaskHandler.batch_size)
        assert backlog.most_in_hand == BitrixTaskHandler.batch_size


def test_an_update_does_not_wait_for_the_end_of_a_long_backlog() -> None:
    with BitrixSandbox() as portal:
        update = message("bitrix_update_task", variables={"task_id": "k", "title": "Новое имя"})
        backlog = Backlog([message(key="k"), *(message() for _ in range(59)), update, *(message() for _ in range(500))])
        backlog.run(handler_for(portal), first=1)
        assert isinstance({id(each): outcome for each, outcome in backlog.outcomes}[id(update)], Done)
        assert backlog.left > 400
        assert backlog.in_hand == 0


def test_a_task_that_comes_twice_in_a_backlog_is_created_once() -> None:
    with BitrixSandbox() as portal:
        backlog = Backlog([message(key=f"task-{number % 100}") for number in range(300)])
        backlog.run(handler_for(portal), first=10)
        assert len(backlog.outcomes) == 300
        assert all(isinstance(outcome, Accepted) for _, outcome in backlog.outcomes)
        assert (duplicates(portal), portal.task_count) == ({}, 100)


def test_a_second_message_waits_while_the_request_of_the_first_may_still_be_running() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal, request_timeout=0.3, ambiguous_wait=45)
        handler.probe()
        slow = portal.inject(faults.delay(0.9), "tasks.task.add")
        backlog = Backlog([message(key="k"), message(key="k")])
        backlog.run(handler, first=2)
        assert [outcome.retry_after for _, outcome in backlog.outcomes if isinstance(outcome, AmbiguousError)] == [
            45
        ] * 2
        portal.wait_until(lambda desk: desk.task_count == 1)
        assert slow.hits == 1
        later = Backlog([message(key="k")])
        later.run(handler, first=1)
        assert [type(outcome) for _, outcome in later.outcomes] == [Accepted]
        assert portal.task_count == 1


def test_a_key_is_free_again_when_its_group_is_through() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        backlog = Backlog([message(key=str(number)) for number in range(200)])
        stream = handler.handle_backlog(backlog.more(98), backlog.more)
        for _ in range(120):
            next(stream)
        assert isinstance(handler.handle(message(key="0")), Accepted), "the backlog is not through, but this task is"
        assert len(list(stream)) == 80


class Crowd(BitrixSandbox):
    """Knows how many requests were here at once."""

    here = most = 0

    def _serve(self, request: HttpRequest) -> RawAnswer:
        with self.state.lock:
            self.here += 1
            self.most = max(self.most, self.here)
        try:
            return super()._serve(request)
        finally:
            with self.state.lock:
                self.here -= 1


@pytest.mark.parametrize("concurrency", [1, 2])
def test_more_threads_prepare_requests_but_never_more_than_concurrency_are_under_way(concurrency: int) -> None:
    checklist = {"checklists": [{"name": "Этапы", "items": ["Первый", "Второй"]}]}
    with Crowd(latency=0.02) as portal:
        handler = handler_for(portal, batch_size=5)
        threads = handler.prepare_for(concurrency)
        assert threads > concurrency
        handler.probe()
        backlogs = [
            Backlog(
                [
                    *(message(key=f"{name}-{number}", variables=checklist) for number in range(10)),
                    message("bitrix_update_task", variables={"task_id": f"{name}-0", "title": "Новое имя"}),
                    *(message() for _ in range(30)),
                ]
            )
            for name in range(threads)
        ]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda backlog: backlog.run(handler, first=20), backlogs))
        settled = [outcome for backlog in backlogs for _, outcome in backlog.outcomes]
        assert [type(outcome) for outcome in settled if not isinstance(outcome, Accepted | Done)] == []
        assert portal.most == concurrency


@pytest.mark.parametrize("fault", [faults.html(503), faults.error("INTERNAL_SERVER_ERROR")])
def test_a_portal_that_fails_in_the_middle_leaves_no_message_without_an_outcome(fault: faults.Fault) -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        backlog = Backlog([message() for _ in range(300)])
        stream = handler.handle_backlog(backlog.more(98), backlog.more)
        settled = [next(stream) for _ in range(60)]
        portal.inject(fault, "tasks.task.list", count=None)
        settled += list(stream)
        portal.clear_faults()
        assert len(settled) == 300 - backlog.left
        assert len({each.task.task_id for each, _ in settled}) == len(settled)
        assert any(isinstance(outcome, OutcomeError) for _, outcome in settled)
        assert duplicates(portal) == {}
