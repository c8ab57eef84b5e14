"""The mail server of the demo takes what a foreign client sends, keeps it, and says no where a real one would."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from sandbox.email import EmailSandbox
from sandbox.process import ROOT


@pytest.fixture
def server() -> Iterator[EmailSandbox]:
    with EmailSandbox() as server:
        yield server


def a_mail(task_id: str | None, body: str = "Текст") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.ru", "b@example.ru, c@example.ru", "Привет"
    if task_id is not None:
        mail["X-Camunda-Task-Id"] = task_id
    mail.set_content(body)
    return mail


def test_mails_are_kept_under_their_task_id(server: EmailSandbox) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=30) as client:
        for task_id in ("task-1", "task-1", "task-2", None):
            assert client.send_message(a_mail(task_id)) == {}
    assert {task_id: len(mails) for task_id, mails in server.by_task().items()} == {"task-1": 2, "task-2": 1}
    assert len(server.mails()) == 4
    mail = server.mails()[0]
    assert (mail.sender, mail.recipients) == ("a@example.ru", ("b@example.ru", "c@example.ru"))
    assert mail.subject == "Привет"


def test_a_mail_arrives_byte_for_byte_with_its_dots(server: EmailSandbox) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=30) as client:
        client.send_message(a_mail("task-1", body=".\n..\n.x\n\nend\n"))
    assert server.mails()[0].message.get_content().splitlines() == [".", "..", ".x", "", "end"]


def test_commands_out_of_order_and_unknown_ones_are_refused(server: EmailSandbox) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=30) as client:
        client.ehlo()
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("RCPT", "TO:<a@b.ru>")[0] == 503
        assert client.docmd("MAIL", "FROM:a@b.ru")[0] == 501
        assert client.docmd("VRFY", "a")[0] == 502
        assert client.mail("a@b.ru")[0] == 250
        assert client.rset()[0] == 250
        assert client.rcpt("a@b.ru")[0] == 503


def test_a_mail_that_breaks_off_is_not_kept(server: EmailSandbox) -> None:
    with socket.create_connection((server.host, server.port), timeout=30) as client:
        client.sendall(b"EHLO x\r\nMAIL FROM:<a@b.ru>\r\nRCPT TO:<c@d.ru>\r\nDATA\r\nSubject: half")
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    assert server.mails() == ()


def test_it_goes_down_and_comes_back_on_the_same_port_with_its_mails(server: EmailSandbox) -> None:
    client = smtplib.SMTP(server.host, server.port, timeout=30)
    client.send_message(a_mail("task-1"))
    port = server.port
    server.go_down()
    with pytest.raises((smtplib.SMTPException, OSError)):
        client.noop()
    with pytest.raises(OSError, match="refused"):
        smtplib.SMTP(server.host, port, timeout=30)
    server.come_back()
    with smtplib.SMTP(server.host, port, timeout=30) as again:
        again.send_message(a_mail("task-2"))
    client.close()
    assert set(server.by_task()) == {"task-1", "task-2"}


def test_the_demo_needs_no_package_for_it() -> None:
    program = "import sys, sandbox.email; print(sorted(name for name in sys.modules if name.startswith('aiosmtpd')))"
    done = subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", ""), "the standard library alone"
