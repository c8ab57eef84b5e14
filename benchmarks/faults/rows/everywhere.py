"""The same for every other system: what touches a system is played with each of them, under `name@system`.

The faults of RabbitMQ and of the worker are those of the other groups; a system's own faults are made of what its
protocol has for them (benchmarks.faults.systems). Fewer tasks and rounds: seven systems must fit into an hour.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from benchmarks.faults.memory import MemoryWatch
from benchmarks.faults.row import Row, Strike
from benchmarks.faults.rows import broker, network, people, portal, queues, worker
from benchmarks.faults.stage import Stage
from benchmarks.faults.stage_spec import AT_MOST_ONCE
from benchmarks.faults.strikes import PATIENCE, Blow, armed, in_turn, strike_with, striking, wait_for_hits
from benchmarks.faults.systems import SYSTEMS
from benchmarks.faults.systems.base import Call
from sandbox import faults

TASKS, ROUNDS = 80, 2
OTHERS = tuple(name for name in SYSTEMS if name != "bitrix24")
HTTP = tuple(name for name in OTHERS if name not in {"callables", "email"})
SERVED = tuple(name for name in OTHERS if name != "callables")  # a server is asked
TRACKED = ("openproject", "1c", "python-services")  # people or jobs end what was created
# A service of the registry that gives nonsense with status 200 says that it has done the task: it is told to people.
READ_STRICTLY = tuple(name for name in HTTP if name != "python-services")

_AS_THEY_ARE = (
    "undisturbed",
    "worker-killed",
    "worker-killed-delivered",
    "worker-killed-on-the-wire",
    "worker-killed-created",
    "worker-killed-published",
    "worker-killed-confirmed",
    "worker-killed-acking",
    "worker-killed-acked",
    "worker-killed-response-published",
    "worker-killed-response-confirmed",
    "worker-killed-answer-acking",
    "worker-killed-answer-acked",
    "worker-killed-in-a-loop",
    "worker-stopped",
    "worker-frozen",
    "two-workers-one-killed",
    "worker-killed-quorum",
    "two-workers-one-killed-quorum",
    "broker-killed",
    "broker-killed-quorum",
    "connections-closed",
    "memory-alarm-worker-killed",
    "link-cut",
    "link-cut-worker-killed",
    "publisher-connection-lost",
    "sent-queue-deleted",
)
_ALSO = {
    "worker-killed-looked-up": ("openproject",),
    "worker-killed-status-read": TRACKED,
    "retry-storm-broker-killed": SERVED,
    "portal-outage": SERVED,
    "task-deleted": ("openproject", "1c"),
}
# Where a doubt may be told to people rather than be sent again, and the rows that leave one.
_ON_AMBIGUOUS = {"email": "EMAIL_ON_AMBIGUOUS", "telegram": "TELEGRAM_ON_AMBIGUOUS"}
_ONE_RETRY = {"RETRY_ATTEMPTS": "1"}
_TOLD = ("worker-killed-on-the-wire", "worker-killed-created", "two-workers-one-killed", "link-cut", "portal-reset")
# The quick ones that say most of a system, for the matrix of CI.
_SHORT = {"worker-killed-created"}
_SHORT_OF = {
    "openproject": {*_SHORT, "portal-500-executed"},
    "default": {*_SHORT, "portal-500-executed"},
    "email": {*_SHORT, "portal-reset"},
}


def rows() -> list[Row]:
    groups = (worker, broker, network, queues, portal, people)
    known = {row.name: row for group in groups for row in group.rows()}
    shared = [_at(known[name], system) for name in _AS_THEY_ARE for system in OTHERS]
    shared += [_at(known[name], system) for name, systems in _ALSO.items() for system in systems]
    own = [_at(row, system) for row, systems in _of_the_system(known) for system in systems]
    once = Row(
        "callable-once-two-workers",
        "worker",
        "two workers with one STATE_DIR, each message twice, and nothing goes wrong: each is called once",
        strike=worker.nothing,
        system="callables",
        tasks=160,
        copies=2,
        rounds=1,
        workers=2,
        may_answer_twice=True,
    )
    told = [_told(row) for row in (*shared, *own) if _is_told(row)]
    return sorted([*shared, *own, *told, once], key=lambda row: OTHERS.index(row.system))


def _at(row: Row, system: str) -> Row:
    """The row, played with another system than Bitrix24."""
    return replace(
        row,
        name=f"{row.name}@{system}",
        system=system,
        tasks=min(row.tasks, TASKS),
        rounds=min(row.rounds or ROUNDS, ROUNDS),
        settings={**row.settings, **_ONE_RETRY} if _pays_for_doubts(row, system) else row.settings,
        short=row.name in _SHORT_OF.get(system, _SHORT),
        soak=False,
    )


def _pays_for_doubts(row: Row, system: str) -> bool:
    """What was on its way when the system went is sent again by mail and Telegram, for an attempt."""
    return system in _ON_AMBIGUOUS and row.settings.get("RETRY_ATTEMPTS") == "0"


def _is_told(row: Row) -> bool:
    return row.system in _ON_AMBIGUOUS and row.name.partition("@")[0] in _TOLD


def _told(row: Row) -> Row:
    """The row of a system that recognises no repetition, told to send nothing twice."""
    name = row.name.replace("@", "-told@")
    return replace(
        row,
        name=name,
        story=f"{row.story}; what may have been sent is told to people (ON_AMBIGUOUS=fail)",
        settings={**row.settings, _ON_AMBIGUOUS[row.system]: "fail"},
        check=nothing_came_twice,
        promise=AT_MOST_ONCE,
        short=False,
    )


def nothing_came_twice(stage: Stage) -> Sequence[str]:
    twice = [key for key, objects in stage.target.objects().items() if len(objects) > 1]
    return [f"{len(twice)} sent twice, where nothing may be: {', '.join(twice[:3])}"] if twice else []


def _of_the_system(known: dict[str, Row]) -> Iterable[tuple[Row, Sequence[str]]]:
    """The rows of the group `portal` with the faults of the row's own system, and who has such a fault."""
    memory = MemoryWatch(_at_once(faults.huge_body(after_execution=True)), portal.ROOM_FOR_ONE_BODY)
    packed = MemoryWatch(_at_once(faults.gzip_bomb(after_execution=True)), portal.ROOM_FOR_ONE_BODY)
    late, later = faults.delay(3, after_execution=True), faults.delay(2)
    endless = faults.trickle(after_execution=True)
    page, page_late = faults.html(), faults.html(after_execution=True)
    torn, torn_late = faults.broken_json(), faults.broken_json(after_execution=True)
    reset, reset_late = faults.reset(), faults.reset(after_execution=True)
    told, slow = known["portal-500-executed"], "answers take 10 s, which the time-out allows"
    return (
        (replace(known["portal-500"], strike=fail), SERVED),
        (replace(told, strike=fail_after_execution), HTTP),
        (replace(known["portal-429-retry-after"], strike=refuse_for_now, settings={}), SERVED),
        (replace(known["portal-look-up-fails"], strike=fail_look_ups), ("openproject",)),
        (_impatient(known["portal-time-out-executed"], _at_once(late)), SERVED),
        (_impatient(known["portal-time-out-executing"], _at_once(later)), SERVED),
        (
            replace(known["portal-slow"], strike=answer_slowly, story=slow),
            HTTP,
        ),
        (_impatient(known["portal-endless-answer"], _at_once(endless)), READ_STRICTLY),
        (replace(known["portal-reset"], strike=in_turn(_at_once(reset), _at_once(reset_late))), SERVED),
        (replace(known["portal-broken-json"], strike=in_turn(_at_once(torn), _at_once(torn_late))), READ_STRICTLY),
        (replace(known["portal-html"], strike=in_turn(_at_once(page), _at_once(page_late))), HTTP),
        (
            replace(known["portal-huge-answer"], strike=memory.strike, prepare=memory.prepare, check=memory.check),
            READ_STRICTLY,
        ),
        (
            replace(known["portal-gzip-bomb"], strike=packed.strike, prepare=packed.prepare, check=packed.check),
            READ_STRICTLY,
        ),
        (
            replace(
                known["portal-webhook-revoked"],
                name="portal-credentials-revoked",
                story="the credentials are revoked (401) and restored",
                strike=revoke,
                settings={},
            ),
            HTTP,
        ),
    )


def _impatient(row: Row, strike: Strike) -> Row:
    return replace(row, strike=strike, impatient=True, settings={})


def _at_once(fault: faults.Fault) -> Strike:
    """The fault meets two creations, and a question of the tracker."""

    def strike(stage: Stage, chance: random.Random) -> None:
        blows = [_blow(fault, stage.target.create, 2)]
        if stage.target.status is not None:
            blows.append(_blow(fault, stage.target.status, 1))
        strike_with(blows, 0.5, stage, chance)

    return strike


def fail(stage: Stage, chance: random.Random) -> None:
    calls = [each for each in (stage.target.create, stage.target.look_up, stage.target.status) if each is not None]
    blows = [Blow(stage.target.failure(), each.name, probability=0.3, match=each.match) for each in calls]
    strike_with([blow for blow in blows if blow.method not in _rarely_called(stage)], 1.0, stage, chance)


def fail_after_execution(stage: Stage, chance: random.Random) -> None:
    create = stage.target.create
    failure = stage.target.failure(after_execution=True)
    striking(Blow(failure, create.name, probability=0.3, match=create.match))(stage, chance)


def refuse_for_now(stage: Stage, chance: random.Random) -> None:
    striking(_blow(stage.target.limited(), stage.target.create, 2))(stage, chance)


def answer_slowly(stage: Stage, chance: random.Random) -> None:
    seconds = stage.length(10, short=3)
    strike_with([_blow(faults.delay(seconds), stage.target.create, 2)], seconds, stage, chance)


def fail_look_ups(stage: Stage, chance: random.Random) -> None:
    stage.quiesce()  # what was looked up before may still be created
    look_up = stage.target.look_up or stage.target.create
    failure = chance.choice((stage.target.failure(), faults.reset(), faults.html()))
    before = stage.target.created
    with armed(stage, Blow(failure, look_up.name, match=look_up.match)) as [injection]:
        stage.feed(20, 0.5)
        wait_for_hits(stage, injection, 3)
        if (created := stage.target.created - before) > 0:
            raise TimeoutError(f"{created} were created although nobody could look up whether they exist")


def revoke(stage: Stage, _chance: random.Random) -> None:
    before = stage.target.requests
    stage.target.revoke()
    try:
        stage.feed(20, 0.5)
        if not stage.wait_for(lambda: stage.target.requests >= before + 3, PATIENCE):
            raise TimeoutError("nobody called the system")
    finally:
        stage.target.restore()


def _blow(fault: faults.Fault, call: Call, count: int) -> Blow:
    return Blow(fault, call.name, count=count, match=call.match)


def _rarely_called(stage: Stage) -> set[str]:
    """1C looks a task up only when it may be there: without another fault nobody asks."""
    return {stage.target.look_up.name} if stage.target.name == "1c" and stage.target.look_up is not None else set()
