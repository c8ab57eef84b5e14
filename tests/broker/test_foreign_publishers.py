"""Tasks that clients of other languages and of AMQP 1.0 publish: done, or parked with a reason, and no other harmed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess

import pytest
from pika.exceptions import ConnectionClosedByBroker

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import ERRORS, RESPONSES, Bench, camunda_message
from tests.broker.test_unreadable_messages import QUEUE, SENT, Handler, Tracker, declare, queue_type, reports, sent
from tests.support import npm
from tests.support.places import DATA
from tracking.tracked_queue import SweepResult

__all__ = ["queue_type"]

AMQPLIB = "amqplib@2.3.1"
RHEA = "rhea@3.0.5"


def run_node(script: str, package: str, *arguments: str, **environment: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip(f"{package} needs node")
    path = {"NODE_PATH": str(npm.installed(package)), **environment}
    command = [node, str(DATA / script), *arguments]
    done = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def publish_amqp10(address: BrokerAddress, queue: str, *messages: tuple[str, str]) -> None:
    bodies = json.dumps([{"kind": kind, "text": text} for kind, text in messages])
    whereto = (address.host, str(address.port), address.username, address.password, address.vhost, queue)
    run_node("publish_rhea.js", RHEA, *whereto, BODIES=bodies)


@pytest.fixture
def amqp10(rabbitmq_version: tuple[int, ...]) -> None:
    if rabbitmq_version < (4,):
        pytest.skip("before 4.0 RabbitMQ speaks AMQP 1.0 with a plugin only")


def task(task_id: str) -> str:
    return camunda_message(task_id).decode()


def done(broker: Broker) -> set[str]:
    return {json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(SENT)}


def test_milliseconds_from_node_are_parked_and_the_others_flow(
    vhost: BrokerAddress, broker: Broker, queue_type: str
) -> None:
    declare(broker, queue_type, QUEUE, ERRORS)
    url = f"amqp://{vhost.username}:{vhost.password}@{vhost.host}:{vhost.port}/{vhost.vhost}?frameMax=131072"
    run_node("publish_amqplib.js", AMQPLIB, url, QUEUE, BODY=task("from-node"))
    broker.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(20)])
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(), sent_queue=SENT)
    with bench.running():
        broker.wait_for_count(SENT, 20)
        broker.wait_for_count(ERRORS, 1)
    (report,) = reports(broker)
    assert (report["task_id"], report["code"]) == ("from-node", "unreadable_properties")
    assert "milliseconds" in report["error"]
    assert report["properties"]["headers"] == {"ratio": 1.5}


@pytest.mark.usefixtures("amqp10")
class TestAmqp10:
    def test_a_task_is_read_from_data_from_a_string_and_from_binary(
        self, vhost: BrokerAddress, broker: Broker, queue_type: str
    ) -> None:
        declare(broker, queue_type, QUEUE, ERRORS)
        long = json.dumps({**json.loads(task("long")), "filler": "ё" * 300}, ensure_ascii=False)
        published = [("data", task("data")), ("string", task("string")), ("string", long), ("binary", task("binary"))]
        publish_amqp10(vhost, QUEUE, *published)
        bench = Bench(vhost)
        bench.add(QUEUE, Handler(), sent_queue=SENT)
        with bench.running():
            broker.wait_for_count(SENT, 4)
        bodies = [body for _, body in broker.get_all(SENT)]
        for _, text in published:
            assert any(text.encode() in body for body in bodies), "echoed byte for byte"

    def test_what_is_no_text_is_parked_and_told(self, vhost: BrokerAddress, broker: Broker) -> None:
        declare(broker, "classic", QUEUE, ERRORS)
        publish_amqp10(vhost, QUEUE, ("map", task("map")), ("sequence", task("sequence")))
        bench = Bench(vhost)
        bench.add(QUEUE, Handler(), sent_queue=SENT)
        with bench.running():
            broker.wait_for_count(ERRORS, 2)
        assert [report["code"] for report in reports(broker)] == ["amqp10_value", "amqp10_value"]

    def test_dates_that_0_9_1_lacks_harm_nobody(self, vhost: BrokerAddress, broker: Broker, queue_type: str) -> None:
        declare(broker, queue_type, QUEUE, ERRORS)
        publish_amqp10(
            vhost, QUEUE, ("before_year_1", task("stone-age")), ("before_1970", task("old")), ("data", task("new"))
        )
        bench = Bench(vhost)
        bench.add(QUEUE, Handler(), sent_queue=SENT)
        with bench.running():
            broker.wait_for_count(SENT, 2)
            broker.wait_for_count(ERRORS, 1)
        assert done(broker) == {"old", "new"}
        assert [report["task_id"] for report in reports(broker)] == ["stone-age"]

    def test_what_rabbitmq_cannot_hand_over_is_parked_and_the_others_flow(
        self, vhost: BrokerAddress, broker: Broker, queue_type: str
    ) -> None:
        # RabbitMQ 4.0.5 and 4.3.6 close the consumer's connection (541) over each, again and again; on a quorum queue
        # the good ones beside it went with it at the 21st time.
        declare(broker, queue_type, QUEUE, "1c.queue", ERRORS)
        kinds = ("uuid", "char", "long_content_type")
        for number, kind in enumerate(kinds):
            broker.publish_all(QUEUE, [camunda_message(f"good-{number}-{each}") for each in range(5)])
            publish_amqp10(vhost, QUEUE, (kind, task(kind)))
        broker.publish_all("1c.queue", [camunda_message(f"1c-{each}") for each in range(5)])
        bench = Bench(vhost)
        bench.add(QUEUE, Handler(), sent_queue=SENT)
        bench.add("1c.queue", Handler(), sent_queue="1c.sent.queue")
        with bench.running():
            broker.wait_for_count(ERRORS, 3)
            broker.wait_for_at_least("1c.sent.queue", 5)
            broker.wait_for_at_least(SENT, 15)
        assert done(broker) == {f"good-{number}-{each}" for number in range(3) for each in range(5)}
        parked = reports(broker)
        assert [report["task_id"] for report in parked] == list(kinds)
        assert {report["code"] for report in parked} == {"unreadable_properties"}
        assert [report["original_message"] for report in parked] == [json.loads(task(kind)) for kind in kinds]
        order = parked[0]["properties"]["application_properties"]["order"]
        assert order == "07070707-0707-0707-0707-070707070707"

    def test_so_it_is_in_a_sent_queue(self, vhost: BrokerAddress, broker: Broker, queue_type: str) -> None:
        declare(broker, queue_type, SENT, RESPONSES, ERRORS)
        broker.publish(SENT, sent("good"))
        publish_amqp10(vhost, SENT, ("uuid", sent("bad").decode()))
        bench = Bench(vhost)
        with bench.running():
            sweeper = bench.sweeper(SENT, Tracker("bitrix24"))
            with pytest.raises(ConnectionClosedByBroker):
                sweeper.sweep(SweepResult())
            sweeper.sweep(SweepResult())
        assert len(broker.get_all(RESPONSES)) == 1
        (report,) = reports(broker)
        assert base64.b64decode(report["original_body_base64"]).endswith(sent("bad"))

    def test_orders_that_only_such_a_client_can_put_into_a_queue_stop_no_copy(
        self, vhost: BrokerAddress, broker: Broker, queue_type: str
    ) -> None:
        # RabbitMQ closes the channel of a 0-9-1 client that publishes a CC which is no list, or a direct reply-to.
        declare(broker, queue_type, QUEUE, "elsewhere.queue", ERRORS)
        orders = [(kind, task(kind)) for kind in ("reply", "cc_text", "cc")]
        publish_amqp10(vhost, QUEUE, *orders)
        bench = Bench(vhost)
        bench.add(QUEUE, Handler(), sent_queue=SENT)
        with bench.running():
            broker.wait_for_count(SENT, 3)
        assert done(broker) == {"reply", "cc_text", "cc"}
        assert broker.count("elsewhere.queue") <= 1, "what the client itself sent there, which 4.0 does not yet do"
