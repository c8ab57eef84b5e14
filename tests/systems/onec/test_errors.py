"""What each signal of 1C means for the message: five forms of body, one table, on real sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.onec.errors import (
    TEXT_LIMIT,
    ChangedError,
    KeyExistsError,
    NotFoundError,
    SessionLostError,
    read_problem,
)
from core.errors import AmbiguousError, ConfigurationError, OutageError, OutcomeError, PermanentError, TransientError
from sandbox.http_front import RawAnswer
from sandbox.onec import OneCSandbox, faults
from tests.systems.bitrix.support import at_once
from tests.systems.onec.support import FIRM, client_for, handler_for, message, outcome

Outcomes = tuple[type[OutcomeError], type[OutcomeError]]
KEY = "0ad5415a-0000-4000-8000-000000000001"


def both(kind: type[OutcomeError]) -> Outcomes:
    return kind, kind


def asked(base: OneCSandbox, fault: faults.Fault) -> tuple[OutcomeError, OutcomeError]:
    """What a read and a write raise while this goes wrong."""
    client = client_for(base)
    base.inject(fault, "*", count=None)
    with pytest.raises(OutcomeError) as of_read:
        client.query(FIRM, top=1)
    with pytest.raises(OutcomeError) as of_write:
        client.create(FIRM, {"Description": "x"})
    return of_read.value, of_write.value


# -- OData's own codes -----------------------------------------------------------------------------------------------

CODES: tuple[tuple[int, int, type[OutcomeError]], ...] = (
    *((400, code, PermanentError) for code in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 18, 21)),
    (404, 8, ConfigurationError),
    (404, 9, NotFoundError),
    (400, 15, KeyExistsError),
    (405, 19, ConfigurationError),
    (403, 20, ConfigurationError),
    (500, 20, ConfigurationError),
    (412, 0, ChangedError),
    (401, 20, ConfigurationError),
    (500, -1, TransientError),
    (400, -1, TransientError),
)


@pytest.mark.parametrize(("status", "code", "kind"), CODES)
@pytest.mark.parametrize("form", [faults.odata, faults.odata_as_xml])
def test_each_code_of_odata_in_both_its_forms(form: Any, status: int, code: int, kind: type[OutcomeError]) -> None:
    with OneCSandbox() as base:
        for error in asked(base, form(status, code, "Так нельзя")):
            assert type(error) is kind
            assert "Так нельзя" in error.reason
            assert error.code == f"odata_{code}"


# -- texts that decide whatever the status is ------------------------------------------------------------------------

TEXTS: tuple[tuple[faults.Fault, type[OutcomeError]], ...] = (
    (faults.locked(), OutageError),
    (faults.platform(500, "Начало сеанса с информационной базой запрещено."), OutageError),
    (faults.platform_as_xml(403, "Ведутся технические работы"), OutageError),
    (faults.no_licence(), OutageError),
    (faults.platform(500, "server_addr=tcp://srv:1541 descr=Ошибка сетевого доступа к серверу"), OutageError),
    (faults.platform_as_xml(500, "Сервер 1С:Предприятия не обнаружен"), OutageError),
    (faults.platform(403, "Не найдена лицензия. Не обнаружен ключ защиты программы"), OutageError),
    (faults.odata(400, -1, "Не обнаружено свободной лицензии!"), OutageError),
    (faults.platform_as_xml(404, "No free licenses"), OutageError),
    (faults.platform_as_xml(500, "License not found"), OutageError),
    (faults.application_error("No space left on device"), OutageError),
    (faults.application_error("Ошибка соединения с сервером 1С", 404), OutageError),
    (faults.odata(500, -1, "Конфликт блокировок при выполнении транзакции"), TransientError),
    (faults.odata(500, -1, "Превышено максимальное время ожидания предоставления блокировки"), TransientError),
    (faults.platform(500, "Transaction was deadlocked on lock resources"), TransientError),
    (faults.platform_as_xml(406, "Истекло время ожидания сеанса"), SessionLostError),
    (faults.platform(500, "Сеанс отсутствует или удалён"), SessionLostError),
    (faults.platform(500, "Ошибка, которой здесь никто не знает"), TransientError),
    (faults.platform(403, "Нарушение прав доступа!"), ConfigurationError),
)


@pytest.mark.parametrize(("fault", "kind"), TEXTS)
def test_what_the_text_says_counts_more_than_the_status(fault: faults.Fault, kind: type[OutcomeError]) -> None:
    with OneCSandbox() as base:
        assert [type(each) for each in asked(base, fault)] == [kind, kind]


def test_a_business_refusal_that_speaks_of_a_licence_is_no_outage() -> None:
    """One trader without a licence must not stop the queue."""
    with OneCSandbox() as base:
        for error in asked(base, faults.odata(500, -1, "Не найдена лицензия контрагента на алкоголь")):
            assert type(error) is TransientError


# -- statuses without a body of 1C -----------------------------------------------------------------------------------

STATUSES: tuple[tuple[int, Outcomes], ...] = (
    (200, (OutageError, AmbiguousError)),
    (400, both(PermanentError)),
    (401, both(ConfigurationError)),
    (403, both(ConfigurationError)),
    (404, both(ConfigurationError)),
    (405, both(ConfigurationError)),
    (406, both(SessionLostError)),
    (407, both(ConfigurationError)),
    (408, both(TransientError)),
    (413, both(PermanentError)),
    (414, both(ConfigurationError)),
    (429, both(TransientError)),
    (500, (OutageError, AmbiguousError)),
    (502, both(OutageError)),
    (503, both(OutageError)),
    (504, (OutageError, AmbiguousError)),
)


@pytest.mark.parametrize(("status", "kinds"), STATUSES)
def test_a_page_of_something_in_between(status: int, kinds: Outcomes) -> None:
    with OneCSandbox() as base:
        assert tuple(type(each) for each in asked(base, faults.html(status))) == kinds


def test_a_wait_that_is_asked_for_is_handed_on() -> None:
    with OneCSandbox() as base:
        answer = RawAnswer(429, b"", headers={"Retry-After": "9"})
        assert [each.retry_after for each in asked(base, faults.answer(answer))] == [9.0, 9.0]


def test_a_bare_404_is_never_an_object_that_is_gone() -> None:
    with OneCSandbox() as base:
        client = client_for(base)
        base.inject(faults.html(404), "GET *")
        with pytest.raises(ConfigurationError):
            client.get(FIRM, KEY)
        with pytest.raises(NotFoundError):
            client.get(FIRM, KEY)


def test_a_query_that_is_too_long_for_the_web_server_is_told_as_such() -> None:
    with OneCSandbox() as base, pytest.raises(ConfigurationError, match="ONEC_KEYS_PER_QUERY"):
        client_for(base).query(FIRM, filter=" or ".join([f"Ref_Key eq guid'{KEY}'"] * 100))


# -- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_that_the_server_has_ended_does_not_come_back_with_a_cookie() -> None:
    with OneCSandbox() as base:
        client = client_for(base)
        client.query(FIRM, top=1)
        base.end_sessions()
        client.query(FIRM, top=1)
        assert {each.status for each in base.log} == {200}


def test_a_lost_session_is_made_up_for_at_once_but_only_once() -> None:
    with OneCSandbox() as base:
        client = client_for(base)
        lost = faults.platform_as_xml(406, "Сеанс отсутствует или удален")
        base.inject(lost, "POST *")
        assert client.create(FIRM, {"Description": "x"})["Description"] == "x"
        base.inject(lost, "POST *", count=2)
        with pytest.raises(SessionLostError):
            client.create(FIRM, {"Description": "y"})
        assert [row["Description"] for row in base.rows(FIRM)] == ["x"]


# -- what people are shown -------------------------------------------------------------------------------------------


def test_the_innermost_description_is_shown_and_no_stack() -> None:
    with OneCSandbox() as base:
        error, _ = asked(base, faults.platform(500, "Причина внутри " + "х" * 2000))
        assert "Причина внутри" in error.reason
        assert "DBRelocation" not in error.reason
        assert len(error.reason) < TEXT_LIMIT + 100


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ({"odata.error": {"code": "9", "message": {"lang": "ru", "value": "нет"}}}, "odata"),
        ({"error": {"code": 9, "message": "нет"}}, "odata"),
        ({"error": {"code": None, "message": None}}, "odata"),
        ({"exception": {"descr": "нет", "inner": {"inner": {"descr": ""}}}}, "platform"),
        ({"exception": "x"}, "other"),
        ({"error": "x"}, "other"),
        ({}, "other"),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_forms_of_json_with_and_without_a_byte_order_mark(body: dict[str, Any], form: str, mark: bytes) -> None:
    problem = read_problem(mark + json.dumps(body, ensure_ascii=False).encode())
    assert problem.form == form
    assert problem.text == ("нет" if "нет" in json.dumps(body, ensure_ascii=False) else "")


def test_a_document_type_in_an_error_is_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><exception><descr>&a;</descr></exception>'
    assert read_problem(bomb).form == "other"


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"<exception><descr>{text}".encode()))
def test_any_bytes_are_read(body: bytes) -> None:
    assert len(read_problem(body).text) <= TEXT_LIMIT


@given(st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.sampled_from(
    ["odata.error", "error", "exception", "code", "message", "descr", "inner", "value"]), inner)))  # fmt: skip
def test_any_json_is_read(body: Any) -> None:
    assert len(read_problem(json.dumps(body).encode()).text) <= TEXT_LIMIT


def test_password_and_address_are_in_no_text() -> None:
    with OneCSandbox() as base:
        client, handler, url = client_for(base), handler_for(base), base.url
        base.revoke_password()
        refused = outcome(handler, message())
        assert isinstance(refused, ConfigurationError)
        assert "ONEC_PASSWORD" in refused.reason
    with pytest.raises(OutageError) as down:
        client.root()
    for text in (str(down.value), refused.reason):
        assert base.password not in text
        assert url not in text


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_no_more_calls_at_once_than_allowed_for_handler_and_tracker_together() -> None:
    with OneCSandbox(latency=0.03) as base:
        clients = [client_for(base, max_calls=3) for _ in range(2)]
        at_once(12, lambda index: clients[index % 2].query(FIRM, top=1))
        assert base.busiest <= 3
        assert base.requests == 12
