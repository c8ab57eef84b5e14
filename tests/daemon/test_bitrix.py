"""The whole daemon as a process, against a real broker and the Bitrix24 sandbox, counted from outside by task id."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults.stage import QUORUM_FIGURES_LAG
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox, faults
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.support.queue_types import CLASSIC_AND_QUORUM, EVERY_QUEUE_TYPE

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"
KEY = "UF_CAMUNDA_ID_EXTERNAL_TASK"


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


def publish(broker: Broker, count: int, prefix: str = "task") -> list[str]:
    broker.declare(QUEUE)
    task_ids = [f"{prefix}-{number}" for number in range(count)]
    broker.publish_all(QUEUE, [camunda_message(task_id) for task_id in task_ids])
    return task_ids


def created_times(portal: BitrixSandbox) -> Counter[int]:
    """How many Camunda tasks have one Bitrix24 task, how many two, …"""
    return Counter(len(ids) for ids in portal.tasks_by_key(KEY).values())


def ids(broker: Broker, queue: str) -> Counter[str]:
    return Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(queue))


def finish_all(portal: BitrixSandbox) -> None:
    for task in portal.tasks:
        portal.finish(int(task["ID"]), answer="ДА")


def dying_at(point: str, count: int) -> tuple[str, ...]:
    """The daemon that kills itself when it comes to the point for the `count`-th time."""
    return "-m", "benchmarks.faults.daemon", "--kill", f"{point}:{count}"


def nothing_is_waiting(node: RabbitNode, broker: Broker) -> bool:
    """No task is in the input queue or a wait queue, taken but unsettled ones included.

    Messages go round between the two, so each is looked at after the other, twice; RabbitMQ counts what is taken from a
    quorum queue every five seconds, or later when it is busy: who knows how many tasks there will be waits for them
    first.
    """
    if not all(_input_and_wait_queues_are_empty(node, broker) for _ in range(2)):
        return False
    if broker.address.queue_type == "classic":
        return True
    time.sleep(QUORUM_FIGURES_LAG)
    return _input_and_wait_queues_are_empty(node, broker)


def _input_and_wait_queues_are_empty(node: RabbitNode, broker: Broker) -> bool:
    queues = node.list_queues(broker.vhost)
    # rabbitmqctl's figure of a quorum queue is seconds old; a passive declare tells today's, and nobody consumes a
    # wait queue, so all that it holds is ready.
    return queues[QUEUE] == 0 and not any(broker.count(name) for name in queues if name.startswith(f"{QUEUE}.retry."))


@EVERY_QUEUE_TYPE
def test_the_loop_closes_from_camunda_s_queue_to_its_responses(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 120)
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        broker.wait_for_count(SENT, 120)
        finish_all(portal)
        broker.wait_for_count(RESPONSES, 120)
        assert daemon.stop() == 0

    assert ids(broker, RESPONSES) == Counter(task_ids)
    assert created_times(portal) == {1: 120}
    assert (broker.count(QUEUE), broker.count(SENT), broker.count(ERRORS)) == (0, 0, 0)
    assert "not consumed" in daemon.output(), "the start-up log names the queues without a handler"
    assert portal.webhook_token not in daemon.output()


@pytest.mark.parametrize("point", ["created", "published", "confirmed"])
def test_a_worker_killed_between_creating_and_acking_creates_no_second_task(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path, point: str
) -> None:
    task_ids: list[str] = []
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url}
    for count in (1, 5, 17):
        task_ids += publish(broker, 60, prefix=f"before-{count}")
        # A journal of starts for each: a message that is in hand at all three deaths would be taken for their cause.
        journal = {"STATE_DIR": str(tmp_path / f"state-{count}")}
        dying = Daemon(vhost, tmp_path, {**variables, **journal}, arguments=dying_at(point, count))
        with dying as daemon:
            assert daemon.wait(60) == -signal.SIGKILL
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: nothing_is_waiting(node, broker), 90, "an empty input queue")
        assert daemon.stop() == 0

    stored = ids(broker, SENT)
    assert set(stored) == set(task_ids), f"lost: {set(task_ids) - set(stored)}"
    assert created_times(portal) == {1: 180}
    assert broker.count(ERRORS) == 0


def test_a_worker_killed_while_answering_loses_no_answer(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 30)
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url}
    with Daemon(vhost, tmp_path, variables) as daemon:
        broker.wait_for_count(SENT, 30)
        daemon.stop()
    finish_all(portal)
    for count in (1, 2):
        dying = Daemon(vhost, tmp_path, variables, arguments=dying_at("response-confirmed", count))
        with dying as daemon:
            assert daemon.wait(60) == -signal.SIGKILL
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: node.list_queues(broker.vhost)[SENT] == 0, 60, "an empty sent queue")
        broker.wait_for_at_least(RESPONSES, 30)
        daemon.stop()

    answers = broker.get_all(RESPONSES)
    by_task: dict[str, set[str | None]] = {}
    for properties, body in answers:
        task_id = json.loads(body)["original_message"]["task_id"]
        by_task.setdefault(task_id, set()).add(properties.message_id)
    assert set(by_task) == set(task_ids)
    assert all(len(message_ids) == 1 for message_ids in by_task.values()), "a second answer is recognisable as such"


@CLASSIC_AND_QUORUM
def test_a_worker_killed_at_random_again_and_again_finishes_everything_once(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 400)
    portal.inject(faults.delay(0.1), "batch", count=1000)  # so that a kill finds requests on the wire
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "PREFETCH": "60"}
    for target in (40, 130, 220, 300):
        with Daemon(vhost, tmp_path, variables) as daemon:
            wait_until(lambda target=target: portal.task_count >= target, 60, f"{target} tasks")  # type: ignore[misc]
            daemon.kill()
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: portal.task_count >= 400, 90, "all tasks")
        wait_until(lambda: nothing_is_waiting(node, broker), 90, "an empty input queue")
        finish_all(portal)
        broker.wait_for_at_least(RESPONSES, 400, 60)
        wait_until(lambda: node.list_queues(broker.vhost)[SENT] == 0, 60, "an empty sent queue")
        assert daemon.stop() == 0
    assert set(ids(broker, RESPONSES)) == set(task_ids)
    assert created_times(portal) == {1: 400}


def test_sigterm_under_load_ends_with_code_0_and_the_rest_is_with_the_broker(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 500)
    portal.inject(faults.delay(0.2), "batch", count=1000)
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: portal.task_count >= 50, 60, "some tasks")
        assert daemon.stop() == 0
    assert portal.task_count < 500, "it was stopped in the middle"
    assert broker.count(QUEUE) + broker.count(SENT) >= 500
    portal.clear_faults()
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: nothing_is_waiting(node, broker), 90, "an empty input queue")
        assert daemon.stop() == 0
    assert ids(broker, SENT) == Counter(task_ids), "an orderly stop stores every result exactly once"
    assert created_times(portal) == {1: 500}


def test_a_second_ctrl_c_stops_at_once_and_loses_nothing(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 20)
    hanging = portal.inject(faults.delay(5), "tasks.task.add", count=1)
    # Longer than the request hangs: another one that overtakes it may let the second worker begin at once.
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "BITRIX_AMBIGUOUS_WAIT": "8"}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: hanging.hits > 0, 60, "a hanging request")
        daemon.send(signal.SIGINT)
        wait_until(lambda: "stopping" in daemon.output(), what="the first Ctrl+C")
        daemon.send(signal.SIGINT)
        assert daemon.wait(10) == 130
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: nothing_is_waiting(node, broker), 60, "an empty input queue")
        daemon.stop()
    assert set(ids(broker, SENT)) == set(task_ids)
    assert created_times(portal) == {1: 20}


def test_a_portal_down_for_longer_than_all_retries_costs_nothing(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 100)
    portal.go_down()
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "RETRY_ATTEMPTS": "1", "RETRY_DELAY": "0.1"}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: daemon.output().count("system.probe") >= 8, 60, "eight failed probes")
        assert broker.count(ERRORS) == 0
        portal.come_back()
        broker.wait_for_count(SENT, 100)
        daemon.stop()
    sent = broker.get_all(SENT)
    assert {json.loads(body)["original_message"]["task_id"] for _, body in sent} == set(task_ids)
    assert created_times(portal) == {1: 100}
    assert broker.count(ERRORS) == 0


def test_a_revoked_webhook_holds_the_messages_until_it_is_restored(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    publish(broker, 30)
    portal.revoke_webhook()
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        wait_until(lambda: "system.paused" in daemon.output(), 60, "the pause")
        assert broker.count(ERRORS) == 0
        portal.restore_webhook()
        broker.wait_for_count(SENT, 30)
        daemon.stop()
    assert broker.count(ERRORS) == 0
    assert portal.webhook_token not in daemon.output()


def test_ten_percent_transient_faults_lose_and_double_nothing(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 1000)
    for fault in (
        faults.error("INTERNAL_SERVER_ERROR"),
        faults.error("INTERNAL_SERVER_ERROR", after_execution=True),
        faults.reset(after_execution=True),
        faults.reset(),
    ):
        portal.inject(fault, "tasks.task.add", count=10_000, probability=0.025)
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "RETRY_ATTEMPTS": "15", "RETRY_MAX_DELAY": "1"}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: broker.count(SENT) >= 1000, 150, "1,000 results")
        daemon.stop()
    assert ids(broker, SENT) == Counter(task_ids)
    assert created_times(portal) == {1: 1000}
    assert broker.count(ERRORS) == 0


@CLASSIC_AND_QUORUM
def test_cut_connections_to_the_broker_lose_and_double_nothing(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, proxy: TcpProxy, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 300)
    portal.inject(faults.delay(0.05), "batch", count=1000)
    with Daemon(vhost.through(proxy.port), tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        for target in (50, 120, 200):
            wait_until(lambda target=target: portal.task_count >= target, 60, f"{target} tasks")  # type: ignore[misc]
            proxy.cut()
        wait_until(lambda: nothing_is_waiting(node, broker), 90, "an empty input queue")
        daemon.stop()
    assert set(ids(broker, SENT)) == set(task_ids)
    assert created_times(portal) == {1: 300}


@CLASSIC_AND_QUORUM
def test_a_broker_restarted_while_working_loses_and_doubles_nothing(
    destructive_node: RabbitNode, destructive_broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(destructive_broker, 300)
    portal.inject(faults.delay(0.05), "batch", count=1000)
    with Daemon(destructive_broker.address, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        wait_until(lambda: portal.task_count >= 60, 60, "60 tasks")
        destructive_node.stop()
        destructive_node.start()
        wait_until(lambda: portal.task_count >= 300, 90, "all tasks")
        wait_until(lambda: nothing_is_waiting(destructive_node, destructive_broker), 90, "an empty input queue")
        finish_all(portal)
        destructive_broker.wait_for_at_least(RESPONSES, 300, 60)
        daemon.stop()
    assert set(ids(destructive_broker, RESPONSES)) == set(task_ids)
    assert created_times(portal) == {1: 300}


def test_the_same_task_published_twice_becomes_one_task(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 100)
    publish(broker, 100)
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        wait_until(lambda: portal.task_count >= 100, 60, "all tasks")
        wait_until(lambda: nothing_is_waiting(node, broker), 60, "an empty input queue")
        finish_all(portal)
        broker.wait_for_at_least(RESPONSES, 100)
        wait_until(lambda: node.list_queues(broker.vhost)[SENT] == 0, 60, "an empty sent queue")
        daemon.stop()
    assert created_times(portal) == {1: 100}
    assert ids(broker, RESPONSES) == Counter(task_ids), "one answer each"


def test_of_two_workers_one_works_and_the_other_takes_over_when_it_is_killed(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    broker.declare(QUEUE)
    portal.inject(faults.delay(0.3), "batch", count=1000)
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url}
    with Daemon(vhost, tmp_path / "a", variables) as first, Daemon(vhost, tmp_path / "b", variables) as second:
        wait_until(lambda: "queue.standby" in first.output() + second.output(), 60, "the standby")
        working, waiting = (second, first) if "queue.standby" in first.output() else (first, second)
        # Every task is published twice: two workers at once could both look, find nothing and create.
        task_ids = publish(broker, 200)
        publish(broker, 200)
        wait_until(lambda: portal.task_count >= 20, 60, "the first tasks")
        working.kill()
        wait_until(lambda: nothing_is_waiting(node, broker), 90, "an empty input queue")
        assert "queue.taken_over" in waiting.output()
        assert waiting.stop() == 0
    assert created_times(portal) == {1: 200}
    assert set(ids(broker, SENT)) == set(task_ids)


def test_a_slow_portal_does_not_slow_another_queue_down(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    publish(broker, 50)
    broker.declare("other.queue")
    slow = portal.inject(faults.delay(30), "*", count=1000)
    handlers = {"other.queue": {"module": "tests.support.other_system", "handler_class": "OtherHandler"}}
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "QUEUE_HANDLERS": json.dumps(handlers)}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: slow.hits > 0, 60, "a hanging request")
        broker.publish_all("other.queue", [camunda_message(f"other-{number}") for number in range(500)])
        broker.wait_for_count("other.sent.queue", 500)
        assert broker.count(SENT) == 0, "Bitrix24 has not answered once meanwhile"
        daemon.kill()


def test_everything_works_on_quorum_queues(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    # RabbitMQ 4.0 to 4.2 drop a message after 20 returns; this queue does after 3.
    broker.declare(QUEUE, arguments={"x-queue-type": "quorum"})
    broker.declare(SENT, arguments={"x-queue-type": "quorum", "x-delivery-limit": 3})
    task_ids = [f"task-{number}" for number in range(100)]
    broker.publish_all(QUEUE, [camunda_message(task_id) for task_id in task_ids])
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "RABBITMQ_QUEUE_TYPE": "quorum", "HEARTBEAT_INTERVAL": "0.2"}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: portal.task_count == 100, 60, "100 tasks")
        wait_until(lambda: daemon.output().count("heartbeat") > 6, 60, "many sweeps")
        finish_all(portal)
        broker.wait_for_at_least(RESPONSES, 100, 60)
        assert daemon.stop() == 0
    assert ids(broker, RESPONSES) == Counter(task_ids)
    assert created_times(portal) == {1: 100}


def test_logs_that_cannot_be_written_do_not_stop_the_work(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    publish(broker, 20)
    (tmp_path / "not-a-folder").write_text("")
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "LOG_DIR": str(tmp_path / "not-a-folder" / "logs")}
    with Daemon(vhost, tmp_path, variables) as daemon:
        broker.wait_for_count(SENT, 20)
        assert daemon.stop() == 0


def test_no_secret_appears_in_logs_or_messages(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    publish(broker, 5)
    broker.publish(QUEUE, b"no json")
    portal.go_down()
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "LOG_LEVEL": "DEBUG"}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: "system.probe" in daemon.output(), 60, "a failed probe")
        portal.come_back()
        portal.revoke_webhook()
        wait_until(lambda: daemon.output().count("system.probe") > 5, 60, "refused probes")
        portal.restore_webhook()
        broker.wait_for_count(SENT, 5)
        broker.wait_for_count(ERRORS, 1)
        daemon.stop()
    secret = portal.webhook_token
    code = secret.rsplit("/", 1)[-1]
    everything = daemon.output() + "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    for queue in (SENT, ERRORS):
        everything += "".join(f"{properties}{body.decode()}" for properties, body in broker.get_all(queue))
    assert vhost.password not in everything
    assert code not in everything


def test_sigterm_while_the_broker_is_gone_ends_with_code_0(
    vhost: BrokerAddress, broker: Broker, proxy: TcpProxy, portal: BitrixSandbox, tmp_path: Path
) -> None:
    publish(broker, 10)
    with Daemon(vhost.through(proxy.port), tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        broker.wait_for_count(SENT, 10)
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: "rabbitmq.unreachable" in daemon.output(), 60, "the loss of the broker")
        assert daemon.stop() == 0


def test_sigterm_during_an_outage_ends_with_code_0_and_the_messages_wait(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    publish(broker, 150)
    portal.go_down()
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        wait_until(lambda: "system.probe" in daemon.output(), 60, "a failed probe")
        assert daemon.stop() == 0
    broker.wait_for_count(QUEUE, 150)


def test_a_half_open_link_to_the_broker_is_noticed_and_replaced(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, proxy: TcpProxy, portal: BitrixSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 20)
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "RABBITMQ_HEARTBEAT": "2"}
    with Daemon(vhost.through(proxy.port), tmp_path, variables) as daemon:
        broker.wait_for_count(SENT, 20)
        proxy.stall(True)  # every byte is swallowed, no socket is closed
        wait_until(lambda: daemon.output().count("rabbitmq.disconnected") >= 2, 60, "both missed heartbeats")
        proxy.restore()
        task_ids += publish(broker, 20, prefix="later")
        wait_until(lambda: nothing_is_waiting(node, broker), 60, "an empty input queue")
        assert daemon.stop() == 0
    assert set(ids(broker, SENT)) == set(task_ids)
    assert created_times(portal) == {1: 40}


def test_an_unconfigured_system_is_not_consumed_and_the_log_says_so(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    publish(broker, 3)
    with Daemon(vhost, tmp_path, {}) as daemon:
        wait_until(lambda: "BITRIX_WEBHOOK_URL" in daemon.output(), what="the remark")
        # The remark comes before the signals are listened to, this line after it.
        wait_until(lambda: "is not consumed" in daemon.output(), what="the list of queues")
        assert daemon.stop() == 0
    assert broker.count(QUEUE) == 3


def test_wrong_settings_end_with_code_78_and_name_every_mistake(vhost: BrokerAddress, tmp_path: Path) -> None:
    variables = {"RABBITMQ_PORT": "99999", "RETRY_ATTEMPTS": "three", "BITRIX_WEBHOOK_URL": "https://x/"}
    with Daemon(vhost, tmp_path, variables) as daemon:
        assert daemon.wait(30) == 78
    for name in variables:
        assert name in daemon.output()
