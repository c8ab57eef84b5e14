"""Whatever a process sends in whatever type: stored as it was meant, refused by name, or told in the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.bitrix.handler import BitrixTaskHandler
from core import values
from core.errors import PermanentError
from core.messages import IncomingMessage
from core.results import Accepted, Done, Result
from sandbox.bitrix24 import DEFAULT_USER_FIELDS, BitrixSandbox, CrmField, UserField
from tests.support.engine_values import Variable, variables
from tests.systems.bitrix.support import handler_for, message

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOURCES = ("variables", "extensions", "parameters")


@contextmanager
def portal_with_handler() -> Iterator[tuple[BitrixSandbox, BitrixTaskHandler]]:
    user_fields = [*DEFAULT_USER_FIELDS, UserField("UF_SUM", "double"), UserField("UF_WHEN", "datetime")]
    crm_fields = (
        CrmField("UF_CRM_NOTE", "string"),
        CrmField("UF_CRM_FLAG", "boolean"),
        CrmField("UF_CRM_SUM", "double"),
        CrmField("UF_CRM_COUNT", "integer"),
    )
    with BitrixSandbox(user_fields=user_fields, crm_fields={2: crm_fields}) as portal:
        yield portal, handler_for(portal)


def is_text(given: Any, stored: Any) -> bool:
    return float(stored) == given if isinstance(given, float) else str(stored or "") == values.text(given)


def is_number(given: Any, stored: Any) -> bool:
    return stored is not None and float(str(given).replace(",", ".")) == float(stored)


def is_moment(given: Any, stored: Any) -> bool:
    return datetime.strptime(given, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() == float(stored)


def is_flag(given: Any, stored: Any) -> bool:
    return bool(stored) == (values.text(given).lower() in values.TRUE_WORDS)


def is_priority(given: Any, stored: Any) -> bool:
    return bool(stored == (2 if given == "high" else min(max(int(float(given)), 0), 2)))


def is_set(given: Any, stored: Any) -> bool:
    wanted = given if isinstance(given, list) else values.items(given)
    return {values.text(each) for each in wanted} == set(map(str, stored))


# Name in the message -> field of the portal, and whether it holds what was given.
Meanings = Mapping[str, tuple[str, Callable[[Any, Any], bool]]]

TASK: Meanings = {
    "title": ("TITLE", is_text),
    "description": ("DESCRIPTION", is_text),
    "priority": ("PRIORITY", is_priority),
    "deadline": ("DEADLINE", is_moment),
    "responsible_id": ("RESPONSIBLE_ID", is_number),
    "creator_id": ("CREATED_BY", is_number),
    "group_id": ("GROUP_ID", is_number),
    "accomplices": ("ACCOMPLICES", is_set),
    "tags": ("TAGS", is_set),
    "UF_RESULT_QUESTION": ("UF_RESULT_QUESTION", is_text),
    "ufResultExpected": ("UF_RESULT_EXPECTED", is_flag),
    "UF_SUM": ("UF_SUM", is_number),
    "uf_when": ("UF_WHEN", is_moment),
}
ITEM: Meanings = {
    "title": ("title", is_text),
    "comments": ("comments", is_text),
    "amount": ("opportunity", is_number),
    "categoryId": ("categoryId", is_number),
    "responsible_id": ("assignedById", is_number),
    "UF_CRM_NOTE": ("UF_CRM_NOTE", is_text),
    "ufCrmFlag": ("UF_CRM_FLAG", is_flag),
    "uf_crm_sum": ("UF_CRM_SUM", is_number),
    "UF_CRM_COUNT": ("UF_CRM_COUNT", is_number),
}
# Of the portal itself, and of messages that name nothing at all.
REFUSALS = {"ERROR_CORE", "CRM_FIELD_ERROR_VALUE_NOT_VALID", "nothing_to_update", "task_not_found", "item_not_found"}


def names(text: str, name: str) -> bool:
    """A field may be named as the portal spells it."""
    return name.replace("_", "").lower() in text.replace("_", "").lower()


def handled(handler: BitrixTaskHandler, incoming: IncomingMessage) -> Result | PermanentError:
    try:
        return handler.handle(incoming)
    except PermanentError as error:
        return error


def check(
    handler: BitrixTaskHandler,
    meanings: Meanings,
    sent: Mapping[str, Variable],
    incoming: IncomingMessage,
    stored: Callable[[], Mapping[str, Any]],
) -> None:
    result = handled(handler, incoming)
    if isinstance(result, PermanentError):
        assert result.code in REFUSALS or any(names(result.reason, name) for name in sent), result
        return
    assert isinstance(result, Accepted | Done)
    warnings = result.response.get("warnings", [])
    for name, each in sent.items():
        if not values.is_blank(each.value):  # blank is not given
            field, means = meanings[name]
            told = any(names(warning, name) for warning in warnings)
            assert told or means(each.value, stored().get(field)), (name, each, stored().get(field))


@SLOW
@given(st.dictionaries(st.sampled_from(sorted(TASK)), variables, max_size=5), st.sampled_from(SOURCES))
def test_any_variables_of_a_task_are_stored_as_meant_refused_by_name_or_told(
    sent: dict[str, Variable], source: str
) -> None:
    with portal_with_handler() as (portal, handler):
        given: dict[str, Any] = {"variables": {"bitrix_task_id": "first"}}
        given.setdefault(source, {}).update({name: each.sent for name, each in sent.items()})
        for topic, key in (("bitrix_create_task", "first"), ("bitrix_update_task", "second")):
            check(handler, TASK, sent, message(topic, key=key, **given), lambda: portal.tasks[0])


@SLOW
@given(st.dictionaries(st.sampled_from(sorted(ITEM)), variables, max_size=4), st.sampled_from(SOURCES))
def test_any_variables_of_an_item_are_stored_as_meant_refused_by_name_or_told(
    sent: dict[str, Variable], source: str
) -> None:
    with portal_with_handler() as (portal, handler):
        given: dict[str, Any] = {"variables": {"deal_id": "first"}}
        given.setdefault(source, {}).update({name: each.sent for name, each in sent.items()})
        for topic, key in (("bitrix_create_deal", "first"), ("bitrix_update_deal", "second")):
            check(handler, ITEM, sent, message(topic, key=key, **given), lambda: portal.crm_items(2)[0])
