"""Messages that no binding took, through the whole daemon: each finds its queue, byte for byte, and none is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.messages import HEADER_HOPS, HEADER_ORIGIN
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.camunda import TASKS_EXCHANGE, CamundaSide
from sandbox.email import EmailSandbox
from sandbox.python_services import ServicesSandbox
from sandbox.telegram import PERSON, TelegramSandbox
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.support.answering_server import AnsweringServer
from tests.systems.default.test_handler import ELEVEN

DEFAULT = "default.queue"
TARGETS = ("email.queue", "telegram.queue", "python-services.queue")


@pytest.fixture
def camunda(vhost: BrokerAddress) -> Iterator[CamundaSide]:
    with CamundaSide([vhost.amqp_parameters()]) as camunda:
        camunda.declare_topology()
        yield camunda


def test_every_topic_of_python_services_reaches_its_queue_unchanged(
    vhost: BrokerAddress, broker: Broker, camunda: CamundaSide, tmp_path: Path
) -> None:
    sent = {topic: camunda_message(f"task-{topic}", topic=topic, system="python-services") for topic in ELEVEN}
    for topic, body in sent.items():
        camunda.publish(body, f"python-services.{topic}", {"camunda_topic": topic})
    assert camunda.count(DEFAULT) == 11, "no binding takes them"
    with Daemon(vhost, tmp_path, {}) as daemon:
        wait_until(lambda: sum(broker.count(queue) for queue in TARGETS) == 11, 60, "all in their queues")
        wait_until(lambda: "task.rerouted" in daemon.output(), 30, "the log line")
        assert daemon.stop() == 0
    arrived = {queue: broker.get_all(queue) for queue in TARGETS}
    for queue, messages in arrived.items():
        for properties, body in messages:
            topic = json.loads(body)["topic"]
            headers = properties.headers or {}
            assert (queue, body) == (ELEVEN[topic], sent[topic])
            assert headers == {
                "camunda_topic": topic,
                HEADER_HOPS: 1,
                HEADER_ORIGIN: f"{TASKS_EXCHANGE}/python-services.{topic}",
                "task-creator-attempt": 1,
                "task-creator-ambiguous": 0,
                "task-creator-first-seen": headers["task-creator-first-seen"],
            }
    assert "which this worker does not consume" in daemon.output()
    assert (broker.count(DEFAULT), broker.count(ERRORS)) == (0, 0)


def test_what_nobody_handles_is_told_and_what_cannot_be_read_keeps_its_bytes(
    vhost: BrokerAddress, broker: Broker, camunda: CamundaSide, tmp_path: Path
) -> None:
    camunda.publish(camunda_message("t", topic="aprove", system="default"), "default.aprove", {})
    camunda.publish(b"\xff no task", "default.broken", {})
    with Daemon(vhost, tmp_path, {}) as daemon:
        broker.wait_for_count(ERRORS, 2, 60)
        assert daemon.stop() == 0
    reports = [json.loads(body) for _, body in broker.get_all(ERRORS)]
    assert {report["code"] for report in reports} == {"no_handler", "not_utf8"}
    assert (broker.count(RESPONSES), broker.count("default.sent.queue")) == (0, 0), "nothing is made a success"


def test_a_worker_killed_in_the_middle_loses_nothing_on_the_way(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    task_ids = [f"task-{number}" for number in range(3000)]
    broker.declare(DEFAULT)
    broker.publish_all(DEFAULT, [camunda_message(each, topic="create_user", system="x") for each in task_ids])
    for number in range(3):
        before = broker.count("python-services.queue")
        with Daemon(vhost, tmp_path, {"STATE_DIR": str(tmp_path / f"state-{number}")}) as daemon:
            broker.wait_for_at_least("python-services.queue", before + 100, 60)
            daemon.kill()
    with Daemon(vhost, tmp_path, {}) as daemon:
        wait_until(lambda: broker.count(DEFAULT) == 0, 60, "an empty default queue")
        assert daemon.stop() == 0
    messages = broker.get_all("python-services.queue")
    assert {json.loads(body)["task_id"] for _, body in messages} == set(task_ids)
    ids = Counter(properties.message_id for properties, _ in messages)
    assert set(ids) == {f"{each}:task" for each in task_ids}, "a second copy is known by its message id"
    assert broker.count(ERRORS) == 0


def test_a_webhook_takes_the_rest_and_holds_up_nobody_while_it_is_down(
    vhost: BrokerAddress, broker: Broker, camunda: CamundaSide, tmp_path: Path
) -> None:
    with AnsweringServer() as server:
        server.answer = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        variables = {
            "DEFAULT_QUEUE_WEBHOOK_URL": f"{server.address}/{server.secret}",
            "DEFAULT_QUEUE_WEBHOOK_WAIT": "0.5",
            "RETRY_ATTEMPTS": "0",
        }
        with Daemon(vhost, tmp_path, variables) as daemon:
            camunda.publish(camunda_message("t", topic="aprove", system="default"), "default.aprove", {})
            wait_until(lambda: server.requests >= 3, 60, "several tries")
            camunda.publish(camunda_message("u", topic="create_user", system="x"), "x.create_user", {})
            broker.wait_for_count("python-services.queue", 1, 30)
            server.answer = b'HTTP/1.1 200 X\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{"ticket": 77}'
            broker.wait_for_count(RESPONSES, 1, 30)
            assert daemon.stop() == 0
        assert server.secret not in daemon.output()
    [(_, body)] = broker.get_all(RESPONSES)
    response = json.loads(body)
    assert (response["original_message"]["task_id"], response["response_data"]) == ("t", {"ticket": 77})
    assert broker.count(ERRORS) == 0


def test_every_topic_of_the_origin_reaches_its_handler_and_is_done_there(
    vhost: BrokerAddress, broker: Broker, camunda: CamundaSide, tmp_path: Path
) -> None:
    """All eleven come through default.queue, as from the live Camunda side, and end at the system that they mean."""
    services = [topic for topic, queue in ELEVEN.items() if queue == "python-services.queue"]
    with EmailSandbox() as mails, TelegramSandbox() as telegram, ServicesSandbox() as server:
        registry = tmp_path / "services.toml"
        topics = json.dumps(services)
        registry.write_text(f'[services.all]\nkind = "http"\ntopics = {topics}\nurl = "{server.base_url}/sync/all"\n')
        variables = {
            "EMAIL_SMTP_HOST": "127.0.0.1",
            "EMAIL_SMTP_PORT": str(mails.port),
            "EMAIL_TLS": "none",
            "EMAIL_FROM": "worker@example.ru",
            "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_API_URL": telegram.base_url,
            "TELEGRAM_CHAT_ID": str(PERSON),
            "SERVICES_FILE": str(registry),
        }
        inputs = {"to": "a@example.com", "subject": "Проверка", "body": "Текст"}
        for topic in ELEVEN:
            given = {**inputs, "text": f"task-{topic}"}
            body = camunda_message(f"task-{topic}", topic=topic, system="python-services", variables=given)
            camunda.publish(body, f"python-services.{topic}", {})
        assert camunda.count(DEFAULT) == 11
        with Daemon(vhost, tmp_path, variables) as daemon:
            broker.wait_for_count(RESPONSES, 11, 60)
            assert daemon.stop() == 0
        done = {
            "email.queue": set(mails.by_task()),
            "telegram.queue": set(telegram.by_task(r"task-\w+")),
            "python-services.queue": set(server.by_key()),
        }
    for queue in TARGETS:
        assert done[queue] == {f"task-{topic}" for topic, target in ELEVEN.items() if target == queue}
    answered = Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(RESPONSES))
    assert answered == Counter(f"task-{topic}" for topic in ELEVEN)
    assert broker.count(ERRORS) == 0


def test_a_secret_that_a_server_repeats_reaches_no_queue(
    vhost: BrokerAddress, broker: Broker, camunda: CamundaSide, tmp_path: Path
) -> None:
    token = "s3cret-token-of-the-webhook"
    body = json.dumps({"message": f"unknown Authorization: Bearer {token}"}).encode()
    with AnsweringServer() as server:
        server.answer = b"HTTP/1.1 400 X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        variables = {"DEFAULT_QUEUE_WEBHOOK_URL": server.address, "DEFAULT_QUEUE_WEBHOOK_TOKEN": token}
        camunda.publish(camunda_message("t", topic="aprove", system="default"), "default.aprove", {})
        with Daemon(vhost, tmp_path, variables) as daemon:
            broker.wait_for_count(ERRORS, 1, 60)
            assert daemon.stop() == 0
    [(properties, report)] = broker.get_all(ERRORS)
    assert "unknown" in json.loads(report)["error"]
    assert token not in f"{properties.headers}{report.decode()}{daemon.output()}"
