"""A system that keeps our key says what it has for a Camunda task: for people who look for one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from base_handler import BaseMessageHandler
from consumers.email.handler import EmailHandler
from consumers.telegram.handler import TelegramHandler
from core.errors import OutageError, OutcomeError
from core.messages import IncomingMessage
from core.results import Accepted, Done, FoundTask
from sandbox.bitrix24 import BitrixSandbox
from sandbox.onec import OneCSandbox
from sandbox.openproject import OpenProjectSandbox
from sandbox.openproject.objects import CUSTOM_FIELDS
from tests.systems.bitrix import support as bitrix
from tests.systems.onec import support as onec
from tests.systems.openproject import support as openproject

KEY = "8f6c1a52-0b3f-4c8e-9a51-000000000001"


def created(handler: BaseMessageHandler, message: IncomingMessage) -> str:
    """The external id of what a message has become."""
    result = handler.handle(message)
    assert isinstance(result, Accepted | Done)
    assert result.external_id is not None
    return result.external_id


def found(handler: BaseMessageHandler, key: str = KEY) -> FoundTask:
    task = handler.find_task(key)
    assert task is not None
    return task


def test_bitrix24_finds_a_task_by_the_camunda_task_id() -> None:
    with BitrixSandbox() as portal:
        handler = bitrix.handler_for(portal)
        assert handler.find_task(KEY) is None
        number = created(handler, bitrix.message(key=KEY, parameters={"title": "Согласовать договор № 5"}))
        portal.finish(int(number))
        task = found(handler)
        assert (task.external_id, task.title, task.status) == (number, "Согласовать договор № 5", "5")
        assert task.address is not None
        assert task.address.endswith(f"/company/personal/user/0/tasks/task/view/{number}/")
        assert portal.webhook_token not in task.address


def test_bitrix24_knows_where_people_see_a_task_and_where_a_deal() -> None:
    with BitrixSandbox() as portal:
        handler = bitrix.handler_for(portal)
        pages = {
            topic: handler.task_address("7", topic) for topic in ("bitrix_create_task", "bitrix_update_deal", None)
        }
        assert [str(page).partition(portal.address)[2] for page in pages.values()] == [
            "/company/personal/user/0/tasks/task/view/7/",
            "/crm/deal/details/7/",
            "/company/personal/user/0/tasks/task/view/7/",
        ]


@pytest.mark.parametrize("projects", [None, (1, 2)], ids=["a field for all projects", "a field of some projects"])
def test_openproject_finds_a_work_package_in_whichever_project_it_is(projects: tuple[int, ...] | None) -> None:
    fields = [replace(each, projects=projects) if each.name == "Camunda ID" else each for each in CUSTOM_FIELDS]
    with OpenProjectSandbox(custom_fields=fields) as server:
        handler = openproject.handler_for(server)
        assert handler.find_task(KEY) is None
        number = created(handler, openproject.message(key=KEY, title="Проверить смету", project="2"))
        created(handler, openproject.message(title="Другая"))
        assert found(handler) == FoundTask(number, "Проверить смету", "New", f"{server.url}/work_packages/{number}")
        assert handler.task_address(number, "op_create_task") == f"{server.url}/work_packages/{number}"
        assert handler.task_address("3", "op_create_project") is None


def test_openproject_without_a_field_for_the_key_has_nothing() -> None:
    fields = [each for each in CUSTOM_FIELDS if each.name != "Camunda ID"]
    with OpenProjectSandbox(custom_fields=fields) as server:
        assert openproject.handler_for(server).find_task(KEY) is None


def test_1c_finds_an_object_of_whichever_kind_the_mapping_makes() -> None:
    with OneCSandbox() as base:
        handler = onec.handler_for(base)
        assert handler.find_task(KEY) is None
        document = created(handler, onec.message("1c_create_document", key=KEY, amount="5", comment="Заказ"))
        assert found(handler).external_id == document
        assert found(handler).address is None
        other = created(handler, onec.message("1c_create_counterparty", key="other", name="ООО «Ромашка»"))
        task = found(handler, "other")
        assert (task.external_id, task.title) == (other, "ООО «Ромашка»")


def test_a_system_that_does_not_answer_says_so_instead_of_having_nothing() -> None:
    with BitrixSandbox() as portal:
        handler = bitrix.handler_for(portal)
    with pytest.raises(OutcomeError) as down:
        handler.find_task(KEY)
    assert isinstance(down.value, OutageError)


def test_a_system_without_our_key_is_not_asked() -> None:
    for handler in (EmailHandler, TelegramHandler):
        assert handler.find_task is BaseMessageHandler.find_task
