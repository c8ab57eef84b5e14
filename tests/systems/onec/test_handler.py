"""One object per Camunda task, whatever breaks; values by their types; wrong ones named before anything is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.onec.handler import OneCHandler
from consumers.onec.mapping import ODataTopic
from core.errors import (
    AmbiguousError,
    BusinessError,
    ConfigurationError,
    NotConfiguredError,
    OutageError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.messages import IncomingMessage
from core.results import Accepted, Done
from sandbox.http_front import RawAnswer
from sandbox.onec import ENTITIES, Entity, OneCSandbox, faults
from sandbox.onec.schema import reference
from tests.systems.bitrix.support import at_once
from tests.systems.onec.support import (
    ANNA,
    FIRM,
    ORDER,
    PERSON,
    PROCESS,
    TASK,
    TASKS,
    accepted,
    external_id,
    failed,
    handler_for,
    mapping_file,
    message,
    outcome,
    row_of,
    settings_for,
)

GUID = "0ad5415a-0000-4000-8000-000000000001"
FIELDS = f"""
[topics.order]
kind = "document"
entity = "{ORDER}"
[topics.order.fields]
"Контрагент" = {{ from = "firm", type = "{FIRM}", lookup = "ИНН" }}
"СуммаДокумента" = "amount"
"Важность" = "importance"
"Срочный" = "urgent"
"Строк" = "lines"
"ДатаСогласования" = "agreed"
"Товары" = "goods"
"Статус" = {{ from = "status", default = "Новый", cut = true }}
"Комментарий" = {{ template = "Camunda: {{@task_id}} {{note}}" }}
"""


def duplicates(base: OneCSandbox) -> dict[str, list[str]]:
    return {key: found for key, found in base.by_key().items() if len(found) > 1}


# -- what is created -------------------------------------------------------------------------------------------------


def test_every_type_is_written_as_1c_takes_it(tmp_path: Path) -> None:
    with OneCSandbox(bom=True) as base:
        handler = handler_for(base, mapping_file=mapping_file(tmp_path, FIELDS))
        firm = outcome(handler_for(base), message("1c_create_counterparty", name="ООО «Ромашка»", inn="7701234567"))
        made = accepted(
            outcome(
                handler,
                message(
                    "order",
                    key="k",
                    firm="7701234567",
                    amount="12,50",
                    importance="Высокая",
                    urgent="да",
                    lines="3",
                    agreed="2026-12-01T12:00:00+05:00",
                    goods='[{"Номенклатура": "0AD5415A-0000-4000-8000-000000000001", "Количество": "2"}]',
                    status="ы" * 60,
                    note="№ 5",
                ),
            )
        )
        row = row_of(base, external_id(made))
        assert row["Контрагент_Key"] == external_id(firm).partition("/")[2]
        assert (row["СуммаДокумента"], row["Важность"], row["Срочный"], row["Строк"]) == (12.5, "Высокая", True, 3)
        assert row["ДатаСогласования"] == "2026-12-01T10:00:00", "local to the infobase, without an offset"
        [goods] = row["Товары"]
        assert (goods["LineNumber"], goods["Номенклатура_Key"], goods["Количество"]) == ("1", GUID, 2)
        assert "warnings" not in made.response
        assert row["Статус"] == "ы" * 49 + "…"
        assert row["Комментарий"] == "Camunda: k № 5"
        assert row["Date"] > "2020", "1C refuses a document without a date or files it in the year 1"
        task = made.response["result"]["task"]
        assert (task["id"], task["onec_ref"]) == (row["Ref_Key"], made.external_id)
        assert (task["onec_number"], task["title"]) == ("КА00-000001", "ЗаказКлиента КА00-000001")


def test_a_process_is_started_and_given_to_the_person_who_is_named() -> None:
    with OneCSandbox() as base:
        made = accepted(outcome(handler_for(base), message(key="k", title="Согласовать", due_date="2026-12-01")))
        [process], [task] = base.rows(PROCESS), base.rows(TASK)
        assert process["Started"]
        assert process["Исполнитель_Type"] == f"StandardODATA.{PERSON}"
        assert row_of(base, f"{PERSON}/{process['Исполнитель']}")["Description"] == ANNA
        assert process["СрокИсполнения"] == "2026-12-01T23:59:59"
        assert task["BusinessProcess_Key"] == made.response["result"]["task"]["id"]
        assert base.by_key() == {"k": [external_id(made)]}


def test_a_name_of_several_types_or_of_one_is_decided_by_the_metadata(tmp_path: Path) -> None:
    """`Исполнитель` is composite in one infobase and of a single type in another; the mapping is the same."""
    text = f'{TASKS}"Исполнитель" = {{ from = "assignee", type = "{PERSON}", lookup = "Description" }}\n'
    path = mapping_file(tmp_path, text)
    with OneCSandbox() as base:
        row = row_of(base, external_id(outcome(handler_for(base, mapping_file=path), message("task", assignee=ANNA))))
        assert row["Исполнитель_Type"] == f"StandardODATA.{PERSON}"
    single = [
        Entity(
            each.name,
            (*(part for part in each.attributes if not part.name.startswith("Исполнитель")), reference("Исполнитель"))
            if each.name == TASK
            else each.attributes,
            each.actions,
        )
        for each in ENTITIES
    ]
    with OneCSandbox(entities=single) as base:
        row = row_of(base, external_id(outcome(handler_for(base, mapping_file=path), message("task", assignee=ANNA))))
        assert row_of(base, f"{PERSON}/{row['Исполнитель_Key']}")["Description"] == ANNA


def test_variables_win_over_extensions_and_these_may_name_attributes_themselves(tmp_path: Path) -> None:
    with OneCSandbox() as base:
        handler = handler_for(base, mapping_file=mapping_file(tmp_path, FIELDS))
        one = message("order", amount=7, extensions={"amount": "8", "attr_Статус": "Срочно", "attr_Контрагент": GUID})
        row = row_of(base, external_id(outcome(handler, one)))
        assert (row["СуммаДокумента"], row["Статус"], row["Контрагент_Key"]) == (7, "Срочно", GUID)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"amount": "много"}, "'много'"),
        ({"urgent": "может быть"}, "yes or no"),
        ({"lines": "2.5"}, "a whole number"),
        ({"agreed": "завтра"}, "'завтра'"),
        ({"goods": "соль, сахар"}, "one for each row"),
        ({"goods": [{"Колличество": 1}]}, "Количество"),
        ({"goods": [{"Количество": "x"}]}, "goods[1].Количество"),
        ({"goods": {"Количество": 1}}, "a list of objects"),
        ({"firm": "7700000000"}, "is not found"),
        ({"firm": "x" * 200}, "at most 150"),
        ({"firm": "\N{PILE OF POO}" * 140}, "at most 150"),
        ({"firm": f"{PERSON}/{GUID}"}, "is not found"),
        ({"attr_Статусс": "x"}, "Статус"),
        ({"attr_Номер": "x"}, "has no such attribute"),
        ({"attr_Posted": "true"}, "does not let it be set"),
        ({"attr_Ref": GUID}, "does not let it be set"),
        ({"attr_Number": "1" * 12}, "at most 11 characters"),
        ({"attr_Контрагент": "Ромашка"}, "a guid or Catalog_X/guid"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_sent(tmp_path: Path, values: dict[str, Any], told: str) -> None:
    with OneCSandbox() as base:
        handler = handler_for(base, mapping_file=mapping_file(tmp_path, FIELDS))
        error = failed(outcome(handler, message("order", **values)))
        assert isinstance(error, PermanentError), error
        assert told in error.reason
        assert not any(each.method == "POST" for each in base.log)


def test_a_name_that_stands_for_two_is_not_guessed(tmp_path: Path) -> None:
    with OneCSandbox() as base:
        for name in ("Двойник", "Близнец"):
            outcome(handler_for(base), message("1c_create_counterparty", name=name, inn="7702"))
        handler = handler_for(base, mapping_file=mapping_file(tmp_path, FIELDS))
        error = failed(outcome(handler, message("order", firm="7702")))
        assert isinstance(error, PermanentError)
        assert "more than once" in error.reason


def test_a_value_that_is_required_and_not_given_is_told_with_its_names() -> None:
    with OneCSandbox() as base:
        error = failed(outcome(handler_for(base), message("1c_create_counterparty", inn="1")))
        assert error.code == "missing_value"
        assert "name or counterparty_name or title" in error.reason


def test_an_unknown_topic_is_told_the_known_ones() -> None:
    with OneCSandbox() as base:
        error = failed(outcome(handler_for(base), message("1c_create_world")))
        assert isinstance(error, PermanentError)
        assert "1c_create_counterparty" in error.reason
        assert base.requests == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = ("amount", "importance", "urgent", "lines", "agreed", "goods", "status", "note", "attr_Контрагент", "attr_x")


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[IncomingMessage], Any]]:
    """From a message to the body that would be sent, without sending it."""
    with OneCSandbox() as base:
        handler = handler_for(base, mapping_file=mapping_file(tmp_path_factory.mktemp("any"), FIELDS))
        topic = handler._mapping.topics["order"]
        assert isinstance(topic, ODataTopic)
        yield lambda one: handler._fields.for_creation(one.task, topic).fields


@given(given_values=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_any_value_is_written_or_refused_and_never_pauses_the_queue(
    fields: Callable[[IncomingMessage], Any], given_values: dict[str, Any]
) -> None:
    try:
        body = fields(message("order", **given_values))
    except PermanentError as error:
        body = {"refused": error.reason}
    json.dumps(body, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ("1965-03-08", "1965-03-08T23:59:59"),
        ("3999-12-31T00:00:00", "3999-12-31T00:00:00"),
        ("4000-01-01", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("0001-01-01", None),
    ],
)
def test_dates_are_those_of_1cs_calendar(
    fields: Callable[[IncomingMessage], Any], values: str, written: str | None
) -> None:
    if written is None:
        with pytest.raises(PermanentError):
            fields(message("order", agreed=values))
    else:
        assert fields(message("order", agreed=values))["ДатаСогласования"] == written


# -- names in the mapping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('"Статусс" = "status"', "Статус"),
        (f'"Контрагент" = {{ from = "firm", type = "{FIRM}", lookup = "ИННН" }}', "ИНН"),
        (f'"Статус" = {{ from = "firm", type = "{FIRM}" }}', "is no reference"),
        (f'"Контрагент" = {{ from = "firm", type = "{FIRM}а", lookup = "ИНН" }}', FIRM),
    ],
)
def test_a_wrong_name_in_the_mapping_pauses_and_is_no_messages_fault(tmp_path: Path, line: str, told: str) -> None:
    text = f'[topics.order]\nkind = "document"\nentity = "{ORDER}"\n[topics.order.fields]\n{line}\n'
    with OneCSandbox() as base:
        error = failed(
            outcome(handler_for(base, mapping_file=mapping_file(tmp_path, text)), message("order", firm="1"))
        )
        assert isinstance(error, ConfigurationError), error
        assert told in error.reason
        assert base.rows(ORDER) == []


def test_an_object_that_is_not_exposed_is_named_and_found_when_it_is() -> None:
    hidden = [each for each in ENTITIES if each.name != FIRM]
    with OneCSandbox(entities=hidden) as base:
        handler = handler_for(base)
        one = message("1c_create_counterparty", name="x")
        error = failed(outcome(handler, one))
        assert isinstance(error, ConfigurationError)
        assert FIRM in error.reason
        before = base.requests
        outcome(handler, one)
        assert base.requests == before, "$metadata is read again once a minute at the most"
        base.store.entities[FIRM] = next(each for each in ENTITIES if each.name == FIRM)
        base.store.rows[FIRM] = {}
        handler._publication._clock = lambda: time.monotonic() + 61
        assert isinstance(outcome(handler, one), Done)


# -- once per key ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["1c_create_task", "1c_create_document", "1c_create_counterparty"])
def test_a_second_delivery_creates_nothing(topic: str) -> None:
    with OneCSandbox() as base:
        first = outcome(handler_for(base), message(topic, key="k", name="x"))
        for again in (
            message(topic, key="k", name="x", redelivered=True),
            message(topic, key="k", name="x", attempt=2),
            message(topic, key="k", name="x"),  # published twice: 1C itself refuses the second
        ):
            second = outcome(handler_for(base), again)
            assert isinstance(second, Accepted | Done)
            assert (second.external_id, second.duplicate) == (external_id(first), True)
        assert {key: len(found) for key, found in base.by_key().items()} == {"k": 1}


def test_a_first_delivery_is_one_request_and_a_look_up_costs_only_the_redelivered() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        outcome(handler, message("1c_create_counterparty", name="x"))
        before = base.requests
        outcome(handler, message("1c_create_counterparty", name="x"))
        assert base.requests - before == 1


def test_the_same_task_in_two_workers_at_once_is_created_once() -> None:
    with OneCSandbox(latency=0.01) as base:
        handlers = [handler_for(base, max_calls=8) for _ in range(4)]
        results = at_once(8, lambda index: outcome(handlers[index % 4], message("1c_create_document", key="k")))
        assert [external_id(each) for each in results] == [external_id(results[0])] * 8
        assert [accepted(each).duplicate for each in results].count(False) == 1
        assert len(base.rows(ORDER)) == 1


@pytest.mark.parametrize("fault", [faults.reset, faults.html, lambda **how: faults.odata(500, -1, "Ошибка", **how)])
def test_a_creation_that_was_executed_without_an_answer_is_found_and_not_repeated(fault: Any) -> None:
    with OneCSandbox() as base:
        base.inject(fault(after_execution=True), "POST Document_*")
        made = accepted(outcome(handler_for(base), message("1c_create_document", key="k")))
        assert not made.duplicate
        assert base.by_key() == {"k": [made.external_id]}


def test_a_creation_that_may_still_be_running_is_safe_to_repeat() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base, request_timeout=0.8)
        handler.probe()
        base.inject(faults.delay(1.6), "POST Document_*")
        doubt = outcome(handler, message("1c_create_document", key="k"))
        assert isinstance(doubt, AmbiguousError)
        made = accepted(outcome(handler, message("1c_create_document", key="k")))
        base.wait_until(lambda each: sum(one.method == "POST" for one in each.log) == 2)
        assert base.by_key() == {"k": [made.external_id]}


def test_while_1c_is_down_a_doubt_is_an_outage_and_costs_nothing() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        handler.probe()
        base.inject(faults.reset(after_execution=True), "POST Document_*")
        base.inject(faults.locked(), "GET Document_*")
        assert isinstance(outcome(handler, message("1c_create_document", key="k")), OutageError)
        assert accepted(outcome(handler, message("1c_create_document", key="k"))).duplicate
        assert duplicates(base) == {}


def test_a_key_that_is_said_to_exist_but_not_shown_is_not_taken_for_created() -> None:
    with OneCSandbox() as base:
        base.inject(faults.odata(400, 15, "Сущность с таким ключом уже существует"), "POST Document_*")
        assert isinstance(outcome(handler_for(base), message("1c_create_document")), TransientError)


def test_a_lock_conflict_is_looked_up_and_comes_again() -> None:
    with OneCSandbox() as base:
        base.inject(faults.odata(500, -1, "Конфликт блокировок при выполнении транзакции"), "POST Document_*")
        handler = handler_for(base)
        assert isinstance(outcome(handler, message("1c_create_document", key="k")), TransientError)
        assert not accepted(outcome(handler, message("1c_create_document", key="k", attempt=2))).duplicate
        assert len(base.rows(ORDER)) == 1


@pytest.mark.parametrize("topic", ["1c_create_document", "1c_update_document"])
def test_an_empty_answer_of_success_is_success(topic: str) -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        ref = external_id(outcome(handler, message("1c_create_document", key="other")))
        base.inject(faults.answer(RawAnswer(204, b""), after_execution=True), "P* Document_*")
        made = outcome(handler, message(topic, key="k", ref=ref, amount=5))
        assert isinstance(made, Accepted | Done)
        assert row_of(base, external_id(made))["СуммаДокумента"] == 5
        assert made.response["result"]["task"]["onec_number"]


def test_an_infobase_that_gives_its_own_keys_is_warned_of() -> None:
    with OneCSandbox(keeps_keys=False) as base:
        made = accepted(outcome(handler_for(base), message("1c_create_document")))
        [row] = base.rows(ORDER)
        assert made.external_id == f"{ORDER}/{row['Ref_Key']}"
        [warning] = made.response["warnings"]
        assert "second object" in warning


def test_the_key_hangs_on_the_namespace_and_on_nothing_that_changes() -> None:
    with OneCSandbox() as base:
        ids = {external_id(outcome(handler_for(base), message("1c_create_document", key="k"))) for _ in range(2)}
        assert len(ids) == 1
        other = handler_for(base, namespace=GUID)
        assert external_id(outcome(other, message("1c_create_document", key="k"))) not in ids


# -- steps -----------------------------------------------------------------------------------------------------------


def test_a_start_whose_answer_was_lost_is_not_repeated() -> None:
    with OneCSandbox() as base:
        base.inject(faults.reset(after_execution=True), "POST */Start")
        accepted(outcome(handler_for(base), message(key="k")))
        assert len(base.rows(TASK)) == 1, "a second start would give the person a second task"
        assert sum(each.path.endswith("/Start") for each in base.log) == 1


def test_a_process_that_was_created_but_not_started_is_started_by_the_next_delivery() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        base.inject(faults.platform(500, "Ошибка"), "POST */Start")
        error = failed(outcome(handler, message(key="k")))
        assert isinstance(error, TransientError)
        assert f"{PROCESS}/" in error.reason, "people must find what exists already"
        assert (len(base.rows(PROCESS)), base.rows(TASK)) == (1, [])
        accepted(outcome(handler, message(key="k", attempt=2)))
        assert (len(base.rows(PROCESS)), len(base.rows(TASK))) == (1, 1)


def test_a_start_that_only_a_page_in_between_has_answered_is_made_up_for() -> None:
    """A proxy's log-in page comes with status 200: the process would wait for ever for a task that nobody has."""
    with OneCSandbox() as base:
        handler = handler_for(base)
        base.inject(faults.html(), "POST */Start")
        error = failed(outcome(handler, message(key="k")))
        assert (type(error), error.code) == (AmbiguousError, "not_done")
        assert base.rows(TASK) == []
        accepted(outcome(handler, message(key="k", attempt=2)))
        assert (len(base.rows(PROCESS)), len(base.rows(TASK))) == (1, 1)


def test_a_document_that_is_posted_already_is_not_posted_again(tmp_path: Path) -> None:
    text = f'[topics.order]\nkind = "document"\nentity = "{ORDER}"\naction = "Post"\nfinish = {{ when = "created" }}\n'
    with OneCSandbox() as base:
        handler = handler_for(base, mapping_file=mapping_file(tmp_path, text))
        first = outcome(handler, message("order", key="k"))
        assert isinstance(first, Done)
        assert first.response["result"]["task"]["status"] == "posted"
        assert isinstance(outcome(handler, message("order", key="k", redelivered=True)), Done)
        assert sum(each.path.endswith("/Post") for each in base.log) == 1
        base.inject(faults.odata(500, -1, "Не заполнен контрагент"), "POST */Post", count=None)
        refused = failed(outcome(handler, message("order", key="other")))
        assert isinstance(refused, TransientError)
        assert "Post failed" in refused.reason
        assert "Не заполнен контрагент" in refused.reason


def test_a_posted_document_that_is_changed_is_posted_again(tmp_path: Path) -> None:
    text = f'[topics.up]\nkind = "document"\nentity = "{ORDER}"\noperation = "update"\naction = "Post"\n'
    path = mapping_file(tmp_path, f'{text}[topics.up.fields]\n"СуммаДокумента" = "amount"\n')
    with OneCSandbox() as base:
        ref = external_id(outcome(handler_for(base), message("1c_create_document")))
        base.finish(ref)
        handler = handler_for(base, mapping_file=path)
        assert isinstance(outcome(handler, message("up", ref=ref, amount=3)), Done)
        assert sum(each.path.endswith("/Post") for each in base.log) == 1
        base.inject(faults.reset(), "POST */Post")
        assert isinstance(outcome(handler, message("up", ref=ref, amount=4)), AmbiguousError)
        assert isinstance(outcome(handler, message("up", ref=ref, amount=4)), Done)


# -- updates ---------------------------------------------------------------------------------------------------------


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        ref = external_id(outcome(handler, message("1c_create_document", key="k", amount=1, comment="было")))
        for target in (ref, ref.partition("/")[2].upper()):
            changed = outcome(handler, message("1c_update_document", onec_ref=target, amount="2"))
            assert isinstance(changed, Done)
        assert row_of(base, ref)["СуммаДокумента"] == 2
        assert row_of(base, ref)["Комментарий"] == "было Camunda: k"


def test_somebody_elses_change_in_between_is_read_again() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        ref = external_id(outcome(handler, message("1c_create_document")))
        base.inject(faults.odata(412, 0, "Версия объекта изменилась"), "PATCH *", count=2)
        assert isinstance(outcome(handler, message("1c_update_document", ref=ref, amount=5)), Done)
        base.inject(faults.odata(412, 0, "Версия объекта изменилась"), "PATCH *", count=None)
        assert isinstance(outcome(handler, message("1c_update_document", ref=ref, amount=6)), TransientError)
        assert row_of(base, ref)["СуммаДокумента"] == 5


def test_an_update_does_not_overwrite_what_was_written_after_it_was_read() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        ref = external_id(outcome(handler, message("1c_create_document")))

        def somebody_is_quicker(_body: dict[str, Any]) -> bool:
            base.change(ref, {"Статус": "Чужой"})
            return True

        base.inject(faults.delay(0), "PATCH *", match=somebody_is_quicker)
        assert isinstance(outcome(handler, message("1c_update_document", ref=ref, amount=5)), Done)
        assert [each.status for each in base.log if each.method == "PATCH"] == [412, 200]
        assert (row_of(base, ref)["СуммаДокумента"], row_of(base, ref)["Статус"]) == (5, "Чужой")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"amount": 1}, "no_target"),
        ({"ref": "заказ № 5", "amount": 1}, "bad_value"),
        ({"ref": f"{FIRM}/{GUID}", "amount": 1}, "bad_value"),
        ({"ref": GUID, "amount": 1}, "odata_9"),
        ({"ref": GUID}, "nothing_to_update"),
    ],
)
def test_an_update_without_a_target_or_of_nothing_is_refused(values: dict[str, Any], code: str) -> None:
    with OneCSandbox() as base:
        error = failed(outcome(handler_for(base), message("1c_update_document", **values)))
        assert isinstance(error, PermanentError)
        assert error.code == code


def test_a_target_that_only_this_user_may_not_see_does_not_stop_the_queue() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        ref = external_id(outcome(handler, message("1c_create_document")))
        base.store.hidden.add(ref.partition("/")[2])
        error = failed(outcome(handler, message("1c_update_document", ref=ref, amount=1)))
        assert isinstance(error, PermanentError)
        base.inject(faults.odata(403, 20, "Недостаточно прав доступа"), "GET *", count=None)
        error = failed(outcome(handler, message("1c_update_document", ref=ref, amount=1)))
        assert isinstance(error, ConfigurationError), "no right to any of them is nobody's message"


# -- HTTP services ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["задача 1", 'a "quoted" \\ one', "%D0"])
def test_a_strange_task_id_reaches_the_http_service_and_stops_nobody(key: str) -> None:
    with OneCSandbox() as base:
        outcome(handler_for(base), message("1c_sync_data", key=key))
        assert list(base.synced) == [key]


def test_a_service_is_sent_the_variables_and_the_key_and_is_done_at_once() -> None:
    with OneCSandbox() as base:
        done = outcome(handler_for(base), message("1c_sync_data", key="k", name="Ромашка", amount=5))
        assert isinstance(done, Done)
        assert done.response["result"]["task"] == {
            "id": "k", "title": "camunda/sync", "status": "synced", "received": 2,
        }  # fmt: skip
        [call] = base.synced["k"]
        assert call["data"] == {"name": "Ромашка", "amount": 5}
        assert (call["task_id"], call["topic"], call["activity_id"]) == ("k", "1c_sync_data", "Activity_1")


def test_a_service_may_be_sent_named_fields_only(tmp_path: Path) -> None:
    fields = 'fields = { Name = "title", Kind = { constant = 5 } }'
    text = f'[topics.s]\nmode = "http_service"\nroot = "camunda"\npath = "sync"\n{fields}\n'
    with OneCSandbox() as base:
        outcome(
            handler_for(base, mapping_file=mapping_file(tmp_path, text)), message("s", key="k", title="x", secret="y")
        )
        assert base.synced["k"][0]["data"] == {"Name": "x", "Kind": 5}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (422, {"error": {"code": "NO_LIMIT", "message": "Лимит исчерпан"}}, BusinessError, "NO_LIMIT"),
        (400, {"message": "Лимит исчерпан"}, PermanentError, "http_400"),
        (404, {"error": "Лимит исчерпан"}, PermanentError, "http_404"),
        (403, {"error": "Лимит исчерпан"}, PermanentError, "http_403"),
        (409, {"code": 7, "message": "Лимит исчерпан"}, PermanentError, "7"),
        (500, {"error": {"message": "Лимит исчерпан"}}, TransientError, "http_500"),
        (503, {"error": "Лимит исчерпан"}, PartialOutageError, "http_503"),
    ],
)
def test_what_a_service_says_is_its_own_contract(
    status: int, body: dict[str, Any], kind: type[OutcomeError], code: str
) -> None:
    with OneCSandbox() as base:
        base.services["camunda/sync"] = lambda _body, _key: (status, body)
        error = failed(outcome(handler_for(base), message("1c_sync_data")))
        assert (type(error), error.code) == (kind, code)
        assert status == 503 or "Лимит исчерпан" in error.reason


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.locked(), OutageError),
        (faults.html(503), OutageError),
        (faults.html(500), TransientError),
        (faults.html(504), AmbiguousError),
        (faults.html(200), AmbiguousError),
        (faults.html(404), ConfigurationError),
        (faults.reset(after_execution=True), AmbiguousError),
        (faults.no_licence(), OutageError),
    ],
)
def test_what_stands_before_a_service_is_judged_like_the_rest(fault: faults.Fault, kind: type[OutcomeError]) -> None:
    with OneCSandbox() as base:
        base.inject(fault, "POST hs/*")
        assert type(failed(outcome(handler_for(base), message("1c_sync_data")))) is kind


# -- reaching the infobase -------------------------------------------------------------------------------------------


def test_a_changed_password_pauses_and_nothing_is_lost() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        base.revoke_password()
        with pytest.raises(ConfigurationError, match="ONEC_PASSWORD"):
            handler.probe()
        assert isinstance(outcome(handler, message()), ConfigurationError)
        base.restore_password()
        handler.probe()
        accepted(outcome(handler, message()))


def test_a_locked_infobase_is_an_outage_until_it_is_opened() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        locked = base.inject(faults.locked(), "*", count=None)
        assert isinstance(outcome(handler, message()), OutageError)
        with pytest.raises(OutageError):
            handler.probe()
        locked.remove()
        handler.probe()
        accepted(outcome(handler, message()))


def test_it_works_over_tls_and_trusts_nobody_else() -> None:
    with OneCSandbox(tls=True) as base:
        assert isinstance(outcome(handler_for(base), message()), ConfigurationError)
        accepted(outcome(handler_for(base, ca_file=base.ca_file), message()))


def test_without_an_address_the_system_is_not_in_use() -> None:
    with OneCSandbox() as base, pytest.raises(NotConfiguredError):
        OneCHandler.from_settings(settings_for(base, url=None), threading.Event())
