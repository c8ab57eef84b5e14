"""Sends webhooks as an outside system does: from a thread of its own, once, whatever is answered."""

from __future__ import annotations

import contextlib
import heapq
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

TIMEOUT = 10.0  # seconds for an answer

_NO_PROXY = urllib.request.ProxyHandler({})


@dataclass(frozen=True, slots=True)
class Hook:
    """One POST."""

    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(order=True, slots=True)
class _Due:
    at: float
    number: int
    make: Callable[[], Hook | None] = field(compare=False)


class HookSender:
    """`sent` counts the tries, `delivered` those that got a 2xx. A lost hook is lost: nothing is tried again."""

    def __init__(self) -> None:
        self.sent = 0
        self.delivered = 0
        self._opener = urllib.request.build_opener(_NO_PROXY)
        self._waiting: list[_Due] = []
        self._number = 0
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def send(self, make: Callable[[], Hook | None], after: float = 0.0) -> None:
        """Send what `make` gives in `after` seconds; None: nothing is left to tell."""
        with self._changed:
            self._number += 1
            heapq.heappush(self._waiting, _Due(time.monotonic() + after, self._number, make))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-hooks", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """What waits is never sent."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(TIMEOUT + 1)

    def _run(self) -> None:
        while (due := self._next()) is not None:
            if (hook := due.make()) is not None:
                self.sent += 1
                self._post(hook)

    def _next(self) -> _Due | None:
        with self._changed:
            while not self._is_stopping:
                wait = self._waiting[0].at - time.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._waiting)
                self._changed.wait(wait)
        return None

    def _post(self, hook: Hook) -> None:
        request = urllib.request.Request(hook.url, hook.body, dict(hook.headers), method="POST")  # noqa: S310  # an administrator gave it
        with contextlib.suppress(OSError), self._opener.open(request, timeout=TIMEOUT) as answer:
            answer.read()
            self.delivered += 1
