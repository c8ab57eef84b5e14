"""The simulator says what the real mail servers say, reply by reply: each dialogue is held with both."""

from __future__ import annotations

import re

import pytest

from sandbox.email import EmailSandbox
from sandbox.email.servers import Postfix
from tests.support.email_worlds import (
    DIALECTS,
    FINE,
    SITUATIONS,
    Dialogue,
    servers_tree,
    situation_ids,
    world_of,
)

pytestmark = pytest.mark.usefixtures("mail_programs")

EVERY_SITUATION = [(server, situation) for server in SITUATIONS for situation in SITUATIONS[server]]
# What changes from mail to mail: queue ids and the date of Exim's greeting.
_CHANGING = (
    (re.compile(r"(queued as |OK id=)\S+"), r"\1ID"),
    (re.compile(r"2\.0\.0 \w+ Message accepted"), "2.0.0 ID Message accepted"),
    (re.compile(r"\w{3}, \d+ \w{3} \d{4} [\d:]{8} \S+"), "DATE"),
)


def refusals(name: str) -> list[str]:
    sender = "MAIL FROM:<worker@example.ru>"
    recipients = ("a@example.com", "nobody@example.com", "x@example.org", "worker@example.ru")
    return [f"EHLO {name}", *(line for each in recipients for line in (sender, *[f"RCPT TO:<{each}>"] * 2, "RSET"))]


def a_mail(name: str) -> list[str]:
    mail = ["MAIL FROM:<worker@example.ru>", "RCPT TO:<a@example.com>", "DATA", "Subject: x\r\n\r\nx\r\n."]
    return [f"EHLO {name}", "NOOP", "DATA", "RCPT TO:<a@example.com>", *mail, "RSET", "FOO", "QUIT"]


def held(port: int, lines: list[str]) -> list[str]:
    """Until the server hangs up, or no client would go on."""
    dialogue = Dialogue(port)
    said = [dialogue.greeting]
    for line in lines:
        if not said[-1] or not said[0].startswith("220"):
            break
        said.append(dialogue(line))
    dialogue.close()
    return [_unchanging(each) for each in said]


def _unchanging(reply: str) -> str:
    for pattern, instead in _CHANGING:
        reply = pattern.sub(instead, reply)
    return reply


def test_every_refusal_of_a_dialect_is_held_against_the_real_server() -> None:
    for server, dialect in DIALECTS.items():
        assert {each.refusal for each in SITUATIONS[server].values() if each.refusal} == set(dialect.refusals)


@pytest.mark.parametrize(("server", "situation"), EVERY_SITUATION, ids=situation_ids(EVERY_SITUATION))
def test_refusals_are_told_word_for_word_and_at_the_same_command(server: str, situation: str) -> None:
    given = SITUATIONS[server][situation]
    lines = refusals(given.name)
    if given.refusal and DIALECTS[server].refusals[given.refusal].call == "helo":
        lines = [f"EHLO {given.name}", f"HELO {given.name}", "QUIT"]
    with world_of(server, True, situation) as real, world_of(server, False, situation) as played:
        assert held(played.port, lines) == held(real.port, lines)


@pytest.mark.parametrize("server", SITUATIONS)
def test_a_mail_is_taken_word_for_word(server: str) -> None:
    with world_of(server, True) as real, world_of(server, False) as played:
        for lines in (a_mail("worker.example.ru"), ["HELO worker.example.ru", "QUIT"]):
            assert held(played.port, lines) == held(real.port, lines)


def test_postfix_hangs_up_after_twenty_errors_and_holds_replies_back_before() -> None:
    lines = refusals("worker.example.ru")[:1]
    for _ in range(22):
        lines += ["MAIL FROM:<worker@example.ru>", "RCPT TO:<nobody@example.com>", "RSET"]
    with (
        EmailSandbox() as sink,
        Postfix(servers_tree(), sink.port, {"smtpd_error_sleep_time": "0"}) as real,
        world_of("Postfix", False) as played,
    ):
        theirs = held(real.port, lines)
        assert held(played.port, lines) == theirs
    assert theirs[-2].startswith("421 4.7.0 ")


def test_exim_hangs_up_at_the_twelfth_reset() -> None:
    lines = refusals("worker.example.ru")[:1]
    for _ in range(14):
        lines += ["MAIL FROM:<worker@example.ru>", "RCPT TO:<nobody@example.com>", "RSET"]
    with world_of("Exim", True) as real, world_of("Exim", False) as played:
        theirs = held(real.port, lines)
        assert held(played.port, lines) == theirs
    assert theirs.count("250 Reset OK\r\n") == 11
    assert theirs[-2] == "554 Too many nonmail commands\r\n"


def test_opensmtpd_takes_a_hundred_mails_on_a_connection() -> None:
    lines = ["EHLO worker.example.ru"]
    for _ in range(101):
        lines += ["MAIL FROM:<worker@example.ru>", "RCPT TO:<a@example.com>", "DATA", "Subject: x\r\n\r\nx\r\n."]
    lines = lines[: 1 + 4 * 100 + 1]
    with world_of("OpenSMTPD", True) as real, world_of("OpenSMTPD", False) as played:
        theirs = held(real.port, lines)
        assert held(played.port, lines) == theirs
    assert theirs[-1].startswith("452 4.5.3 ")


@pytest.mark.parametrize("server", SITUATIONS)
def test_how_many_mails_of_one_connection_are_handed_on_at_once(server: str) -> None:
    at_once = DIALECTS[server].patience.mails_at_once
    lines = ["EHLO worker.example.ru"]
    for number in range(14):
        content = f"Subject: x\r\nX-Camunda-Task-Id: {number}\r\n\r\nx\r\n."
        lines += ["MAIL FROM:<worker@example.ru>", "RCPT TO:<a@example.com>", "DATA", content]
    for is_real in (True, False):
        with world_of(server, is_real, FINE) as world:
            held(world.port, [*lines, "QUIT"])
            expected = 14 if at_once is None else at_once
            world.wait_for(expected)
            assert len(world.delivered()) == expected
            if not is_real:
                world.sink.run_queue()
                assert len(world.delivered()) == 14
