"""Any variables, of every type that an engine has: an outcome for each message, and no value changed without a word.

Types and shapes: docs.camunda.org, "Process Variables" and REST "Variables" (`{"value", "type", "valueInfo"}`); the
live Camunda side sends the plain value (core/messages.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from base_handler import HandlerOutcome
from consumers.openproject.handler import OpenProjectTaskHandler
from core.errors import OutcomeError
from core.results import Accepted, Done
from sandbox.openproject import OpenProjectSandbox, WorkPackage
from tests.systems.bitrix.support import outcomes
from tests.systems.openproject.support import handler_for, message

TOPICS = ("op_create_task", "op_create_milestone", "op_update_task", "op_create_project")
NAMES = (
    *("project", "type", "subject", "title", "name", "description", "description_additional", "status", "priority"),
    *("assignee", "accountable", "version", "parent", "start_date", "due_date", "estimated_time", "estimated_hours"),
    *("comment", "identifier", "work_package_id", "cf_Решение", "cf_Метки", "cf_Регион", "cf_Риск", "cf_Сумма"),
    *("cf_Количество", "cf_Оплачено", "cf_Дата акта", "cf_Примечание", "cf_Ссылка", "cf_Куратор", "cf_Сборка"),
    *("customField9", "customField30", "cf_Заказчик", "cf_Итого", "cf_Нет такого", "cf_", "customField7", "extra"),
)

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
known_words = st.sampled_from(
    [
        *(
            "Да",
            "нет",
            "1",
            "2",
            "#1",
            "CONTRACTS-1",
            "contracts",
            "Договоры",
            "Bug",
            "Milestone",
            "In progress",
            "High",
        ),
        *(
            "sokolova",
            "Юристы",
            "1.0",
            "Тверь",
            "Центр",
            "Россия / Москва",
            "низкий",
            "срочно, юристы",
            "Москва, центр",
        ),
        *(
            "2030-01-08",
            "2030-01-08T12:00:00.000+0300",
            "1970-01-01",
            "12.5",
            "12,5",
            "1 000",
            "PT8H",
            "-1",
            "true",
            "",
        ),
        *("https://example.com", "example.com", "  ", "NaN", "1e3", "٣", "null", "[]", "{}", "x" * 300),
    ]
)
numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 100)
plain_values = st.none() | st.booleans() | numbers | texts | known_words
json_values = st.recursive(
    plain_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
TYPES = (
    *("String", "Boolean", "Integer", "Long", "Short", "Double", "Date", "Null", "Json", "Object", "Bytes", "File"),
    *("Xml", "percent"),
)
typed_values = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES), "value": json_values},
    optional={"valueInfo": st.just({}) | st.just({"serializationDataFormat": "application/json"})},
)
given_values = json_values | typed_values
inputs = st.dictionaries(st.sampled_from(NAMES), given_values, max_size=6)


@dataclass(frozen=True, slots=True)
class Worker:
    server: OpenProjectSandbox
    handler: OpenProjectTaskHandler

    def outcome(self, topic: str, **given: Any) -> HandlerOutcome:
        [outcome] = outcomes(self.handler, [message(topic, **given)])
        return outcome


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with OpenProjectSandbox() as server:
        worker = Worker(server, handler_for(server))
        for title in ("Первая", "Вторая"):
            worker.outcome("op_create_task", title=title)
        yield worker


@pytest.mark.parametrize("topic", TOPICS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(variables=inputs, extensions=inputs)
@example(variables={"estimated_hours": 1e308}, extensions={})
@example(variables={"cf_Количество": 1e308, "cf_Сумма": -0.0}, extensions={})
@example(variables={"parent": 2**62, "work_package_id": {"type": "Long", "value": "1"}}, extensions={"title": "x"})
@example(variables={"work_package_id": 1, "due_date": {"type": "Date", "value": "9999-12-31"}}, extensions={})
def test_whatever_is_given_there_is_an_outcome(
    worker: Worker, topic: str, variables: dict[str, Any], extensions: dict[str, Any]
) -> None:
    target = {"work_package_id": 1} if topic == "op_update_task" else {}
    outcome = worker.outcome(topic, extensions={**target, **extensions}, **variables)
    assert isinstance(outcome, Accepted | Done | OutcomeError)
    if isinstance(outcome, Accepted | Done):
        json.dumps(outcome.response)


# -- a value that was taken is the value that was given ------------------------------------------------------------


def same_text(value: Any, kept: Any) -> bool:
    """A number may be written in several ways, a list or an object is its JSON."""
    if isinstance(value, str):
        return bool(kept == value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(kept) == Decimal(repr(value))
    return bool(json.loads(kept) == value)


def decimal_of(value: Any) -> Decimal | None:
    text = " ".join(str(value).split())
    for separator in (" ", ",", "."):
        whole, _, rest = text.partition("." if separator == "," else ",")
        groups = whole.split(separator)
        if (
            len(groups) > 1
            and (len(groups) > 2 or rest or separator == " ")
            and all(len(each) == 3 for each in groups[1:])
        ):
            text = "".join(groups) + (f".{rest}" if rest else "")
            break
    try:
        return Decimal(text.replace(",", "."))
    except InvalidOperation:
        return None


def same_number(value: Any, kept: Any) -> bool:
    wanted = decimal_of(value)
    return wanted is not None and wanted == Decimal(repr(kept))


def same_flag(value: Any, kept: Any) -> bool:
    words = {True: {"true", "1", "yes", "y", "да", "on"}, False: {"false", "0", "no", "n", "нет", "off"}}
    return str(value).strip().lower().removesuffix(".0") in words[kept]


def same_hours(value: Any, kept: Any) -> bool:
    hours = decimal_of(value)
    if hours is None:
        return bool(kept == str(value).strip().upper())
    parts = {"H": Decimal(3600), "M": Decimal(60), "S": Decimal(1)}
    seconds, number = Decimal(0), ""
    for letter in kept.removeprefix("PT"):
        if letter in parts:
            seconds, number = seconds + Decimal(number) * parts[letter], ""
        else:
            number += letter
    return abs(seconds - hours * 3600) <= Decimal("0.5")


def same_choice(titles: dict[int, tuple[str, ...]]) -> Callable[[Any, Any], bool]:
    def is_same(value: Any, kept: Any) -> bool:
        [number] = kept
        return str(value).strip().casefold() in {name.casefold() for name in titles[number]}

    return is_same


Same = Callable[[Any, Any], bool]
# What is given, how it is read in the work package, and when the two mean the same. Numbers stay within what a double
# holds exactly: what is beyond is decided by core/values.py.
exact = st.integers(-(2**40), 2**40) | st.decimals(-(10**6), 10**6, places=3).map(str)
TAKEN: dict[str, tuple[Any, Callable[[WorkPackage], Any], Same]] = {
    "title": (json_values, lambda made: made.subject, same_text),
    "description": (json_values, lambda made: made.description, same_text),
    "cf_Примечание": (json_values, lambda made: made.custom.get("customField21"), same_text),
    "cf_Ссылка": (plain_values, lambda made: made.custom.get("customField14"), same_text),
    "cf_Сумма": (exact | known_words, lambda made: made.custom.get("customField10"), same_number),
    "cf_Количество": (exact | known_words, lambda made: made.custom.get("customField18"), same_number),
    "cf_Оплачено": (plain_values, lambda made: made.custom.get("customField19"), same_flag),
    "estimated_hours": (exact | known_words, lambda made: made.estimated_time, same_hours),
    "cf_Решение": (
        plain_values,
        lambda made: made.custom.get("customField9"),
        same_choice({31: ("Да", "31", "31.0"), 32: ("Нет", "32", "32.0")}),
    ),
    # Not the epoch: clients make it of an empty date.
    "due_date": (
        known_words.filter(lambda word: word != "1970-01-01"),
        lambda made: made.due_date,
        lambda value, kept: value.strip().startswith(kept),
    ),
}


@pytest.mark.parametrize("topic", ["op_create_task", "op_update_task"])
@pytest.mark.parametrize("name", TAKEN)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_value_that_is_taken_is_the_value_that_was_given(
    worker: Worker, topic: str, name: str, data: st.DataObject
) -> None:
    values, read, is_same = TAKEN[name]
    value = data.draw(values, name)
    fixed = {"work_package_id": 1, "accountable": "sokolova"} if topic == "op_update_task" else {}
    outcome = worker.outcome(topic, **{**fixed, name: value})
    is_blank = value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())
    if isinstance(outcome, OutcomeError):
        assert not is_blank, "a blank value is as good as none"
        return
    assert isinstance(outcome, Accepted | Done)
    if not is_blank and not outcome.response.get("warnings"):
        made = worker.server.state.work_packages[int(outcome.external_id or 0)]
        assert is_same(value, read(made)), (value, read(made))
