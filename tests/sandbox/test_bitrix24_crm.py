"""CRM items of the sandbox are as hard to write as those of a portal.

Pages of bitrix24/b24restdocs 5988ed13: api-reference/crm/universal/crm-item-*.md, api-reference/crm/data-types.md,
tutorials/crm/how-to-edit-crm-objects/how-to-change-email-or-phone.md and how-to-make-contact-edit-card.md; what they
leave open was read in the published module (yuliai/bitrix-modules 026c2eea, crm/lib/controller/item.php).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.bitrix24 import BitrixSandbox, CrmField
from sandbox.bitrix24.crm_fields import camel_user_field
from tests.sandbox.bitrix24_client import Rest
from tests.sandbox.bitrix24_fixtures import rest

PHONE = {"typeId": "PHONE", "valueType": "WORK", "value": "+7 900 000-00-00"}
EMAIL = {"typeId": "EMAIL", "valueType": "HOME", "value": "anna@example.com"}
FIELDS = (
    CrmField("UF_CRM_CONTRACT", "string"),
    CrmField("UF_CRM_2_1639669411830", "double"),
    CrmField("UF_CRM_1721244707107", "boolean"),
    CrmField("UF_CRM_SIZE", "enumeration", options={79: "Малый", 80: "Большой"}),
    CrmField("UF_CRM_LINKS", "url", multiple=True),
    CrmField("UF_CRM_DAY", "date"),
    CrmField("UF_CRM_PRICE", "money"),
    CrmField("UF_CRM_SCAN", "file"),
)

__all__ = ["portal", "rest"]  # the fixtures are used by name


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox(crm_fields={2: FIELDS}) as sandbox:
        yield sandbox


def deal(rest: Rest, *, original: bool = True, **fields: Any) -> dict[str, Any]:
    flag = {"useOriginalUfNames": "Y"} if original else {}
    item: dict[str, Any] = rest.call("crm.item.add", entityTypeId=2, fields=fields, **flag)["item"]
    return item


def contact(rest: Rest, **fields: Any) -> dict[str, Any]:
    item: dict[str, Any] = rest.call("crm.item.add", entityTypeId=3, fields={"name": "Иван", **fields})["item"]
    return item


def change(rest: Rest, fm: Any) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = rest.call("crm.item.update", entityTypeId=3, id=1, fields={"fm": fm})["item"]["fm"]
    return entries


def test_a_deal_is_found_by_its_origin(portal: BitrixSandbox, rest: Rest) -> None:
    fields: dict[str, Any] = {
        "title": "Поставка",
        "opportunity": "1500.5",
        "originatorId": "camunda",
        "originId": "key-1",
    }
    item = deal(rest, **fields, noSuchField=1)
    deal(rest, originatorId="camunda", originId="key-2")
    assert (item["id"], item["opportunity"], item["entityTypeId"]) == (1, 1500.5, 2)
    found = rest.answer("crm.item.list", entityTypeId=2, filter={"@originId": ["key-1", "key-9"]})
    assert [each["id"] for each in found["result"]["items"]] == [1]
    updated = rest.call("crm.item.update", entityTypeId=2, id=1, fields={"title": "Поставка 2"})["item"]
    assert (updated["title"], updated["originId"]) == ("Поставка 2", "key-1")
    assert len(portal.crm_items(2)) == 2


# -- user fields -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("original", "camel"),
    [
        ("UF_CRM_2_1639669411830", "ufCrm2_1639669411830"),  # crm-item-add.md
        ("UF_CRM_44_1721812760630", "ufCrm44_1721812760630"),  # user-fields-for-examples-cut.md
        ("UF_CRM_1721244707107", "ufCrm_1721244707107"),  # the answer of crm-item-add.md
        ("UF_CRM_MANAGER_NOTE", "ufCrmManagerNote"),  # converter.php: names of letters only
        ("UF_CRM_64A29A1CD5CC2", "ufCrm_64A29A1CD5CC2"),
    ],
)
def test_the_two_spellings_of_a_user_field(original: str, camel: str) -> None:
    assert camel_user_field(original) == camel


def test_a_user_field_is_kept_and_shown_by_the_name_that_the_call_asks_for(portal: BitrixSandbox, rest: Rest) -> None:
    item = deal(rest, UF_CRM_CONTRACT="17/2", UF_CRM_2_1639669411830=9999.9)
    assert (item["UF_CRM_CONTRACT"], item["UF_CRM_2_1639669411830"]) == ("17/2", 9999.9)
    assert "ufCrmContract" not in item
    plain = rest.call("crm.item.get", entityTypeId=2, id=1)["item"]
    assert (plain["ufCrmContract"], plain["ufCrm2_1639669411830"]) == ("17/2", 9999.9)
    assert not [name for name in plain if name.startswith("UF_")]
    assert portal.crm_items(2)[0]["UF_CRM_CONTRACT"] == "17/2"


@pytest.mark.parametrize(
    ("original", "name"),
    [(True, "ufCrmContract"), (False, "UF_CRM_CONTRACT"), (True, "uf_crm_contract"), (True, "UF_CRM_NO_SUCH")],
)
def test_a_user_field_by_any_other_name_is_ignored(rest: Rest, original: bool, name: str) -> None:
    item = deal(rest, original=original, **{name: "17/2"})
    assert "17/2" not in item.values()


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("UF_CRM_1721244707107", "Y", "Y"),
        ("UF_CRM_1721244707107", True, "Y"),
        ("UF_CRM_1721244707107", "N", "N"),
        ("UF_CRM_1721244707107", 1, "N"),  # only tasks take 1 and 0
        ("UF_CRM_1721244707107", "1", "N"),
        ("UF_CRM_SIZE", "80", 80),
        ("UF_CRM_LINKS", ["a.example", "b.example"], ["a.example", "b.example"]),
        ("UF_CRM_DAY", "2026-12-31", "2026-12-31T03:00:00+03:00"),
        ("UF_CRM_DAY", "soon", None),
        ("UF_CRM_PRICE", "300|USD", "300|USD"),
        ("UF_CRM_PRICE", 1234.56, "1234.56|RUB"),  # the default currency is added
        ("UF_CRM_SCAN", {"fileData": ["a.png", "aGk="]}, None),
        ("UF_CRM_CONTRACT", "", None),
    ],
)
def test_each_type_keeps_what_the_portal_would_keep(rest: Rest, name: str, written: Any, read: Any) -> None:
    assert deal(rest, **{name: written})[name] == read


def test_the_fields_of_a_kind_are_told_with_type_choices_and_both_names(rest: Rest) -> None:
    fields = rest.call("crm.item.fields", entityTypeId=2)["fields"]
    size = fields["ufCrmSize"]
    assert size["items"] == [{"ID": "79", "VALUE": "Малый"}, {"ID": "80", "VALUE": "Большой"}]
    assert (size["type"], size["isDynamic"], size["upperName"]) == ("enumeration", True, "UF_CRM_SIZE")
    assert fields["ufCrmLinks"]["isMultiple"]
    assert fields["createdTime"]["isReadOnly"]
    assert "fm" not in fields, "it is no field of an item (crm-item-list.md)"
    original = rest.call("crm.item.fields", entityTypeId=2, useOriginalUfNames="Y")["fields"]
    assert "UF_CRM_SIZE" in original


# -- what a list shows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("select", "original", "shown"),
    [
        (["title"], False, {"title": "Поставка"}),
        (["ID", "TITLE"], False, {"id": 1, "title": "Поставка"}),
        (["ufCrmContract"], False, {"ufCrmContract": "17/2"}),
        (["noSuchField"], False, []),
        (["fm"], False, []),
        (["id", "title", "UF_CRM_CONTRACT"], True, {"UF_CRM_CONTRACT": "17/2"}),
        (["id", "title"], True, []),
    ],
)
def test_a_list_shows_what_was_selected_and_nothing_else(
    rest: Rest, select: list[str], original: bool, shown: Any
) -> None:
    deal(rest, title="Поставка", UF_CRM_CONTRACT="17/2")
    flag = {"useOriginalUfNames": "Y"} if original else {}
    [row] = rest.call("crm.item.list", entityTypeId=2, select=select, **flag)["items"]
    assert row == shown


def test_booleans_are_filtered_by_one_and_zero(rest: Rest) -> None:
    deal(rest, UF_CRM_1721244707107="Y")
    deal(rest, UF_CRM_1721244707107="N")
    found = rest.call("crm.item.list", entityTypeId=2, filter={"ufCrm_1721244707107": 1})
    assert [item["id"] for item in found["items"]] == [1]


# -- phones and mail addresses ---------------------------------------------------------------------------------------


def test_phones_have_types_and_ids_and_a_list_adds_to_them(rest: Rest) -> None:
    item = contact(rest, fm=[PHONE, EMAIL])
    assert item["fm"] == [{"id": 101, **PHONE}, {"id": 102, **EMAIL}]
    assert (item["hasPhone"], item["hasEmail"]) == ("Y", "Y")
    mobile = {**PHONE, "valueType": "MOBILE", "value": "+7 901"}
    assert change(rest, [mobile]) == [{"id": 101, **PHONE}, {"id": 102, **EMAIL}, {"id": 103, **mobile}]
    assert contact(rest)["hasPhone"] == "N"


@pytest.mark.parametrize(
    ("written", "entries"),
    [
        ({"101": {"typeId": "PHONE", "value": "+7 901"}}, [{"id": 101, **PHONE, "value": "+7 901"}]),
        ({"101": {"typeId": "PHONE", "value": ""}}, []),
        ({"101": {"value": "+7 901"}}, [{"id": 101, **PHONE}]),  # without typeId nothing happens
        ({"n0": EMAIL}, [{"id": 101, **PHONE}, {"id": 102, **EMAIL}]),
        ({"4711": EMAIL}, [{"id": 101, **PHONE}, {"id": 102, **EMAIL}]),  # an unknown id is a new entry
        ("+7 901", [{"id": 101, **PHONE}]),
        ({}, [{"id": 101, **PHONE}]),
    ],
)
def test_the_key_of_an_entry_decides_what_is_done(rest: Rest, written: Any, entries: list[Any]) -> None:
    contact(rest, fm=[PHONE])
    assert change(rest, written) == entries


def test_a_deal_has_no_phones(portal: BitrixSandbox, rest: Rest) -> None:
    assert "fm" not in deal(rest, fm=[PHONE])
    assert "fm" not in portal.crm_items(2)[0]


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("crm.item.add", {"entityTypeId": 4711, "fields": {}}, "NOT_FOUND"),
        ("crm.item.get", {"entityTypeId": 2, "id": 4711}, "NOT_FOUND"),
        ("crm.item.list", {"entityTypeId": 2, "filter": {"noSuchField": 1}}, "INVALID_ARG_VALUE"),
        ("crm.item.list", {"entityTypeId": 2, "order": {"noSuchField": "ASC"}}, "INVALID_ARG_VALUE"),
        ("crm.item.add", {"entityTypeId": 2, "fields": {"contactIds": 5}}, "100"),
        ("crm.item.add", {"entityTypeId": 2, "fields": {"ufCrmLinks": "a.example"}}, "100"),
        ("crm.item.add", {"entityTypeId": 2, "fields": {"opportunity": "x"}}, "CRM_FIELD_ERROR_VALUE_NOT_VALID"),
        ("crm.item.add", {"entityTypeId": 2, "fields": {"assignedById": 777}}, "CRM_FIELD_ERROR_VALUE_NOT_VALID"),
        ("crm.item.add", {"entityTypeId": 2, "fields": {"companyId": 5}}, "CRM_FIELD_ERROR_VALUE_NOT_VALID"),
    ],
)
def test_crm_refuses_what_it_does_not_know(rest: Rest, method: str, params: dict[str, Any], code: str) -> None:
    assert rest.refusal(method, **params)[:2] == (400, code)


def test_a_contact_keeps_one_of_its_names(rest: Rest) -> None:
    contact(rest)
    status, code, _ = rest.refusal("crm.item.update", entityTypeId=3, id=1, fields={"name": ""})
    assert (status, code) == (400, "CRM_FIELD_ERROR_REQUIRED")
