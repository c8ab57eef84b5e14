"""CRM topics: one item per Camunda task, finished at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consumers.bitrix.crm_fields import CRM_NAMES
from consumers.bitrix.crm_kinds import COMPANY, CONTACT, CREATE_TOPICS, DEAL, LEAD, UPDATE_TOPICS, Kind
from consumers.bitrix.handler import BitrixTaskHandler
from core.errors import AmbiguousError, ConfigurationError, OutageError, PermanentError, TransientError
from core.results import Done
from sandbox.bitrix24 import BitrixSandbox, CrmField, faults
from tests.systems.bitrix.support import handler_for, message, redelivered


def done(outcome: object) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


@pytest.mark.parametrize("topic", sorted(CREATE_TOPICS))
def test_every_create_topic_makes_one_item_of_its_kind(topic: str) -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        sent = message(topic, key="key-1", variables={"comments": "из процесса"})
        first, again = done(handler.handle(sent)), done(handler.handle(redelivered(sent)))
        [item] = portal.crm_items(CREATE_TOPICS[topic].entity_type_id)
        assert (item["originatorId"], item["originId"], item["comments"]) == ("camunda", "key-1", "из процесса")
        assert first.external_id == again.external_id == str(item["id"])
        assert (first.duplicate, again.duplicate) == (False, True)
        assert first.response["result"]["item"]["id"] == item["id"]
        assert first.response["success"] is True


@pytest.mark.parametrize("topic", sorted(UPDATE_TOPICS))
def test_every_update_topic_finds_its_item_by_id_or_by_key(topic: str) -> None:
    kind = UPDATE_TOPICS[topic]
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        created = done(handler.handle(message(topic.replace("update", "create"), key="creating-task")))
        for reference, comments in ((created.external_id, "по id"), ("creating-task", "по ключу")):
            updated = done(
                handler.handle(message(topic, variables={kind.id_names[0]: reference, "comments": comments}))
            )
            assert updated.external_id == created.external_id
            [item] = portal.crm_items(kind.entity_type_id)
            assert item["comments"] == comments


def test_the_fields_of_a_deal_and_a_contact_are_translated() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        handler.handle(
            message(
                "bitrix_create_deal",
                variables={
                    "title": "Поставка",
                    "amount": "1500,50",
                    "currency": "RUB",
                    "responsible_id": "2",
                    "stage_id": "NEW",
                },
            )
        )
        [deal] = portal.crm_items(2)
        assert (deal["title"], float(deal["opportunity"]), deal["currencyId"]) == ("Поставка", 1500.5, "RUB")
        assert (int(deal["assignedById"]), deal["stageId"]) == (2, "NEW")
        handler.handle(
            message(
                "bitrix_create_contact",
                variables={"name": "Анна", "last_name": "Иванова", "phone": "+79990000000", "email": ["a@b.example"]},
            )
        )
        [contact] = portal.crm_items(3)
        assert (contact["name"], contact["lastName"]) == ("Анна", "Иванова")
        assert {(each["typeId"], each["value"]) for each in contact["fm"]} == {
            ("PHONE", "+79990000000"),
            ("EMAIL", "a@b.example"),
        }


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset(after_execution=True),
        faults.html(502, after_execution=True),
        faults.error("INTERNAL_SERVER_ERROR", after_execution=True),
    ],
)
def test_an_answer_lost_after_execution_makes_no_second_item(fault: faults.Fault) -> None:
    with BitrixSandbox() as portal:
        portal.inject(fault, "crm.item.add")
        result = done(handler_for(portal).handle(message("bitrix_create_lead", key="k")))
        [lead] = portal.crm_items(1)
        assert result.external_id == str(lead["id"])


def test_a_doubtful_item_comes_again_later_and_a_failed_one_is_transient() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal, ambiguous_wait=45)
        portal.inject(faults.reset(), "crm.item.add")
        with pytest.raises(AmbiguousError) as doubt:
            handler.handle(message("bitrix_create_lead"))
        assert doubt.value.retry_after == 45
        portal.inject(faults.error("INTERNAL_SERVER_ERROR"), "crm.item.add")
        with pytest.raises(TransientError):
            handler.handle(message("bitrix_create_lead"))
        with pytest.raises(AmbiguousError):
            handler.handle(redelivered(message("bitrix_create_lead")))
        assert portal.crm_items(1) == []


@pytest.mark.parametrize(
    ("topic", "variables", "named"),
    [
        ("bitrix_create_deal", {"amount": "много"}, "много"),
        ("bitrix_update_deal", {"deal_id": "no-such-key", "title": "x"}, "deal_id"),
        ("bitrix_update_deal", {"deal_id": 1}, "names no field"),
        ("bitrix_update_deal", {"deal_id": 424242, "title": "x"}, "crm.item.update"),
    ],
)
def test_what_cannot_succeed_is_permanent_and_named(topic: str, variables: dict[str, Any], named: str) -> None:
    with BitrixSandbox() as portal, pytest.raises(PermanentError, match=named):
        handler_for(portal).handle(message(topic, variables=variables))


def test_an_update_of_a_company_does_not_take_its_own_id_for_a_link() -> None:
    with portal_with_items() as portal:
        done(
            handler_for(portal).handle(
                message("bitrix_update_company", variables={"company_id": 1, "title": "Ромашка"})
            )
        )
        [company] = portal.crm_items(4)
        assert company["title"] == "Ромашка"
        assert "companyId" not in company


# -- no input is ignored without a word ------------------------------------------------------------------------------


KINDS = ("lead", "deal", "contact", "company")
CONTRACT = CrmField("UF_CRM_CONTRACT", "string")
FIELDS = (
    CONTRACT,
    CrmField("UF_CRM_2_1639669411830", "double"),
    CrmField("UF_CRM_1721244707107", "boolean"),
    CrmField("UF_CRM_SIZE", "enumeration", options={79: "Малый", 80: "Большой"}),
    CrmField("UF_CRM_COLOURS", "enumeration", multiple=True, options={1: "Красный", 2: "Синий"}),
    CrmField("UF_CRM_LINKS", "url", multiple=True),
    CrmField("UF_CRM_DAY", "date"),
    CrmField("UF_CRM_PRICE", "money"),
    CrmField("UF_CRM_WHO", "employee"),
    CrmField("UF_CRM_SCAN", "file"),
)
VALUES: dict[str, Any] = {
    **dict.fromkeys(("opportunity", "amount", "sum"), "1500.5"),
    **dict.fromkeys(("categoryId", "category_id"), "3"),
    **dict.fromkeys(("companyId", "company_id", "contactId", "contact_id"), 1),
    **dict.fromkeys(("assignedById", "assigned_by_id", "responsible_id", "responsibleId"), 3),
    "assigneeId": "4",
    "fm": [{"typeId": "IM", "valueType": "TELEGRAM", "value": "@anna"}],
}


@contextmanager
def portal_with_items() -> Iterator[BitrixSandbox]:
    """A portal with user fields for every kind, and with one item of each (id 1)."""
    with BitrixSandbox(crm_fields=dict.fromkeys((1, 2, 3, 4), FIELDS)) as portal:
        for kind in KINDS:
            done(handler_for(portal).handle(message(f"bitrix_create_{kind}", key=f"first-{kind}")))
        yield portal


@pytest.mark.parametrize("kind", [LEAD, DEAL, CONTACT, COMPANY], ids=lambda kind: kind.name)
def test_an_update_uses_or_refuses_every_name_that_a_creation_uses(kind: Kind) -> None:
    """`phone`, `email`, `web` of an update were dropped without a word."""
    create, update = f"bitrix_create_{kind.name}", f"bitrix_update_{kind.name}"
    with portal_with_items() as portal:
        handler = handler_for(portal)
        for name in sorted(CRM_NAMES - {*kind.id_names, kind.title_field, "title"}):
            given = {name: VALUES.get(name, f"{name}-значение")}
            created = done(handler.handle(message(create, extensions=given)))
            target = {kind.id_names[0]: done(handler.handle(message(create))).external_id}
            if told := created.response.get("warnings"):
                assert told == [f"{create} has no use for {name}"]
                with pytest.raises(PermanentError, match=f"names no field .*{update} has no use for {name}"):
                    handler.handle(message(update, variables=target, extensions=given))
            else:
                updated = done(handler.handle(message(update, variables=target, extensions=given)))
                assert content(updated) == content(created)
                assert "warnings" not in updated.response


def content(result: Done) -> dict[str, Any]:
    """What the item holds without what every item has of its own."""
    item = result.response["result"]["item"]
    own = {"id", "createdTime", "updatedTime", "title", "name", "originId"}
    entries = [{key: value for key, value in each.items() if key != "id"} for each in item.get("fm", [])]
    return {**{key: value for key, value in item.items() if key not in own}, "fm": entries}


@pytest.mark.parametrize("name", ["UF_CRM_CONTRACT", "uf_crm_contract", "ufCrmContract"])
@pytest.mark.parametrize("source", ["variables", "extensions", "parameters"])
@pytest.mark.parametrize("topic", ["bitrix_create_deal", "bitrix_update_deal"])
def test_a_user_field_is_taken_in_every_spelling_and_from_every_place(topic: str, source: str, name: str) -> None:
    with portal_with_items() as portal:
        result = done(handler_for(portal).handle(message(topic, key="first-deal-2", **given_for(topic, source, name))))
        assert portal.crm_items(2)[-1]["UF_CRM_CONTRACT"] == "17/2"
        assert result.response["result"]["item"]["UF_CRM_CONTRACT"] == "17/2"
        assert "warnings" not in result.response


def given_for(topic: str, source: str, name: str) -> dict[str, Any]:
    given: dict[str, Any] = {"variables": {"deal_id": 1} if "update" in topic else {}}
    given.setdefault(source, {})[name] = "17/2"
    return given


@pytest.mark.parametrize("topic", ["bitrix_create_deal", "bitrix_update_deal"])
@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("ufCrm2_1639669411830", "9999.9", 9999.9),
        ("UF_CRM_1721244707107", "да", True),  # 1 would be stored as no
        ("UF_CRM_1721244707107", True, True),
        ("UF_CRM_1721244707107", "0", False),
        ("UF_CRM_SIZE", "большой", 80),
        ("UF_CRM_SIZE", "79", 79),
        ("UF_CRM_COLOURS", "Красный, синий", [1, 2]),
        ("UF_CRM_LINKS", "https://a.example/?x=1,2", ["https://a.example/?x=1,2"]),
        ("UF_CRM_DAY", "2026-12-31", "2026-12-31"),
        ("UF_CRM_PRICE", "300.50|USD", "300.50|USD"),
        ("UF_CRM_PRICE", 300, "300|RUB"),
        ("UF_CRM_WHO", "boss", 3),
        ("UF_CRM_SCAN", '["a.txt", "aGk="]', {"name": "a.txt", "content": "aGk="}),
    ],
)
def test_user_fields_of_items_are_converted_by_their_type(
    topic: str, name: str, given: Any, stored: Any, tmp_path: Path
) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text("mappings: {boss: 3}")
    with portal_with_items() as portal:
        incoming = message(topic, extensions={name: given}, variables={"deal_id": 1} if "update" in topic else {})
        result = done(handler_for(portal, roles_file=roles).handle(incoming))
        assert stored in portal.crm_items(2)[-1].values()
        assert "warnings" not in result.response


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("UF_CRM_2_1639669411830", "много"),
        ("UF_CRM_1721244707107", "maybe"),
        ("UF_CRM_SIZE", "средний"),
        ("UF_CRM_DAY", "soon"),
        ("UF_CRM_PRICE", "дорого"),
        ("UF_CRM_WHO", "nobody"),
        ("UF_CRM_SCAN", "a.txt"),
        ("UF_CRM_NO_SUCH", "x"),
    ],
)
def test_a_user_field_that_makes_no_sense_is_refused_by_name(name: str, given: str) -> None:
    with portal_with_items() as portal:
        with pytest.raises(PermanentError, match=name):
            handler_for(portal).handle(message("bitrix_create_deal", extensions={name: given}))
        assert len(portal.crm_items(2)) == 1


def test_a_user_field_of_the_process_that_the_item_does_not_have_is_told() -> None:
    with BitrixSandbox(crm_fields={2: [CONTRACT]}) as portal:
        result = done(handler_for(portal).handle(message("bitrix_create_contact", variables={"UF_CRM_CONTRACT": "1"})))
        assert result.response["warnings"] == [
            "UF_CRM_CONTRACT was not used: the portal has no user field UF_CRM_CONTRACT for a contact"
        ]


def test_a_user_field_that_was_made_a_moment_ago_is_known() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        done(handler.handle(message("bitrix_create_deal")))
        later = time.monotonic() + 100  # more than a minute, less than the cache's hour
        handler._crm._schemas._clock = lambda: later
        portal.state.crm_fields[2] = [CONTRACT]
        done(handler.handle(message("bitrix_create_deal", variables={"ufCrmContract": "17/2"})))
        assert portal.crm_items(2)[-1]["UF_CRM_CONTRACT"] == "17/2"


def test_any_field_of_the_item_goes_by_its_own_name_in_the_metadata_of_the_step() -> None:
    with portal_with_items() as portal:
        extensions = {"closedate": "2026-12-31", "PROBABILITY": "50", "observers": "2, 3", "contactIds": "1"}
        result = done(handler_for(portal).handle(message("bitrix_create_deal", extensions=extensions)))
        deal = portal.crm_items(2)[-1]
        assert (deal["closedate"], deal["probability"], deal["observers"]) == ("2026-12-31", 50, [2, 3])
        assert deal["contactIds"] == [1]
        assert "warnings" not in result.response
        with pytest.raises(PermanentError, match="closedate"):
            handler_for(portal).handle(message("bitrix_create_deal", extensions={"closedate": "soon"}))


def test_the_key_of_an_item_cannot_be_forged_and_it_is_told() -> None:
    with portal_with_items() as portal:
        sent = message("bitrix_create_deal", key="mine", extensions={"originId": "another", "ORIGINATOR_ID": "x"})
        result = done(handler_for(portal).handle(sent))
        assert (portal.crm_items(2)[-1]["originId"], portal.crm_items(2)[-1]["originatorId"]) == ("mine", "camunda")
        assert len(result.response["warnings"]) == 2


def test_roles_and_assignees_mean_the_same_for_items_as_for_tasks(tmp_path: Path) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text("mappings: {boss: 3}")
    with portal_with_items() as portal:
        handler = handler_for(portal, roles_file=roles)
        for given in ({"assigneeId": "boss"}, {"responsible_id": "boss"}, {"responsibleId": "3"}):
            done(handler.handle(message("bitrix_create_lead", extensions=given)))
            assert portal.crm_items(1)[-1]["assignedById"] == 3
        with pytest.raises(PermanentError, match="assigneeId: 'nobody'"):
            handler.handle(message("bitrix_create_lead", extensions={"assigneeId": "nobody"}))


def test_what_the_portal_does_not_store_is_told() -> None:
    """A date that it cannot read is dropped without an error."""
    with BitrixSandbox(crm_fields={2: [CrmField("UF_CRM_FREE", "string")]}) as portal:
        handler = handler_for(portal)
        handler.handle(message("bitrix_create_deal"))
        portal.state.crm_fields[2] = [CrmField("UF_CRM_FREE", "datetime")]  # made anew since it was read
        result = done(handler.handle(message("bitrix_create_deal", extensions={"UF_CRM_FREE": "потом"})))
        assert result.response["warnings"] == ["UF_CRM_FREE: Bitrix24 did not store 'потом'"]


# -- phones, mail addresses, sites -----------------------------------------------------------------------------------


def entries(portal: BitrixSandbox) -> list[tuple[str, str, str]]:
    return [(each["typeId"], each["valueType"], each["value"]) for each in portal.crm_items(3)[0].get("fm", [])]


@contextmanager
def portal_with_anna() -> Iterator[tuple[BitrixSandbox, BitrixTaskHandler]]:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        phones = [{"value": "+7 999 000-00-00"}, {"value": "+7 999 111-11-11", "valueType": "MOBILE"}]
        variables = {"name": "Анна", "phone": phones, "email": "anna@example.com"}
        done(handler.handle(message("bitrix_create_contact", key="anna", variables=variables)))
        yield portal, handler


ANNA = [
    ("PHONE", "WORK", "+7 999 000-00-00"),
    ("PHONE", "MOBILE", "+7 999 111-11-11"),
    ("EMAIL", "WORK", "anna@example.com"),
]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"phone": "+79990000000"}, ANNA),  # the same digits: there already
        ({"email": "Anna@Example.com"}, ANNA),
        ({"phone": "+7 999 222-22-22"}, [*ANNA, ("PHONE", "WORK", "+7 999 222-22-22")]),
        ({"phone": "+79990000000, +79992222222"}, [*ANNA, ("PHONE", "WORK", "+79992222222")]),
        ({"web": "https://a.example/?x=1,2"}, [*ANNA, ("WEB", "WORK", "https://a.example/?x=1,2")]),
        ({"site": ["a.example", "b.example"]}, [*ANNA, ("WEB", "WORK", "a.example"), ("WEB", "WORK", "b.example")]),
        ({"phone": {"value": "+79992222222", "VALUE_TYPE": "home"}}, [*ANNA, ("PHONE", "HOME", "+79992222222")]),
        ({"phone": '{"value": "+79990000000", "valueType": "FAX"}'}, [("PHONE", "FAX", "+7 999 000-00-00"), *ANNA[1:]]),
        ({"phone": {"id": 101, "value": "+79993333333"}}, [("PHONE", "WORK", "+79993333333"), *ANNA[1:]]),
        ({"phone": {"id": 101, "value": ""}}, ANNA[1:]),
        ({"phone": {"id": 4711, "value": ""}}, ANNA),  # deleted already
        ({"fm": {"102": {"typeId": "PHONE", "value": ""}}}, [ANNA[0], ANNA[2]]),
        ({"fm": {"n0": {"typeId": "IM", "valueType": "TELEGRAM", "value": "@a"}}}, [*ANNA, ("IM", "TELEGRAM", "@a")]),
    ],
)
def test_an_update_adds_what_is_new_and_touches_nothing_that_it_does_not_name(
    given: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """how-to-change-email-or-phone.md: a portal adds, and changes or deletes by id only. Repeating changes nothing."""
    with portal_with_anna() as (portal, handler):
        assert entries(portal) == ANNA
        for _ in range(2):
            result = done(handler.handle(message("bitrix_update_contact", variables={"contact_id": "anna", **given})))
            assert entries(portal) == expected
            shown = result.response["result"]["item"]["fm"]
            assert [(each["typeId"], each["valueType"], each["value"]) for each in shown] == expected
            assert "warnings" not in result.response


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"phone": {"id": 4711, "value": "+7"}}, "no entry 4711"),  # the portal would add one
        ({"phone": {"id": 103, "value": "+7"}}, "no entry 103 of PHONE"),  # that is the mail address
        ({"phone": {"value": "+7", "valueType": "CAR"}}, "CAR"),
        ({"phone": {"value": "+7", "note": "x"}}, "note"),
        ({"phone": {"valueType": "WORK"}}, "valueType"),
        ({"phone": {"value": "+7", "typeId": "EMAIL"}}, "EMAIL"),
        ({"phone": {"id": "x", "value": "+7"}}, "'id': 'x'"),
        ({"phone": [["+7"]]}, "phone"),
        ({"phone": "[{"}, "JSON"),
        ({"fm": "+7"}, "fm"),
        ({"fm": [{"value": "+7"}]}, "fm"),
        ({"fm": [{"typeId": "PAGER", "value": "+7"}]}, "PAGER"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    with portal_with_anna() as (portal, handler):
        with pytest.raises(PermanentError, match=named):
            handler.handle(message("bitrix_update_contact", variables={"contact_id": 1, **given}))
        assert entries(portal) == ANNA
    with BitrixSandbox() as portal:
        with pytest.raises(PermanentError):
            handler_for(portal).handle(message("bitrix_create_contact", variables=given))
        assert portal.crm_items(3) == []


def test_an_update_whose_answer_was_lost_adds_no_second_phone() -> None:
    with portal_with_anna() as (portal, handler):
        update = message("bitrix_update_contact", variables={"contact_id": 1, "phone": "+7 999 222-22-22"})
        portal.inject(faults.html(502, after_execution=True), "crm.item.update")
        with pytest.raises(OutageError):
            handler.handle(update)
        done(handler.handle(redelivered(update)))
        assert entries(portal) == [*ANNA, ("PHONE", "WORK", "+7 999 222-22-22")]


def test_a_deal_has_no_phones_and_it_is_told() -> None:
    with BitrixSandbox() as portal:
        result = done(handler_for(portal).handle(message("bitrix_create_deal", variables={"phone": "+7", "name": "A"})))
        assert result.response["warnings"] == ["bitrix_create_deal has no use for name, phone"]


# -- pauses ----------------------------------------------------------------------------------------------------------


def test_a_probe_tests_the_crm_that_paused_the_system() -> None:
    """It asked for tasks only: a webhook without the scope crm was paused and resumed for ever."""
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        portal.state.scopes = ("task", "user")
        handler.probe()
        with pytest.raises(ConfigurationError, match="scopes"):
            handler.handle(message("bitrix_create_deal"))
        with pytest.raises(ConfigurationError, match="scopes"):
            handler.probe()
        portal.state.scopes = ("task", "user", "crm")
        handler.probe()
        done(handler.handle(message("bitrix_create_deal")))
