"""What each signal of a mail server means for the message: the table of errors, on real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from consumers.email.client import SmtpClient
from consumers.email.config import EmailSettings
from consumers.email.errors import Reply, Stage, outcome_of
from consumers.email.handler import EmailHandler
from consumers.email.own_name import is_name, own_name
from consumers.email.wire import Smtp
from core.errors import (
    AmbiguousError,
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.outcomes import Outcome
from core.results import Done
from tests.support.email_server import DROP, TAKE_AND_DROP, TAKE_AND_STALL, MailServer
from tests.systems.email.support import SENDER, handler_for, message, settings_for
from toolkit.send_journal import SendJournal

A, B, C = "a@example.com", "b@example.com", "c@example.com"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


# step, reply, outcome of a mail to one recipient
SIGNALS: tuple[tuple[str, str, type[OutcomeError]], ...] = (
    ("RCPT", "550 5.1.1 no such user", BusinessError),
    ("RCPT", "553 5.1.3 bad address", BusinessError),
    ("RCPT", "552 5.2.2 mailbox full", BusinessError),
    ("RCPT", "450 5.1.1 the enhanced code is more exact", BusinessError),
    ("RCPT", "550 4.2.1 the enhanced code is more exact", TransientError),
    ("RCPT", "450 4.7.1 greylisted", TransientError),
    ("RCPT", "450 4.2.0 greylisted", TransientError),
    ("RCPT", "452 4.2.2 mailbox full for now", TransientError),
    ("RCPT", "421 4.3.2 shutting down", OutageError),
    ("RCPT", "530 5.7.0 authentication required", ConfigurationError),
    ("MAIL", "550 5.7.1 sender not allowed", ConfigurationError),
    ("MAIL", "553 5.1.8 sender's domain does not exist", ConfigurationError),
    ("MAIL", "530 5.7.0 must issue STARTTLS first", ConfigurationError),
    ("MAIL", "552 5.3.4 message too big", BusinessError),
    ("MAIL", "554 5.6.7 no such encoding", BusinessError),
    ("MAIL", "452 4.3.4 too big for now", TransientError),
    ("MAIL", "451 4.3.0 try again", OutageError),
    ("MAIL", "452 4.3.1 no space", OutageError),
    ("MAIL", "421 4.7.0 too many mails", OutageError),
    ("BEFORE DATA", "554 5.5.1 no valid recipients", BusinessError),
    ("BEFORE DATA", "451 4.3.0 not now", TransientError),
    ("BEFORE DATA", "421 4.3.2 shutting down", OutageError),
    ("BEFORE DATA", "503 need RCPT command", TransientError),
    ("DATA", "554 5.6.0 content refused", BusinessError),
    ("DATA", "554 spam", BusinessError),
    ("DATA", "552 5.3.4 too large", BusinessError),
    ("DATA", "452 4.3.1 no space", TransientError),
    ("DATA", "451 4.7.1 try again later", TransientError),
    ("DATA", "421 4.3.2 shutting down", OutageError),
)


@pytest.mark.parametrize(("step", "reply", "outcome"), SIGNALS)
def test_a_reply_has_its_outcome_and_nothing_is_sent(
    step: str, reply: str, outcome: type[OutcomeError], server: MailServer, tmp_path: Path
) -> None:
    handler = handler_for(server, tmp_path)
    server.always(step, reply)
    with pytest.raises(outcome) as caught:
        handler.handle(message("task-1"))
    assert type(caught.value) in (outcome, *outcome.__subclasses__())
    assert reply.split(" ", 1)[1] in str(caught.value), "a person is told what the server said"
    assert server.mails == []
    assert SendJournal(tmp_path / "state", "email").parts("task-1") == {}, "no doubt is left behind"


@pytest.mark.parametrize(
    ("step", "reply", "outcome"),
    [
        ("EHLO", "421 4.3.2 not now", OutageError),
        ("EHLO", "450 4.7.1 not now", OutageError),
        ("AUTH", "535 5.7.8 bad credentials", ConfigurationError),
        ("AUTH", "534 5.7.9 mechanism too weak", ConfigurationError),
        ("AUTH", "454 4.7.0 temporary failure", OutageError),
    ],
)
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_what_happens_before_the_first_mail_is_no_messages_fault(
    step: str, reply: str, outcome: type[OutcomeError], tmp_path: Path
) -> None:
    with MailServer(credentials=("robot", "secret-of-robot")) as server:
        handler = handler_for(server, tmp_path, smtp_username="robot", smtp_password=SecretStr("secret-of-robot"))
        server.always(step, reply)
        with pytest.raises(outcome):
            handler.handle(message())
        with pytest.raises(outcome):
            handler.probe()


def test_a_refused_recipient_does_not_stop_the_others(server: MailServer, tmp_path: Path) -> None:
    server.always("RCPT", "550 5.1.1 no such user", to=B)
    result = handler_for(server, tmp_path).handle(message(to=[A, B, C]))
    assert server.boxes() == [A, C]
    assert isinstance(result, Done)
    assert result.response["email_accepted"] == [A, C]
    assert "no such user" in result.response["email_refused"][B]
    assert "no such user" in result.response["email_refused_ru"][B]


def test_a_deferred_recipient_gets_it_later_and_the_others_not_again(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    server.replies("RCPT", "450 4.7.1 greylisted", to=B)
    with pytest.raises(TransientError, match=f"taken for {A}, {C}; not now: {B}") as told:
        handler.handle(message("task-1", to=[A, B, C]))
    assert told.value.retry_after == 300
    result = handler.handle(message("task-1", to=[A, B, C], attempt=2))
    assert server.boxes() == [A, C, B]
    assert result.response["email_accepted"] == [A, B, C]  # type: ignore[union-attr]


def test_a_mail_that_everybody_refuses_is_the_processs_business_or_a_failure_as_wanted(
    server: MailServer, tmp_path: Path
) -> None:
    server.always("RCPT", "550 5.1.1 no such user")
    with pytest.raises(BusinessError, match=f"{A}.*{B}") as caught:
        handler_for(server, tmp_path).handle(message(to=[A, B]))
    assert caught.value.code == "EMAIL_REJECTED"
    with pytest.raises(PermanentError) as failed:
        handler_for(server, tmp_path, all_refused="permanent").handle(message(to=A))
    assert failed.value.code == "EMAIL_REJECTED"


def test_a_message_put_back_after_everybody_refused_it_is_tried_anew(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    server.replies("RCPT", "550 5.1.1 no such user")
    with pytest.raises(BusinessError):
        handler.handle(message("task-1"))
    assert isinstance(handler.handle(message("task-1")), Done)
    assert server.boxes() == [A]


# -- is it the recipient or the worker? Real servers tell it in test_email_servers ------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.1 relaying denied",
        "550 no such user",
        "451 local error",
        "454 4.7.1 Relay access denied",
        "503 5.7.1 x",
    ],
)
def test_what_is_refused_even_to_our_own_address_stops_the_system(
    reply: str, server: MailServer, tmp_path: Path
) -> None:
    server.always("RCPT", reply)
    handler = handler_for(server, tmp_path)
    with pytest.raises(ConfigurationError, match=f"not even for EMAIL_FROM: {reply}.*EMAIL_EHLO_NAME"):
        handler.handle(message("task-1", to=[A, B]))
    with pytest.raises(ConfigurationError):
        handler.probe()  # else it would resume, and pause, and resume
    server.relent("RCPT")
    handler.probe()
    assert SendJournal(tmp_path / "state", "email").parts("task-1") == {}, "all are tried again when that is mended"
    assert isinstance(handler.handle(message("task-1", to=[A, B])), Done)


@pytest.mark.parametrize("reply", ["550 5.7.1 not to outside", "550 no", "450 4.7.1 not now"])
def test_one_message_to_a_forbidden_address_does_not_stop_the_others(
    reply: str, server: MailServer, tmp_path: Path
) -> None:
    server.always("RCPT", reply, to=A)
    with pytest.raises(TransientError if reply.startswith("4") else BusinessError):
        handler_for(server, tmp_path).handle(message(to=A))
    assert isinstance(handler_for(server, tmp_path).handle(message(to=B)), Done)
    assert SENDER not in server.boxes(), "asking is not sending"


def test_an_address_that_is_no_mailbox_says_nothing_against_the_worker(server: MailServer, tmp_path: Path) -> None:
    server.always("RCPT", "550 5.1.1 unknown", to=SENDER)
    server.always("RCPT", "550 5.7.1 not to outside", to=A)
    with pytest.raises(BusinessError):
        handler_for(server, tmp_path).handle(message(to=A))


def test_who_had_a_mail_before_speaks_for_the_worker_also_after_a_restart(server: MailServer, tmp_path: Path) -> None:
    assert isinstance(handler_for(server, tmp_path).handle(message(to=B)), Done)
    for address in (SENDER, A):
        server.always("RCPT", "550 Invalid recipient", to=address)
    with pytest.raises(BusinessError):
        handler_for(server, tmp_path).handle(message(to=A))
    server.always("RCPT", "550 Invalid recipient")
    with pytest.raises(ConfigurationError):
        handler_for(server, tmp_path).handle(message(to=A))


def test_a_question_that_cannot_be_asked_books_nothing(server: MailServer, tmp_path: Path) -> None:
    server.always("RCPT", "550 no", to=A)
    server.always("RCPT", "421 4.3.2 shutting down", to=SENDER)
    with pytest.raises(OutageError):
        handler_for(server, tmp_path).handle(message("task-1", to=A))
    assert SendJournal(tmp_path / "state", "email").parts("task-1") == {}


def test_a_crash_while_the_question_is_asked_blames_nobody(server: MailServer, tmp_path: Path) -> None:
    settings = settings_for(server, tmp_path)

    class Crashing(SmtpClient):
        def connect(self) -> Smtp:
            if self.stats()["connections"]:
                raise KeyboardInterrupt
            return super().connect()

    server.always("RCPT", "550 no")
    journal = SendJournal(settings.state_dir, "email")
    with pytest.raises(KeyboardInterrupt):
        EmailHandler(settings, Crashing(settings, threading.Event()), journal).handle(message("task-1", to=[A, B]))
    assert SendJournal(tmp_path / "state", "email").parts("task-1") == {}


def test_a_third_refusal_that_is_a_421_in_its_place_is_asked_about_again(server: MailServer, tmp_path: Path) -> None:
    """chasquid does so at the third error (albertito/chasquid, internal/smtpsrv/conn.go: errCount >= 3)."""
    recipients = [f"n{number}@example.com" for number in range(3)]
    for address in recipients:
        server.always("RCPT", "550 5.1.1 unknown", to=address)
    server.replies("RCPT", "421 4.5.0 Too many errors, bye", to=recipients[2])
    result = handler_for(server, tmp_path).handle(message(to=[*recipients, A]))
    assert isinstance(result, Done)
    assert list(result.response["email_refused"]) == recipients


# -- the name that the worker gives itself ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "address", "name"),
    [
        ("worker.example.ru", "192.0.2.7", "worker.example.ru"),
        ("3f2a9c0d1e4b", "172.17.0.2", "[172.17.0.2]"),
        ("localhost", "127.0.0.1", "[127.0.0.1]"),
        ("my_service.example.ru", "192.0.2.7", "[192.0.2.7]"),
        ("worker.example.ru.", "192.0.2.7", "[192.0.2.7]"),
        ("воркер.рф", "192.0.2.7", "[192.0.2.7]"),
        ("192.0.2.7", "192.0.2.7", "[192.0.2.7]"),
        ("box", "fe80::1%eth0", "[IPv6:fe80::1]"),
    ],
)
def test_the_worker_has_a_name_that_servers_accept(machine: str, address: str, name: str) -> None:
    """RFC 5321 4.1.4: a host name, or the address where there is none. Bare ids of containers are refused."""
    assert own_name(machine, address) == name
    assert is_name(name)


@pytest.mark.parametrize("wrong", ["a_b", "vm.", "-a", "a..b", "[1.2.3]", "a b", "x" * 64, "воркер", "[::1"])
def test_a_name_that_is_none_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(ValidationError, match="is no name of a machine"):
        EmailSettings(ehlo_name=wrong)


def test_a_name_that_the_server_refuses_is_a_mistake_of_the_settings(server: MailServer, tmp_path: Path) -> None:
    server.always("EHLO", "501 5.5.4 no such name")
    handler = handler_for(server, tmp_path, ehlo_name="box")
    assert isinstance(handler.handle(message()), Done), "HELO may do"


# -- lost connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_a_connection_lost_before_the_content_leaves_no_doubt(step: str, server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    server.replies(step, DROP)
    with pytest.raises(OutageError):
        handler.handle(message("task-1"))
    assert isinstance(handler.handle(message("task-1")), Done)
    assert server.boxes() == [A]


@pytest.mark.parametrize(("step", "reply"), [("MAIL", DROP), ("RCPT", DROP), ("MAIL", "421 4.7.0 enough for you")])
def test_a_connection_that_has_served_its_time_is_replaced(
    step: str, reply: str, server: MailServer, tmp_path: Path
) -> None:
    handler = handler_for(server, tmp_path)
    outcomes = []
    for number, (_, outcome) in enumerate(handler.handle_batch([message() for _ in range(6)])):
        outcomes.append(type(outcome))
        if number == 2:
            server.replies(step, reply)
    assert outcomes == [Done] * 6
    assert (len(server.mails), server.connections) == (6, 2)


def test_a_lost_answer_is_a_doubt_and_the_mail_is_sent_again(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    server.replies("DATA", TAKE_AND_DROP)
    with pytest.raises(TransientError, match="may have been delivered") as caught:
        handler.handle(message("task-1", to=[A, B]))
    assert caught.value.outcome is Outcome.TRANSIENT, "an attempt is spent: it must not go on for ever"
    result = handler_for(server, tmp_path).handle(message("task-1", to=[A, B], attempt=2))
    assert server.boxes() == [A, A, B]
    assert result.response["email_accepted"] == [A, B]  # type: ignore[union-attr]


def test_another_copy_of_a_task_in_doubt_waits_as_long_as_the_server_may_need(
    server: MailServer, tmp_path: Path
) -> None:
    handler = handler_for(server, tmp_path, ambiguous_wait=600)
    server.replies("DATA", TAKE_AND_DROP)
    with pytest.raises(TransientError) as caught:
        handler.handle(message("task-1"))
    assert caught.value.retry_after == 600
    with pytest.raises(AmbiguousError):
        handler.handle(message("task-1"))
    assert server.boxes() == [A]


def test_a_doubt_may_be_left_to_people_instead(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path, on_ambiguous="fail")
    server.replies("DATA", TAKE_AND_DROP, to=A)
    with pytest.raises(TransientError, match=f"not tried yet: {B}"):
        handler.handle(message("task-1", to=[A, B]))
    with pytest.raises(PermanentError, match=f"taken for {B}; in doubt: {A}") as caught:
        handler_for(server, tmp_path, on_ambiguous="fail").handle(message("task-1", to=[A, B], attempt=2))
    assert caught.value.code == "may_be_delivered"
    assert sorted(server.boxes()) == [A, B]


def test_a_server_that_falls_silent_keeps_only_one_mail_waiting(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path, data_timeout=0.3)
    server.always("DATA", TAKE_AND_STALL)
    outcomes = handler.handle_batch([message() for _ in range(4)])
    assert isinstance(next(outcomes)[1], TransientError)
    with pytest.raises(OutageError):  # of the server: no message is blamed for it
        next(outcomes)
    assert len(server.mails) == 1


# -- the pure part ----------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["greeting", "tls", "login", "sender", "recipient", "content"]),
    st.integers(400, 599),
    st.text(max_size=30),
)
def test_every_reply_has_an_outcome_and_only_the_server_or_the_settings_stop_the_queue(
    stage: Stage, code: int, text: str
) -> None:
    error = outcome_of(stage, Reply.of(code, text))
    assert isinstance(error, OutcomeError)
    if stage in ("recipient", "content") and code not in (421, 530):
        assert isinstance(error, PermanentError | TransientError)


@pytest.mark.parametrize(
    ("text", "enhanced"), [("5.1.1 x", "5.1.1"), ("5.1.1", "5.1.1"), ("5.1.1.2", ""), ("3.1.1 x", ""), ("x 5.1.1", "")]
)
def test_an_enhanced_code_stands_at_the_beginning(text: str, enhanced: str) -> None:
    assert Reply.of(550, text).enhanced == enhanced


def test_replies_of_several_lines_and_strange_bytes_are_one_line_of_text() -> None:
    assert str(Reply.of(550, b"5.1.1 a\n5.1.1 \xff b\r\n")) == "550 5.1.1 a 5.1.1 \N{REPLACEMENT CHARACTER} b"
