"""What the API tells Prometheus: complete from the start, closed against every address, also without a worker."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing

from api.front import MOST_SENT
from api.hook_metrics import METRICS as METRICS_OF_HOOKS
from api.metrics import DURATION, ERRORS_WAITING, METRICS, REACHABLE, REQUESTS, STATUSES
from core.events.base import Identity
from core.events.messages import MessageParked, SentMessageUnreadable, TaskRejected
from core.outcomes import Outcome
from core.texts import Text
from journal.settings import JournalSettings
from metrics.error_codes import CLASSES
from operation.desk import Desk
from sandbox.process import ROOT
from sandbox.prometheus import Promtool
from tests.api.streaming import STREAM, listening
from tests.api.support import PASSWORD, Client, journalled
from tests.journal.support import parked, received, task
from tests.support.figures import Figures
from tools.documents import OPENAPI

PLACES = {
    (method.upper(), path)
    for path, methods in json.loads((ROOT / OPENAPI).read_text(encoding="utf-8"))["paths"].items()
    for method in methods
} | {("other", "other")}
COUNTS = (REQUESTS.name, f"{DURATION.name}_count", f"{DURATION.name}_bucket", f"{DURATION.name}_sum")


def exposed(client: Client) -> bytes:
    answer = client.ask("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    return answer.content


def figures(client: Client) -> Figures:
    return Figures(exposed(client))


def answers(client: Client) -> Mapping[tuple[str, str, str], float]:
    """How often which answer was given, where it was; without the looks at this."""
    told = figures(client).of(REQUESTS.name)
    return {
        (labels["method"], labels["route"], labels["status"]): value
        for labels, value in told
        if value and labels["route"] != "/metrics"
    }


def test_every_label_of_the_api_s_metrics_is_there_from_the_start(desk: Desk, client: Client) -> None:
    journalled(desk, [received(1)])
    told = figures(client)
    assert {(each["method"], each["route"], each["status"]) for each in told.label_sets(REQUESTS.name)} == {
        (*place, status) for place in PLACES for status in STATUSES
    }
    assert {(each["method"], each["route"]) for each in told.label_sets(f"{DURATION.name}_count")} == PLACES
    systems = {queue.removesuffix(".queue") for queue in desk.settings.worker.queue_handlers}
    assert {(each["system"], each["class"]) for each in told.label_sets(ERRORS_WAITING.name)} == {
        (system, class_) for system in (*systems, "other") for class_ in (*CLASSES, "other")
    }
    assert {name: told.total(name) for name in (*COUNTS, ERRORS_WAITING.name)} == dict.fromkeys(
        (*COUNTS, ERRORS_WAITING.name), 0
    )


def test_an_address_is_counted_by_its_template_and_no_address_makes_a_series(desk: Desk, client: Client) -> None:
    journalled(desk, [received(1)])
    before = figures(client).samples.keys()
    for path in (f"/api/v1/messages/{task(1).task_id}", "/api/v1/messages/nobody", "/api/v1/messages/x/y", "/none"):
        client.ask("GET", path)
    client.ask("POST", "/livez")
    client.ask("QUERY", "/livez")
    assert answers(client) == {
        ("GET", "/api/v1/messages/{id}", "2xx"): 1,
        ("GET", "/api/v1/messages/{id}", "4xx"): 1,
        ("other", "other", "4xx"): 4,
    }
    told = figures(client)
    assert told.samples.keys() == before
    assert told.value(f"{DURATION.name}_count", method="GET", route="/api/v1/messages/{id}") == 2


def test_what_is_refused_before_any_operation_is_counted(client: Client) -> None:
    Client(client.base, None).ask("GET", "/api/v1/status")
    client.ask("POST", "/api/v1/retries", data=b" " * (MOST_SENT + 1))
    assert answers(client) == {("GET", "/api/v1/status", "4xx"): 1, ("POST", "/api/v1/retries", "4xx"): 1}


def test_a_mistake_in_the_program_is_counted(desk: Desk, client: Client) -> None:
    journalled(desk, [received(1, attempt=2)])
    with closing(sqlite3.connect(desk.settings.for_system(JournalSettings).file)) as journal:
        journal.execute("update event set detail = 'no JSON'")
        journal.commit()
    assert client.ask("GET", f"/api/v1/messages/{task(1).task_id}/events").status_code == 500
    # uvicorn closes the connection of such an answer, so that the next question needs another one.
    assert answers(Client(client.base)) == {("GET", "/api/v1/messages/{id}/events", "5xx"): 1}


def test_a_stream_is_counted_when_it_begins(desk: Desk, client: Client) -> None:
    journalled(desk, [received(1)])
    with listening(client):
        assert answers(client) == {("GET", STREAM, "2xx"): 1}


def test_errors_that_wait_are_told_by_system_and_class(desk: Desk, client: Client) -> None:
    reason = Text("no", "нет")

    def failed(number: int, system: str, outcome: Outcome) -> MessageParked:
        return MessageParked(task(number, system), reason, "no_user", outcome)

    journalled(
        desk,
        [
            *(parked(1), parked(2), failed(3, "1c", Outcome.AMBIGUOUS), failed(4, "gone", Outcome.PERMANENT)),
            TaskRejected(task(5, external="48005"), reason, "task_deleted", Outcome.BUSINESS),
            SentMessageUnreadable(_unread(), reason, "not_json"),
            *(received(7), parked(7), received(7, attempt=2)),  # somebody has put it back
        ],
    )
    told = figures(client)
    assert {(each["system"], each["class"]): value for each, value in told.of(ERRORS_WAITING.name) if value} == {
        ("bitrix24", "permanent"): 2,
        ("1c", "ambiguous"): 1,
        ("other", "permanent"): 1,
        ("bitrix24", "business"): 1,
        ("bitrix24", "other"): 1,
    }


def _unread() -> Identity:
    return Identity("bitrix24.sent.queue", "bitrix24", None, None, None, None, None, "unread-6")


def test_without_a_worker_the_api_s_own_metrics_are_told(client: Client) -> None:
    told = figures(client)
    assert told.value(REACHABLE.name) == 0
    assert ERRORS_WAITING.name not in told.families, "without a journal nobody knows, and zero would be a lie"
    assert {name for name in told.families if not name.startswith("task_creator_")} == set()
    assert told.families.keys() <= {metric.name.removesuffix("_total") for metric in (*METRICS, *METRICS_OF_HOOKS)}


def test_promtool_finds_no_fault_in_it_and_no_secret_leaves(desk: Desk, client: Client, judge: Promtool) -> None:
    journalled(desk, [received(1, title=PASSWORD)])
    text = exposed(client)
    judgement = judge.check_metrics(text)
    assert judgement.is_good, judgement.text
    assert PASSWORD.encode() not in text
    names = re.findall(rb"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names)) == len((*METRICS, *METRICS_OF_HOOKS))
