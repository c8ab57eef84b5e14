"""One message with unreadable properties, or with orders to the broker in its headers, harms no other and is not lost.

Played on a real node, on classic and quorum queues, with the bytes that foreign clients write (tests/support/wire.py).
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pika
import pytest
from hypothesis import Phase, given, settings

from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from broker.properties import ReceivedProperties
from core.copies import speaks_to_the_broker
from core.errors import OutageError, TransientError
from core.messages import IncomingMessage, TrackedTask
from core.results import Accepted, Completed, Rerouted, Result, Verdict
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import ERRORS, RESPONSES, Bench, camunda_message, wait_until
from tests.broker.test_amqp_properties import foreign
from tests.support.wire import UNREADABLE, RawProperties, entry, listed, section, sections, text
from tracking.tracked_queue import SweepResult

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"


@pytest.fixture(params=["classic", "quorum"])
def queue_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Handler(BaseMessageHandler):
    """Refuses each task for a moment at its first try, so that every message has to be copied once."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, ReceivedProperties]] = []

    def handle(self, message: IncomingMessage) -> Result:
        self.seen.append((message.task.task_id, message.attempt, message.properties))
        if message.attempt == 1:
            raise TransientError("the row is locked")
        return Accepted({"result": {"task": {"id": "7"}}}, "7")


class Away(Handler):
    """Its system is away until `is_back`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_back = threading.Event()

    def probe(self) -> None:
        if not self.is_back.is_set():
            raise OutageError("the portal is away")

    def handle(self, message: IncomingMessage) -> Result:
        self.probe()
        return super().handle(message)


def publish(broker: Broker, queue: str, body: bytes, raw: bytes) -> None:
    with broker.channel() as channel:
        channel.confirm_delivery()
        channel.basic_publish("", queue, body, RawProperties(raw), mandatory=True)


def declare(broker: Broker, queue_type: str, *queues: str) -> None:
    for queue in queues:
        broker.declare(queue, arguments={"x-queue-type": queue_type})


def reports(broker: Broker) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in broker.get_all(ERRORS)]


class TestQuarantine:
    def test_it_is_parked_with_its_body_and_all_others_are_done(
        self, vhost: BrokerAddress, broker: Broker, queue_type: str
    ) -> None:
        declare(broker, queue_type, QUEUE, "1c.queue", ERRORS)
        handler, other = Handler(), Handler()
        bench = Bench(vhost)
        bench.add(QUEUE, handler, sent_queue=SENT)
        bench.add("1c.queue", other, sent_queue="1c.sent.queue")
        bad = {f"bad-{number}": section(headers) for number, headers in enumerate(UNREADABLE.values())}
        for task_id, raw in bad.items():
            broker.publish(QUEUE, camunda_message(f"before-{task_id}"))
            publish(broker, QUEUE, camunda_message(task_id), raw)
        broker.publish_all("1c.queue", [camunda_message(f"1c-{number}") for number in range(5)])
        lost = _count_losses(bench)
        with bench.running():
            broker.wait_for_count(SENT, len(bad))
            broker.wait_for_count("1c.sent.queue", 5)
            broker.wait_for_count(ERRORS, len(bad))
            wait_until(lambda: broker.count(QUEUE) == 0)
        assert lost == [], "no connection was lost over them"
        parked = reports(broker)
        assert Counter(report["task_id"] for report in parked) == Counter(list(bad))
        for report in parked:
            task_id = report["task_id"]
            assert report["code"] == "unreadable_properties"
            assert report["original_message"] == json.loads(camunda_message(task_id))
            assert base64.b64decode(report["properties_base64"]) == bad[task_id]
            assert report["properties"]["message_id"] == "id-1"
        assert Counter(task_id for task_id, _, _ in handler.seen) == Counter(2 * [f"before-{bad_id}" for bad_id in bad])

    def test_it_is_parked_and_not_copied_while_its_system_is_away(self, vhost: BrokerAddress, broker: Broker) -> None:
        declare(broker, "classic", QUEUE, ERRORS)
        handler = Away()
        bench = Bench(vhost)
        processor = bench.add(QUEUE, handler, sent_queue=SENT, threads=1)
        broker.publish(QUEUE, camunda_message("good"))
        for headers in UNREADABLE.values():
            publish(broker, QUEUE, camunda_message("bad"), section(headers))
        with bench.running():
            wait_until(lambda: not processor.gate.is_open(), what="the pause")
            # What has been delivered by now is settled by the thread that paused, before it looks at the gate again.
            wait_until(processor._deliveries.empty, what="the end of what was delivered")
            handler.is_back.set()
            broker.wait_for_count(ERRORS, len(UNREADABLE))
            broker.wait_for_count(SENT, 1)
        assert {report["code"] for report in reports(broker)} == {"unreadable_properties"}
        assert {task_id for task_id, _, _ in handler.seen} == {"good"}

    def test_bytes_that_are_no_task_come_along_unchanged(self, vhost: BrokerAddress, broker: Broker) -> None:
        declare(broker, "classic", QUEUE, ERRORS)
        bench = Bench(vhost)
        bench.add(QUEUE, Handler())
        publish(broker, QUEUE, b"\xff\x00 no task", section(UNREADABLE["a timestamp in milliseconds"]))
        with bench.running():
            broker.wait_for_count(ERRORS, 1)
        (report,) = reports(broker)
        assert report["code"] == "unreadable_properties"
        assert base64.b64decode(report["original_body_base64"]) == b"\xff\x00 no task"

    def test_a_large_one_travels_beside_its_report(self, vhost: BrokerAddress, broker: Broker) -> None:
        declare(broker, "classic", QUEUE, ERRORS)
        bench = Bench(vhost)
        bench.add(QUEUE, Handler())
        body = camunda_message("large", filler="x" * (5 * 1024 * 1024))
        headers = UNREADABLE["tables within tables"] + entry(b"more", text(b"\x00" * 100_000))
        publish(broker, QUEUE, body, section(headers))
        with bench.running():
            broker.wait_for_count(ERRORS, 1)
        ((properties, came),) = broker.get_all(ERRORS)
        assert came == body
        assert "unreadable_properties" in str(properties.headers)

    def test_a_sweep_parks_it_and_answers_the_others(
        self, vhost: BrokerAddress, broker: Broker, queue_type: str
    ) -> None:
        declare(broker, queue_type, SENT, RESPONSES, ERRORS)
        for number, headers in enumerate(UNREADABLE.values()):
            publish(broker, SENT, sent(f"bad-{number}"), section(headers))
            broker.publish(SENT, sent(f"good-{number}"))
        bench = Bench(vhost)
        with bench.running():
            for _ in range(2):
                bench.sweeper(SENT, Tracker("bitrix24")).sweep(SweepResult())
        responses = [json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(RESPONSES)]
        assert Counter(responses) == Counter(f"good-{number}" for number in range(len(UNREADABLE)))
        parked = reports(broker)
        assert {report["code"] for report in parked} == {"unreadable_properties"}
        bodies = Counter(base64.b64decode(report["original_body_base64"]) for report in parked)
        assert bodies == Counter(sent(f"bad-{number}") for number in range(len(UNREADABLE)))
        assert broker.count(SENT) == 0

    def test_no_property_that_a_broker_takes_stops_a_queue_or_multiplies(
        self, vhost: BrokerAddress, broker: Broker, queue_type: str
    ) -> None:
        collected: list[bytes] = []

        @settings(max_examples=150, deadline=None, database=None, phases=[Phase.generate])
        @given(sections())
        def collect(raw: bytes) -> None:
            collected.append(raw)

        collect()
        declare(broker, queue_type, QUEUE, ERRORS)
        taken = {}
        for number, raw in enumerate(collected):
            try:
                publish(broker, QUEUE, camunda_message(f"task-{number}"), raw)
            except pika.exceptions.AMQPError:
                continue  # RabbitMQ itself refuses it: a CC that is no list, an expiration that is no number
            if not ReceivedProperties().decode(raw).expiration:  # which RabbitMQ itself may let expire
                taken[f"task-{number}"] = raw
        assert len(taken) > 5, "chance has made enough that RabbitMQ takes"
        handler = Handler()
        bench = Bench(vhost)
        bench.add(QUEUE, handler, sent_queue=SENT)
        lost = _count_losses(bench)
        with bench.running():
            wait_until(lambda: broker.count(SENT) + broker.count(ERRORS) >= len(taken), timeout=60)
            wait_until(lambda: broker.count(QUEUE) == 0)
        assert lost == []
        sent = [json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(SENT)]
        parked = [report["task_id"] for report in reports(broker)]
        outcomes = Counter(task_id for task_id in (*sent, *parked) if task_id in taken)
        assert outcomes == Counter(list(taken)), "each once"
        refused = {task_id for task_id, raw in taken.items() if ReceivedProperties().decode(raw).refusal()}
        # RabbitMQ takes BCC out, and 4.3 its own x- headers: what was unreadable in them does not arrive.
        assert set(parked) & set(taken) <= refused


class TestOrdersToTheBroker:
    @pytest.mark.parametrize("header", ["CC", "BCC"])
    def test_a_copy_whose_wait_queue_is_missing_is_stored_in_it_and_nowhere_else(
        self, vhost: BrokerAddress, broker: Broker, queue_type: str, header: str
    ) -> None:
        # Measured on 3.10.8, 4.0.5 and 4.3.6: with the header in the copy RabbitMQ confirms it and returns nothing.
        declare(broker, queue_type, QUEUE, "elsewhere.queue", ERRORS)
        handler = Handler()
        bench = Bench(vhost)
        bench.add(QUEUE, handler, sent_queue=SENT)
        _publish_with(broker, QUEUE, camunda_message("task-1"), header)
        with bench.running():
            broker.wait_for_count(SENT, 1)
        assert [attempt for _, attempt, _ in handler.seen] == [1, 2]
        assert broker.count("elsewhere.queue") == 1, "what its own publisher sent there"

    @pytest.mark.parametrize("header", ["CC", "BCC"])
    def test_so_is_a_rerouted_message_whose_queue_is_missing(
        self, vhost: BrokerAddress, broker: Broker, header: str
    ) -> None:
        declare(broker, "classic", "default.queue", "elsewhere.queue", ERRORS)
        bench = Bench(vhost)
        bench.add("default.queue", Rerouter("default"), sent_queue=None)
        _publish_with(broker, "default.queue", camunda_message("task-1"), header)
        with bench.running():
            broker.wait_for_count("openproject.queue", 1)
        assert broker.count("elsewhere.queue") == 1

    def test_floats_and_binary_headers_survive_a_retry_as_they_are(self, vhost: BrokerAddress, broker: Broker) -> None:
        declare(broker, "classic", QUEUE, ERRORS)
        handler = Handler()
        bench = Bench(vhost)
        bench.add(QUEUE, handler, sent_queue=SENT)
        headers = b"".join(
            (
                entry(b"ratio", b"d\x3f\xf8\x00\x00\x00\x00\x00\x00"),
                entry(b"half", b"f\x3f\x00\x00\x00"),
                entry(b"trace", text(b"\xff\x00\x01")),
                entry(b"list", listed(text(b"one") + b"V")),
            )
        )
        publish(broker, QUEUE, camunda_message("task-1"), section(headers))
        with bench.running():
            broker.wait_for_count(SENT, 1)
        first, second = (_of_the_sender(properties.headers or {}) for _, _, properties in handler.seen)
        assert first == {"ratio": 1.5, "half": 0.5, "trace": b"\xff\x00\x01", "list": ["one", None]}
        assert second == first
        wire = [_of_the_sender(properties.wire_headers()) for _, _, properties in handler.seen]
        assert wire[0] == wire[1], "with the types that they came with"


class Rerouter(BaseMessageHandler):
    def handle(self, message: IncomingMessage) -> Result:
        return Rerouted("openproject.queue")


class Tracker(BaseTracker):
    """Every task is finished."""

    def check(self, tasks: Sequence[TrackedTask]) -> list[Verdict]:
        return [Completed({}) for _ in tasks]


def _of_the_sender(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in foreign(dict(headers)).items() if not speaks_to_the_broker(name)}


def sent(task_id: str) -> bytes:
    return b'{"original_message": %b, "response_data": {}}' % camunda_message(task_id)


def _publish_with(broker: Broker, queue: str, body: bytes, header: str) -> None:
    # RabbitMQ takes BCC out of what a 0-9-1 client publishes, but only the first of that name; from an AMQP 1.0 client
    # it comes as it is (measured on 4.0.5 and 4.3.6).
    headers = 2 * entry(header.encode(), listed(text(b"elsewhere.queue")))
    publish(broker, queue, body, section(headers))


def _count_losses(bench: Bench) -> list[str]:
    """Grows by one each time that the consumer's connection is lost."""
    lost: list[str] = []
    on_lost = bench.consumer._thread._on_lost

    def count() -> None:
        if not bench.consumer._thread.is_closing():
            lost.append("consumer")
        on_lost()

    bench.consumer._thread._on_lost = count
    return lost
