"""The sandbox before a judge that nobody here wrote: python-1c-odata, a client from PyPI, unmodified."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest
from python_1c_odata import (
    BusinessProcess,
    Catalog,
    ConcurrencyError,
    Document,
    EntityNotFound,
    F,
    Infobase,
    ODataError,
    PostingMode,
    Task,
    guid,
)

from core.messages import TrackedTask
from core.results import Completed
from sandbox.onec import OneCSandbox
from tests.systems.onec.support import (
    ORDER,
    TASK,
    TASKS,
    accepted,
    external_id,
    handler_for,
    mapping_file,
    message,
    outcome,
    row_of,
    tracker_for,
)

KEY = "0ad5415a-0000-4000-8000-000000000001"

_Found = TypeVar("_Found")


def judged(base: OneCSandbox, work: Callable[[Infobase], Awaitable[_Found]]) -> _Found:
    async def run() -> _Found:
        async with Infobase(base.base_url, "base", base.username, base.password) as infobase:
            return await work(infobase)

    return asyncio.run(run())


def test_a_foreign_client_creates_reads_changes_and_posts_a_document() -> None:
    async def work(infobase: Infobase) -> None:
        orders = Document(infobase, "ЗаказКлиента")
        body = {"Ref_Key": KEY, "Date": "2026-11-23T10:00:00", "СуммаДокумента": 12.5}
        made = await orders.create(body)
        assert (made["Ref_Key"], made["Posted"], made["Number"]) == (KEY, False, "КА00-000001")
        with pytest.raises(ODataError) as refused:
            await orders.create(body)
        assert (refused.value.status, refused.value.internal_code) == (400, "15")
        changed = await orders.edit(KEY, {"Комментарий": "x"}, if_match=made["DataVersion"])
        with pytest.raises(ConcurrencyError):
            await orders.edit(KEY, {"Комментарий": "y"}, if_match=made["DataVersion"])
        assert changed["Комментарий"] == "x"
        await orders.post(KEY, PostingMode.POST)
        assert (await orders.get(KEY))["Posted"] is True
        await orders.unpost(KEY)
        assert (await orders.get(KEY, select="Posted"))["Posted"] is False
        await orders.delete(KEY)
        with pytest.raises(EntityNotFound) as gone:
            await orders.get(KEY)
        assert gone.value.internal_code == "9"

    with OneCSandbox() as base:
        judged(base, work)


def test_a_foreign_client_filters_orders_counts_and_turns_pages() -> None:
    async def work(infobase: Infobase) -> None:
        firms = Catalog(infobase, "Контрагенты")
        for number in range(7):
            await firms.create({"Description": f"Фирма {number}", "ИНН": f"770{number}"})
        found = await firms.query(odata_filter=(F("ИНН") == "7703") | (F("Description") == "Фирма 5"), orderby="ИНН")
        assert [row["ИНН"] for row in found.value] == ["7703", "7705"]
        page = await firms.query(top=2, skip=3, orderby="ИНН desc", select="ИНН", inlinecount=True)
        assert (page.count, [row["ИНН"] for row in page.value]) == (7, ["7703", "7702"])
        assert await firms.count(odata_filter="substringof('Фирма', Description) and not (ИНН eq '7700')") == 6
        assert len([row async for row in firms.iterate(page_size=3)]) == 7
        key = found.value[0]["Ref_Key"]
        assert len((await firms.query(odata_filter=f"Ref_Key eq {guid(key)}", allowed_only=True)).value) == 1
        with pytest.raises(ODataError) as refused:
            await firms.query(odata_filter="Нет eq 1")
        assert refused.value.internal_code == "10"

    with OneCSandbox(counted_pages=True) as base:  # the client believes in pages that are counted
        judged(base, work)


def test_a_foreign_client_reads_the_metadata_and_is_refused_without_rights() -> None:
    async def work(infobase: Infobase) -> list[str]:
        info = await infobase.entity_type_for_set(TASK)
        assert {"Исполнитель", "Исполнитель_Type", "Executed"} <= {each.name for each in info.properties}
        return await infobase.entity_sets()

    with OneCSandbox() as base:
        assert ORDER in judged(base, work)
        base.revoke_password()
        with pytest.raises(ODataError) as refused:
            judged(base, work)
        assert refused.value.status == 401


def test_a_foreign_client_finds_by_key_what_the_worker_has_made_and_executes_it(tmp_path: Path) -> None:
    path = mapping_file(tmp_path, TASKS)
    with OneCSandbox() as base:
        made = accepted(outcome(handler_for(base, mapping_file=path), message("task", key="k", title="Согласовать")))
        key = external_id(made).partition("/")[2]
        tracker = tracker_for(base, mapping_file=path)
        start = tracker.changes(None)
        assert start is not None

        async def work(infobase: Infobase) -> None:
            tasks = Task(infobase, "ЗадачаИсполнителя")
            row = await tasks.get(key)
            assert (row["Description"], row["Executed"]) == ("Согласовать", False)
            await tasks.execute(key)
            with pytest.raises(ODataError):
                await tasks.execute(key)
            moment = datetime.fromisoformat((await tasks.get(key))["ДатаИсполнения"])
            found = await tasks.query(odata_filter=(F("Executed") == True) & (F("ДатаИсполнения") >= moment))  # noqa: E712
            assert [each["Ref_Key"] for each in found.value] == [key]

        judged(base, work)
        [verdict] = tracker.check([TrackedTask("k", made.external_id)])
        assert isinstance(verdict, Completed)
        changes = tracker.changes(start.mark)
        assert changes is not None
        assert [each.external_id for each in changes.tasks] == [made.external_id]


def test_a_foreign_client_starts_a_process_that_gives_a_person_a_task() -> None:
    async def work(infobase: Infobase) -> None:
        processes = BusinessProcess(infobase, "Задание")
        made = await processes.create({"Date": "2026-11-23T10:00:00", "Наименование": "Согласовать"})
        await processes.start(made["Ref_Key"])
        found = await Task(infobase, "ЗадачаИсполнителя").query(
            odata_filter=f"BusinessProcess_Key eq {guid(made['Ref_Key'])}"
        )
        [task] = found.value
        await Task(infobase, "ЗадачаИсполнителя").execute(task["Ref_Key"])
        assert (await processes.get(made["Ref_Key"]))["Completed"] is True

    with OneCSandbox() as base:
        judged(base, work)


def test_a_cast_of_a_reference_of_several_types_is_understood() -> None:
    with OneCSandbox() as base:
        made = external_id(outcome(handler_for(base), message(key="k")))
        person = row_of(base, made)["Исполнитель"]

        async def work(infobase: Infobase) -> int:
            condition = f"Исполнитель eq cast({guid(person)},'Catalog_Пользователи')"
            return len((await Task(infobase, "ЗадачаИсполнителя").query(odata_filter=condition)).value)

        assert judged(base, work) == 1
