"""Alerts reach people over the real ways, once each, also when a way is down for a while; the work never waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import pytest

from core.alerts import AlertBook, AlertPolicy
from core.errors import OutageError, PermanentError
from core.events.alerts import AlertRaised, AlertsSent, AlertsUnsent
from core.events.base import Event, EventStream
from core.events.messages import MessageParked
from core.events.systems import SystemResumed
from core.pauses import Pauses
from runtime.alerting import KEPT, Alerting
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.email import EmailSandbox
from sandbox.telegram import GROUP, PERSON, TelegramSandbox
from testbench.daemon import Daemon
from testbench.harness import ERRORS, camunda_message, wait_until
from tests.support import made_events
from tests.support.commands import run
from tests.support.made_events import paused


@pytest.fixture
def mails() -> Iterator[EmailSandbox]:
    with EmailSandbox() as mails:
        yield mails


@pytest.fixture
def telegram() -> Iterator[TelegramSandbox]:
    with TelegramSandbox() as telegram:
        yield telegram


def variables(mails: EmailSandbox, telegram: TelegramSandbox) -> dict[str, str]:
    return {
        "EMAIL_SMTP_HOST": "127.0.0.1",
        "EMAIL_SMTP_PORT": str(mails.port),
        "EMAIL_TLS": "none",
        "EMAIL_FROM": "worker@example.ru",
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_URL": telegram.base_url,
        "NOTIFY_EMAIL_TO": "duty@example.ru,chief@example.ru",
        "NOTIFY_TELEGRAM_CHATS": f"{PERSON},{GROUP}",
        "NOTIFY_NAME": "Воркер 1",
        "NOTIFY_DELAY": "0.5",
    }


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    return str(body.get_content())


def test_a_thousand_broken_messages_are_one_mail_and_one_message_each(
    vhost: BrokerAddress, broker: Broker, mails: EmailSandbox, telegram: TelegramSandbox, tmp_path: Path
) -> None:
    broker.declare("default.queue")
    bodies: list[bytes | str] = [camunda_message(f"t-{n}", topic="aprove", system="default") for n in range(1000)]
    broker.publish_all("default.queue", bodies)
    with Daemon(vhost, tmp_path, variables(mails, telegram)) as daemon:
        broker.wait_for_count(ERRORS, 1000, 60)
        wait_until(lambda: len(mails.mails()) == 2 and len(telegram.messages) == 2, 60, "all four")
        broker.publish("default.queue", camunda_message("again", topic="aprove", system="default"))
        broker.publish("default.queue", camunda_message("other", topic="another", system="default"))
        wait_until(lambda: len(mails.mails()) == 4 and len(telegram.messages) == 4, 60, "the new kind only")
        assert daemon.stop() == 0
    assert sorted(mail.recipients[0] for mail in mails.mails()) == ["chief@example.ru"] * 2 + ["duty@example.ru"] * 2
    first = mails.mails()[0]
    assert first.subject.startswith("Воркер 1: default: новый вид ошибки, no_handler, топик aprove")
    assert "очереди ошибок" in text_of(first.message)
    assert "aprove" in telegram.texts(PERSON)[0]
    assert daemon.output().count("alert.raised") == 2
    assert telegram.token not in daemon.output()


def test_a_system_that_is_down_and_back_is_told_with_its_reason_and_without_its_secret(
    vhost: BrokerAddress, broker: Broker, mails: EmailSandbox, telegram: TelegramSandbox, tmp_path: Path
) -> None:
    secret = "abcdef123456"
    changes = {"BITRIX_WEBHOOK_URL": f"http://127.0.0.1:1/rest/1/{secret}", "NOTIFY_LANGUAGE": "en"}
    broker.declare("bitrix24.queue")
    broker.publish("bitrix24.queue", camunda_message("t"))
    with Daemon(vhost, tmp_path, {**variables(mails, telegram), **changes}) as daemon:
        wait_until(lambda: len(telegram.messages) >= 2, 60, "the alert")
        assert daemon.stop() == 0
    assert "bitrix24 is not usable" in telegram.texts(PERSON)[0]
    assert "nothing is lost" in telegram.texts(PERSON)[0]
    assert secret not in json.dumps([each.text for each in telegram.messages])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"NOTIFY_EMAIL_TO": "a@example.ru"}, "needs EMAIL_SMTP_HOST"),
        ({"NOTIFY_TELEGRAM_CHATS": "1"}, "needs TELEGRAM_BOT_TOKEN"),
        (
            {"NOTIFY_TELEGRAM_CHATS": "somebody", "TELEGRAM_BOT_TOKEN": "123456:abcdef"},
            "is no id of a chat",
        ),
        (
            {"NOTIFY_EMAIL_TO": "somebody", "EMAIL_SMTP_HOST": "mail", "EMAIL_FROM": "a@example.ru"},
            "is no mail address",
        ),
    ],
)
@pytest.mark.parametrize("command", [["run"], ["config", "check"]])
def test_a_way_that_cannot_work_is_told_at_start(
    tmp_path: Path, given: dict[str, str], words: str, command: list[str]
) -> None:
    folders = {"STATE_DIR": str(tmp_path / "state"), "LOG_DIR": str(tmp_path / "logs")}
    done = run("main.py", command, {**given, **folders}, tmp_path)
    assert done.returncode == 78
    assert words in done.stderr


class Way:
    """A channel that the test opens and closes."""

    name = "way"

    def __init__(self) -> None:
        self.way: Literal["mail"] = "mail"
        self.error: Exception | None = None
        self.tries = 0
        self.texts: list[str] = []

    def send(self, subject: str, text: str) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.texts.append(text)


Tell = Callable[[Event], None]


@pytest.fixture
def way() -> Way:
    return Way()


@pytest.fixture
def tell(way: Way, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tell]:
    """Into the stream of a worker that alerts."""
    stop = threading.Event()
    monkeypatch.setattr("runtime.alerting.POLL", 0.02)
    pauses = Pauses(time.monotonic, steady=0.0)
    book = AlertBook(AlertPolicy(delay=0.0), pauses)
    alerting = Alerting(book, [way], name="W", language="en", stop=stop, gather=0.1, first_pause=0.05)
    alerting.start()
    yield EventStream([pauses, alerting]).emit
    stop.set()


def parked(number: int) -> MessageParked:
    return made_events.parked("default", f"code-{number}", "t")


def test_what_comes_together_is_one_message(tell: Tell, way: Way) -> None:
    for number in range(5):
        tell(parked(number))
    wait_until(lambda: way.tries == 1, 10, "the message")
    assert [way.texts[0].count(f"code-{number}") for number in range(5)] == [1] * 5


def test_a_way_that_is_down_gets_all_of_it_later_and_once(tell: Tell, way: Way) -> None:
    way.error = OutageError("no connection")
    tell(paused("1c", "down", alert=True))
    wait_until(lambda: way.tries >= 2, 10, "two tries")
    tell(SystemResumed("1c"))
    way.error = None
    wait_until(lambda: len("".join(way.texts).split("1c is")) == 3, 10, "both alerts")
    assert "not usable" in way.texts[0]


def test_a_way_that_will_never_work_is_given_up_for_what_was_to_be_told(
    tell: Tell, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    way.error = PermanentError("no such user")
    tell(parked(1))
    wait_until(lambda: "cannot be sent" in caplog.text, 10, "the log line")
    way.error = None
    tell(parked(2))
    wait_until(lambda: len(way.texts) == 1, 10, "the next alert")
    assert "code-1" not in way.texts[0]


def test_a_way_that_stays_down_costs_bounded_memory(tell: Tell, way: Way, caplog: pytest.LogCaptureFixture) -> None:
    way.error = OutageError("no connection")
    for number in range(KEPT + 20):
        tell(parked(number))
    wait_until(lambda: caplog.text.count("too far behind") == 20, 10, "the oldest to be dropped")
    way.error = None
    wait_until(lambda: len(way.texts) >= 1, 10, "the rest")
    assert "".join(way.texts).count("code-") == KEPT


def test_a_way_that_breaks_takes_no_other_along_and_is_tried_with_the_next(
    tell: Tell, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    way.error = UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
    tell(parked(1))
    wait_until(lambda: "cannot be sent" in caplog.text, 10, "the log line")
    way.error = None
    tell(parked(2))
    wait_until(lambda: len(way.texts) == 1, 10, "the next alert")


def test_what_becomes_of_alerts_is_told_with_how_many_they_were(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.alerting.POLL", 0.02)
    told: list[Event] = []
    stop = threading.Event()
    book = AlertBook(AlertPolicy(delay=0.0), Pauses(time.monotonic))
    alerting = Alerting(book, [way], name="W", language="en", stop=stop, gather=0.1, first_pause=0.05)
    alerting.tell(EventStream([told.append]))
    way.error = OutageError("no connection")
    for number in range(3):
        alerting(parked(number))
    alerting.start()
    wait_until(lambda: any(isinstance(event, AlertsUnsent) for event in told), 10, "a failure")
    way.error = None
    wait_until(lambda: any(isinstance(event, AlertsSent) for event in told), 10, "the success")
    stop.set()
    counts = {(type(event), event.way, event.count) for event in told if isinstance(event, AlertsUnsent | AlertsSent)}
    assert counts == {(AlertsUnsent, "mail", 3), (AlertsSent, "mail", 3)}
    assert sum(isinstance(event, AlertRaised) for event in told) == 3


def test_its_last_words_are_sent(way: Way) -> None:
    stop = threading.Event()
    alerting = Alerting(
        AlertBook(AlertPolicy(), Pauses(time.monotonic)), [way], name="W", language="en", stop=stop, gather=600
    )
    alerting.start()
    alerting(parked(1))
    stop.set()
    wait_until(lambda: len(way.texts) == 1, 10, "the alert")
