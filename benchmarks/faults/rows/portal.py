"""What the portal and the network before it do: refuse, fail before or after executing, answer nonsense, go away.

A fault strikes the way in (creation and look-up) and the way back (statuses and the finished task) alike.
"""

from __future__ import annotations

import random

from benchmarks.faults.impostor import Impostor
from benchmarks.faults.memory import MemoryWatch
from benchmarks.faults.row import Row, Strike
from benchmarks.faults.stage import Stage
from benchmarks.faults.strikes import (
    PATIENCE,
    Blow,
    armed,
    in_turn,
    strike_with,
    striking,
    wait_for_hits,
)
from benchmarks.faults.systems.bitrix import creates, is_look_up, is_status_question
from benchmarks.measure import MIB
from sandbox.bitrix24 import faults
from sandbox.bitrix24.limits import OperatingLimit

GROUP = "portal"
ADD, LIST, GET, BATCH = "tasks.task.add", "tasks.task.list", "tasks.task.get", "batch"

# Attempts are for tasks that may be at fault. These rows allow none: an outage that spent one would park the task.
NO_RETRIES = {"RETRY_ATTEMPTS": "0"}
IMPATIENT = {"BITRIX_REQUEST_TIMEOUT": "1", "BITRIX_CONNECT_TIMEOUT": "1"}
ROOM_FOR_ONE_BODY = 50 * MIB  # the daemon reads 10 MiB of an answer


def rows() -> list[Row]:
    return [*_refusing(), *_silent(), *_nonsense(), *_away()]


def _refusing() -> list[Row]:
    failed, failed_late = (faults.error("INTERNAL_SERVER_ERROR", after_execution=late) for late in (False, True))
    limited = faults.error("QUERY_LIMIT_EXCEEDED")
    exhausted = faults.error("OPERATION_TIME_LIMIT", retry_after=1)
    return [
        Row(
            "portal-500",
            GROUP,
            "status 500, nothing is executed",
            strike=striking(*(Blow(failed, method, probability=0.3) for method in (ADD, LIST, GET))),
            short=False,
        ),
        Row(
            "portal-500-executed",
            GROUP,
            "status 500, but what was asked for is done",
            strike=striking(*(Blow(failed_late, method, probability=0.3) for method in (ADD, GET))),
        ),
        Row(
            "portal-503-limit",
            GROUP,
            "too many requests: every second one is refused (503 QUERY_LIMIT_EXCEEDED)",
            strike=striking(Blow(limited, BATCH, probability=0.5)),
            settings=NO_RETRIES,
            short=False,
        ),
        Row(
            "portal-429-retry-after",
            GROUP,
            "whole requests are refused for their running time (429), Retry-After says 1 s",
            strike=striking(Blow(exhausted, BATCH, count=2)),
            settings=NO_RETRIES,
        ),
        Row(
            "portal-429-limit",
            GROUP,
            "tasks.task.add uses up its running time (429): refused until the portal's ten minutes are over, here 20 s",
            strike=use_up_running_time,
            settings=NO_RETRIES,
            portal={"time_scale": 30.0, "operating": OperatingLimit(seconds=60, costs={ADD: 1})},
            tasks=100,
            rounds=1,
            patience=180,
            short=False,
        ),
        Row(
            "portal-look-up-fails",
            GROUP,
            "tasks can be created but not looked up: nothing is created blindly",
            strike=fail_look_ups,
            short=False,
        ),
    ]


def _silent() -> list[Row]:
    executed, unexecuted = faults.delay(3, after_execution=True), faults.delay(2)
    endless = faults.trickle(after_execution=True)
    return [
        Row(
            "portal-time-out-executed",
            GROUP,
            "the task is created, but the answer comes after the time-out",
            strike=striking(Blow(executed, BATCH, count=2, match=creates), Blow(executed, GET, count=1)),
            settings=IMPATIENT,
        ),
        Row(
            "portal-time-out-executing",
            GROUP,
            "the task is created after the time-out, when the worker has given up",
            strike=striking(Blow(unexecuted, BATCH, count=2, match=creates), Blow(unexecuted, GET, count=1)),
            settings=IMPATIENT,
            ambiguous_wait=3,
            short=False,
        ),
        Row(
            "portal-slow",
            GROUP,
            "answers take 30 s, which the time-out allows",
            strike=answer_slowly,
            rounds=2,
            patience=180,
            short=False,
        ),
        Row(
            "portal-endless-answer",
            GROUP,
            "an answer that comes byte by byte and never ends",
            strike=striking(Blow(endless, BATCH, count=2, match=creates), Blow(endless, GET, count=1)),
            settings=IMPATIENT,
            short=False,
        ),
    ]


def _nonsense() -> list[Row]:
    page, torn = faults.html(), faults.broken_json()
    page_late, torn_late = faults.html(after_execution=True), faults.broken_json(after_execution=True)
    reset, reset_late = faults.reset(), faults.reset(after_execution=True)
    plain, packed = (
        MemoryWatch(
            striking(Blow(body, BATCH, count=1, match=creates), Blow(body, GET, count=1)),
            ROOM_FOR_ONE_BODY,
        )
        for body in (faults.huge_body(after_execution=True), faults.gzip_bomb(after_execution=True))
    )
    return [
        Row(
            "portal-reset",
            GROUP,
            "the connection is reset before, within and after the execution of a batch",
            strike=_at_any_time(reset, reset_late),
        ),
        Row(
            "portal-broken-json",
            GROUP,
            "JSON that ends in the middle, with and without execution",
            strike=_at_any_time(torn, torn_late),
            short=False,
        ),
        Row(
            "portal-html",
            GROUP,
            "a page in HTML with status 200, with and without execution",
            strike=_at_any_time(page, page_late),
            short=False,
        ),
        Row(
            "portal-redirect",
            GROUP,
            "requests are redirected: nobody follows, no attempt is spent",
            strike=redirect,
            check=nobody_followed,
            settings=NO_RETRIES,
            short=False,
        ),
        Row(
            "portal-huge-answer",
            GROUP,
            f"an answer of 100 MiB; the worker's memory grows by {ROOM_FOR_ONE_BODY // MIB} MiB at the most",
            strike=plain.strike,
            prepare=plain.prepare,
            check=plain.check,
        ),
        Row(
            "portal-gzip-bomb",
            GROUP,
            f"an answer that unpacks to 100 MiB; the worker grows by {ROOM_FOR_ONE_BODY // MIB} MiB at the most",
            strike=packed.strike,
            prepare=packed.prepare,
            check=packed.check,
            short=False,
        ),
    ]


def _away() -> list[Row]:
    return [
        Row(
            "portal-outage",
            GROUP,
            "the portal is away for 20 s while tasks come: no attempt is spent",
            strike=go_away,
            settings=NO_RETRIES,
            rounds=2,
        ),
        Row(
            "portal-tls",
            GROUP,
            "in the portal's place: a certificate that nobody trusts, then something that is no TLS",
            strike=be_replaced,
            settings=NO_RETRIES,
            portal={"tls": True},
        ),
        Row(
            "portal-webhook-revoked",
            GROUP,
            "the webhook is revoked (401) and restored",
            strike=revoke,
            settings=NO_RETRIES,
        ),
    ]


def _at_any_time(before: faults.Fault, after: faults.Fault) -> Strike:
    """`before` anything of a batch is executed, then between two of its commands; `after` everything is."""
    return in_turn(
        striking(Blow(before, BATCH, count=1, match=creates), seconds=0.3),
        striking(Blow(before, ADD, count=1, probability=0.2), Blow(before, LIST, count=1, match=is_status_question)),
        striking(Blow(after, BATCH, count=1, match=creates), Blow(after, GET, count=1), seconds=0.3),
    )


def use_up_running_time(stage: Stage, _chance: random.Random) -> None:
    stage.feed(100, 1.0)
    if not stage.wait_for(lambda: any(call.error == "OPERATION_TIME_LIMIT" for call in stage.portal.request_log), 60):
        raise TimeoutError("the portal has refused nothing")


def fail_look_ups(stage: Stage, chance: random.Random) -> None:
    stage.quiesce()  # what was looked up before may still be created
    failures = (faults.error("INTERNAL_SERVER_ERROR"), faults.reset(), faults.html())
    blow = Blow(chance.choice(failures), LIST, match=is_look_up)
    before = stage.portal.task_count
    with armed(stage, blow) as [injection]:
        stage.feed(20, 0.5)
        wait_for_hits(stage, injection, 3)
        if (created := stage.portal.task_count - before) > 0:
            raise TimeoutError(f"{created} tasks were created although nobody could look up whether they exist")


def answer_slowly(stage: Stage, chance: random.Random) -> None:
    seconds = stage.length(30, short=3)
    slow = faults.delay(seconds)
    strike_with((Blow(slow, BATCH, count=2, match=creates), Blow(slow, GET, count=1)), seconds, stage, chance)


def redirect(stage: Stage, _chance: random.Random) -> None:
    elsewhere = faults.redirect(f"http://{stage.proxy.host}:{stage.proxy.port}/rest/1/renamed/batch")
    blow = Blow(elsewhere, "*")
    with armed(stage, blow) as [injection]:
        stage.feed(20, 0.5)
        wait_for_hits(stage, injection, 3)


def nobody_followed(stage: Stage) -> list[str]:
    followed = stage.proxy.accepted
    return [f"{followed} redirected requests went to the other address"] if followed else []


def go_away(stage: Stage, _chance: random.Random) -> None:
    stage.doubt()
    stage.target.server.go_down()
    try:
        stage.feed(20, 0.5)
        stage.pause(stage.length(20, short=3))
    finally:
        stage.target.server.come_back()


def be_replaced(stage: Stage, _chance: random.Random) -> None:
    for tls in (True, False):
        stage.portal.go_down()
        try:
            with Impostor(stage.portal.port, tls=tls) as impostor:
                stage.feed(10, 0.2)
                if not stage.wait_for(lambda: impostor.met >= 3, PATIENCE):
                    raise TimeoutError("nobody came to the portal's address")
        finally:
            stage.portal.come_back()


def revoke(stage: Stage, chance: random.Random) -> None:
    requests = stage.portal.requests.http
    stage.portal.revoke_webhook(chance.choice(("NO_AUTH_FOUND", "expired_token", "INVALID_CREDENTIALS")))
    try:
        stage.feed(20, 0.5)
        if not stage.wait_for(lambda: stage.portal.requests.http >= requests + 3, PATIENCE):
            raise TimeoutError("nobody called the portal")
    finally:
        stage.portal.restore_webhook()
