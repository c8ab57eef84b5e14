"""Variables of every type in each topic of 1C: an outcome each time, and no value changed without a word."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.onec.handler import OneCHandler
from core import values
from core.envelopes import encode_sent
from core.errors import BusinessError, OutcomeError, PermanentError
from core.results import Accepted, Done
from sandbox.onec import OneCSandbox
from tests.support import engine_variables
from tests.systems.onec.support import ORDER, external_id, handler_for, mapping_file, message, outcome, row_of

MAPPING = f"""
[topics.order]
kind = "document"
entity = "{ORDER}"
[topics.order.fields]
"Основание" = "reason"
"Комментарий" = "comment"
"ДополнительныеРеквизиты" = "extra"
"Товары" = "goods"
[topics.up]
kind = "document"
entity = "{ORDER}"
operation = "update"
[topics.up.fields]
"Основание" = "reason"
"ДополнительныеРеквизиты" = "extra"
[topics.service]
mode = "http_service"
root = "camunda"
path = "sync"
[topics.mapped]
mode = "http_service"
root = "camunda"
path = "sync"
[topics.mapped.fields]
Reason = "reason"
"""
SHIPPED = {
    "1c_create_document": ("document_date", "date", "counterparty_ref", "amount", "sum", "comment"),
    "1c_update_document": ("document_date", "counterparty_ref", "amount", "sum", "comment"),
    "1c_create_counterparty": ("name", "full_name", "inn", "tax_id", "kpp", "comment"),
    "1c_create_task": ("title", "name", "description", "assignee", "due_date", "deadline"),
    "1c_sync_data": ("anything",),
}
OWN = ("attr_Основание", "attr_Основание_Type", "attr_Комментарий", "attr_Товары", "attr_Подпись", "attr_Нет")


@pytest.fixture(scope="module")
def base() -> Iterator[OneCSandbox]:
    with OneCSandbox() as base:
        yield base


@pytest.fixture(scope="module")
def shipped(base: OneCSandbox) -> OneCHandler:
    return handler_for(base)


@pytest.fixture(scope="module")
def handler(base: OneCSandbox, tmp_path_factory: pytest.TempPathFactory) -> OneCHandler:
    return handler_for(base, mapping_file=mapping_file(tmp_path_factory.mktemp("any"), MAPPING))


@pytest.fixture(scope="module")
def ref(shipped: OneCHandler) -> str:
    return external_id(outcome(shipped, message("1c_create_document")))


def handled(handler: OneCHandler, topic: str, given_values: dict[str, Any], ref: str) -> Accepted | Done | None:
    """None when the message was refused: then by name, and neither the queue nor the attempts pay for it."""
    extensions = {name: given_values[name] for name in list(given_values)[::3]}  # some come from the diagram
    variables = {name: value for name, value in given_values.items() if name not in extensions}
    if topic in {"1c_update_document", "up"}:
        variables["ref"] = ref
    one = message(topic, extensions=extensions, **variables)
    found = outcome(handler, one)
    if isinstance(found, OutcomeError):
        assert isinstance(found, PermanentError | BusinessError), found
        return None
    assert isinstance(found, Accepted | Done)
    encode_sent(one.task, one.queue, found, time.time())
    return found


@pytest.mark.parametrize("topic", SHIPPED)
@given(data=st.data())
def test_each_topic_does_it_or_refuses_it_by_name(
    base: OneCSandbox, shipped: OneCHandler, ref: str, topic: str, data: st.DataObject
) -> None:
    names = st.sampled_from([*SHIPPED[topic], *OWN])
    handled(shipped, topic, data.draw(st.dictionaries(names, engine_variables.ANY, max_size=4)), ref)


ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["Свойство", "Значение", "Значение_Type", "ТекстоваяСтрока", "LineNumber", "Нет"]),
        engine_variables.PLAIN,
        max_size=4,
    ),
    max_size=3,
)


@pytest.mark.parametrize("topic", ["order", "up"])
@given(rows=ROWS, reason=engine_variables.ANY, kind=st.none() | engine_variables.TEXT)
def test_what_may_be_of_any_type_is_written_or_refused(
    base: OneCSandbox, handler: OneCHandler, ref: str, topic: str, rows: Any, reason: Any, kind: str | None
) -> None:
    handled(handler, topic, {"extra": rows, "attr_Основание": reason, "attr_Основание_Type": kind}, ref)


@given(reason=engine_variables.ANY)
def test_a_value_of_any_type_is_what_it_was_or_a_difference_is_told(
    base: OneCSandbox, handler: OneCHandler, ref: str, reason: Any
) -> None:
    found = handled(handler, "order", {"comment": "x", "reason": reason}, ref)
    if found is None:
        return
    row = row_of(base, external_id(found))
    stored, kind = row["Основание"], row["Основание_Type"]
    is_typed = isinstance(reason, dict) and "value" in reason and reason.keys() <= {"type", "value", "valueInfo"}
    value = reason["value"] if is_typed else reason
    if is_typed and reason.get("type") in {"Json", "Object"}:
        value = json.loads(value)
    if (
        isinstance(value, dict)
        or found.response.get("warnings")
        or (kind == "StandardODATA.Undefined" and values.is_blank(value))
    ):
        return
    if str(value).startswith("1970-01-01T00:00:00"):
        return  # what clients make of an empty date
    match kind:
        case "Edm.Double":
            assert Decimal(stored) == Decimal(str(value))
        case "Edm.Boolean":
            assert stored == str(value).lower()
        case "Edm.DateTime":
            local = datetime.fromisoformat(stored).astimezone(UTC)
            assert reason["type"] == "Date"
            assert abs((local - datetime.fromisoformat(value).astimezone(UTC)).total_seconds()) < 24 * 3600
        case "Edm.String":
            assert stored == values.text(value), "but for the spaces around it, and NUL"
        case _:
            assert re.fullmatch(r"StandardODATA\.\w+", kind)
            assert value.strip().endswith(stored)


@given(given_values=st.dictionaries(st.sampled_from(["reason", "a", "attr_B"]), engine_variables.ANY, max_size=3))
def test_a_service_is_sent_the_values_as_they_are(
    base: OneCSandbox, handler: OneCHandler, given_values: dict[str, Any]
) -> None:
    one = message("service", **given_values)
    assert isinstance(outcome(handler, one), Done)
    [sent] = base.synced.pop(one.task.task_id)
    assert sent["data"].keys() == given_values.keys()
    for name, value in given_values.items():
        assert engine_variables.is_told(value, sent["data"][name])


@given(own=engine_variables.PLAIN)
def test_an_attribute_that_a_message_names_itself_reaches_a_service_of_either_kind(
    base: OneCSandbox, handler: OneCHandler, own: Any
) -> None:
    """What is documented for one topic is not dropped by its sibling."""
    if values.is_blank(own) or str(own).startswith("1970-01-01T"):
        return  # counts as not given
    for topic, name in (("service", "attr_Own"), ("mapped", "Own")):
        one = message(topic, extensions={"attr_Own": own}, reason="x")
        assert isinstance(outcome(handler, one), Done)
        [sent] = base.synced.pop(one.task.task_id)
        assert sent["data"][name] == own


@pytest.mark.parametrize("topic", ["1c_create_document", "1c_update_document", "1c_create_counterparty", "order"])
@pytest.mark.parametrize("place", ["variables", "extensions"])
def test_an_attribute_that_nobody_knows_is_refused_by_name(
    base: OneCSandbox, shipped: OneCHandler, handler: OneCHandler, ref: str, topic: str, place: str
) -> None:
    given_values: dict[str, Any] = {"attr_Коментарий": "x", "name": "x"}
    variables: dict[str, Any] = {"ref": ref, "amount": 1}
    one = message(topic, extensions=given_values if place == "extensions" else {}, **variables)
    if place == "variables":
        one = message(topic, **variables, **given_values)
    error = outcome(handler if topic == "order" else shipped, one)
    assert isinstance(error, PermanentError)
    assert error.code == "unknown_attribute"
    assert "attr_Коментарий" in error.reason
    assert "Комментарий" in error.reason


def test_an_update_takes_every_input_of_the_creation(base: OneCSandbox, shipped: OneCHandler, ref: str) -> None:
    firm = external_id(outcome(shipped, message("1c_create_counterparty", name="ООО «Ромашка»")))
    given_values: dict[str, Any] = {
        "document_date": "2026-12-01T12:00:00",
        "counterparty_ref": firm,
        "sum": 7,
        "comment": "x",
    }
    assert isinstance(outcome(shipped, message("1c_update_document", ref=ref, **given_values)), Done)
    row = row_of(base, ref)
    assert (row["Date"], row["Контрагент_Key"]) == ("2026-12-01T12:00:00", firm.partition("/")[2])
    assert (row["СуммаДокумента"], row["Комментарий"]) == (7, "x")
