"""The local mail server's faults, seen by smtplib: what a client is told, and whether the mail is there."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.email import EmailSandbox, faults
from sandbox.faults import Fault

MAIL = "Subject: x\r\nX-Camunda-Task-Id: task-1\r\n\r\ntext"


@contextmanager
def client(server: EmailSandbox) -> Iterator[smtplib.SMTP]:
    smtp = smtplib.SMTP("127.0.0.1", server.port, timeout=5)
    try:
        yield smtp
    finally:
        smtp.close()


def send(server: EmailSandbox) -> None:
    with client(server) as smtp:
        smtp.sendmail("a@example.com", ["b@example.com"], MAIL)


@pytest.mark.parametrize(("call", "code"), [("mail", 451), ("rcpt", 450), ("content", 452)])
def test_a_refusal_is_told_by_its_code_and_nothing_is_taken(call: str, code: int) -> None:
    with EmailSandbox() as server:
        injection = server.inject(faults.refusal(code, "4.3.0 later"), call)
        with pytest.raises(smtplib.SMTPException) as refused:
            send(server)
        assert str(code) in str(refused.value)
        assert (injection.hits, server.mails()) == (1, ())
        send(server)
        assert len(server.by_task()["task-1"]) == 1, "once was enough"


def test_a_greeting_can_be_refused() -> None:
    with EmailSandbox() as server:
        server.inject(faults.refusal(421, "4.7.0 too many connections"), "connect")
        with pytest.raises(smtplib.SMTPConnectError):
            send(server)
        assert server.connections == 1


@pytest.mark.parametrize(("fault", "taken"), [(faults.reset(), 0), (faults.reset(after_execution=True), 1)])
def test_a_reset_leaves_the_client_in_doubt(fault: Fault, taken: int) -> None:
    with EmailSandbox() as server:
        server.inject(fault, "content")
        with pytest.raises((OSError, smtplib.SMTPServerDisconnected)):
            send(server)
        assert len(server.mails()) == taken


def test_a_fault_may_be_for_some_recipients_only() -> None:
    with EmailSandbox() as server:
        server.inject(faults.refusal(451, "later"), "content", count=None, match=lambda mail: "c@" in str(mail))
        send(server)
        server.clear_faults()
        send(server)
        assert len(server.mails()) == 2
