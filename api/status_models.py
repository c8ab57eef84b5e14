"""How everything stands, as the API tells it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.models import Answer, Both, Moment, at, both, moment
from core.holds import Scope
from operation.standing import AGES, QueueStatus, StatusReport, SystemStatus, Verdict


class Hold(Answer):
    """The pause that a person has put on a system."""

    by: str = Field(description="who", examples=["ops@127.0.0.1"])
    since: Moment
    until: Moment | None = Field(description="null: until somebody ends it")
    reason: str = Field(examples=["update of the portal"])
    scope: Scope = Field(description="what rests: new tasks, the questions about those that exist, or all")


class Down(Answer):
    """Why a system cannot be used now; the worker tries it again by itself."""

    since: Moment
    reason: Both
    outcome: str = Field(examples=["outage"])
    code: str | None = Field(examples=["http_503"])
    is_alert: bool = Field(description="whether a person has to do something")
    next_probe: Moment = Field(description="when it is tried again")


class OpenByAge(Answer):
    """How many open tasks are of this age."""

    younger_than: float | None = Field(description="seconds; null: older than all others", examples=[3600])
    count: int


class System(Answer):
    """A system and the messages for it."""

    system: str = Field(examples=["bitrix24"])
    state: Literal["ok", "paused", "down", "unconfigured", "unknown"]
    hold: Hold | None
    down: Down | None
    unused: Both | None = Field(description="why no messages of it are taken, if so")
    waiting: int | None = Field(description="messages in its input queue; null: RabbitMQ does not tell")
    consumers: int | None = Field(description="workers that take them")
    oldest_waiting: Moment | None
    in_retry: int = Field(description="messages that wait for a repeat")
    open: int = Field(description="tasks that a person has not finished yet")
    oldest_open: Moment | None
    open_by_age: list[OpenByAge]
    errors: int = Field(description="messages that wait for a person")
    oldest_error: Moment | None
    last_check: Moment | None = Field(description="the last look at the open tasks")
    trouble: str | None = Field(description="why that did not succeed")


class Queue(Answer):
    """A queue of RabbitMQ."""

    queue: str = Field(examples=["bitrix24.queue"])
    kind: Literal["input", "sent", "responses", "errors"]
    messages: int | None = Field(
        description="those that are ready, in its shards as well; null: there is no such queue, or no RabbitMQ"
    )
    consumers: int | None
    oldest: Moment | None = Field(description="when the oldest message came, as far as the journal knows")


class Worker(Answer):
    """A running worker. Of two with the same queues one works and the other waits."""

    version: str = Field(examples=["0.1.0"])
    host: str
    pid: int
    started: Moment
    is_ready: bool = Field(description="whether it takes messages and can publish")
    statistics: dict[str, Any] = Field(description="what it has counted since its start")


class Broker(Answer):
    is_reachable: bool
    reason: Both | None = Field(description="why not")


class Status(Answer):
    """One verdict, and what it is made of."""

    verdict: Verdict = Field(description="ok, paused: all works; degraded: look at it; down, no_worker: nothing moves")
    at: Moment
    workers: list[Worker]
    broker: Broker
    systems: list[System]
    queues: list[Queue]
    errors_waiting: int | None = Field(description="messages in the error queue")
    remarks: list[Both]


class Systems(Answer):
    items: list[System]


class Queues(Answer):
    items: list[Queue]


def status(report: StatusReport) -> Status:
    return Status(
        verdict=report.verdict,
        at=at(report.at),
        workers=[_worker(each) for each in report.workers],
        broker=Broker(is_reachable=report.broker["is_reachable"], reason=both(report.broker["reason"])),
        systems=[system(each) for each in report.systems],
        queues=[queue(each) for each in report.queues],
        errors_waiting=report.errors_waiting,
        remarks=[Both(**each) for each in report.remarks],
    )


def system(each: SystemStatus) -> System:
    return System(
        system=each.system,
        state=each.state,
        hold=None if each.hold is None else hold(each.hold),
        down=None if each.down is None else _down(each.down),
        unused=both(each.unused),
        waiting=each.waiting,
        consumers=each.consumers,
        oldest_waiting=moment(each.oldest_waiting),
        in_retry=each.in_retry,
        open=each.open,
        oldest_open=moment(each.oldest_open),
        open_by_age=[
            OpenByAge(younger_than=age, count=count) for age, count in zip((*AGES, None), each.open_by_age, strict=True)
        ],
        errors=each.errors,
        oldest_error=moment(each.oldest_error),
        last_check=None if each.last_check is None else datetime.fromisoformat(each.last_check).astimezone(),
        trouble=each.trouble,
    )


def queue(each: QueueStatus) -> Queue:
    return Queue(
        queue=each.queue,
        kind=each.kind,
        messages=each.messages,
        consumers=each.consumers,
        oldest=moment(each.oldest),
    )


def hold(told: Mapping[str, Any]) -> Hold:
    return Hold(
        by=told["by"],
        since=at(told["since"]),
        until=moment(told["until"]),
        reason=told["reason"],
        scope=told["scope"],
    )


def _down(told: Mapping[str, Any]) -> Down:
    return Down(
        since=at(told["since"]),
        reason=Both(**told["reason"]),
        outcome=str(told["outcome"]),
        code=told["code"],
        is_alert=told["is_alert"],
        next_probe=at(told["next_probe"]),
    )


def _worker(told: Mapping[str, Any]) -> Worker:
    return Worker(
        version=told["version"],
        host=told["host"],
        pid=told["pid"],
        started=at(told["started"]),
        is_ready=told["is_ready"],
        statistics=dict(told["statistics"]),
    )
