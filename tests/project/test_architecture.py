"""The drawings of the house are made from the code, and every hop of the two walks is a function that it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.texts import Text
from sandbox.process import ROOT
from tests.support import documents
from tools.house import arrows, floors, installed_rooms, rooms
from tools.import_rules import read
from tools.walks import QUEUE, TO_CAMUNDA, TO_THE_SENT_QUEUE, Hop, unknown


@pytest.mark.parametrize("walk", [TO_THE_SENT_QUEUE, TO_CAMUNDA], ids=["to the sent queue", "to Camunda"])
def test_every_hop_exists_and_is_named_by_the_one_before_or_by_whom_the_walk_says(walk: list[Hop]) -> None:
    assert list(unknown(walk)) == []


@pytest.mark.parametrize("manual", ["docs/operation.md", "docs/operation.ru.md"])
def test_the_manual_names_every_room_of_the_program(manual: str) -> None:
    named = {name.strip("/").removesuffix(".py") for name in documents.code_spans(documents.read(manual))}
    assert sorted(installed_rooms(ROOT) - named) == []


def test_a_hop_that_the_code_has_not_is_found() -> None:
    gone = Hop("processing.settlement:Settler.evaporate", QUEUE, Text.of(""), named_by="core.messages:decode_task")
    assert list(unknown([gone])) == [
        "there is no processing.settlement:Settler.evaporate",
        "core.messages:decode_task does not name processing.settlement:Settler.evaporate",
    ]


def test_a_room_stands_above_all_that_it_imports(tmp_path: Path) -> None:
    for path, text in {
        "core/__init__.py": '"""Values."""',
        "core/one.py": "",
        "broker/__init__.py": '"""Queues."""',
        "broker/two.py": "import core.one",
        "main.py": '"""The entry."""\nimport broker.two',
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    names = rooms(tmp_path)
    assert names == {"broker": "Queues.", "core": "Values.", "main": "The entry."}
    assert floors(arrows(read(tmp_path), names), names) == {"core": 0, "broker": 1, "main": 2}
