"""The journal over HTTP: lists that miss and repeat nothing, texts in both languages, no secret."""

from __future__ import annotations

from typing import Any

import pytest

from core.events.control import OperatorActed
from operation.desk import Desk
from tests.api.support import PASSWORD, Client, journalled
from tests.journal.support import LIFE, NOON, created, parked, received, task

MESSAGES = "/api/v1/messages"
COUNT = 1100


def pages(client: Client, path: str) -> list[list[dict[str, Any]]]:
    """All pages, by following Link."""
    found = []
    while path:
        answer = client.ask("GET", path)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        link = answer.headers.get("Link", "")
        assert (answer.json()["next_before"] is None) == (not link)
        path = link.partition("<")[2].partition(">")[0]
    return found


@pytest.mark.parametrize("limit", [7, 200])
def test_paging_misses_and_repeats_nothing_also_where_many_came_at_once(desk: Desk, client: Client, limit: int) -> None:
    journalled(desk, [received(number) for number in range(COUNT)])
    for number in range(COUNT, COUNT + 30):
        journalled(desk, [received(number)], start=NOON + 500)  # in the same microsecond
    walked = [each["id"] for page in pages(client, f"{MESSAGES}?limit={limit}&system=bitrix24") for each in page]
    assert len(walked) == len(set(walked)) == COUNT + 30
    assert set(walked) == {task(number).task_id for number in range(COUNT + 30)}


def test_what_comes_meanwhile_moves_no_page(desk: Desk, client: Client) -> None:
    journalled(desk, [received(number) for number in range(20)])
    first = client.get(f"{MESSAGES}?limit=10")
    journalled(desk, [received(number) for number in range(100, 110)], start=NOON + 1000)
    second = client.get(f"{MESSAGES}?limit=10&before={first['next_before']}")
    assert {each["id"] for each in (*first["items"], *second["items"])} == {task(each).task_id for each in range(20)}


def test_a_message_with_all_that_is_known_of_it(desk: Desk, client: Client) -> None:
    journalled(desk, LIFE)
    failed, name = task(2), task(2).task_id
    told = client.get(f"{MESSAGES}/{name}")
    assert (told["id"], told["state"], told["business_key"], told["process_instance_id"]) == (
        *(name, "failed", "ORD-2"),
        failed.process_instance_id,
    )
    assert told["error"]["code"] == "no_user"
    assert told["error"]["reason"] == {
        "en": "RESPONSIBLE_ID: user 17 is not there",
        "ru": "по-русски: RESPONSIBLE_ID: user 17 is not there",
    }
    assert told["first"].endswith("Z")
    steps = client.get(f"{MESSAGES}/{task(1).task_id}/events")["items"]
    assert [each["at"] for each in steps] == sorted(each["at"] for each in steps)
    assert "task.retry" in {each["code"] for each in steps}
    assert client.ask("GET", f"{MESSAGES}/nobody").status_code == 404
    assert client.ask("GET", f"{MESSAGES}/nobody/events").status_code == 404


def test_filters_choose(desk: Desk, client: Client) -> None:
    journalled(desk, LIFE)
    failed = client.get(f"{MESSAGES}?state=failed")["items"]
    assert [each["id"] for each in failed] == [task(2).task_id]
    group = failed[0]["error"]["group"]
    for query in (
        f"group={group}",
        "code=no_user",
        "state=failed&state=stuck",
        "since=2026-11-30T00:00:00Z&state=failed",
    ):
        assert client.get(f"{MESSAGES}?{query}")["items"] == failed, query
    for query in ("system=1c", "topic=other", "until=2020-01-01T00:00:00%2B03:00", "older_than=1e10", "before=0"):
        assert client.get(f"{MESSAGES}?{query}")["items"] == [], query


@pytest.mark.parametrize("words", ["ORD-1", "48001", "договор", task(1).task_id, task(1).process_instance_id])
def test_a_message_is_found_by_what_people_have(desk: Desk, client: Client, words: str) -> None:
    journalled(desk, [received(1), created(1)])
    [found] = client.get("/api/v1/search", params={"q": words})["items"]
    assert found["external_id"] == "48001"


def test_what_people_have_done_is_listed(desk: Desk, client: Client) -> None:
    journalled(desk, [OperatorActed("ann@10.0.0.1", f"pause {each}", each, 3) for each in ("1c", "bitrix24", "email")])
    walked = [each for page in pages(client, "/api/v1/events?limit=1&code=operator.acted") for each in page]
    assert [each["system"] for each in walked] == ["email", "bitrix24", "1c"]
    assert walked[0]["fields"]["who"] == "ann@10.0.0.1"
    assert client.get("/api/v1/events?code=nothing.happened")["items"] == []


def test_no_secret_leaves_whoever_has_written_it(desk: Desk, client: Client) -> None:
    journalled(desk, [received(1, title=f"with {PASSWORD}"), parked(1, f"said {PASSWORD}")])
    for path in (MESSAGES, f"{MESSAGES}/{task(1).task_id}", f"{MESSAGES}/{task(1).task_id}/events", "/api/v1/status"):
        assert PASSWORD not in client.ask("GET", path).text
    answer = client.ask("GET", f"/api/v1/{PASSWORD}", headers={"Accept-Language": "ru"})
    assert answer.status_code == 404
