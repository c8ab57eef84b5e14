"""What each signal of Telegram means for the message: the table of errors, on real sockets."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from consumers.telegram.client import TelegramClient
from consumers.telegram.errors import (
    DoubtfulOutageError,
    FloodError,
    MigratedError,
    UnreachableError,
    outcome_of,
)
from core.errors import (
    AmbiguousError,
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    StoppingError,
    TransientError,
)
from core.results import Done
from sandbox.http_front import RawAnswer
from sandbox.telegram import GROUP, PERSON, TelegramSandbox, faults
from tests.systems.telegram.support import client_for, handler_for, message, outcome, settings_for
from toolkit.send_journal import SendJournal


@pytest.fixture
def server() -> Iterator[TelegramSandbox]:
    with TelegramSandbox() as server:
        yield server


# code, description, outcome of sendMessage, outcome of the whole message
REFUSALS: tuple[tuple[int, str, type[OutcomeError], type[OutcomeError]], ...] = (
    (400, "Bad Request: chat not found", UnreachableError, BusinessError),
    (400, "Bad Request: have no rights to send a message", UnreachableError, BusinessError),
    (400, "Bad Request: not enough rights to send text messages to the chat", UnreachableError, BusinessError),
    (400, "Bad Request: CHAT_WRITE_FORBIDDEN", UnreachableError, BusinessError),
    (400, "Bad Request: message thread not found", PermanentError, PermanentError),
    (400, "Bad Request: message is too long", PermanentError, PermanentError),
    (400, "нет такого текста", PermanentError, PermanentError),
    (401, "Unauthorized", ConfigurationError, ConfigurationError),
    (403, "Forbidden: bot was blocked by the user", UnreachableError, BusinessError),
    (403, "Forbidden: user is deactivated", UnreachableError, BusinessError),
    (403, "Forbidden: bot was kicked from the supergroup chat", UnreachableError, BusinessError),
    (403, "Forbidden: bot is not a member of the channel chat", UnreachableError, BusinessError),
    (403, "Forbidden: bot can't initiate conversation with a user", UnreachableError, BusinessError),
    (404, "Not Found", ConfigurationError, ConfigurationError),
    (413, "Request Entity Too Large", PermanentError, PermanentError),
    (500, "Internal Server Error", DoubtfulOutageError, DoubtfulOutageError),
    (502, "Bad Gateway", DoubtfulOutageError, DoubtfulOutageError),
    (503, "Service Unavailable", OutageError, OutageError),
    (504, "Gateway Timeout", DoubtfulOutageError, DoubtfulOutageError),
)


@pytest.mark.parametrize(("code", "description", "of_send", "of_message"), REFUSALS)
def test_a_refusal_in_telegrams_own_form(
    server: TelegramSandbox,
    tmp_path: Path,
    code: int,
    description: str,
    of_send: type[OutcomeError],
    of_message: type[OutcomeError],
) -> None:
    server.inject(faults.refusal(code, description), "sendMessage", count=None)
    with pytest.raises(of_send) as caught:
        client_for(server, tmp_path).send_message({"chat_id": PERSON, "text": "x"})
    assert caught.type is of_send
    assert description in caught.value.reason
    with handler_for(server, tmp_path) as handler:
        error = outcome(handler, message(text="x"))
    assert type(error) is of_message
    assert server.messages == []


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("blocked", BusinessError),
        ("deactivated", BusinessError),
        ("not_started", BusinessError),
        ("kicked", BusinessError),
        ("not_member", BusinessError),
        ("no_rights", BusinessError),
        ("restricted", BusinessError),
    ],
)
def test_a_chat_that_cannot_be_written_to(
    server: TelegramSandbox, tmp_path: Path, state: str, kind: type[OutcomeError]
) -> None:
    server.set_state(PERSON, state)
    with handler_for(server, tmp_path) as handler:
        error = outcome(handler, message(text="x"))
    assert type(error) is kind
    assert isinstance(error, OutcomeError)
    assert error.code == "TELEGRAM_UNREACHABLE"


def test_the_messages_own_fault_is_permanent_even_where_some_cannot_be_reached(
    server: TelegramSandbox, tmp_path: Path
) -> None:
    server.set_state(PERSON, "blocked")
    with handler_for(server, tmp_path) as handler:
        error = outcome(handler, message(text="x", chat_id=[PERSON, GROUP], message_thread_id=9))
    assert type(error) is PermanentError
    assert "message thread not found" in error.reason


def test_too_many_requests_is_partial_and_tells_the_time(server: TelegramSandbox, tmp_path: Path) -> None:
    server.inject(faults.refusal(429, "Too Many Requests: retry after 35", retry_after=35), "sendMessage")
    with handler_for(server, tmp_path) as handler:
        error = outcome(handler, message(text="x"))
    assert isinstance(error, PartialOutageError)
    assert error.retry_after == pytest.approx(35, abs=1)


@pytest.mark.parametrize(
    ("body", "header", "seconds"),
    [
        ({"parameters": {"retry_after": 7}}, 9.0, 7.0),
        ({"parameters": {"retry_after": "soon"}}, 9.0, 9.0),
        ({"parameters": 5}, None, 30.0),
        ({"parameters": {"retry_after": 0}}, None, 1.0),
        ({"parameters": {"retry_after": -5}}, None, 1.0),
        ({}, None, 30.0),
    ],
)
def test_the_wait_after_too_many_requests(body: dict[str, Any], header: float | None, seconds: float) -> None:
    full = {"ok": False, "error_code": 429, "description": "Too Many Requests", **body}
    error = outcome_of(429, full, what="sendMessage", write=True, retry_after=header)
    assert isinstance(error, FloodError)
    assert error.retry_after == seconds


def test_markup_that_is_refused_is_sent_once_as_plain_text(
    server: TelegramSandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = faults.refusal(400, "Bad Request: can't parse entities: Unsupported start tag")
    server.inject(refusal, "sendMessage", match=lambda sent: "parse_mode" in sent)
    with handler_for(server, tmp_path) as handler, caplog.at_level(logging.WARNING):
        assert isinstance(outcome(handler, message(title="A & B", text="x")), Done)
    assert server.texts(PERSON) == ["A & B\n\nx"]
    assert [getattr(each, "event", "") for each in caplog.records] == ["telegram.plain_text"]


def test_plain_text_that_is_refused_too_is_permanent(server: TelegramSandbox, tmp_path: Path) -> None:
    server.inject(faults.refusal(400, "Bad Request: can't parse entities: x"), "sendMessage", count=None)
    with handler_for(server, tmp_path) as handler:
        error = outcome(handler, message(title="t", text="x"))
    assert type(error) is PermanentError
    assert server.requests == 2


def test_a_group_that_has_moved_tells_its_new_id() -> None:
    body = {"ok": False, "error_code": 400, "description": "x", "parameters": {"migrate_to_chat_id": -1001234567890123}}
    error = outcome_of(400, body, what="sendMessage", write=True)
    assert isinstance(error, MigratedError)
    assert error.chat_id == "-1001234567890123"


def test_a_group_that_moves_on_and_on_ends_as_a_refusal(server: TelegramSandbox, tmp_path: Path) -> None:
    server.inject(faults.refusal(400, "upgraded", migrate_to_chat_id=GROUP), "sendMessage", count=None)
    with handler_for(server, tmp_path) as handler:
        error = outcome(handler, message(text="x", chat_id=GROUP))
    assert type(error) is PermanentError
    assert server.requests == 2


# -- answers that are not Telegram's -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, OutageError),
        (403, OutageError),
        (404, OutageError),
        (407, ConfigurationError),
        (500, DoubtfulOutageError),
        (502, DoubtfulOutageError),
        (503, OutageError),
        (504, DoubtfulOutageError),
    ],
)
def test_a_page_of_a_proxy_or_a_filter(
    server: TelegramSandbox, tmp_path: Path, status: int, kind: type[OutcomeError]
) -> None:
    server.inject(faults.html(status), "sendMessage")
    server.inject(faults.html(status), "getMe")
    client = client_for(server, tmp_path)
    with pytest.raises(kind) as caught:
        client.send_message({"chat_id": PERSON, "text": "x"})
    assert caught.type is kind
    with pytest.raises(ConfigurationError if kind is ConfigurationError else OutageError) as probed:
        client.get_me()
    assert probed.type is not DoubtfulOutageError, "a question changes nothing"


@pytest.mark.parametrize("body", [b'{"ok": tr', b"[]", b"\xff", b'{"ok": true}', b'{"message": "x"}', b""])
def test_an_answer_that_is_no_answer_is_in_doubt(server: TelegramSandbox, tmp_path: Path, body: bytes) -> None:
    server.inject(faults.answer(RawAnswer(200, body)), "*", count=2)
    client = client_for(server, tmp_path)
    with pytest.raises(AmbiguousError):
        client.send_message({"chat_id": PERSON, "text": "x"})
    with pytest.raises(OutageError):
        client.get_me()


def test_an_error_of_another_program_is_not_taken_for_telegrams() -> None:
    for body in ({"message": "unknown method"}, {"ok": False}, {"ok": False, "error_code": "403"}, None):
        assert type(outcome_of(403, body, what="sendMessage", write=True)) is OutageError


# -- no answer ---------------------------------------------------------------------------------------------------------

LOST = pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (faults.reset(), 0),
        (faults.reset(after_execution=True), 1),
        (faults.delay(30, after_execution=True), 1),
        (faults.broken_json(after_execution=True), 1),
        (faults.refusal(502, "Bad Gateway", after_execution=True), 1),
    ],
    ids=["reset before", "reset after", "time-out", "half an answer", "502 after"],
)


@LOST
def test_a_lost_answer_is_sent_again_where_twice_is_better_than_never(
    server: TelegramSandbox,
    tmp_path: Path,
    fault: faults.Fault,
    arrived: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.inject(fault, "sendMessage", match=lambda sent: sent["chat_id"] == PERSON)
    incoming = message(text="x", chat_id=[PERSON, GROUP])
    with handler_for(server, tmp_path, request_timeout=0.5) as handler, caplog.at_level(logging.WARNING):
        error = outcome(handler, incoming)
        assert isinstance(error, TransientError | DoubtfulOutageError)
        assert isinstance(outcome(handler, incoming), Done)
    assert len(server.texts(PERSON)) == arrived + 1
    assert len(server.texts(GROUP)) == 1, "the other chat has it once"
    assert "telegram.resent" in {getattr(each, "event", "") for each in caplog.records}


@LOST
def test_a_lost_answer_is_never_sent_again_where_never_is_better_than_twice(
    server: TelegramSandbox, tmp_path: Path, fault: faults.Fault, arrived: int
) -> None:
    server.inject(fault, "sendMessage", match=lambda sent: sent["chat_id"] == PERSON)
    incoming = message(text="x", chat_id=[PERSON, GROUP])
    with handler_for(server, tmp_path, request_timeout=0.5, on_ambiguous="fail") as handler:
        first = outcome(handler, incoming)
        assert isinstance(first, PermanentError | DoubtfulOutageError)
    with handler_for(server, tmp_path, request_timeout=0.5, on_ambiguous="fail") as another:
        error = outcome(another, incoming)
    assert isinstance(error, PermanentError)
    assert error.code == "may_be_delivered"
    assert len(server.texts(PERSON)) == arrived
    assert len(server.texts(GROUP)) == 1, "the other chat has it all the same"


def test_what_may_have_arrived_each_time_is_not_sent_for_ever(server: TelegramSandbox, tmp_path: Path) -> None:
    server.inject(faults.refusal(500, "Internal Server Error", after_execution=True), "sendMessage", count=None)
    incoming = message(text="x")
    with handler_for(server, tmp_path) as handler:
        outcomes = [outcome(handler, incoming) for _ in range(12)]
    assert [type(each) for each in outcomes] == [DoubtfulOutageError] * 10 + [PermanentError] * 2
    assert len(server.messages) == 10


def test_only_what_may_have_arrived_is_counted(server: TelegramSandbox, tmp_path: Path) -> None:
    incoming = message(text="x")
    server.inject(faults.reset(after_execution=True), "sendMessage")
    with handler_for(server, tmp_path) as handler:
        assert isinstance(outcome(handler, incoming), TransientError)
    flood = server.inject(faults.refusal(429, "Too Many Requests", retry_after=60), "sendMessage", count=12)
    for _ in range(12):
        with handler_for(server, tmp_path) as handler:
            assert isinstance(outcome(handler, incoming), PartialOutageError)
    assert flood.hits == 12
    with handler_for(server, tmp_path) as handler:
        assert isinstance(outcome(handler, incoming), Done), "refused twelve times, sent twice"
    assert len(server.messages) == 2


def test_a_server_that_tells_no_wait_is_not_asked_again_and_again(server: TelegramSandbox, tmp_path: Path) -> None:
    refusal = faults.refusal(429, "Too Many Requests: retry after 0", retry_after=0)
    flood = server.inject(refusal, "sendMessage", count=None)
    with handler_for(server, tmp_path) as handler:
        error = outcome(handler, message(text="x"))
    assert isinstance(error, PartialOutageError)
    assert flood.hits <= 3


def test_sending_again_costs_an_attempt_even_where_another_chat_waits(server: TelegramSandbox, tmp_path: Path) -> None:
    """Else the waiting, which costs nothing, would have the doubtful one sent again for ever."""
    flood = faults.refusal(429, "Too Many Requests: retry after 60", retry_after=60)
    server.inject(faults.reset(after_execution=True), "sendMessage", match=lambda sent: sent["chat_id"] == PERSON)
    server.inject(flood, "sendMessage", match=lambda sent: sent["chat_id"] == GROUP)
    incoming = message(text="x", chat_id=[PERSON, GROUP])
    with handler_for(server, tmp_path) as handler:
        assert isinstance(outcome(handler, incoming), TransientError)
        assert isinstance(outcome(handler, incoming), PartialOutageError)


def test_what_a_killed_worker_was_sending_is_decided_by_the_setting(server: TelegramSandbox, tmp_path: Path) -> None:
    journal = SendJournal(tmp_path, "telegram")
    for key in ("one", "two"):
        journal.begin(key, f"{PERSON}/1")
    journal.close()
    with handler_for(server, tmp_path, on_ambiguous="fail") as handler:
        assert isinstance(outcome(handler, message(key="one", text="x")), PermanentError)
    assert server.messages == []
    with handler_for(server, tmp_path, on_ambiguous="resend") as handler:
        assert isinstance(outcome(handler, message(key="one", text="x")), Done), "put back by a person's decision"
        assert isinstance(outcome(handler, message(key="two", text="x")), Done)
    assert len(server.messages) == 2


def test_a_server_that_cannot_be_reached_leaves_no_doubt(server: TelegramSandbox, tmp_path: Path) -> None:
    incoming = message(text="x")
    with handler_for(server, tmp_path, on_ambiguous="fail") as handler:
        server.go_down()
        error = outcome(handler, incoming)
        assert type(error) is OutageError
        with pytest.raises(OutageError):
            handler.probe()
        server.come_back()
        handler.probe()
        assert isinstance(outcome(handler, incoming), Done)
    assert len(server.messages) == 1


def test_an_unknown_host_and_a_silent_one_are_outages(server: TelegramSandbox, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        # The one place in the backlog is taken, so that no further connection is accepted.
        address = silent.getsockname()
        with socket.create_connection(address):
            for url in ("http://no-such-host.invalid", f"http://127.0.0.1:{address[1]}"):
                client = client_for(server, tmp_path, api_url=url, connect_timeout=0.3, request_timeout=0.3)
                with pytest.raises(OutageError):
                    client.get_me()


def test_an_untrusted_certificate_pauses_the_system(tmp_path: Path) -> None:
    with TelegramSandbox(tls=True) as server:
        with handler_for(server, tmp_path) as handler:
            error = outcome(handler, message(text="x"))
            assert isinstance(error, ConfigurationError)
        with handler_for(server, tmp_path, ca_file=server.ca_file) as handler:
            assert isinstance(outcome(handler, message(text="x")), Done)


# -- set-up ------------------------------------------------------------------------------------------------------------


def test_a_revoked_token_pauses_and_loses_nothing(server: TelegramSandbox, tmp_path: Path) -> None:
    incoming = message(text="x")
    with handler_for(server, tmp_path) as handler:
        server.revoke_token()
        assert isinstance(outcome(handler, incoming), ConfigurationError)
        with pytest.raises(ConfigurationError):
            handler.probe()
        server.restore_token()
        handler.probe()
        assert isinstance(outcome(handler, incoming), Done)
    assert len(server.messages) == 1


def test_a_probe_that_is_refused_for_its_number_is_an_outage(server: TelegramSandbox, tmp_path: Path) -> None:
    server.inject(faults.refusal(429, "Too Many Requests: retry after 3", retry_after=3), "getMe")
    with pytest.raises(OutageError) as caught:
        client_for(server, tmp_path).get_me()
    assert caught.value.retry_after == 3


def test_a_journal_that_cannot_be_written_pauses_before_anything_is_sent(
    server: TelegramSandbox, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with handler_for(server, tmp_path / "file") as handler:
        assert isinstance(outcome(handler, message(text="x")), ConfigurationError)
        with pytest.raises(ConfigurationError):
            handler.probe()
    assert server.messages == []


def test_a_stopping_daemon_sends_nothing_and_leaves_no_doubt(server: TelegramSandbox, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    incoming = message(text="x")
    with handler_for(server, tmp_path, stop) as handler, pytest.raises(StoppingError):
        handler.handle(incoming)
    with handler_for(server, tmp_path, on_ambiguous="fail") as handler:
        assert isinstance(outcome(handler, incoming), Done)
    assert len(server.messages) == 1


def test_the_token_is_in_no_text(server: TelegramSandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = []
    with handler_for(server, tmp_path, request_timeout=0.3) as handler, caplog.at_level(logging.DEBUG):
        for fault in (
            faults.html(404),
            faults.reset(),
            faults.delay(5),
            faults.redirect(f"https://other/bot{server.token}/x"),
            faults.refusal(401, "Unauthorized"),
            faults.huge_body(20 * 1024 * 1024),
        ):
            server.inject(fault, "sendMessage")
            texts.append(str(outcome(handler, message(text="x"))))
        server.go_down()
        texts.append(str(outcome(handler, message(text="x"))))
        texts.append(repr(settings_for(server, tmp_path)))
    assert len(texts) == 8
    secret = server.token.partition(":")[2]
    assert secret not in "\n".join(texts)
    own = [each for each in caplog.records if not each.name.startswith("urllib3")]  # that logger is never printed
    assert secret not in "\n".join(each.getMessage() for each in own)


def test_a_proxy_is_used_and_its_password_told_nowhere(
    server: TelegramSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A plain proxy is asked for the whole address; the sandbox, in its place, sees that and knows no such path.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    settings = settings_for(
        server,
        tmp_path,
        api_url="http://api.telegram.invalid",
        proxy=SecretStr(f"http://user:pass-word@{server.address}"),
    )
    with pytest.raises(ConfigurationError) as caught:
        TelegramClient(settings, threading.Event()).get_me()
    assert server.requests == 1
    assert "pass-word" not in str(caught.value) + repr(settings)
