"""The sandbox says no where 1C says no, and its people do what people do: else the other tests would prove little."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests

from sandbox.onec import ODataError, OneCSandbox
from sandbox.onec.filters import parse
from sandbox.onec.schema import ENTITIES
from tests.systems.onec.support import (
    FIRM,
    ORDER,
    PERSON,
    PROCESS,
    TASK,
    external_id,
    handler_for,
    message,
    outcome,
    row_of,
)

KEY = "0ad5415a-0000-4000-8000-000000000001"


def ask(base: OneCSandbox, method: str, path: str, *, user: str | None = None, **how: Any) -> requests.Response:
    credentials = base64.b64encode(f"{user or base.username}:{base.password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    url = f"{base.url}/odata/standard.odata/{path}"
    return requests.request(method, url, headers=headers, timeout=10, **how)


def code_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["odata.error"]["code"]


@pytest.mark.parametrize(
    ("method", "path", "body", "refused"),
    [
        ("GET", "Document_Нет?$format=json", None, (404, "8")),
        ("GET", f"{ORDER}(guid'{KEY}')?$format=json", None, (404, "9")),
        ("GET", f"{FIRM}?$format=json&$filter=Нет eq 1", None, (400, "10")),
        ("GET", f"{FIRM}?$format=json&$select=Нет", None, (400, "10")),
        ("GET", f"{FIRM}?$format=json&$filter=ИНН eq", None, (400, "14")),
        ("GET", f"{FIRM}?$format=json&$filter=ИНН+eq+'1'", None, (400, "14")),
        ("GET", f"{FIRM}?$format=json&$orderby=Нет", None, (400, "14")),
        ("GET", f"{FIRM}?$format=json&$top=-1", None, (400, "14")),
        ("GET", f"{FIRM}?$format=json&$wish=1", None, (400, "14")),
        ("GET", f"{FIRM}(1)?$format=json", None, (400, "6")),
        ("POST", f"{FIRM}?$format=json", {"ИНН": 1}, (400, "4")),
        ("POST", f"{ORDER}?$format=json", {"Важность": "Средняя"}, (400, "4")),
        ("POST", f"{ORDER}?$format=json", {"Основание": 4, "Основание_Type": "Edm.Double"}, (400, "4")),
        ("POST", f"{ORDER}?$format=json", {"Основание": "4,5", "Основание_Type": "Edm.Double"}, (400, "4")),
        ("POST", f"{ORDER}?$format=json", {"Основание": "да", "Основание_Type": "Edm.Boolean"}, (400, "4")),
        ("POST", f"{ORDER}?$format=json", {"Основание": "4"}, (400, "4")),
        ("POST", f"{ORDER}?$format=json", {"Товары": [{"Количество": 1}]}, (500, "-1")),
        ("POST", f"{ORDER}?$format=json", {"Товары": [{"LineNumber": "1", "Количество": "1"}]}, (400, "4")),
        ("GET", f"{ORDER}?$format=json&$select=Подпись", None, (400, "10")),
        ("POST", f"{FIRM}?$format=json", {"Ref_Key": "x"}, (400, "4")),
        ("POST", f"{ORDER}?$format=json", {"Posted": True}, (400, "16")),
        ("POST", f"{ORDER}?$format=json", {"Date": "2026-11-26T10:00:00+03:00"}, (400, "4")),
        ("POST", f"{ORDER}(guid'{KEY}')/Post?$format=json", None, (404, "9")),
        ("POST", f"{ORDER}(guid'{KEY}')/Start?$format=json", None, (404, "11")),
        ("DELETE", f"{FIRM}?$format=json", None, (405, "19")),
    ],
)
def test_a_wrong_request_is_refused_with_1cs_code(
    method: str, path: str, body: dict[str, Any] | None, refused: tuple[int, str]
) -> None:
    with OneCSandbox() as base:
        assert code_of(ask(base, method, path, json=body)) == refused
        assert [base.rows(each) for each in (FIRM, ORDER)] == [[], []]


def test_without_a_format_1c_speaks_xml() -> None:
    with OneCSandbox() as base:
        answer = ask(base, "GET", "Document_Нет")
        assert answer.headers["Content-Type"].startswith("application/xml")
        assert "<m:code>8</m:code>" in answer.text


def test_a_stranger_is_sent_away_and_a_long_query_never_reaches_1c() -> None:
    with OneCSandbox() as base:
        assert ask(base, "GET", "", user="кто-то").status_code == 401
        answer = ask(base, "GET", f"{FIRM}?$filter=" + "x" * 2048)
        assert answer.status_code == 404
        assert "404.15" in answer.text


def test_a_cookie_of_a_session_that_has_ended_is_refused() -> None:
    with OneCSandbox() as base:
        cookies = ask(base, "GET", FIRM).cookies
        assert ask(base, "GET", f"{FIRM}?$format=json", cookies=cookies).status_code == 200
        base.end_sessions()
        assert ask(base, "GET", f"{FIRM}?$format=json", cookies=cookies).status_code == 406


def test_a_row_that_may_not_be_seen_spoils_a_list_unless_only_the_allowed_are_asked_for() -> None:
    with OneCSandbox() as base:
        base.store.hidden.add(base.rows(PERSON)[0]["Ref_Key"])
        assert code_of(ask(base, "GET", f"{PERSON}?$format=json")) == (403, "20")
        assert len(ask(base, "GET", f"{PERSON}?$format=json&allowedOnly=true").json()["value"]) == 1


def test_what_an_object_does_not_have_is_ignored_without_a_word() -> None:
    """Developer guide 8.3.27, 17.4.13.1.2 and .3: properties that the object lacks are ignored."""
    with OneCSandbox() as base:
        made = ask(base, "POST", f"{FIRM}?$format=json", json={"Description": "x", "Нет": 1})
        assert (made.status_code, "Нет" in made.json()) == (201, False)
        changed = ask(base, "PATCH", f"{FIRM}(guid'{made.json()['Ref_Key']}')?$format=json", json={"Нет": 1})
        assert changed.status_code == 200


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("четыре", "Edm.String"),
        ("4", "Edm.Double"),
        ("2026-12-01T12:00:00", "Edm.DateTime"),
        ("true", "Edm.Boolean"),
        (KEY, f"StandardODATA.{PERSON}"),
        ("Высокая", "UnavailableEnums.ВажностьЗадачи"),
        ("", "StandardODATA.Undefined"),
    ],
)
def test_a_value_of_several_types_is_a_text_with_its_type_beside_it(value: str, kind: str) -> None:
    """Developer guide 8.3.27, 17.4.3, composite types; the same in rows of a tabular part."""
    with OneCSandbox() as base:
        pair = {"Значение": value, "Значение_Type": kind}
        row = {"LineNumber": "1", "Свойство_Key": KEY, **pair}
        body = {"Основание": value, "Основание_Type": kind, "ДополнительныеРеквизиты": [row]}
        made = ask(base, "POST", f"{ORDER}?$format=json", json=body).json()
        assert (made["Основание"], made["Основание_Type"]) == (value, kind)
        assert made["ДополнительныеРеквизиты"] == [{"Ref_Key": made["Ref_Key"], "ТекстоваяСтрока": "", **row}]


def test_a_value_of_a_type_that_the_attribute_does_not_have_is_dropped_without_a_word() -> None:
    """Why the worker compares what it has sent with what 1C has kept."""
    with OneCSandbox() as base:
        body = {"Исполнитель": "Анна", "Исполнитель_Type": "Edm.String"}
        made = ask(base, "POST", f"{TASK}?$format=json", json=body).json()
        assert (made["Исполнитель"], made["Исполнитель_Type"]) == ("", "StandardODATA.Undefined")


def test_metadata_tells_enumerations_and_values_of_several_types_as_texts() -> None:
    """Developer guide 8.3.27, 17.4.3; a value storage has three properties, of which one is a link."""
    with OneCSandbox() as base:
        told = ask(base, "GET", "$metadata").text
        for name in ("Важность", "Основание", "Основание_Type", "Подпись_Type"):
            assert f'<Property Name="{name}" Type="Edm.String"' in told
        assert '<Property Name="Подпись" Type="Edm.Stream"' in told
        made = ask(base, "POST", f"{ORDER}?$format=json", json={}).json()
        assert {"Подпись", "Подпись_Type", "Подпись_Base64Data"} & made.keys() == {"Подпись_Type", "Подпись_Base64Data"}


def test_a_count_beside_a_page_makes_it_whole() -> None:
    """Developer guide 8.3.27, 17.4.6.2: $inlinecount makes $skip and $top ignored."""
    path = f"{PERSON}?$format=json&$top=1&$inlinecount=allpages"
    for counted, rows in ((False, 2), (True, 1)):
        with OneCSandbox(counted_pages=counted) as base:
            told = ask(base, "GET", path).json()
            assert (told["odata.count"], len(told["value"])) == ("2", rows)


def test_a_text_that_is_too_long_is_cut_without_a_word() -> None:
    """Why the worker looks at the lengths itself."""
    with OneCSandbox() as base:
        made = ask(base, "POST", f"{FIRM}?$format=json", json={"ИНН": "1" * 20}).json()
        assert made["ИНН"] == "1" * 12


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Description eq 'a'", {"a"}),
        ("Description ne 'a' and Description ne 'b'", {"c"}),
        ("Description eq 'a' or Description eq 'b' and Code eq 'нет'", {"a"}),
        ("(Description eq 'a' or Description eq 'b') and not (Description eq 'a')", {"b"}),
        ("Description gt 'a' and Description le 'c'", {"b", "c"}),
        ("substringof('b', Description) or startswith(Description, 'c')", {"b", "c"}),
        ("endswith(Description, 'a') and DeletionMark eq false", {"a"}),
        ("Ref_Key eq guid'0AD5415A-0000-4000-8000-000000000001'", {"b"}),
        ("Ref_Key eq guid'0ad5415a-0000-4000-8000-000000000001' and Description eq 'a'", set()),
        ("Ref_Key eq guid'0ad5415a-0000-4000-8000-000000000001' or Description eq 'a'", {"a", "b"}),
        ("not Ref_Key eq guid'0ad5415a-0000-4000-8000-000000000001'", {"a", "c"}),
    ],
)
def test_filters_find_what_they_say(text: str, found: set[str]) -> None:
    with OneCSandbox() as base:
        for name in "abc":
            body = {"Description": name} | ({"Ref_Key": KEY} if name == "b" else {})
            ask(base, "POST", f"{FIRM}?$format=json", json=body)
        rows = ask(base, "GET", f"{FIRM}?$format=json&$filter={text}").json()["value"]
        assert {row["Description"] for row in rows} == found


@pytest.mark.parametrize("text", ["", "(", "Code", "Code eq", "eq", "Code eq 'a", "Code eq 'a' Code", "cast(", "not"])
def test_a_broken_filter_is_refused(text: str) -> None:
    entity = next(each for each in ENTITIES if each.name == FIRM)
    with pytest.raises(ODataError):
        parse(text, entity)


def test_people_execute_tasks_complete_processes_and_post_documents() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        process = external_id(outcome(handler, message(key="a", title="Согласовать")))
        document = external_id(outcome(handler, message("1c_create_document", key="b")))
        base.people(auto_finish_after=0.01, results=("Да",))
        base.wait_until(lambda each: row_of(each, process)["Completed"] and row_of(each, document)["Posted"])
        [task] = base.rows(TASK)
        assert (task["Executed"], task["РезультатВыполнения"], len(base.rows(PROCESS))) == (True, "Да", 1)


def test_objects_are_told_by_the_camunda_task_and_those_that_1c_itself_has_made_are_not_counted() -> None:
    with OneCSandbox() as base:
        handler = handler_for(base)
        made = [external_id(outcome(handler, message(topic, key="k"))) for topic in ("1c_create_task",)]
        outcome(handler, message("1c_sync_data", key="s"))
        outcome(handler, message("1c_sync_data", key="s"))
        assert base.by_key() == {"k": made, "s": ["hs/s"]}
        assert len(base.synced["s"]) == 2
