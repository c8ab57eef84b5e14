"""Faults on purpose. A test says what goes wrong, for which calls, how often; the sandbox then really does it.

    sandbox.inject(faults.delay(30, after_execution=True), "POST *")      # executed, answered too late
    sandbox.inject(faults.reset(after_execution=True), "*", probability=0.1, count=None)

What a system's own refusals look like is said in its folder (sandbox/bitrix24/faults.py).
"""

from __future__ import annotations

import itertools
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from sandbox.http_front import AnswerReplacedError, ConnectionDroppedError, RawAnswer

MEBIBYTE = 1024 * 1024

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """Waits `delay` seconds, then raises what `effect` makes (if any), before or after the call is executed."""

    delay: float = 0.0
    effect: Callable[[], Exception] | None = None
    after_execution: bool = False


def delay(seconds: float, *, after_execution: bool = False) -> Fault:
    return Fault(delay=seconds, after_execution=after_execution)


def reset(*, after_execution: bool = False) -> Fault:
    return Fault(effect=ConnectionDroppedError, after_execution=after_execution)


def answer(raw: RawAnswer, *, after_execution: bool = False) -> Fault:
    return Fault(effect=lambda: AnswerReplacedError(raw), after_execution=after_execution)


def broken_json(*, after_execution: bool = False) -> Fault:
    return answer(RawAnswer(200, b'{"result":{"task":{"id":"1'), after_execution=after_execution)


def html(status: int = 200, *, after_execution: bool = False) -> Fault:
    page = b"<!DOCTYPE html><html><body><h1>Log in</h1></body></html>"
    return answer(RawAnswer(status, page, "text/html; charset=utf-8"), after_execution=after_execution)


def redirect(location: str) -> Fault:
    """What a server that has moved answers: 302 and a page."""
    page = b"<html><head><title>302 Found</title></head></html>"
    return answer(RawAnswer(302, page, "text/html", {"Location": location}))


def huge_body(size: int = 100 * MEBIBYTE, *, after_execution: bool = False) -> Fault:
    """A body of `size` bytes, announced by Content-Length and sent in pieces."""
    chunk = b" " * MEBIBYTE

    class _Pieces:
        def __iter__(self) -> Iterator[bytes]:
            yield from itertools.repeat(chunk, size // MEBIBYTE)
            yield chunk[: size % MEBIBYTE]

    return answer(RawAnswer(200, _Pieces(), content_length=size), after_execution=after_execution)


def gzip_bomb(size: int = 100 * MEBIBYTE, *, after_execution: bool = False) -> Fault:
    """A body of some kilobytes that becomes one of `size` bytes when it is unpacked."""
    return answer(RawAnswer(200, _packed(size), headers={"Content-Encoding": "gzip"}), after_execution=after_execution)


@cache  # half a second of work, for every list of the fault matrix's rows
def _packed(size: int) -> bytes:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    chunk = b" " * MEBIBYTE
    return b"".join(packer.compress(chunk[: size - start]) for start in range(0, size, MEBIBYTE)) + packer.flush()


def trickle(interval: float = 0.05, *, after_execution: bool = False) -> Fault:
    """An answer that never ends: one byte every `interval` seconds, so that no read time-out fires."""

    class _Drops:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                time.sleep(interval)
                yield b" "

    return answer(RawAnswer(200, _Drops()), after_execution=after_execution)


class Injection:
    """A fault that is armed. `hits` counts how often it struck; `wait` returns when it has struck at least once."""

    def __init__(
        self,
        fault: Fault,
        method: str,
        count: int | None,
        probability: float,
        match: Callable[[Params], bool] | None,
    ) -> None:
        self.fault = fault
        self.hits = 0
        self._method = method.lower()
        self._remaining = count
        self._probability = probability
        self._match = match
        self._struck = threading.Event()
        self._lock = threading.Lock()

    def wait(self, timeout: float) -> bool:
        """True when it has struck: for a fault after execution that means the call *is* executed."""
        return self._struck.wait(timeout)

    def remove(self) -> None:
        self._remaining = 0

    def takes(self, method: str, params: Params, chance: random.Random) -> bool:
        if self._remaining == 0 or not fnmatchcase(method, self._method):
            return False
        if self._match is not None and not self._match(params):
            return False
        if self._probability < 1 and chance.random() >= self._probability:
            return False
        if self._remaining is not None:
            self._remaining -= 1
        return True

    def strike(self, wait: Callable[[float], None]) -> None:
        """Raises the fault's effect. `wait` sleeps, and raises when the portal goes down meanwhile."""
        with self._lock:
            self.hits += 1
        self._struck.set()
        if self.fault.delay:
            wait(self.fault.delay)
        if self.fault.effect is not None:
            raise self.fault.effect()


class FaultPlan:
    """All armed faults, drawn from one seeded source of chance."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._injections: list[Injection] = []

    def inject(
        self,
        fault: Fault,
        method: str,
        *,
        count: int | None = 1,
        probability: float = 1.0,
        match: Callable[[Params], bool] | None = None,
    ) -> Injection:
        injection = Injection(fault, method, count, probability, match)
        with self._lock:
            self._injections.append(injection)
        return injection

    def clear(self) -> None:
        with self._lock:
            for injection in self._injections:
                injection.remove()
            self._injections.clear()

    def draw(self, method: str, params: Params) -> list[Injection]:
        """The faults that this call meets, in the order in which they were injected."""
        if not self._injections:
            return []
        with self._lock:
            return [each for each in self._injections if each.takes(method, params, self._chance)]
