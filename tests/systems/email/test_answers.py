"""A mail server's answer of another shape ends no more than itself: never an exception that is not an outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from consumers.email.handler import EmailHandler
from consumers.email.wire import LINE_LIMIT
from core.errors import OutageError, OutcomeError, TransientError
from core.results import Done
from sandbox.email import EmailSandbox, faults
from tests.systems.email.support import handler_for, message

A = "a@example.com"
CALLS = ("connect", "helo", "mail", "rcpt", "data", "content", "rset", "quit")
QUIET = 0.2  # seconds after which a server that has said only half of a line is given up

CODES = st.one_of(st.integers(0, 999).map(lambda code: f"{code:03}".encode()), st.binary(max_size=4))
TEXTS = st.one_of(st.binary(max_size=40), st.sampled_from([b"5.1.1 no", b"4.7.1", b"2.0.0 \xff\xfe", "нет".encode()]))
LINES = st.builds(
    lambda code, mark, text, end: code + mark + text + end,
    CODES,
    st.sampled_from([b" ", b"-", b"", b"\t"]),
    TEXTS,
    st.sampled_from([b"\r\n", b"\n", b"\r", b""]),
)
ANSWERS = st.one_of(st.lists(LINES, min_size=1, max_size=4).map(b"".join), st.binary(max_size=60))
HUGE = b"250 " + b"x" * (LINE_LIMIT * 3) + b"\r\n"
ENDLESS = b"250-x\r\n" * 2000
HELLOS = st.lists(
    st.one_of(
        st.sampled_from([b"SIZE", b"SIZE x", b"SIZE 99999999999999999999", b"AUTH", b"AUTH=PLAIN", b"AUTH \xff", b"="]),
        st.sampled_from([b"SMTPUTF8 x", b"STARTTLS", b" ", b"-", b"8BITMIME 8BITMIME"]),
        st.binary(max_size=20).map(lambda text: re.sub(rb"[\r\n]", b"", text)),
    ),
    max_size=6,
).map(lambda words: b"".join(b"250-" + word + b"\r\n" for word in [b"x", *words]) + b"250 x\r\n")


@pytest.fixture(scope="module")
def server() -> Iterator[EmailSandbox]:
    with EmailSandbox() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


def impatient(server: EmailSandbox, folder: Path) -> EmailHandler:
    return handler_for(server, folder, connect_timeout=QUIET, command_timeout=QUIET, data_timeout=QUIET)


@contextmanager
def answering(server: EmailSandbox, call: str, raw: bytes) -> Iterator[None]:
    server.inject(faults.answer(raw), call)
    try:
        yield
    finally:
        server.clear_faults()


@given(st.sampled_from(CALLS), ANSWERS)
@example("connect", b"")
@example("connect", b"\r\n")
@example("helo", b"250\r\n")
@example("rcpt", b"250-first\r\n550 5.1.1 second\r\n")
@example("rcpt", b"-1 x\r\n")
@example("data", b"250 2.0.0 go on\r\n")
@example("content", b"354 go on\r\n")
@example("content", HUGE)
@example("rcpt", HUGE)
@example("helo", ENDLESS)
@example("content", ENDLESS)
@example("rset", b"\xff\r\n")
@example("quit", b"999 \r\n")
def test_whatever_a_server_answers_is_an_outcome_and_the_next_mail_goes_out(
    server: EmailSandbox, folder: Path, call: str, raw: bytes
) -> None:
    server.forget()
    handler = impatient(server, folder)
    with answering(server, call, raw):
        key = f"{server.connections}-{call}"
        with suppress(OutcomeError):
            handler.handle(message(key, to=A))
    assert len(server.by_task().get(key, ())) <= 1
    patient = handler_for(server, folder)
    patient.probe()
    assert isinstance(patient.handle(message(f"{key}-next", to=A)), Done)
    assert len(server.by_task()[f"{key}-next"]) == 1


@given(HELLOS)
def test_whatever_a_server_claims_to_offer_is_an_outcome(server: EmailSandbox, folder: Path, raw: bytes) -> None:
    handler = handler_for(server, folder, smtp_username="robot", smtp_password=SecretStr("secret-of-robot"))
    server.inject(faults.answer(raw), "helo", count=None)
    try:
        with suppress(OutcomeError):
            handler.handle(message())
    finally:
        server.clear_faults()


@pytest.mark.parametrize("call", ["rcpt", "data"])
def test_an_unreadable_answer_about_one_mail_costs_one_attempt_of_that_mail(
    call: str, server: EmailSandbox, folder: Path
) -> None:
    server.inject(faults.answer(b"what?\r\n"), call)
    batch = [message() for _ in range(3)]
    first, *others = [outcome for _, outcome in handler_for(server, folder).handle_batch(batch)]
    assert isinstance(first, TransientError)
    assert [type(each) for each in others] == [Done, Done]


@pytest.mark.parametrize("raw", [b"what?\r\n", HUGE, ENDLESS, b"250-a\r\n450 b\r\n"])
def test_an_unreadable_greeting_is_an_outage_that_shows_what_was_said(
    raw: bytes, server: EmailSandbox, folder: Path
) -> None:
    with answering(server, "connect", raw), pytest.raises(OutageError, match="is no reply of a mail server"):
        handler_for(server, folder).handle(message())


def test_an_unreadable_answer_to_the_end_of_a_mail_is_a_doubt_and_not_a_refusal(
    server: EmailSandbox, folder: Path
) -> None:
    handler = handler_for(server, folder, on_ambiguous="fail")
    with answering(server, "content", b"250-taken\r\n554 or not\r\n"), pytest.raises(OutcomeError) as caught:
        handler.handle(message("doubtful"))
    assert caught.value.code == "may_be_delivered"
