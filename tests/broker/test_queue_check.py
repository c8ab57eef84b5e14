"""What RabbitMQ would drop is told at the start, with the policy that prevents it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from broker.connection import connection_parameters
from broker.queue_check import Danger, dangers
from broker.returns import DEFAULT_LIMIT, NO_LIMIT
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import rabbitmq_settings, wait_until
from tests.broker.test_returns import QUORUM, by_end_of_channel, returned_once
from tests.support.commands import run

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"


def found(vhost: BrokerAddress, *queues: str) -> list[Danger]:
    return dangers(connection_parameters(rabbitmq_settings(vhost), "test"), queues)


def limits(vhost: BrokerAddress, *queues: str) -> list[tuple[tuple[str, ...], int, bool]]:
    return [(danger.queues, danger.limit, danger.by_argument) for danger in found(vhost, *queues)]


def test_quorum_queues_of_others_are_named_where_rabbitmq_drops_by_itself(vhost: BrokerAddress, broker: Broker) -> None:
    for queue in (QUEUE, SENT):
        broker.declare(queue, arguments=QUORUM)
    broker.declare("1c.queue", arguments={"x-queue-type": "classic"})
    expected = [((QUEUE, SENT), DEFAULT_LIMIT, False)] if broker.version() >= (4, 0) else []
    assert limits(vhost, QUEUE, "1c.queue", SENT, "missing") == expected


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        ({"x-delivery-limit": NO_LIMIT}, None),
        ({"x-delivery-limit": 7}, 7),
        ({"x-delivery-limit": 7, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}, None),
    ],
    ids=["ours", "low", "dead-lettered"],
)
def test_a_limit_that_the_queue_itself_has_is_named(
    vhost: BrokerAddress, broker: Broker, arguments: dict[str, Any], limit: int | None
) -> None:
    broker.declare(QUEUE, arguments={**QUORUM, **arguments})
    assert limits(vhost, QUEUE) == ([] if limit is None else [((QUEUE,), limit, True)])


def test_minus_one_is_no_limit_on_4_and_drops_at_the_first_return_before(vhost: BrokerAddress, broker: Broker) -> None:
    broker.declare(QUEUE, arguments={**QUORUM, "x-delivery-limit": -1})
    broker.publish(QUEUE, b"x")
    told = limits(vhost, QUEUE)
    returned_once(broker, QUEUE, by_end_of_channel)
    if broker.version() >= (4, 0):
        assert (told, broker.count(QUEUE)) == ([], 1)
    else:
        assert (told, broker.count(QUEUE)) == ([((QUEUE,), 0, True)], 0)


def test_the_look_creates_no_queue_and_takes_no_message(vhost: BrokerAddress, broker: Broker, node: RabbitNode) -> None:
    broker.declare(QUEUE, arguments=QUORUM)
    broker.publish(QUEUE, b"x")
    found(vhost, QUEUE, "missing")
    assert list(node.list_queues(vhost.vhost)) == [QUEUE]
    with broker.channel() as channel:
        method, _, _ = channel.basic_get(QUEUE)
    assert method is not None
    assert not method.redelivered


def test_the_policy_that_is_told_prevents_the_loss(vhost: BrokerAddress, broker: Broker, node: RabbitNode) -> None:
    broker.declare(QUEUE, arguments=QUORUM)
    danger = Danger((QUEUE, SENT), DEFAULT_LIMIT, by_argument=False, version=(4, 0, 5), virtual_host=vhost.vhost)
    follow(danger, node)
    broker.publish(QUEUE, b"x")
    for _ in range(DEFAULT_LIMIT + 5):
        returned_once(broker, QUEUE, by_end_of_channel)
    assert broker.count(QUEUE) == 1


def test_the_policy_for_a_limit_by_argument_keeps_what_is_dropped(
    vhost: BrokerAddress, broker: Broker, node: RabbitNode
) -> None:
    broker.declare("errors.camunda_tasks.queue")
    broker.declare(QUEUE, arguments={**QUORUM, "x-delivery-limit": 3})
    [danger] = found(vhost, QUEUE)
    follow(danger, node)
    broker.publish(QUEUE, b"x")
    for _ in range(4):
        returned_once(broker, QUEUE, by_end_of_channel)
    broker.wait_for_count("errors.camunda_tasks.queue", 1)


def test_no_policy_that_is_told_takes_the_place_of_another(
    vhost: BrokerAddress, broker: Broker, node: RabbitNode
) -> None:
    broker.declare("errors.camunda_tasks.queue")
    for queue, limit in ((QUEUE, 1), (SENT, 2)):
        broker.declare(queue, arguments={**QUORUM, "x-delivery-limit": limit})
    told = found(vhost, QUEUE, SENT)
    assert [danger.queues for danger in told] == [(QUEUE,), (SENT,)]
    for danger in told:
        follow(danger, node)
    broker.publish(QUEUE, b"x")
    for _ in range(2):
        returned_once(broker, QUEUE, by_end_of_channel)
    broker.wait_for_count("errors.camunda_tasks.queue", 1)


def follow(danger: Danger, node: RabbitNode) -> None:
    """Does what the remark says, which is the same in both languages."""
    english, russian = danger.text()
    command = english[english.index("rabbitmqctl") :]
    assert russian.endswith(command)
    program, *arguments = shlex.split(command)
    assert program == "rabbitmqctl"
    node.ctl(*arguments)


def test_the_remark_names_queues_version_and_number(vhost: BrokerAddress) -> None:
    danger = Danger((QUEUE, SENT), DEFAULT_LIMIT, by_argument=False, version=(4, 3, 6), virtual_host="/")
    english, russian = danger.text()
    for text in (english, russian):
        assert text.startswith(f"{QUEUE}, {SENT}: RabbitMQ 4.3.6 ")
    assert "returned 21 times" in english
    assert "21 раз" in russian


def test_a_worker_says_at_its_start_what_its_queues_drop(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
    # A limit by argument is one on every version.
    broker.declare("default.queue", arguments={**QUORUM, "x-delivery-limit": 7})
    with Daemon(vhost, tmp_path, {}) as daemon:
        wait_until(lambda: "queue.remark" in daemon.output(), 60, "the remark")
        assert daemon.stop() == 0
    assert "default.queue: RabbitMQ" in daemon.output()
    assert "has been returned 8 times" in daemon.output()


@pytest.mark.parametrize(("lang", "words"), [("C.UTF-8", "has been returned 8 times"), ("ru_RU.UTF-8", "8 раз")])
def test_the_check_of_the_settings_says_what_queues_drop(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path, lang: str, words: str
) -> None:
    broker.declare("default.queue", arguments={**QUORUM, "x-delivery-limit": 7})
    done = run("main.py", ["config", "check", "--probe"], {**vhost.environment(), "LANG": lang}, tmp_path)
    assert done.returncode == 0, "a policy may have mended it"
    assert words in done.stdout
    assert "rabbitmqctl set_policy" in done.stdout


def test_the_check_of_the_settings_says_that_rabbitmq_could_not_be_asked(vhost: BrokerAddress, tmp_path: Path) -> None:
    nobody = {**vhost.environment(), "RABBITMQ_PORT": "1"}
    done = run("main.py", ["config", "check", "--probe"], nobody, tmp_path)
    assert done.returncode == 3
    assert "NOT USABLE" in done.stdout
    assert "Traceback" not in done.stderr
