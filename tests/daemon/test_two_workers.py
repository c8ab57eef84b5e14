"""Two workers and systems that recognise no repetition: who has begun what is told between them, and counted outside.

Two daemons on one virtual host. On one machine they share STATE_DIR; `apart` they have one each, as on two machines.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from core.policy import AMBIGUOUS_LIMIT
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.email import EmailSandbox
from sandbox.proxy import TcpProxy
from sandbox.telegram import PERSON, TelegramSandbox
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.support.system_stories import System, publish
from tests.systems.python_services.support import python, registry_file

THREADS = 4  # CONCURRENCY: what a worker can have under way at once
COUNT = 24
LATENCY = 1.5  # seconds for a send: longer than another worker needs to take over
SERVICES = "python-services.queue"


@pytest.fixture
def proxy(vhost: BrokerAddress) -> Iterator[TcpProxy]:
    with TcpProxy(vhost.host, vhost.port) as proxy:
        yield proxy


@contextlib.contextmanager
def mail(choice: str) -> Iterator[System]:
    def task(task_id: str) -> bytes:
        given = {"to": "ivan@example.com", "subject": f"Задача {task_id}", "body": "Текст"}
        return camunda_message(task_id, topic="send_email", system="email", variables=given)

    with EmailSandbox(latency=LATENCY) as mails:
        variables = {
            "EMAIL_SMTP_HOST": "127.0.0.1",
            "EMAIL_SMTP_PORT": str(mails.port),
            "EMAIL_TLS": "none",
            "EMAIL_FROM": "worker@example.ru",
            "EMAIL_AMBIGUOUS_WAIT": "0.5",
            "EMAIL_ON_AMBIGUOUS": choice,
        }
        yield System("email.queue", variables, task, mails.by_task, mails.go_down, mails.come_back)


@contextlib.contextmanager
def chat(choice: str) -> Iterator[System]:
    def task(task_id: str) -> bytes:
        variables = {"text": f"Договор {task_id} согласован"}
        return camunda_message(task_id, topic="send_telegram", system="telegram", variables=variables)

    with TelegramSandbox(latency=LATENCY) as telegram:
        variables = {
            "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_API_URL": telegram.base_url,
            "TELEGRAM_CHAT_ID": str(PERSON),
            "TELEGRAM_RATE_PER_SECOND": "1000",
            "TELEGRAM_CHAT_RATE_PER_SECOND": "1000",
            "TELEGRAM_CHAT_BURST": "1000",
            "TELEGRAM_ON_AMBIGUOUS": choice,
        }
        objects = lambda: telegram.by_task(r"task-\d+")  # noqa: E731
        yield System("telegram.queue", variables, task, objects, telegram.go_down, telegram.come_back)


SYSTEMS = {"mail": mail, "chat": chat}


def workers(
    first: BrokerAddress, second: BrokerAddress, folder: Path, variables: Mapping[str, str], *, apart: bool = False
) -> tuple[Daemon, Daemon]:
    common = {"CONCURRENCY": str(THREADS), **variables}
    states = [folder / "state-1", folder / "state-2"] if apart else [folder / "state"] * 2
    made = [
        Daemon(address, folder / name, {**common, "STATE_DIR": str(state)})
        for address, name, state in zip((first, second), ("first", "second"), states, strict=True)
    ]
    return made[0], made[1]


def reports(broker: Broker) -> dict[str, str]:
    return {json.loads(body)["task_id"]: json.loads(body)["code"] for _, body in broker.peek(ERRORS)}


def answers(broker: Broker) -> Counter[str]:
    return Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.peek(RESPONSES))


def wait_for_rest(broker: Broker, queue: str, task_ids: list[str]) -> None:
    sent = f"{queue.removesuffix('.queue')}.sent.queue"
    wait_until(lambda: answers(broker).keys() | reports(broker).keys() >= set(task_ids), 120, "an end of each task")
    wait_until(lambda: not broker.count(queue) and not broker.count(sent), 60, "empty queues")


def test_a_function_that_may_run_once_runs_once_though_two_workers_have_each_task_twice(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    broker.declare(SERVICES)
    calls = tmp_path / "calls"
    services = {"once": python("tests.support.services_callables:count_slowly", "once", at_once=THREADS)}
    task_ids = [f"task-{number}" for number in range(60)]
    inputs = {"into": str(calls), "seconds": 0.05}
    bodies: list[bytes | str] = [
        camunda_message(each, topic="once", system="python-services", variables=inputs)
        for each in task_ids
        for _ in range(2)  # side by side: each worker gets one of the two
    ]
    variables = {"SERVICES_FILE": str(registry_file(tmp_path, services)), "PREFETCH": "1"}
    first, second = workers(vhost, vhost, tmp_path, variables)
    with first, second:
        for daemon in (first, second):
            wait_until(lambda each=daemon: f"{SERVICES} is consumed" in each.output(), 60, "both")  # type: ignore[misc]
        broker.publish_all(SERVICES, bodies)
        wait_for_rest(broker, SERVICES, task_ids)
        assert first.stop() == 0
        assert second.stop() == 0
    assert reports(broker) == {}, "none was taken for what a crash has left"
    assert Counter(calls.read_text().splitlines()) == Counter(task_ids)
    assert set(answers(broker)) == set(task_ids)


@pytest.mark.parametrize("choice", ["resend", "fail"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_what_a_worker_was_sending_when_it_lost_rabbitmq_is_left_to_it_by_the_next_one(
    name: str, choice: str, vhost: BrokerAddress, proxy: TcpProxy, broker: Broker, tmp_path: Path
) -> None:
    """On one machine: not even what was in flight is sent twice, and nothing is reported that has arrived."""
    with SYSTEMS[name](choice) as system:
        task_ids = take_over(system, vhost, proxy, broker, tmp_path, apart=False)
        assert system.created_times() == Counter({1: COUNT})
        assert reports(broker) == {}
    assert answers(broker).keys() == set(task_ids)


@pytest.mark.parametrize("name", SYSTEMS)
def test_between_two_machines_at_most_what_was_in_flight_at_the_loss_is_sent_twice(
    name: str, vhost: BrokerAddress, proxy: TcpProxy, broker: Broker, tmp_path: Path
) -> None:
    """Being sent, or sent just before: RabbitMQ had not confirmed its result yet. One of each for a thread."""
    with SYSTEMS[name]("resend") as system:
        task_ids = take_over(system, vhost, proxy, broker, tmp_path, apart=True)
        sent = system.objects()
        assert sent.keys() == set(task_ids)
        assert sum(len(each) - 1 for each in sent.values()) <= 2 * THREADS
        assert reports(broker) == {}
    assert answers(broker).keys() == set(task_ids)


def take_over(
    system: System, vhost: BrokerAddress, proxy: TcpProxy, broker: Broker, folder: Path, *, apart: bool
) -> list[str]:
    """The first worker loses its way to RabbitMQ, and not its way to the system, in the middle of its work."""
    broker.declare(system.queue)
    first, second = workers(vhost.through(proxy.port), vhost, folder, system.variables, apart=apart)
    with first, second:
        wait_until(lambda: f"{system.queue} is consumed" in first.output() + second.output(), 60, "one of them")
        wait_until(lambda: "queue.standby" in first.output() + second.output(), 60, "the other")
        if "queue.standby" in first.output():
            second.kill()
            wait_until(lambda: "queue.taken_over" in first.output(), 60, "the first to take over")
            second.start()
            wait_until(lambda: "queue.standby" in second.output(), 60, "the second to stand by")
        task_ids = publish(system, broker, COUNT)
        wait_until(lambda: len(system.objects()) >= 4, 60, "some in the system")
        proxy.refuse()
        proxy.cut()
        wait_for_rest(broker, system.queue, task_ids)
        proxy.restore()
        assert first.stop() == 0
        assert second.stop() == 0
    return task_ids


def test_a_mail_that_is_being_taken_for_long_costs_its_second_message_nothing(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    with mail("resend") as system, EmailSandbox(latency=15) as slow:
        variables = {**system.variables, "EMAIL_SMTP_PORT": str(slow.port), "EMAIL_AMBIGUOUS_WAIT": "0.2"}
        with Daemon(vhost, tmp_path, variables) as daemon:
            task_ids = publish(system, broker, 1)
            wait_until(lambda: slow.taken_in > 0, 60, "the mail to be on its way")
            publish(system, broker, 1)
            tries = AMBIGUOUS_LIMIT + 1
            wait_until(lambda: daemon.output().count("key_in_use") > tries, 60, "more tries than there may be doubts")
            assert not slow.mails()
            wait_for_rest(broker, system.queue, task_ids)
            wait_until(lambda: len(slow.mails()) > 0, 30, "the mail")
            assert daemon.stop() == 0
        assert [len(each) for each in slow.by_task().values()] == [1]
    assert reports(broker) == {}
    assert answers(broker).keys() == set(task_ids)
