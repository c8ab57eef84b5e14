"""A handler that fetches from the backlog while it works: what it is handed, and that nothing is lost by it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from assembly.startup import read_configuration
from assembly.worker import Worker
from base_handler import BaseMessageHandler, HandlerOutcome, MoreMessages
from core.errors import OutageError
from core.messages import IncomingMessage
from core.results import Accepted
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import Bench, camunda_message, wait_until

QUEUE, SENT = "stream.queue", "stream.sent.queue"


@pytest.fixture
def queues(broker: Broker) -> Broker:
    broker.declare(QUEUE)
    broker.declare(SENT)
    return broker


class Stream(BaseMessageHandler):
    """Works on one message after the other and fetches as many as it has finished."""

    batch_size = 10

    def __init__(self) -> None:
        super().__init__("stream")
        self.calls = 0
        self.created: list[str] = []
        self.most_in_hand = 0
        self.fails_at: int | None = None
        self.outages = 0

    def handle_backlog(
        self, messages: Sequence[IncomingMessage], more: MoreMessages
    ) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        self.calls += 1
        in_hand = list(messages)
        while in_hand:
            self.most_in_hand = max(self.most_in_hand, len(in_hand))
            message = in_hand.pop(0)
            if len(self.created) == self.fails_at:
                self.fails_at = None
                raise RuntimeError("the handler has a mistake in it")
            if self.outages:
                self.outages -= 1
                yield message, OutageError("down")
            else:
                self.created.append(message.task.task_id)
                yield message, Accepted({"result": {"task": {"id": "1"}}})
            in_hand += more(100)


def test_one_call_works_off_a_whole_backlog_with_a_batch_in_hand(vhost: BrokerAddress, queues: Broker) -> None:
    task_ids = [str(number) for number in range(300)]
    queues.publish_all(QUEUE, [camunda_message(task_id) for task_id in task_ids])
    handler = Stream()
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT, prefetch=100, threads=1)
    with bench.running():
        queues.wait_for_count(SENT, 300)
    assert sorted(handler.created, key=int) == task_ids
    assert handler.most_in_hand == Stream.batch_size
    assert handler.calls < 30, "batches alone would have been 30"
    assert queues.count(QUEUE) == 0


def test_what_a_handler_has_fetched_before_it_fails_is_tried_again(vhost: BrokerAddress, queues: Broker) -> None:
    queues.publish_all(QUEUE, [camunda_message(str(number)) for number in range(60)])
    handler = Stream()
    handler.fails_at = 25
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT, prefetch=30, threads=1)
    with bench.running():
        queues.wait_for_count(SENT, 60)
    assert len(handler.created) == len(set(handler.created)) == 60


def test_a_paused_system_is_given_nothing_more(vhost: BrokerAddress, queues: Broker) -> None:
    queues.publish_all(QUEUE, [camunda_message(str(number)) for number in range(60)])
    handler = Stream()
    handler.outages = 1
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT, prefetch=30, threads=1)
    with bench.running():
        queues.wait_for_count(SENT, 60)
    assert handler.calls > 1, "the stream ended with the pause and another began after it"
    assert len(handler.created) == len(set(handler.created)) == 60


def test_a_stop_in_the_middle_of_a_backlog_loses_and_doubles_nothing(vhost: BrokerAddress, queues: Broker) -> None:
    queues.publish_all(QUEUE, [camunda_message(str(number)) for number in range(2000)])
    handler = Stream()
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT, prefetch=50, threads=2)
    with bench.running():
        wait_until(lambda: len(handler.created) > 100, what="work on the backlog")
    queues.wait_for_at_least(QUEUE, 2000 - len(handler.created))
    bodies = [body for queue in (QUEUE, SENT) for _, body in queues.get_all(queue)]
    messages = [json.loads(body) for body in bodies]
    left = {message.get("original_message", message)["task_id"] for message in messages}
    assert left == {str(number) for number in range(2000)}
    assert len(handler.created) == len(set(handler.created))


@pytest.mark.parametrize(
    ("variables", "prefetch"),
    [
        ({}, 1176),  # 2 batches of 98 for each of 6 threads, of which 4 may be asking the portal
        ({"CONCURRENCY": "1"}, 392),
        ({"PREFETCH": "60"}, 60),
        ({"PREFETCH": "60", "QUEUE_PREFETCH": "bitrix24.queue=300"}, 300),
    ],
)
def test_what_is_taken_in_advance_is_enough_for_full_requests_unless_the_operator_says_otherwise(
    variables: dict[str, str], prefetch: int, tmp_path: Path
) -> None:
    environment = {
        "BITRIX_WEBHOOK_URL": "https://portal.example.ru/rest/1/code",
        "STATE_DIR": str(tmp_path / "state"),
        "LOG_DIR": str(tmp_path / "logs"),
        **variables,
    }
    startup = read_configuration(environment, tmp_path / ".env")
    worker = Worker(startup.settings, startup.handlers, startup.trackers)
    assert worker.processors["bitrix24.queue"].consumed.prefetch == prefetch
