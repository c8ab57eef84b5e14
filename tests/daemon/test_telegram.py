"""The whole daemon with Telegram: killed, cut off, told everything twice; counted from outside by task id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.policy import AMBIGUOUS_LIMIT
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.telegram import PERSON, SUPERGROUP, TelegramSandbox, faults
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.support import system_stories
from tests.support.system_stories import System

TASK_ID = r"task-\d+"
THREADS = 4  # CONCURRENCY of the daemon
KILLS = 4


@pytest.fixture
def telegram() -> Iterator[TelegramSandbox]:
    with TelegramSandbox(latency=0.005) as telegram:
        yield telegram


@pytest.fixture
def system(telegram: TelegramSandbox) -> System:
    variables = {
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_URL": telegram.base_url,
        "TELEGRAM_CHAT_ID": str(PERSON),
        "TELEGRAM_RATE_PER_SECOND": "1000",
        "TELEGRAM_CHAT_RATE_PER_SECOND": "1000",
        "TELEGRAM_CHAT_BURST": "1000",
        "CONCURRENCY": str(THREADS),
    }
    return System(
        queue="telegram.queue",
        variables=variables,
        task=_task,
        objects=lambda: telegram.by_task(TASK_ID),
        go_down=telegram.go_down,
        come_back=telegram.come_back,
        secrets=[telegram.token, telegram.token.partition(":")[2]],
    )


def _task(task_id: str) -> bytes:
    variables = {"text": f"Договор {task_id} согласован"}
    return camunda_message(task_id, topic="send_telegram", system="python-services", variables=variables)


def test_the_loop_closes_and_each_task_is_answered_once(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.the_loop_closes(system, vhost, broker, tmp_path)


def test_an_outage_spends_no_attempt_and_ends_by_itself(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.an_outage_spends_no_attempt(system, vhost, broker, tmp_path)


@pytest.mark.parametrize("choice", ["fail", "resend"])
def test_a_worker_killed_again_and_again_with_everything_published_twice(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path, choice: str
) -> None:
    """`fail`: nothing is sent twice. `resend`: nothing is missing, and at most one more per thread and kill is sent."""
    count = 100
    variables = {**system.variables, "TELEGRAM_ON_AMBIGUOUS": choice}
    task_ids = system_stories.publish(system, broker, count, times=2)
    for _ in range(KILLS):
        before = len(system.objects())
        with Daemon(vhost, tmp_path, variables) as daemon:
            wait_until(lambda least=before + 5: len(system.objects()) >= least, 60, "progress")  # type: ignore[misc]
            daemon.kill()
        # Else a message that is in hand at three deaths would be taken for their cause; what was sent is remembered.
        for counted in ("*.starts", "counts.json"):
            for file in (tmp_path / "state").glob(counted):
                file.unlink()
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: not broker.count(system.queue) and not broker.count(system.sent_queue), 90, "empty queues")
        wait_until(lambda: _settled(broker) >= set(task_ids), 90, "an answer or a report for every task")
        assert daemon.stop() == 0
    sent = {task_id: len(messages) for task_id, messages in system.objects().items()}
    twice = sum(number - 1 for number in sent.values())
    reports = {json.loads(body)["task_id"]: json.loads(body)["code"] for _, body in broker.peek(ERRORS)}
    answers = system_stories.answered(broker)
    if choice == "fail":
        assert twice == 0
        assert set(reports.values()) <= {"may_be_delivered"}
        assert len(reports) <= THREADS * KILLS
        assert set(task_ids) - set(sent) <= set(reports), "what did not arrive is in the error queue"
    else:
        assert set(sent) == set(task_ids)
        assert twice <= THREADS * KILLS
        assert reports == {}
    assert set(answers) | set(reports) == set(task_ids), "nothing is lost"


def test_a_chat_that_has_had_enough_holds_up_no_other_and_spends_no_attempt(
    system: System, telegram: TelegramSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    refusal = faults.refusal(429, "Too Many Requests: retry after 3", retry_after=3)
    flood = telegram.inject(refusal, "sendMessage", count=None, match=lambda sent: sent["chat_id"] == PERSON)
    broker.declare(system.queue)
    busy = [f"task-{number}" for number in range(20)]
    quiet = [f"task-{number}" for number in range(100, 120)]
    broker.publish_all(system.queue, [_task(task_id) for task_id in busy])
    broker.publish_all(
        system.queue,
        [
            camunda_message(task_id, topic="telegram_notify", variables={"text": task_id, "chat_id": str(SUPERGROUP)})
            for task_id in quiet
        ],
    )
    with Daemon(vhost, tmp_path, {**system.variables, "RETRY_ATTEMPTS": "0"}) as daemon:
        broker.wait_for_count(RESPONSES, len(quiet), 60)
        assert set(system.objects()) == set(quiet)
        assert "system.paused" not in daemon.output(), "the whole queue was not paused for one chat"
        flood.remove()
        broker.wait_for_count(RESPONSES, len(quiet) + len(busy), 90)
        assert daemon.stop() == 0
    assert system.created_times() == {1: len(quiet) + len(busy)}
    assert (broker.count(ERRORS), broker.count(system.queue)) == (0, 0)


def test_a_backlog_for_one_chat_lets_a_message_for_another_pass(
    system: System, telegram: TelegramSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    broker.declare(system.queue)
    busy = [f"task-{number}" for number in range(40)]
    quiet = camunda_message("quiet", topic="telegram_notify", variables={"text": "x", "chat_id": str(SUPERGROUP)})
    broker.publish_all(system.queue, [*map(_task, busy), quiet])
    rates = {"TELEGRAM_CHAT_RATE_PER_SECOND": "6", "TELEGRAM_CHAT_BURST": "3", "RETRY_ATTEMPTS": "0"}
    with Daemon(vhost, tmp_path, {**system.variables, **rates}) as daemon:
        broker.wait_for_count(RESPONSES, len(busy) + 1, 90)
        assert daemon.stop() == 0
    place = [each.chat_id for each in telegram.messages].index(SUPERGROUP)
    assert place < len(busy) // 2, "all threads were waiting for the busy chat"
    assert system.created_times() == {1: len(busy)}


def test_a_chat_that_never_answers_costs_attempts_and_ends_in_the_error_queue(
    system: System, telegram: TelegramSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    telegram.inject(faults.reset(after_execution=True), "sendMessage", count=None)
    system_stories.publish(system, broker, 1)
    with Daemon(vhost, tmp_path, {**system.variables, "RETRY_ATTEMPTS": "2"}) as daemon:
        broker.wait_for_count(ERRORS, 1, 60)
        assert daemon.stop() == 0
    [(_, body)] = broker.get_all(ERRORS)
    report = json.loads(body)
    assert (report["outcome"], report["code"]) == ("transient", "no_answer")
    assert system.created_times() == Counter({3: 1}), "sent as often as it was tried, and not for ever"
    assert AMBIGUOUS_LIMIT > 3


def _settled(broker: Broker) -> set[str]:
    reports = {json.loads(body)["task_id"] for _, body in broker.peek(ERRORS)}
    return reports | {json.loads(body)["original_message"]["task_id"] for _, body in broker.peek(RESPONSES)}
