"""The whole daemon with e-mail: killed, cut off, told everything twice; counted from outside by task id."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.email import EmailSandbox
from sandbox.email.dialects import EXIM, OPENSMTPD, POSTFIX, Dialect
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.support import system_stories
from tests.support.email_server import MailServer
from tests.support.system_stories import System, answered, publish

CONCURRENCY = 4
KILLS = 4
COUNT = 100


@pytest.fixture
def mails() -> Iterator[EmailSandbox]:
    with EmailSandbox(latency=0.01) as mails:
        yield mails


@pytest.fixture
def system(mails: EmailSandbox) -> System:
    return System(
        queue="email.queue",
        variables=variables(mails.port),
        task=mail_message,
        objects=mails.by_task,
        go_down=mails.go_down,
        come_back=mails.come_back,
    )


def variables(port: int) -> dict[str, str]:
    return {
        "EMAIL_SMTP_HOST": "127.0.0.1",
        "EMAIL_SMTP_PORT": str(port),
        "EMAIL_TLS": "none",
        "EMAIL_FROM": "worker@example.ru",
        "EMAIL_AMBIGUOUS_WAIT": "0.5",
        "EMAIL_DEFERRED_WAIT": "0.2",
        "CONCURRENCY": str(CONCURRENCY),
    }


def mail_message(task_id: str, to: str = "ivan@example.com") -> bytes:
    given = {"to": to, "subject": f"Задача {task_id}", "body": "Текст"}
    return camunda_message(task_id, topic="send_email", system="email", variables=given)


def test_the_loop_closes_and_each_mail_is_answered_once(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.the_loop_closes(system, vhost, broker, tmp_path)


def test_the_answer_tells_who_has_the_mail(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
    broker.declare("email.queue")
    with MailServer() as server:
        server.always("RCPT", "550 5.1.1 no such user", to="b@example.com")
        server.replies("RCPT", "450 4.7.1 greylisted", to="c@example.com")
        broker.publish_all("email.queue", [mail_message("some", "a@example.com, b@example.com, c@example.com")])
        broker.publish_all("email.queue", [mail_message("none", "b@example.com")])
        with Daemon(vhost, tmp_path, variables(server.port)) as daemon:
            broker.wait_for_count(RESPONSES, 1, 60)
            broker.wait_for_count(ERRORS, 1, 60)
            assert daemon.stop() == 0
        assert sorted(server.boxes()) == ["a@example.com", "c@example.com"]
    [(_, body)] = broker.get_all(RESPONSES)
    answer = json.loads(body)
    assert answer["processing_status"] in ("completed", "completed_by_tracker")
    data = answer["response_data"]
    assert data["email_accepted"] == ["a@example.com", "c@example.com"]
    assert list(data["email_refused"]) == ["b@example.com"]
    assert data["email_message_id"].endswith("@example.ru>")
    [(_, report)] = broker.get_all(ERRORS)
    assert json.loads(report)["code"] == "EMAIL_REJECTED"


def test_an_outage_spends_no_attempt_and_ends_by_itself(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.an_outage_spends_no_attempt(system, vhost, broker, tmp_path)


@pytest.mark.parametrize(
    ("dialect", "refusal"),
    [(POSTFIX, "name not found"), (POSTFIX, "sender unknown"), (EXIM, "sender unknown"), (OPENSMTPD, "client")],
    ids=lambda given: str(getattr(given, "name", given)).replace(" ", "-"),
)
def test_a_server_that_does_not_want_the_worker_spends_no_attempt_and_is_no_recipients_fault(
    dialect: Dialect,
    refusal: str,
    system: System,
    mails: EmailSandbox,
    vhost: BrokerAddress,
    broker: Broker,
    tmp_path: Path,
) -> None:
    mails.dialect, mails.recipients = dialect, ("ivan@example.com", "worker@example.ru")

    def refuse() -> None:
        mails.refusals = (dialect.refusals[refusal],)

    def relent() -> None:
        mails.refusals = ()

    unwanted = replace(system, go_down=refuse, come_back=relent)
    system_stories.an_outage_spends_no_attempt(unwanted, vhost, broker, tmp_path)
    assert "EMAIL_EHLO_NAME" in (tmp_path / "console.log").read_text(), "people are told what to look at"


def test_a_worker_killed_again_and_again_loses_no_mail_and_repeats_at_most_those_in_flight(
    system: System, mails: EmailSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    """A mail is sent a second time only if the kill fell between its end and the journal: one per thread and kill."""
    task_ids = kill_again_and_again(system, mails, vhost, broker, tmp_path)
    assert set(mails.by_task()) == set(task_ids), "no mail is lost"
    assert broker.count(ERRORS) == 0
    assert set(answered(broker)) == set(task_ids)
    times = Counter(len(each) for each in mails.by_task().values())
    repeated = sum(number * (copies - 1) for copies, number in times.items())
    assert repeated <= KILLS * CONCURRENCY


def test_where_it_is_wanted_no_kill_ever_sends_a_mail_twice(
    system: System, mails: EmailSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    task_ids = kill_again_and_again(system, mails, vhost, broker, tmp_path, EMAIL_ON_AMBIGUOUS="fail")
    assert system.created_times().keys() == {1}, "nobody gets a mail twice"
    reports = [json.loads(body) for _, body in broker.get_all(ERRORS)]
    doubtful = {report["task_id"] for report in reports}
    assert {report["code"] for report in reports} <= {"may_be_delivered"}
    assert len(doubtful) <= KILLS * CONCURRENCY
    assert set(answered(broker)) | doubtful == set(task_ids), "whoever has no answer has a report"
    assert set(mails.by_task()) | doubtful == set(task_ids)


def kill_again_and_again(
    system: System, mails: EmailSandbox, vhost: BrokerAddress, broker: Broker, folder: Path, **changes: str
) -> list[str]:
    task_ids = publish(system, broker, COUNT, times=2)
    state = folder / "state"
    for number in range(KILLS):
        before = len(mails.mails())
        with Daemon(vhost, folder, {**system.variables, **changes, "STATE_DIR": str(state)}) as daemon:
            wait_until(lambda least=before + 5: len(mails.mails()) >= least, 60, "progress")  # type: ignore[misc]
            daemon.kill()
        # The journal of sends is kept. That of starts is not: a message that is in hand at three deaths would be
        # taken for their cause.
        fresh = folder / f"state-{number}"
        fresh.mkdir()
        for file in state.glob("sends.sqlite*"):
            shutil.copy2(file, fresh)
        state = fresh
    with Daemon(vhost, folder, {**system.variables, **changes, "STATE_DIR": str(state)}) as daemon:
        idle = ("email.queue", "email.sent.queue")
        wait_until(lambda: len(answered_or_reported(broker)) == COUNT, 90, "an answer or a report for each task")
        wait_until(lambda: not any(broker.count(queue) for queue in idle), 60, "empty queues")
        assert daemon.stop() == 0
    return task_ids


def answered_or_reported(broker: Broker) -> set[str]:
    answers = {json.loads(body)["original_message"]["task_id"] for _, body in broker.peek(RESPONSES)}
    return answers | {json.loads(body)["task_id"] for _, body in broker.peek(ERRORS)}
