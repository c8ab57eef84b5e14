"""CRM topics: one item per Camunda task, finished at once."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.bitrix import crm
from core.errors import AmbiguousError, PermanentError, TransientError
from core.results import Done
from sandbox.bitrix24 import BitrixSandbox, faults
from tests.bitrix_support import handler_for, message, redelivered


def done(outcome: object) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


@pytest.mark.parametrize("topic", sorted(crm.CREATE_TOPICS))
def test_every_create_topic_makes_one_item_of_its_kind(topic: str) -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        sent = message(topic, key="key-1", variables={"comments": "из процесса"})
        first, again = done(handler.handle(sent)), done(handler.handle(redelivered(sent)))
        [item] = portal.crm_items(crm.CREATE_TOPICS[topic].entity_type_id)
        assert (item["originatorId"], item["originId"], item["comments"]) == ("camunda", "key-1", "из процесса")
        assert first.external_id == again.external_id == str(item["id"])
        assert (first.duplicate, again.duplicate) == (False, True)
        assert first.response["result"]["item"]["id"] == item["id"]
        assert first.response["success"] is True


@pytest.mark.parametrize("topic", sorted(crm.UPDATE_TOPICS))
def test_every_update_topic_finds_its_item_by_id_or_by_key(topic: str) -> None:
    kind = crm.UPDATE_TOPICS[topic]
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


def test_an_update_of_a_deal_does_not_take_its_own_id_for_a_link() -> None:
    fields = crm.item_fields(
        message("bitrix_update_company", variables={"company_id": 5, "title": "Ромашка"}).task, crm.COMPANY, new=False
    )
    assert fields == {"title": "Ромашка"}
