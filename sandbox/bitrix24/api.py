"""From a method name and parameters to an answer: faults, scopes, limits, execution, the `time` block, the log."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.bitrix24 import methods_common, methods_crm, methods_taskitems, methods_tasks, php
from sandbox.bitrix24.batch import run_batch
from sandbox.bitrix24.clock import iso
from sandbox.bitrix24.errors import RestError, system_error
from sandbox.bitrix24.faults import FaultPlan, Injection
from sandbox.bitrix24.limits import OperatingTime
from sandbox.bitrix24.portal import Portal, Reply

Params = dict[str, Any]
Method = Callable[[Portal, Params], Reply]

METHODS: Mapping[str, Method] = {
    **methods_tasks.METHODS,
    **methods_taskitems.METHODS,
    **methods_crm.METHODS,
    **methods_common.METHODS,
}
_SCOPE_OF_PREFIX = {
    "tasks": "task",
    "task": "task",
    "crm": "crm",
    "user": "user",
    "department": "department",
}


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One call as it arrived, alone or inside a batch. `error` is the code it was refused with."""

    method: str
    params: Params
    in_batch: bool
    error: str | None


@dataclass(slots=True)
class RequestCounts:
    """`http` requests of any kind, `limited` those refused by the leaky bucket, `methods` calls by method: commands
    of a batch count each by its own name, the request that carried them as `batch`. `seconds` sums up the time from
    the arrival of each request to its answer: divided by a duration it is how many were under way on average."""

    http: int = 0
    limited: int = 0
    seconds: float = 0.0
    methods: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)


class Api:
    """Executes calls on a portal. `wait(seconds)` is how faults sleep."""

    def __init__(
        self,
        portal: Portal,
        faults: FaultPlan,
        operating: OperatingTime,
        wait: Callable[[float], None],
        log_size: int,
    ) -> None:
        self.counts = RequestCounts()
        self.log: deque[LoggedCall] = deque(maxlen=log_size)
        self._portal = portal
        self._faults = faults
        self._operating = operating
        self._wait = wait

    def answer(self, method: str, params: Params) -> dict[str, Any]:
        """One HTTP request's JSON. Raises RestError, ConnectionDroppedError, AnswerReplacedError."""
        return self._logged(method.lower(), params, in_batch=False)

    def _logged(self, method: str, params: Params, *, in_batch: bool) -> dict[str, Any]:
        error: str | None = "dropped"
        try:
            answer = self._call(method, params, in_batch=in_batch)
            error = None
        except RestError as refusal:
            error = refusal.code
            raise
        else:
            return answer
        finally:
            self._count(LoggedCall(method, params, in_batch, error))

    def _count(self, call: LoggedCall) -> None:
        with self._portal.lock:
            self.counts.methods[call.method] += 1
            if call.in_batch:
                self.counts.commands[call.method] += 1
            self.log.append(call)
            self._portal.changed.notify_all()

    def _call(self, method: str, params: Params, *, in_batch: bool) -> dict[str, Any]:
        drawn = self._faults.draw(method, params)
        self._strike(drawn, after_execution=False)
        started, processor = time.time() + self._portal.clock.offset, time.perf_counter()
        if method == "batch" and not in_batch:
            reply = Reply(run_batch(params, self._command))
            answer = {"result": reply.result, "time": self._time(started, processor)}
        else:
            self._check(method)
            reply = self._execute(method, params)
            seconds = time.perf_counter() - processor
            operating, reset_at = self._operating.record(method, seconds)
            answer = {"result": reply.result}
            if reply.next is not None:
                answer["next"] = reply.next
            if reply.total is not None:
                answer["total"] = reply.total
            answer["time"] = self._time(started, processor)
            reset_at += int(self._portal.clock.offset)
            answer["time"] |= {"operating_reset_at": reset_at, "operating": operating}
        self._strike(drawn, after_execution=True)
        return answer

    def _command(self, method: str, params: Params) -> dict[str, Any]:
        return self._logged(method.lower(), params, in_batch=True)

    def _check(self, method: str) -> None:
        if method not in METHODS and method != "methods":
            raise system_error("ERROR_METHOD_NOT_FOUND")
        scope = _SCOPE_OF_PREFIX.get(method.partition(".")[0])
        if scope is not None and scope not in self._portal.scopes:
            raise system_error("insufficient_scope")
        if self._operating.is_exhausted(method):
            raise system_error("OPERATION_TIME_LIMIT")

    def _execute(self, method: str, params: Params) -> Reply:
        if method == "methods":
            return Reply(sorted([*METHODS, "batch", "methods"]))
        with self._portal.lock:
            return METHODS[method](self._portal, params)

    def _strike(self, drawn: list[Injection], *, after_execution: bool) -> None:
        for injection in drawn:
            if injection.fault.after_execution is after_execution:
                injection.strike(self._wait)

    def _time(self, started: float, processor: float) -> dict[str, Any]:
        duration = time.perf_counter() - processor
        zone = self._portal.zone
        return {
            "start": started,
            "finish": started + duration,
            "duration": duration,
            "processing": duration,
            "date_start": iso(started, zone),
            "date_finish": iso(started + duration, zone),
        }


def request_params(query: str, body: bytes, content_type: str) -> Params:
    """Parameters of an HTTP request: the body's win over the query's; a body that is no JSON object counts as empty.

    A JSON list gives positional parameters.
    """
    params = php.parse_query(query)
    if not body:
        return params
    if content_type.partition(";")[0].strip().lower() == "application/json":
        return params | php.mapping(_decoded(body))
    return params | php.parse_query(body.decode("utf-8", errors="replace"))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return {}
