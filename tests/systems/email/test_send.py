"""Mails on real sockets: what arrives, to whom, over which kind of connection."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from consumers.email.client import SmtpClient
from consumers.email.config import EmailSettings
from consumers.email.handler import EmailHandler
from consumers.email.mailer import Mailer
from consumers.email.session import Letter, SmtpSession
from consumers.email.tracker import EmailTracker
from core.errors import ConfigurationError, NotConfiguredError, OutageError, PermanentError, StoppingError
from core.messages import TrackedTask
from core.results import Done, Rejected
from sandbox.certificate import Certificate, make_certificate
from tests.support.email_server import MailServer
from tests.systems.email.support import SENDER, handler_for, message, settings_for
from toolkit.send_journal import SendJournal

# aiosmtpd's own advice to those who run it in earnest.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Session.login_data is deprecated:DeprecationWarning"),
]

PASSWORD = "correct-horse-battery"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def one_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def test_a_mail_arrives_as_it_was_meant(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path, from_name="Воркер, Camunda", reply_to="help@example.ru")
    result = handler.handle(
        message(
            "task-1",
            to="Иван Петров <a@example.com>",
            cc="b@example.com",
            bcc="c@example.com",
            subject="Договор № 5",
            body="Прошу согласовать\n.\n.. точки в начале строк\n",
            body_html="<p>Прошу <b>согласовать</b></p>",
            attachments=[{"name": "Договор.txt", "content": "0JTQsA=="}],
        )
    )
    assert server.boxes() == ["a@example.com", "b@example.com", "c@example.com"]
    assert len({mail.raw for mail in server.mails}) == 1, "everybody gets the same mail"
    got = server.mails[0].message
    assert (str(got["Subject"]), str(got["Cc"])) == ("Договор № 5", "b@example.com")
    assert got["To"].addresses[0].display_name == "Иван Петров"
    assert got["From"].addresses[0].display_name == "Воркер, Camunda"
    assert got["Reply-To"] == "help@example.ru"
    assert (got["Auto-Submitted"], got["X-Camunda-Task-Id"]) == ("auto-generated", "task-1")
    assert got["Date"].datetime.tzinfo is not None
    assert b"c@example.com" not in server.mails[0].raw, "Bcc is in no header"
    text = got.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["Прошу согласовать", ".", ".. точки в начале строк"]
    [attached] = got.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("Договор.txt", "Да")
    assert isinstance(result, Done)
    assert result.external_id == got["Message-ID"] == result.response["email_message_id"]
    assert result.response["email_accepted"] == ["a@example.com", "b@example.com", "c@example.com"]
    assert result.response["email_refused"] == {}


def test_the_same_task_has_the_same_message_id_everywhere(tmp_path: Path) -> None:
    seen = set()
    for number in range(2):
        with MailServer() as server:
            handler_for(server, tmp_path / str(number)).handle(message("task-1"))
            seen.add(str(server.mails[0].message["Message-ID"]))
    assert len(seen) == 1
    assert seen.pop().endswith("@example.ru>")


def test_any_topic_of_the_queue_is_a_mail(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    for topic in ("send_email", "email_notify", "whatever"):
        assert isinstance(handler.handle(message(topic=topic)), Done)
    assert len(server.mails) == 3


def test_a_batch_goes_over_a_connection_for_every_ten_mails(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    outcomes = [outcome for _, outcome in handler.handle_batch([message() for _ in range(20)])]
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert (len(server.mails), server.connections) == (20, 2)
    assert handler.get_stats() == {"connections": 2, "mails": 20}


def test_a_large_mail_arrives_whole(server: MailServer, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    attachment = {"name": "big.bin", "content": base64.b64encode(content).decode()}
    handler_for(server, tmp_path).handle(message(attachments=[attachment]))
    [attached] = server.mails[0].message.iter_attachments()
    assert attached.get_content() == content


def test_a_recipient_who_is_named_twice_gets_it_once(server: MailServer, tmp_path: Path) -> None:
    handler_for(server, tmp_path).handle(
        message(to=["a@example.com", "A@Example.com"], cc="Анна <a@example.com>, b@example.com", bcc="b@example.com")
    )
    assert server.boxes() == ["a@example.com", "b@example.com"]


def test_letters_beyond_ascii_before_the_at_sign_need_a_server_that_takes_them(tmp_path: Path) -> None:
    with MailServer(smtputf8=True) as server:
        handler_for(server, tmp_path / "1").handle(message(to="иван@пример.рф"))
        [mail] = server.mails
        assert mail.recipient == "иван@xn--e1afmkfd.xn--p1ai"
        assert "SMTPUTF8" in mail.options
        assert "иван@".encode() in mail.raw
    with MailServer(smtputf8=False) as server:
        handler = handler_for(server, tmp_path / "2")
        with pytest.raises(PermanentError, match="SMTPUTF8"):
            handler.handle(message(to="иван@пример.рф"))
        assert isinstance(handler.handle(message(to="ivan@пример.рф")), Done), "a domain can be written in ASCII"
        result = handler.handle(message(to="a@example.com", bcc="иван@пример.рф"))
        assert isinstance(result, Done)
        assert "SMTPUTF8" in result.response["email_refused"]["иван@xn--e1afmkfd.xn--p1ai"]


def test_a_mail_larger_than_the_server_takes_is_refused_by_name_not_for_ever_tried(tmp_path: Path) -> None:
    with MailServer(size_limit=1000) as server:
        handler = handler_for(server, tmp_path, all_refused="permanent")
        with pytest.raises(PermanentError, match="552"):
            handler.handle(message(body="x" * 2000))
        assert isinstance(handler.handle(message()), Done)


def test_lines_that_begin_with_a_dot_arrive_whole(server: MailServer, tmp_path: Path) -> None:
    body = "first\n.\n..\n.hidden\nlast"  # plain ASCII: these lines stand in the transfer as they are
    handler_for(server, tmp_path).handle(message(body=body))
    got = server.mails[0].message.get_body(("plain",))
    assert got is not None
    assert got.get_content().splitlines() == body.splitlines()


def test_a_mail_that_is_called_off_at_the_last_moment_leaves_the_next_alone(server: MailServer, tmp_path: Path) -> None:
    def call_off() -> None:
        raise PermanentError("called off")

    letter = Letter(b"Subject: x\r\n\r\nx\r\n")
    with SmtpSession(SmtpClient(settings_for(server, tmp_path), threading.Event())) as session:
        with pytest.raises(PermanentError, match="called off"):
            session.deliver(letter, "a@example.com", call_off)
        session.deliver(letter, "b@example.com", lambda: None)
    assert [(mail.recipient, mail.raw) for mail in server.mails] == [("b@example.com", letter.content)]


@given(st.lists(st.text() | st.text(alphabet=" \t\0x"), max_size=5).map("\n".join))
def test_any_text_arrives_as_it_was_written(
    one_server: MailServer, tmp_path_factory: pytest.TempPathFactory, body: str
) -> None:
    handler = handler_for(one_server, tmp_path_factory.mktemp("state"))
    result = handler.handle(message(body=f"{body}>", subject="x"))
    assert isinstance(result, Done)
    got = one_server.mails[-1].message.get_body(("plain",))
    assert got is not None
    wanted = f"{body}>".replace("\r\n", "\n").replace("\r", "\n")
    assert got.get_content().replace("\r\n", "\n") == wanted + "\n"


# -- kinds of connections -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_an_encrypted_connection_with_a_login(tls: str, certificate: Certificate, tmp_path: Path) -> None:
    with MailServer(tls=tls, context=certificate.server_context(), credentials=("робот", PASSWORD)) as server:
        handler = handler_for(
            server,
            tmp_path,
            tls=tls,
            smtp_host="localhost",
            ca_file=certificate.ca_file,
            smtp_username="робот",
            smtp_password=SecretStr(PASSWORD),
        )
        handler.probe()
        assert isinstance(handler.handle(message()), Done)
        assert len(server.mails) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_stops_the_system(
    tls: str, certificate: Certificate, tmp_path: Path
) -> None:
    with MailServer(tls=tls, context=certificate.server_context()) as server:
        handler = handler_for(server, tmp_path, tls=tls, smtp_host="localhost")
        with pytest.raises(ConfigurationError, match="EMAIL_CA_FILE"):
            handler.handle(message())
        unchecked = handler_for(server, tmp_path, tls=tls, smtp_host="localhost", tls_verify=False)
        assert isinstance(unchecked.handle(message()), Done)


def test_a_server_without_starttls_gets_no_mail_and_no_password(tmp_path: Path) -> None:
    with MailServer(credentials=("robot", PASSWORD)) as server:
        handler = handler_for(
            server, tmp_path, tls="starttls", smtp_username="robot", smtp_password=SecretStr(PASSWORD)
        )
        with pytest.raises(ConfigurationError, match="EMAIL_TLS=tls"):
            handler.handle(message())
        assert "AUTH" not in server.commands


def test_a_wrong_password_stops_the_system_and_is_in_no_text(tmp_path: Path) -> None:
    with MailServer(credentials=("robot", PASSWORD)) as server:
        handler = handler_for(server, tmp_path, smtp_username="robot", smtp_password=SecretStr("wrong-password"))
        for act in (handler.probe, lambda: handler.handle(message())):
            with pytest.raises(ConfigurationError, match="EMAIL_SMTP_PASSWORD") as caught:
                act()
            assert "wrong-password" not in str(caught.value)


def test_a_server_without_a_login_is_a_mistake_of_the_settings(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path, smtp_username="robot", smtp_password=SecretStr(PASSWORD))
    with pytest.raises(ConfigurationError, match="AUTH"):
        handler.probe()


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_a_stopping_daemon_begins_no_mail(server: MailServer, tmp_path: Path) -> None:
    settings = settings_for(server, tmp_path)
    stop = threading.Event()
    handler = EmailHandler(settings, SmtpClient(settings, stop), SendJournal(settings.state_dir, "email"))
    stop.set()
    with pytest.raises(StoppingError):
        handler.handle(message("task-1"))
    assert server.mails == []
    assert SendJournal(settings.state_dir, "email").parts("task-1") == {}


def test_without_a_host_the_system_is_not_in_use() -> None:
    for made in (EmailHandler, EmailTracker):
        with pytest.raises(NotConfiguredError):
            made.from_settings(EmailSettings(), threading.Event())
    with pytest.raises(NotConfiguredError):
        Mailer(EmailSettings())


def test_the_tracker_waits_for_nobody(server: MailServer, tmp_path: Path) -> None:
    tracker = EmailTracker.from_settings(settings_for(server, tmp_path), threading.Event())
    [verdict] = tracker.check([TrackedTask("task-1", "<x@example.ru>")])
    assert isinstance(verdict, Rejected)


def test_operators_get_notices_even_if_one_of_them_is_unknown(server: MailServer, tmp_path: Path) -> None:
    mailer = Mailer(settings_for(server, tmp_path))
    missed = mailer.send("Очередь стоит\nпочта", "Сервер не отвечает", ["Анна <a@example.com>", "b@example.com"])
    assert (missed, server.boxes()) == ({}, ["a@example.com", "b@example.com"])
    assert str(server.mails[0].message["Subject"]) == "Очередь стоит почта"
    assert server.mails[0].message["From"].addresses[0].addr_spec == SENDER
    server.replies("RCPT", "550 5.1.1 unknown", to="a@example.com")
    missed = mailer.send("x", "y", ["a@example.com", "b@example.com"])
    assert "unknown" in missed["a@example.com"]
    assert server.boxes()[2:] == ["b@example.com"]
    server.always("RCPT", "550 5.1.1 unknown")
    with pytest.raises(PermanentError, match="unknown"):
        mailer.send("x", "y", ["a@example.com", "b@example.com"])
    server.go_down()
    with pytest.raises(OutageError):
        mailer.send("x", "y", ["a@example.com"])
    assert not (tmp_path / "state").exists(), "a notice needs no journal"


def test_a_server_that_is_down_is_an_outage(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    server.go_down()
    for act in (handler.probe, lambda: handler.handle(message())):
        with pytest.raises(OutageError):
            act()
    server.come_back()
    handler.probe()
    assert isinstance(handler.handle(message()), Done)
