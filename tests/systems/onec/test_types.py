"""Values of several types, tabular parts, and what 1C makes of them: written with their type, compared, told.

Facts: developer guide 8.3.27, 17.4.3 (composite types, value storages) and 17.4.13.1 (creating, updating), as
hacker-cb/1c-odata keeps it under docs/1c.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.onec.differences import differences
from consumers.onec.handler import OneCHandler
from core.errors import ConfigurationError, OutcomeError, PermanentError, TransientError
from core.messages import CamundaTask, IncomingMessage
from core.results import Done
from sandbox.http_front import RawAnswer
from sandbox.onec import ENTITIES, OneCSandbox, faults
from tests.support import documents
from tests.systems.onec.support import (
    FIRM,
    ORDER,
    PERSON,
    TASK,
    external_id,
    failed,
    handler_for,
    mapping_file,
    message,
    outcome,
    row_of,
)

GUID = "0ad5415a-0000-4000-8000-000000000001"
OTHER = "0ad5415a-0000-4000-8000-000000000002"
THIRD = "0ad5415a-0000-4000-8000-000000000003"
MAPPING = f"""
[topics.order]
kind = "document"
entity = "{ORDER}"
[topics.order.fields]
"Основание" = "reason"
"ДополнительныеРеквизиты" = "extra"
"Товары" = "goods"
"Комментарий" = {{ template = "Camunda: {{@task_id}}" }}

[topics.up]
kind = "document"
entity = "{ORDER}"
operation = "update"
[topics.up.fields]
"Основание" = "reason"
"ДополнительныеРеквизиты" = "extra"
"Товары" = "goods"
"СуммаДокумента" = "amount"
"Статус" = "status"

[topics.keyed]
kind = "document"
entity = "{ORDER}"
operation = "update"
[topics.keyed.fields]
"Товары" = {{ from = "goods", by = "Содержание" }}
"""

Write = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def base() -> Iterator[OneCSandbox]:
    with OneCSandbox() as base:
        yield base


@pytest.fixture
def handler(base: OneCSandbox, tmp_path: Path) -> OneCHandler:
    return handler_for(base, mapping_file=mapping_file(tmp_path, MAPPING))


@pytest.fixture
def write(base: OneCSandbox, handler: OneCHandler) -> Write:
    """What is stored of a message, and what its result warns of."""

    def written(topic: str = "order", **given: Any) -> tuple[dict[str, Any], list[str]]:
        result = outcome(handler, message(topic, **given))
        assert not isinstance(result, OutcomeError), result
        return row_of(base, external_id(result)), getattr(result, "response", {}).get("warnings", [])

    return written


def typed(fields: dict[str, Any], **variables: Any) -> IncomingMessage:
    """A message as an engine types it: `fields` stand beside its variables."""
    one = message("order", **variables)
    content = {**one.task.fields, **fields}
    return IncomingMessage(CamundaTask(one.task.body, content), one.queue)


# -- the type of a value ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "stored", "kind"),
    [
        ("Договор № 5", "Договор № 5", "Edm.String"),
        ("да", "да", "Edm.String"),
        (4, "4", "Edm.Double"),
        (12.5, "12.5", "Edm.Double"),
        (125000.0, "125000", "Edm.Double"),
        (0.00000015, "0.00000015", "Edm.Double"),
        (40702810900000000001, "40702810900000000001", "Edm.Double"),
        (True, "true", "Edm.Boolean"),
        (False, "false", "Edm.Boolean"),
        (f"{FIRM}/{GUID}", GUID, f"StandardODATA.{FIRM}"),
    ],
)
def test_a_value_that_shows_its_type_is_written_with_it(write: Write, value: Any, stored: str, kind: str) -> None:
    row, warnings = write(reason=value)
    assert (row["Основание"], row["Основание_Type"]) == (stored, kind)
    assert warnings == []


@pytest.mark.parametrize(
    ("value", "kind", "stored"),
    [
        ("4", "Edm.String", "4"),
        ("4", "Edm.Double", "4"),
        (4, "Edm.String", "4"),
        ("2026-12-01T12:00:00+05:00", "Edm.DateTime", "2026-12-01T10:00:00"),
        ("2026-12-01", "Edm.DateTime", "2026-12-01T23:59:59"),
        ("2026-12-01", "Edm.String", "2026-12-01"),
        ("да", "Edm.Boolean", "true"),
        ("false", "Edm.Boolean", "false"),
        (GUID.upper(), FIRM, GUID),
        (f"{FIRM}/{GUID}", f"StandardODATA.{FIRM}", GUID),
        ("ВЫСОКАЯ", "UnavailableEnums.ВажностьЗадачи", "Высокая"),
    ],
)
def test_a_type_that_is_told_counts(write: Write, tmp_path: Path, value: Any, kind: str, stored: str) -> None:
    """In the message beside the value, in a row beside it, or in the mapping."""
    full = f"StandardODATA.{FIRM}" if kind == FIRM else kind
    extra = [{"Свойство": GUID, "Значение": value, "Значение_Type": kind}]
    row, warnings = write(attr_Основание=value, attr_Основание_Type=kind, extra=extra)
    assert (row["Основание"], row["Основание_Type"]) == (stored, full)
    [line] = row["ДополнительныеРеквизиты"]
    assert (line["Значение"], line["Значение_Type"]) == (stored, full)
    assert warnings == []
    text = MAPPING.replace('"Основание" = "reason"', f'"Основание" = {{ from = "reason", type = "{kind}" }}')
    with OneCSandbox() as base:
        mapped = handler_for(base, mapping_file=mapping_file(tmp_path, text))
        row = row_of(base, external_id(outcome(mapped, message("order", reason=value))))
        assert (row["Основание"], row["Основание_Type"]) == (stored, full)


@pytest.mark.parametrize("value", ["4", "12,50", "1 250", "true", "False", "2026-12-01", "2026-12-01T12:00:00", GUID])
def test_a_text_that_may_be_meant_in_two_ways_is_refused_by_name(
    base: OneCSandbox, handler: OneCHandler, value: str
) -> None:
    for given in ({"reason": value}, {"extra": [{"Свойство": GUID, "Значение": value}]}):
        error = failed(outcome(handler, message("order", **given)))
        assert isinstance(error, PermanentError)
        assert error.code == "ambiguous_type"
        assert "_Type" in error.reason
        assert "ONEC_MAPPING_FILE" in error.reason
    assert base.rows(ORDER) == []


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("Date", "2026-12-01T21:00:00.000+0000", ("2026-12-02T00:00:00", "Edm.DateTime")),
        ("String", "2026-12-01T21:00:00.000+0000", ("2026-12-01T21:00:00.000+0000", "Edm.String")),
        ("String", "4", ("4", "Edm.String")),
        ("Boolean", True, ("true", "Edm.Boolean")),
        ("Long", 9007199254740993, ("9007199254740993", "Edm.Double")),
    ],
)
@pytest.mark.parametrize("place", ["variables", "process_variables", "extensionProperties"])
def test_the_type_that_the_engine_declares_counts(
    base: OneCSandbox, handler: OneCHandler, kind: str, value: Any, stored: tuple[str, str], place: str
) -> None:
    """Camunda's live side sends plain variables and tells their types in process_variables (docs/contract.md)."""
    given = {"reason": {"type": kind, "value": value}}
    one = typed({"variables": given})
    if place == "process_variables":
        one = typed({"variables": {"reason": value}, "process_variables": given})
    if place == "extensionProperties":
        one = typed({"variables": {}, "metadata": {"extensionProperties": given}})
    row = row_of(base, external_id(outcome(handler, one)))
    assert (row["Основание"], row["Основание_Type"]) == stored


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reason": ["a"]}, "one value"),
        ({"reason": {"a": 1}}, "one value"),
        ({"reason": f"Catalog_Нет/{GUID}"}, "Catalog_Нет is not"),
        ({"attr_Основание": "x", "attr_Основание_Type": "Edm.Double"}, "a number"),
        ({"attr_Основание": "x", "attr_Основание_Type": "Edm.DateTime"}, "a date"),
        ({"attr_Основание": "x", "attr_Основание_Type": "Edm.Boolean"}, "yes or no"),
        ({"attr_Основание": "x", "attr_Основание_Type": FIRM}, "a reference"),
        ({"attr_Основание": f"{PERSON}/{GUID}", "attr_Основание_Type": FIRM}, f"a reference to {FIRM}"),
        ({"attr_Основание": "Средняя", "attr_Основание_Type": "UnavailableEnums.ВажностьЗадачи"}, "Высокая, Обычная"),
        ({"attr_Основание": "x", "attr_Основание_Type": "String"}, "Edm.String"),
        ({"attr_Основание": "x", "attr_Основание_Type": "StandardODATA.Undefined"}, "is not empty"),
        ({"attr_Основание_Type": "Edm.String"}, "without a value for Основание"),
        ({"extra": [{"Свойство": GUID, "Значение_Type": "Edm.String"}]}, "without Значение"),
        ({"extra": [{"Свойство": GUID, "Значение": 1, "Значение_Type": "число"}]}, "'число'"),
        ({"extra": [{"Значение": 1}]}, "a row with Свойство_Key"),
        ({"extra": [{"Свойство": GUID, "Значение": 1}, {"Свойство_Key": GUID.upper(), "Значение": 2}]}, "extra"),
        ({"extra": [{"Свойство": GUID, "Свойство_Key": OTHER, "Значение": 1}]}, "given once"),
        ({"attr_Подпись": "aGk="}, "cannot be written"),
        ({"attr_Подпись_Base64Data": "aGk="}, "cannot be written"),
        ({"attr_Подпись_Type": "image/png"}, "cannot be written"),
        ({"attr_Контрагент": GUID, "attr_Контрагент_Key": OTHER}, "is the same attribute"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name_and_nothing_is_sent(
    base: OneCSandbox, handler: OneCHandler, given: dict[str, Any], told: str
) -> None:
    error = failed(outcome(handler, message("order", **given)))
    assert isinstance(error, PermanentError)
    assert told.replace("extra", "ДополнительныеРеквизиты[2]") in error.reason
    assert base.rows(ORDER) == []


def test_an_empty_text_of_a_row_is_written_when_its_type_says_so(write: Write) -> None:
    """Rows as people copy them from an answer of 1C."""
    row, warnings = write(
        extra=[
            {"LineNumber": "7", "Свойство_Key": GUID, "Значение": "", "Значение_Type": "Edm.String"},
            {"Свойство_Key": OTHER, "Значение": "", "Значение_Type": "StandardODATA.Undefined", "ТекстоваяСтрока": ""},
        ]
    )
    text, nothing = row["ДополнительныеРеквизиты"]
    assert (text["LineNumber"], text["Значение"], text["Значение_Type"]) == ("1", "", "Edm.String")
    assert (nothing["Значение"], nothing["Значение_Type"]) == ("", "StandardODATA.Undefined")
    assert warnings == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('"Основание" = { from = "reason", type = "Catalog_Нет" }', "does not offer Catalog_Нет"),
        ('"Статус" = { from = "reason", type = "Edm.String" }', "does not take the type Edm.String"),
        ('"Контрагент" = { from = "reason", type = "Edm.Guid" }', "a reference to objects of one type"),
        ('"Подпись" = "reason"', "content of a file"),
        ('"Основание" = { constant = "4" }', "'4' needs a type"),
        ('"Основание" = { from = "other", default = "2026-12-01" }', "'2026-12-01' needs a type"),
        ('"Статус" = { from = "reason", by = "Свойство" }', "no tabular part"),
        ('"Товары" = { from = "goods", by = "Свойство" }', "have no column 'Свойство'"),
        (f'"Контрагент" = {{ from = "reason", type = "{TASK}", lookup = "Исполнитель" }}', "no text 'Исполнитель'"),
    ],
)
def test_a_setting_that_does_not_fit_its_attribute_is_the_mappings_fault(tmp_path: Path, line: str, told: str) -> None:
    text = f'[topics.order]\nkind = "document"\nentity = "{ORDER}"\n[topics.order.fields]\n{line}\n'
    with OneCSandbox() as base:
        handler = handler_for(base, mapping_file=mapping_file(tmp_path, text))
        error = failed(outcome(handler, message("order", reason="x", goods=[])))
        assert isinstance(error, ConfigurationError)
        assert told in error.reason
        if "lookup" not in line:
            assert any(told in each.en for each in handler.inspect()), "told at the start, too"


# -- tabular parts ---------------------------------------------------------------------------------------------------


def extra(row: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("LineNumber", "Свойство_Key", "Значение", "Значение_Type")
    return [tuple(each[name] for name in names) for each in row["ДополнительныеРеквизиты"]]


def test_an_update_of_some_additional_attributes_keeps_the_others(base: OneCSandbox, write: Write) -> None:
    """Developer guide 8.3.27, 17.4.13.1.3: a tabular part is taken whole, what is not sent of it is deleted."""
    row, _ = write(key="k", extra=[{"Свойство": GUID, "Значение": "было"}, {"Свойство": OTHER, "Значение": 5}])
    changed, warnings = write(
        "up", ref=row["Ref_Key"], extra=[{"Свойство": OTHER, "Значение": True}, {"Свойство": THIRD, "Значение": 7}]
    )
    assert extra(changed) == [
        ("1", GUID, "было", "Edm.String"),
        ("2", OTHER, "true", "Edm.Boolean"),
        ("3", THIRD, "7", "Edm.Double"),
    ]
    assert warnings == []


def test_a_long_text_that_the_library_would_show_instead_is_taken_away(base: OneCSandbox, write: Write) -> None:
    """1C:SSL, PropertyManagerInternal: a text in TextString is shown where the property is one without limit."""
    line = {"Свойство": GUID, "Значение": "старый", "ТекстоваяСтрока": "старый и длинный"}
    row, _ = write(extra=[line])
    changed, warnings = write("up", ref=row["Ref_Key"], extra=[{"Свойство": GUID, "Значение": "новый"}])
    assert changed["ДополнительныеРеквизиты"][0]["ТекстоваяСтрока"] == ""
    changed, _ = write("up", ref=row["Ref_Key"], extra=[{**line, "Значение": "и"}])
    assert changed["ДополнительныеРеквизиты"][0]["ТекстоваяСтрока"] == "старый и длинный"
    assert warnings == []


def test_somebody_elses_row_in_between_is_kept(base: OneCSandbox, write: Write) -> None:
    row, _ = write(extra=[{"Свойство": GUID, "Значение": "a"}])

    def somebody_is_quicker(_body: dict[str, Any]) -> bool:
        lines = [*row["ДополнительныеРеквизиты"], {**row["ДополнительныеРеквизиты"][0], "Свойство_Key": OTHER}]
        base.change(f"{ORDER}/{row['Ref_Key']}", {"ДополнительныеРеквизиты": lines})
        return True

    base.inject(faults.delay(0), "PATCH *", match=somebody_is_quicker)
    changed, _ = write("up", ref=row["Ref_Key"], extra=[{"Свойство": GUID, "Значение": "b"}])
    assert [each[1:3] for each in extra(changed)] == [(GUID, "b"), (OTHER, "a")]


def test_rows_that_1c_does_not_show_are_not_overwritten(base: OneCSandbox, handler: OneCHandler, write: Write) -> None:
    row, _ = write(extra=[{"Свойство": GUID, "Значение": "a"}])
    for hidden in (b'{"Ref_Key": "x"}', '{"ДополнительныеРеквизиты": [null]}'.encode()):
        base.inject(faults.answer(RawAnswer(200, hidden)), "GET Document_*")
        error = failed(outcome(handler, message("up", ref=row["Ref_Key"], extra=[{"Свойство": OTHER, "Значение": 1}])))
        assert isinstance(error, TransientError)
        assert "would delete the others" in error.reason
    assert not any(each.method == "PATCH" for each in base.log)


def test_a_mapping_may_tell_by_what_rows_are_found(write: Write) -> None:
    row, _ = write(goods=[{"Содержание": "соль", "Количество": 1}, {"Содержание": "сахар", "Количество": 2}])
    changed, warnings = write("keyed", ref=row["Ref_Key"], goods=[{"Содержание": "сахар", "Количество": 3}])
    assert [(each["Содержание"], each["Количество"]) for each in changed["Товары"]] == [("соль", 1), ("сахар", 3)]
    assert warnings == []


def test_rows_that_are_replaced_without_being_named_are_told(write: Write) -> None:
    row, _ = write(goods=[{"Содержание": "соль", "Количество": 1}, {"Содержание": "сахар", "Количество": 2}])
    changed, warnings = write("up", ref=row["Ref_Key"], goods=[{"Содержание": "мука", "Количество": 3}])
    assert len(changed["Товары"]) == 1
    assert warnings == ["Товары: its 2 rows have been replaced by the 1 of the message"]


# -- what 1C has kept ------------------------------------------------------------------------------------------------


def test_a_type_that_the_attribute_does_not_take_is_told(tmp_path: Path) -> None:
    text = f'[topics.task]\nkind = "task"\nentity = "{TASK}"\n[topics.task.fields]\n"Исполнитель" = "who"\n'
    with OneCSandbox() as base:
        made = outcome(handler_for(base, mapping_file=mapping_file(tmp_path, text)), message("task", who="Анна"))
        assert getattr(made, "response", {})["warnings"] == [
            "Исполнитель: 'Анна' (Edm.String) was sent, 1C has kept '' (StandardODATA.Undefined)"
        ]


def test_a_text_that_1c_has_cut_is_told_where_metadata_tells_no_length(tmp_path: Path) -> None:
    with OneCSandbox(tells_lengths=False) as base:
        handler = handler_for(base)
        made = outcome(handler, message("1c_create_counterparty", name="ы" * 120, inn="1" * 20))
        told = getattr(made, "response", {})["warnings"]
        assert [each.partition(":")[0] for each in told] == ["Description", "ИНН"]
        assert f"1C has kept '{'1' * 12}'" in told[1]


@pytest.mark.parametrize("topic", ["1c_create_document", "1c_update_document"])
@pytest.mark.parametrize("body", [b"", b'{"Ref_Key": "%s"}' % GUID.encode()])
def test_what_an_answer_does_not_hold_is_read_before_it_is_compared(topic: str, body: bytes) -> None:
    """An answer of 204, or with less than was sent, says nothing about what was kept."""
    with OneCSandbox() as base:
        handler = handler_for(base)
        ref = external_id(outcome(handler, message("1c_create_document", key="other", amount=1)))
        body = body.replace(GUID.encode(), ref.partition("/")[2].encode()) if "update" in topic else b""
        base.inject(faults.answer(RawAnswer(200, body), after_execution=True), "P* Document_*")
        made = outcome(handler, message(topic, key="k", ref=ref, amount=5))
        assert getattr(made, "response", {}).get("warnings") is None
        assert getattr(made, "response", {})["result"]["task"]["attributes"]["СуммаДокумента"] == 5


def test_what_the_application_changes_while_it_writes_is_told_by_name(base: OneCSandbox, handler: OneCHandler) -> None:
    row = row_of(base, external_id(outcome(handler, message("order"))))

    told = {**row, "СуммаДокумента": 12.35, "Статус": "Проверен"}
    del told["Основание"]
    answer = faults.answer(RawAnswer(200, json.dumps(told, ensure_ascii=False).encode()))
    looks = itertools.count()
    base.inject(answer, "PATCH *")
    base.inject(answer, "GET Document_*", match=lambda _body: next(looks) > 0)
    done = outcome(handler, message("up", ref=row["Ref_Key"], amount=12.345, status="Новый", reason="x"))
    assert isinstance(done, Done)
    assert done.response["warnings"] == [
        "Основание: was sent, but 1C does not show it",
        "СуммаДокумента: 12.345 was sent, 1C has kept 12.35",
        "Статус: 'Новый' was sent, 1C has kept 'Проверен'",
    ]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"A": 5}, {"A": 5.0}),
        ({"A": "5"}, {"A": 5}),
        ({"A": 0.1}, {"A": "0.10"}),
        ({"A_Key": GUID.upper()}, {"A_Key": GUID}),
        ({"A": True}, {"A": "true"}),
        ({"A": "4", "A_Type": "Edm.Double"}, {"A": "4.00", "A_Type": "Edm.Double"}),
        ({"A": "true", "A_Type": "Edm.Boolean"}, {"A": "True", "A_Type": "Edm.Boolean"}),
        ({"Ref_Key": GUID}, {}),
        ({"A": [{"LineNumber": "1", "B": 1}]}, {"A": [{"LineNumber": 2, "B": 1, "C": 5}]}),
    ],
)
def test_the_same_in_another_form_is_no_difference(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    assert differences(sent, kept) == []


@pytest.mark.parametrize(
    ("sent", "kept", "told"),
    [
        ({"A": True}, {"A": 1}, "A: True was sent, 1C has kept 1"),
        ({"A": 1}, {"A": None}, "A: 1 was sent, 1C has kept None"),
        ({"A": "nan"}, {"A": 1}, "A: 'nan' was sent, 1C has kept 1"),
        ({"A": "4", "A_Type": "Edm.Double"}, {"A": "4", "A_Type": "Edm.String"}, "1C has kept '4' (Edm.String)"),
        ({"A": [{"B": 1}]}, {"A": []}, "A: 1 rows were sent, 1C has kept 0"),
        ({"A": [{"B": 1}]}, {"A": "x"}, "A: 1 rows were sent, 1C has kept 0"),
        ({"A": [{"B": 1}]}, {"A": [None]}, "A[1]: was sent, but 1C does not show it"),
        ({"A": [{"B": 1}]}, {"A": [{"B": 2}]}, "A[1].B: 1 was sent, 1C has kept 2"),
    ],
)
def test_a_difference_is_told_by_name(sent: dict[str, Any], kept: dict[str, Any], told: str) -> None:
    [found] = differences(sent, kept)
    assert told in found.en


def test_of_very_many_differences_some_are_told_and_the_rest_counted() -> None:
    told = differences({f"A{number}": 1 for number in range(50)}, {})
    assert (len(told), told[-1].en) == (21, "and 30 more attributes differ from what was sent")


def test_the_sandbox_has_what_these_tests_are_about() -> None:
    order = next(each for each in ENTITIES if each.name == ORDER)
    assert {"Основание", "Основание_Type", "Подпись_Base64Data", "ДополнительныеРеквизиты"} <= {
        each.name for each in order.attributes
    }


@pytest.mark.parametrize("name", ["consumers/onec/README.md", "consumers/onec/README.ru.md"])
def test_the_rows_of_the_readme_are_written(write: Write, name: str) -> None:
    rows = json.loads(documents.block_with(name, "json", "Значение_Type"))
    row, warnings = write(extra=rows)
    assert [each[2:] for each in extra(row)] == [
        ("4", "Edm.Double"),
        ("4", "Edm.String"),
        ("8c2b4f0e-5a1d-4c3b-9e7f-2d6a1b0c9e14", f"StandardODATA.{FIRM}"),
    ]
    assert warnings == []
