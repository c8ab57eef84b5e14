"""What was sent into systems without a key is remembered across a crash, by all workers of the machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from runtime.send_journal import KEPT, Send, SendJournal
from tests.daemon import ROOT


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SendJournal]:
    journal = SendJournal(tmp_path / "state", "email")
    yield journal
    journal.close()


def test_each_part_has_its_own_state(journal: SendJournal) -> None:
    for part in ("a@example.com", "b@example.com", "c@example.com"):
        journal.begin("task", part)
    journal.sent("task", "a@example.com", "250 queued")
    journal.refused("task", "b@example.com", "550 no such user")
    assert journal.parts("task") == {
        "a@example.com": Send("sent", "250 queued", 1),
        "b@example.com": Send("refused", "550 no such user", 1),
        "c@example.com": Send("sending", "", 1),
    }
    journal.begin("task", "c@example.com")
    assert journal.parts("task")["c@example.com"].tries == 2
    journal.forget("task", "c@example.com")
    assert "c@example.com" not in journal.parts("task")
    assert journal.parts("other") == {}


def test_what_certainly_did_not_happen_leaves_an_earlier_doubt_as_it_was(journal: SendJournal) -> None:
    journal.begin("task", "1")
    before = journal.parts("task")["1"]
    for part, known in (("1", before), ("2", None)):
        journal.begin("task", part)
        journal.undo("task", part, known)
    assert journal.parts("task") == {"1": Send("sending", "", 1)}


def test_systems_do_not_see_each_others_sends(journal: SendJournal, tmp_path: Path) -> None:
    journal.begin("task", "1")
    other = SendJournal(tmp_path / "state", "telegram")
    assert other.parts("task") == {}
    other.close()


def test_a_killed_process_leaves_what_it_was_sending(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from runtime.send_journal import SendJournal\n"
        f"journal = SendJournal(Path({str(tmp_path)!r}), 'email'); journal.begin('task', '1')\n"
        "journal.begin('task', '2'); journal.sent('task', '2', 'ok'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
    journal = SendJournal(tmp_path, "email")
    assert {part: send.state for part, send in journal.parts("task").items()} == {"1": "sending", "2": "sent"}
    journal.close()


def test_threads_and_workers_share_it(tmp_path: Path) -> None:
    journals = [SendJournal(tmp_path, "email") for _ in range(2)]

    def work(journal: SendJournal, name: str) -> None:
        for number in range(20):
            journal.begin(f"{name}-{number}", "1")
            journal.sent(f"{name}-{number}", "1")

    threads = [threading.Thread(target=work, args=(journals[index % 2], str(index))) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [journals[0].parts(f"{index}-{number}")["1"].state for index in range(6) for number in range(20)]
    assert states == ["sent"] * 120
    for journal in journals:
        journal.close()


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    now = [1_000_000.0]
    journal = SendJournal(tmp_path, "email", clock=lambda: now[0])
    journal.begin("old", "1")
    now[0] += KEPT + 1
    journal.begin("new", "1")
    journal.check()
    assert (list(journal.parts("old")), list(journal.parts("new"))) == ([], ["1"])
    journal.close()


def test_a_file_that_cannot_be_used_is_a_matter_of_configuration_and_heals(tmp_path: Path) -> None:
    (tmp_path / "sends.sqlite").write_bytes(b"this is no database, and long enough to be looked at" * 10)
    journal = SendJournal(tmp_path, "email")
    with pytest.raises(ConfigurationError, match="STATE_DIR"):
        journal.begin("task", "1")
    (tmp_path / "sends.sqlite").unlink()
    journal.begin("task", "1")
    assert journal.parts("task")["1"].state == "sending"
    journal.close()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigurationError, match="STATE_DIR"):
        SendJournal(blocked, "email").check()


def test_the_journal_forgets_by_itself_and_takes_any_text(tmp_path: Path) -> None:
    now = [1_000_000.0]
    journal = SendJournal(tmp_path, "email", clock=lambda: now[0])
    journal.begin("old", "1")
    journal.refused("old", "1", "half of a pair: \ud83d")
    assert journal.parts("old")["1"].detail == "half of a pair: ?"
    now[0] += KEPT + 1
    journal.begin("new", "1")
    assert journal.parts("old") == {}
    journal.close()
