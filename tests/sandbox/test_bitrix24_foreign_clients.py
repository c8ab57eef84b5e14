"""Clients that nobody here wrote, unmodified, work with the sandbox as they do with Bitrix24.

The official b24pysdk and b24jssdk speak only https, so they meet a portal with a certificate that they verify;
fast-bitrix24 is asynchronous and retries by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from b24pysdk import BitrixWebhook, Client
from b24pysdk import errors as sdk_errors
from b24pysdk.errors import oauth as sdk_oauth_errors
from fast_bitrix24 import BitrixAsync
from fast_bitrix24.server_response import ErrorInServerResponseException

from sandbox.bitrix24 import BitrixSandbox, CrmField, OperatingLimit, RateLimit, faults
from tests.support import npm
from tests.support.places import DATA

KEY = "UF_CAMUNDA_ID_EXTERNAL_TASK"


class TestOfficialSdk:
    @pytest.fixture
    def portal(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[BitrixSandbox]:
        with BitrixSandbox(tls=True) as sandbox:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.ca_file))
            yield sandbox

    @pytest.fixture
    def webhook(self, portal: BitrixSandbox) -> BitrixWebhook:
        return webhook_of(portal)

    @pytest.fixture
    def client(self, webhook: BitrixWebhook) -> Client:
        return Client(webhook)

    def test_it_does_not_talk_to_a_portal_whose_certificate_it_does_not_know(
        self, webhook: BitrixWebhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(sdk_errors.BitrixRequestError, match="CERTIFICATE_VERIFY_FAILED"):
            webhook.call_method("server.time")

    def test_it_creates_reads_changes_and_deletes_a_task(self, portal: BitrixSandbox, client: Client) -> None:
        fields = {"TITLE": "Договор & Ко + 1", "RESPONSIBLE_ID": 2, "TAGS": ["a", "b"], KEY: "key-1"}
        task_id = int(client.tasks.task.add(fields=fields).result["task"]["id"])
        task = client.tasks.task.get(task_id=task_id, select=["TITLE", KEY]).result["task"]
        assert (task["title"], task["ufCamundaIdExternalTask"]) == ("Договор & Ко + 1", "key-1")
        client.tasks.task.update(task_id=task_id, fields={"PRIORITY": 2}).call()
        client.tasks.task.complete(task_id=task_id).call()
        assert (portal.task(task_id)["PRIORITY"], portal.task(task_id)["STATUS"]) == (2, 5)
        assert client.tasks.task.delete(task_id=task_id).result == {"task": True}
        assert portal.task_count == 0

    def test_it_lists_by_pages(self, portal: BitrixSandbox, client: Client) -> None:
        ids = [portal.create_task(f"task {number}") for number in range(170)]
        request = client.tasks.task.list(select=["ID"], order={"ID": "asc"})
        assert [int(task["id"]) for task in request.as_list().result] == ids
        assert portal.requests.methods == {"tasks.task.list": 4, "batch": 1}

    def test_its_fast_list_walks_by_references_inside_a_batch(self, portal: BitrixSandbox, client: Client) -> None:
        """Every command filters by `$result[previous][tasks][49][id]`: the SDK's own use of references."""
        ids = [portal.create_task(f"task {number}") for number in range(230)]
        rows = client.tasks.task.list(select=["ID"]).as_list_fast().result
        assert [int(task["id"]) for task in rows] == ids

    def test_it_asks_for_chosen_ids_in_chunks(self, portal: BitrixSandbox, client: Client) -> None:
        ids = [portal.create_task(f"task {number}") for number in range(130)]
        rows = client.tasks.task.list(filter={"ID": ids[::2]}, select=["ID"]).as_list().result
        assert sorted(int(task["id"]) for task in rows) == ids[::2]

    def test_it_creates_fifty_tasks_in_one_request(self, portal: BitrixSandbox, webhook: BitrixWebhook) -> None:
        methods = {
            f"k{number}": ("tasks.task.add", {"fields": {"TITLE": f"№ {number} & ?", "RESPONSIBLE_ID": 3}})
            for number in range(50)
        }
        answer = webhook.call_batch(methods)["result"]
        assert len(answer["result"]) == portal.task_count == 50
        assert {task["TITLE"] for task in portal.tasks} == {f"№ {number} & ?" for number in range(50)}
        assert portal.requests.http == 1

    def test_its_false_is_true_on_the_portal(self, portal: BitrixSandbox, webhook: BitrixWebhook) -> None:
        """In a batch the SDK writes False as the text "False", and any text is true: the trap is real."""
        fields = {"TITLE": "Договор", "RESPONSIBLE_ID": 2, "UF_RESULT_EXPECTED": False}
        webhook.call_batch({"k": ("tasks.task.add", {"fields": fields})})
        webhook.call_method("tasks.task.add", {"fields": fields})
        assert [task["UF_RESULT_EXPECTED"] for task in portal.tasks] == [True, False]

    def test_it_reads_errors_of_single_commands(self, webhook: BitrixWebhook) -> None:
        methods = [("tasks.task.add", {"fields": {"TITLE": "x", "RESPONSIBLE_ID": 777}}), ("server.time", {})]
        answer = webhook.call_batch(methods)["result"]
        assert answer["result_error"][0]["error"] == "ERROR_CORE"

    def test_it_works_with_old_methods_crm_users_and_user_fields(self, portal: BitrixSandbox, client: Client) -> None:
        task_id = portal.create_task("Приём")
        client.task.checklistitem.add(task_id=task_id, fields={"TITLE": "Документы", "PARENT_ID": 0}).call()
        assert [item["TITLE"] for item in portal.checklists(task_id)] == ["Документы"]
        client.crm.item.add(entity_type_id=2, fields={"title": "Поставка", "originId": "key-1"}).call()
        [deal] = client.crm.item.list(entity_type_id=2, filter={"originId": "key-1"}).as_list().result
        assert deal["title"] == "Поставка"
        [user] = client.user.get(filter={"EMAIL": "kozlova@example.com"}).result
        assert user["ID"] == "3"
        names = [row["FIELD_NAME"] for row in client.task.item.userfield.getlist().result]
        assert KEY in names

    def test_it_writes_phones_and_user_fields_of_items(self, portal: BitrixSandbox, client: Client) -> None:
        portal.state.crm_fields[3] = [CrmField("UF_CRM_NOTE", "string")]
        phone = {"typeId": "PHONE", "valueType": "MOBILE", "value": "+7 901"}
        fields = {"name": "Анна", "fm": [phone], "ufCrmNote": "из SDK"}
        added = client.crm.item.add(entity_type_id=3, fields=fields).result["item"]
        assert (added["fm"], added["ufCrmNote"]) == ([{"id": 101, **phone}], "из SDK")
        changes = {"fm": {"101": {**phone, "value": ""}}, "UF_CRM_NOTE": "иначе"}
        request = client.crm.item.update(
            bitrix_id=added["id"], entity_type_id=3, fields=changes, use_original_uf_names=True
        )
        changed = request.result["item"]
        assert (changed["fm"], changed["UF_CRM_NOTE"]) == ([], "иначе")

    def test_it_knows_the_portals_errors(self, portal: BitrixSandbox, webhook: BitrixWebhook) -> None:
        with pytest.raises(sdk_errors.BitrixAPIBadRequest):
            webhook.call_method("tasks.task.add", {"fields": {"TITLE": "x", "RESPONSIBLE_ID": 777}})
        portal.inject(faults.error("OPERATION_TIME_LIMIT"), "server.time")
        with pytest.raises(sdk_errors.BitrixAPIOperationTimeLimit):
            webhook.call_method("server.time")
        portal.inject(faults.html(500), "server.time")
        with pytest.raises(sdk_errors.BitrixResponse500JSONDecodeError):
            webhook.call_method("server.time")
        portal.revoke_webhook()
        with pytest.raises(sdk_oauth_errors.BitrixOAuthNoAuthFound):
            webhook.call_method("server.time")
        portal.restore_webhook()
        portal.go_down()
        with pytest.raises(sdk_errors.BitrixRequestError):
            webhook.call_method("server.time")
        portal.come_back()
        webhook.call_method("server.time")

    def test_it_waits_when_the_bucket_is_full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rate = RateLimit(capacity=5, drain=2)
        with BitrixSandbox(tls=True, rate=rate, time_scale=3) as portal:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(portal.ca_file))
            webhook = webhook_of(portal)
            for number in range(12):
                webhook.call_method(
                    "tasks.task.add",
                    {"fields": {"TITLE": f"task {number}", "RESPONSIBLE_ID": 2}},
                    initial_retry_delay=0.2,
                    max_retries=10,
                )
            assert portal.task_count == 12
            assert portal.requests.limited >= 1

    def test_it_gives_up_on_a_bucket_that_stays_full(self, portal: BitrixSandbox, webhook: BitrixWebhook) -> None:
        portal.inject(faults.error("QUERY_LIMIT_EXCEEDED"), "server.time", count=None)
        with pytest.raises(sdk_errors.BitrixAPIQueryLimitExceeded):
            webhook.call_method("server.time", max_retries=2, initial_retry_delay=0.01)
        assert portal.requests.methods == {"server.time": 2}


class TestFastBitrix24:
    @pytest.fixture
    def portal(self) -> Iterator[BitrixSandbox]:
        with BitrixSandbox() as sandbox:
            yield sandbox

    def test_it_creates_reads_and_lists_beyond_a_page(self, portal: BitrixSandbox) -> None:
        async def work(bitrix: BitrixAsync) -> None:
            fields = [{"fields": {"TITLE": f"№ {number} & ?", "RESPONSIBLE_ID": 2}} for number in range(120)]
            created = await bitrix.call("tasks.task.add", fields)
            assert sorted(int(task["id"]) for task in created) == list(range(1, 121))
            read = await bitrix.get_by_ID("tasks.task.get", [1, 120], ID_field_name="taskId")
            # Its batches run side by side, so the ids do not follow the order of the titles.
            titles = {task["title"] for task in created}
            assert titles == {f"№ {number} & ?" for number in range(120)}
            assert {read["1"]["task"]["title"], read["120"]["task"]["title"]} <= titles
            listed = await bitrix.get_all("tasks.task.list", {"select": ["ID"]})
            assert sorted(int(task["id"]) for task in listed) == list(range(1, 121))

        run(portal, work)
        assert portal.requests.methods["tasks.task.list"] == 3
        assert portal.requests.commands["tasks.task.add"] == 120

    def test_it_uses_references_in_its_own_batches(self, portal: BitrixSandbox) -> None:
        async def work(bitrix: BitrixAsync) -> None:
            cmd = {
                "task": "tasks.task.add?fields[TITLE]=Приём&fields[RESPONSIBLE_ID]=2",
                "item": "task.checklistitem.add?TASKID=$result[task][task][id]&FIELDS[TITLE]=Паспорт",
            }
            await bitrix.call_batch({"halt": 1, "cmd": cmd})

        run(portal, work)
        assert [item["TITLE"] for item in portal.checklists(1)] == ["BX_CHECKLIST_1", "Паспорт"]

    def test_it_lists_users_and_crm_items(self, portal: BitrixSandbox) -> None:
        async def work(bitrix: BitrixAsync) -> None:
            deals = [{"entityTypeId": 2, "fields": {"title": f"deal {number}"}} for number in range(60)]
            await bitrix.call("crm.item.add", deals)
            listed = await bitrix.get_all("crm.item.list", {"entityTypeId": 2})
            assert sorted(item["id"] for item in listed) == list(range(1, 61))
            assert len(await bitrix.get_all("user.get")) == 8

        run(portal, work)

    def test_it_sees_the_errors_of_a_batch(self, portal: BitrixSandbox) -> None:
        async def work(bitrix: BitrixAsync) -> None:
            with pytest.raises(ErrorInServerResponseException, match="ERROR_CORE"):
                await bitrix.call("tasks.task.add", {"fields": {"TITLE": "x", "RESPONSIBLE_ID": 777}})

        run(portal, work)

    def test_it_survives_a_full_bucket(self) -> None:
        async def work(bitrix: BitrixAsync) -> None:
            calls = [bitrix.call("server.time", raw=True) for _ in range(15)]
            assert len(await asyncio.gather(*calls)) == 15

        with BitrixSandbox(rate=RateLimit(capacity=10, drain=2), time_scale=4) as portal:
            run(portal, work)
            assert portal.requests.limited >= 1
            assert portal.requests.methods["server.time"] == 15

    def test_its_retry_creates_a_second_task_after_a_late_500(self, portal: BitrixSandbox) -> None:
        """Why a retry needs a look-up first: the task existed when the answer said 500."""

        async def work(bitrix: BitrixAsync) -> None:
            fields = {"TITLE": "Договор", "RESPONSIBLE_ID": 2, KEY: "key-1"}
            await bitrix.call("tasks.task.add", {"fields": fields}, raw=True)

        portal.inject(faults.error("INTERNAL_SERVER_ERROR", after_execution=True), "tasks.task.add")
        run(portal, work)
        assert portal.tasks_by_key() == {"key-1": [1, 2]}

    def test_it_reads_the_operating_time(self) -> None:
        async def work(bitrix: BitrixAsync) -> None:
            for _ in range(3):
                await bitrix.call("server.time", raw=True)
            history = bitrix.srh.method_throttlers["server.time"]._request_history
            assert [record.duration for record in history] == [6.0, 4.0, 2.0]

        with BitrixSandbox(operating=OperatingLimit(seconds=480, costs={"server.time": 2.0})) as portal:
            run(portal, work)


@pytest.mark.usefixtures("foreign_programs")
class TestJavaScriptSdk:
    """It knows https only, puts parameters of its own before those of the method, and retries by itself."""

    def test_it_changes_phones_and_user_fields_as_the_vendors_pages_show(self) -> None:
        """tutorials/crm/how-to-edit-crm-objects/how-to-change-email-or-phone.md; crm-item-add.md; crm-item-list.md."""
        fields = (
            CrmField("UF_CRM_CONTRACT", "string"),
            CrmField("UF_CRM_44_1721812935209", "boolean"),
            CrmField("UF_CRM_SIZE", "enumeration", options={79: "Малый", 80: "Большой"}),
        )
        with BitrixSandbox(tls=True, crm_fields={2: fields}) as portal:
            seen = run_node("portal_b24jssdk.js", "@bitrix24/b24jssdk@2.2.0", portal)
            assert [item["TITLE"] for item in portal.checklists(1)] == ["BX_CHECKLIST_1", "Паспорт"]
            assert {f"№ {number} & ?" for number in range(49)} <= {deal["title"] for deal in portal.crm_items(2)}
        mails, phones = ["work_email@nomail.com", "home_email@nomail.com"], ["+493012345678", "+493076543210"]
        changed = ["new_work_email@nomail.com", "+493012345678", "+493055544433"]
        assert seen["phones"] == {
            "added": [*mails, *phones],
            "changed": changed,
            "extended": [*changed, "+493011111111"],
            "hasPhone": "Y",
        }
        assert seen["userFields"]["described"]["items"][1] == {"ID": "80", "VALUE": "Большой"}
        assert seen["userFields"]["camel"] == ["17/2", "Y", 80]
        assert (seen["userFields"]["original"], seen["userFields"]["ignored"]) == ("18/1", "18/1")
        assert seen["userFields"]["nothing"] == [[]]
        assert seen["userFields"]["selected"] == [{"title": "Поставка", "ufCrmContract": "18/1"}]
        assert seen["deals"] == 61
        assert (seen["tasks"]["wrong"], seen["refused"]) == ("ERROR_CORE", "CRM_FIELD_ERROR_VALUE_NOT_VALID")


def run_node(script: str, package: str, portal: BitrixSandbox) -> Any:
    """What the script prints as JSON. Skips without node or the registry."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(f"{package} needs node")
    paths = {"NODE_PATH": str(npm.installed(package)), "NODE_EXTRA_CA_CERTS": str(portal.ca_file)}
    command = [node, str(DATA / script), portal.webhook_url]
    done = subprocess.run(
        command, env={**os.environ, **paths}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def webhook_of(portal: BitrixSandbox) -> BitrixWebhook:
    return BitrixWebhook(domain=portal.address, webhook_token=portal.webhook_token)


def run(portal: BitrixSandbox, work: Callable[[BitrixAsync], Awaitable[Any]]) -> None:
    async def main() -> None:
        await work(BitrixAsync(portal.webhook_url, verbose=False))

    asyncio.run(main())
