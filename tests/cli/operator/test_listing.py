"""`messages` and `events`: lists of what a journal holds, for people and for programs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cli.operator.grammar import STATES
from core.events.base import Event, Identity
from core.events.control import OperatorActed
from core.events.messages import MessageParked, MessageReceived, TaskAccepted
from core.events.systems import SystemResumed
from core.outcomes import Outcome
from core.texts import Text
from journal.entries import Batch
from journal.settings import FILE
from journal.sqlite_store import SqliteStore
from journal.states import State
from tests.cli.operator.conftest import Typed


def test_the_states_of_the_grammar_are_those_of_the_journal() -> None:
    assert tuple(state.name.lower() for state in State) == STATES


@pytest.fixture
def command(typed: Typed, tmp_path: Path) -> Typed:
    return lambda *words, **more: typed({"STATE_DIR": str(tmp_path / "state"), **more}, *words)


def kept(folder: Path, *events: tuple[float, Event]) -> None:
    batch = Batch()
    for at, event in events:
        batch.add(at, event)
    store = SqliteStore(folder / "state" / FILE)
    store.write(batch)
    store.close()


def about(name: str, system: str = "bitrix24") -> Identity:
    return Identity(f"{system}.queue", system, name, "process-1", "bitrix_create_task", 1)


def test_messages_are_listed_by_state_system_and_age(command: Typed, tmp_path: Path) -> None:
    now = time.time()
    received = MessageReceived(about("old"), redelivered=False, title="Договор 118", business_key="ORD-118")
    kept(
        tmp_path,
        (now - 7200, received),
        (now - 7199, TaskAccepted(about("old")._replace(external_id="42"), created=True, stored=True)),
        (now - 60, MessageReceived(about("bad", "1c"), redelivered=False)),
        (now - 59, MessageParked(about("bad", "1c"), Text("no right", "нет права"), "no_access", Outcome.PERMANENT)),
    )
    told = json.loads(command("messages", "--json").stdout)["messages"]
    assert [each["id"] for each in told] == ["bad", "old"]
    assert told[0]["reason"] == {"en": "no right", "ru": "нет права"}
    assert {
        name: told[1][name] for name in ("state", "external_id", "business_key", "title", "process_instance_id")
    } == {
        "state": "tracking",
        "external_id": "42",
        "business_key": "ORD-118",
        "title": "Договор 118",
        "process_instance_id": "process-1",
    }
    ways = {
        ("--state", "failed"): ["bad"],
        ("--system", "bitrix24"): ["old"],
        ("--older-than", "1h"): ["old"],
        ("--since", "10m"): ["bad"],
        ("--state", "failed", "--state", "tracking", "--limit", "1"): ["bad"],
    }
    for words, names in ways.items():
        assert [each["id"] for each in json.loads(command("messages", "--json", *words).stdout)["messages"]] == names
    assert "у человека" in command("messages", LANG="ru_RU.UTF-8").stdout
    assert "a person is at work" in command("messages").stdout


def test_what_people_have_done_is_told_apart(command: Typed, tmp_path: Path) -> None:
    now = time.time()
    acts = [(now - 100 + number, OperatorActed("Ирина", f"pause {number}", "1c")) for number in range(3)]
    kept(tmp_path, *acts, (now - 10, SystemResumed("1c")))
    assert [each["code"] for each in json.loads(command("events", "--json").stdout)["events"]] == [
        "system.resumed",
        *["operator.acted"] * 3,
    ]
    audit = json.loads(command("events", "--audit", "--limit", "2", "--json").stdout)["events"]
    assert [each["fields"]["what"] for each in audit] == ["pause 2", "pause 1"]
    assert "Ирина: pause 0" in command("events", "--since", "1h").stdout
    assert command("events", "--system", "bitrix24").stdout.count("\n") <= 2


def test_without_a_journal_the_reason_is_told(command: Typed) -> None:
    for words in (["messages"], ["events"]):
        done = command(*words)
        assert (done.returncode, done.stdout) == (3, "")
        assert "there is no journal" in done.stderr
