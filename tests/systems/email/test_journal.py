"""What the journal makes of repetition: redelivery, double publish, a crash at any point of a mail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consumers.email.client import SmtpClient
from consumers.email.handler import EmailHandler
from core.errors import AmbiguousError, ConfigurationError, PermanentError, TransientError
from core.results import Done, Result
from tests.support.email_server import MailServer
from tests.systems.email.support import handler_for, message, settings_for
from toolkit.send_journal import Send, SendJournal

A, B, C = "a@example.com", "b@example.com", "c@example.com"


class CrashError(BaseException):
    """Stands for the end of the process: nothing may catch it."""


class CrashingJournal(SendJournal):
    """Ends the "process" at one call, before or after it has taken effect."""

    def __init__(self, folder: Path, at: str, part: str, *, after: bool) -> None:
        super().__init__(folder, "email")
        self._point = (at, part)
        self._after = after

    def begin(self, task_id: str, part: str, known: Send | None = None) -> None:
        self._pass(("begin", part), lambda: super(CrashingJournal, self).begin(task_id, part, known))

    def sent(self, task_id: str, part: str, detail: str = "") -> None:
        self._pass(("sent", part), lambda: super(CrashingJournal, self).sent(task_id, part, detail))

    def _pass(self, point: tuple[str, str], act: Callable[[], None]) -> None:
        if point == self._point and not self._after:
            raise CrashError
        act()
        if point == self._point:
            raise CrashError


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def crash(server: MailServer, folder: Path, at: str, part: str, *, after: bool, key: str, to: list[str]) -> None:
    settings = settings_for(server, folder)
    journal = CrashingJournal(settings.state_dir, at, part, after=after)
    handler = EmailHandler(settings, SmtpClient(settings, threading.Event()), journal)
    with pytest.raises(CrashError):
        handler.handle(message(key, to=to))
    journal.close()


def after_the_crash(handler: EmailHandler, key: str, to: list[str]) -> Result:
    """The broker delivers it again, and once more after a wait where the handler wants one."""
    deadline = time.monotonic() + 30
    redelivered = True
    while True:
        try:
            return handler.handle(message(key, to=to, redelivered=redelivered))
        except AmbiguousError:
            assert time.monotonic() < deadline, "it waits for ever"
            redelivered = False


def test_an_earlier_worker_that_has_only_lost_the_broker_gets_time_to_finish(
    server: MailServer, tmp_path: Path
) -> None:
    crash(server, tmp_path, "sent", A, after=False, key="task-1", to=[A, B])
    handler = handler_for(server, tmp_path, ambiguous_wait=600)
    with pytest.raises(AmbiguousError) as caught:
        handler.handle(message("task-1", to=[A, B], redelivered=True))
    assert (caught.value.code, caught.value.retry_after) == ("redelivered", 600)
    SendJournal(tmp_path / "state", "email").sent("task-1", A)  # it lives, and writes down what it did
    result = handler_for(server, tmp_path).handle(message("task-1", to=[A, B]))
    assert isinstance(result, Done)
    assert server.boxes() == [A, B]


def test_a_task_that_comes_again_sends_nothing_and_has_the_same_result(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    first = handler.handle(message("task-1", to=[A, B]))
    for again in (handler, handler_for(server, tmp_path)):
        second = again.handle(message("task-1", to=[A, B], redelivered=True))
        assert isinstance(first, Done)
        assert second == Done(first.response, first.external_id, duplicate=True)
    assert server.boxes() == [A, B]


def test_a_task_that_stands_twice_in_a_batch_is_sent_once(server: MailServer, tmp_path: Path) -> None:
    outcomes = [
        outcome for _, outcome in handler_for(server, tmp_path).handle_batch([message("task-1"), message("task-1")])
    ]
    assert [isinstance(each, Done) and each.duplicate for each in outcomes] == [False, True]
    assert server.boxes() == [A]


def test_what_was_sent_stays_sent_when_its_attachment_is_gone(server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("x")
    handler = handler_for(server, tmp_path, attachments_dir=tmp_path / "files")
    handler.handle(message("task-1", attachments="a.txt"))
    (tmp_path / "files" / "a.txt").unlink()
    result = handler.handle(message("task-1", attachments="a.txt"))
    assert isinstance(result, Done)
    assert result.duplicate


@pytest.mark.parametrize(
    ("at", "part", "after", "boxes"),
    [
        ("begin", A, False, [A, B, C]),
        ("begin", A, True, [A, B, C]),  # in doubt by the journal, though the content was not sent: nothing is lost
        ("sent", A, False, [A, A, B, C]),  # the one window: the server has it, the journal does not know
        ("sent", A, True, [A, B, C]),
        ("begin", B, False, [A, B, C]),
        ("begin", B, True, [A, B, C]),
        ("sent", B, False, [A, B, B, C]),
        ("sent", C, True, [A, B, C]),
    ],
)
def test_after_a_crash_only_the_rest_is_sent(
    at: str, part: str, after: bool, boxes: list[str], server: MailServer, tmp_path: Path
) -> None:
    crash(server, tmp_path, at, part, after=after, key="task-1", to=[A, B, C])
    result = after_the_crash(handler_for(server, tmp_path), "task-1", [A, B, C])
    assert isinstance(result, Done)
    assert result.response["email_accepted"] == [A, B, C]
    assert server.boxes() == boxes


@pytest.mark.parametrize(("at", "after"), [("begin", True), ("sent", False)])
def test_after_a_crash_nobody_gets_it_twice_where_that_is_wanted(
    at: str, after: bool, server: MailServer, tmp_path: Path
) -> None:
    crash(server, tmp_path, at, B, after=after, key="task-1", to=[A, B, C])
    handler = handler_for(server, tmp_path, on_ambiguous="fail")
    for _ in range(2):
        with pytest.raises(PermanentError, match=f"taken for {A}, {C}; in doubt: {B}"):
            after_the_crash(handler, "task-1", [A, B, C])
    assert sorted(server.boxes()) == sorted([A, C] if at == "begin" else [A, B, C])


def test_a_refusal_is_told_again_in_both_languages(server: MailServer, tmp_path: Path) -> None:
    server.always("RCPT", "550 5.1.1 no such user", to=B)
    server.always("RCPT", "450 4.7.1 greylisted", to=A)
    for _ in range(2):
        with pytest.raises(TransientError) as caught:
            handler_for(server, tmp_path).handle(message("task-1", to=[A, B]))
        told = caught.value.text
        assert f"refused: {B} (the mail server refused the recipient: 550 5.1.1 no such user); not now: {A}" in told.en
        assert f"отказано: {B} (почтовый сервер не принял получателя: 550 5.1.1 no such user); отложено: {A}" in told.ru


@pytest.mark.parametrize(
    "written", ["the mail server refused the recipient: 550 5.1.1 no such user", "550", '"no such user"', ""]
)
def test_a_refusal_that_an_earlier_version_has_written_counts(server: MailServer, tmp_path: Path, written: str) -> None:
    journal = SendJournal(tmp_path / "state", "email")
    journal.begin("task-1", B)
    journal.refused("task-1", B, written)
    journal.close()
    result = handler_for(server, tmp_path).handle(message("task-1", to=[A, B]))
    assert isinstance(result, Done)
    assert result.response["email_refused"] == {B: written}
    assert server.boxes() == [A]


def test_two_copies_of_a_task_at_once_send_one_mail(server: MailServer, tmp_path: Path) -> None:
    handler = handler_for(server, tmp_path)
    held, go_on = threading.Event(), threading.Event()

    class SlowJournal(SendJournal):
        def begin(self, task_id: str, part: str, known: Send | None = None) -> None:
            held.set()
            assert go_on.wait(30)
            super().begin(task_id, part, known)

    settings = settings_for(server, tmp_path)
    handler = EmailHandler(settings, SmtpClient(settings, threading.Event()), SlowJournal(settings.state_dir, "email"))
    first = threading.Thread(target=handler.handle, args=(message("task-1"),))
    first.start()
    assert held.wait(30)
    with pytest.raises(AmbiguousError) as caught:
        handler.handle(message("task-1"))
    assert caught.value.code == "key_in_use"
    go_on.set()
    first.join(30)
    assert isinstance(handler.handle(message("task-1")), Done)
    assert server.boxes() == [A]


def test_without_a_journal_nothing_is_sent(server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    handler = handler_for(server, tmp_path)
    with pytest.raises(ConfigurationError, match="STATE_DIR"):
        handler.handle(message())
    with pytest.raises(ConfigurationError, match="STATE_DIR"):
        handler.probe()
    assert server.mails == []


def test_a_journal_that_fails_in_the_middle_of_a_mail_sends_none(server: MailServer, tmp_path: Path) -> None:
    class FullDisk(SendJournal):
        def begin(self, task_id: str, part: str, known: Send | None = None) -> None:
            raise ConfigurationError("no space left", code="send_journal")

    settings = settings_for(server, tmp_path)
    handler = EmailHandler(settings, SmtpClient(settings, threading.Event()), FullDisk(settings.state_dir, "email"))
    with pytest.raises(ConfigurationError):
        handler.handle(message("task-1"))
    assert isinstance(handler_for(server, tmp_path).handle(message("task-1")), Done)
    assert server.boxes() == [A]
