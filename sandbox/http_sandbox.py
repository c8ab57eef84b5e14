"""What every sandbox of an outside system is: a server with a life, faults, and people who work in it."""

from __future__ import annotations

import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.certificate import make_certificate
from sandbox.faults import Fault, FaultPlan, Injection
from sandbox.finisher import Finisher
from sandbox.http_front import HttpFront, HttpRequest, RawAnswer


class HttpSandbox(ABC):
    """Listens while it is used as a context; `port` 0 is any free one, kept for life; `tls` with a certificate.

    `changed` is notified after every call and every person's act.
    """

    def __init__(
        self, *, host: str, port: int, tls: bool, seed: int, changed: threading.Condition | None = None
    ) -> None:
        self._changed = changed or threading.Condition(threading.RLock())
        self._seed = seed
        self._faults = FaultPlan(seed)
        self._folder = tempfile.TemporaryDirectory(prefix="task-creator-sandbox-") if tls else None
        self._certificate = make_certificate(Path(self._folder.name)) if self._folder else None
        context = self._certificate.server_context() if self._certificate else None
        self._front = HttpFront(self._serve, host, port, context, answered=self._answered)
        self._finishers: list[Finisher] = []

    @abstractmethod
    def _serve(self, request: HttpRequest) -> RawAnswer:
        """In a thread of the connection. May raise what HttpFront says."""

    def _strike(self, drawn: Sequence[Injection], *, after_execution: bool) -> None:
        """The faults that a call has met; to be called before it is executed, and after."""
        for injection in drawn:
            if injection.fault.after_execution is after_execution:
                injection.strike(self._front.wait)

    def wait_until(self, holds: Callable[[Self], bool], timeout: float = 10.0) -> None:
        """Looks after every call and every person's act. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self), timeout):
                raise TimeoutError(f"not true after {timeout} s")

    def _answered(self, _seconds: float) -> None:
        """After each request: how long it was here, from its arrival to the end of its answer."""
        return

    def start(self) -> Self:
        self._front.come_up()
        return self

    def stop(self) -> None:
        for finisher in self._finishers:
            finisher.stop()
        self._finishers.clear()
        self._front.go_down()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def go_down(self) -> None:
        """The server is gone: connections are refused, open ones reset. Nothing it stores is lost."""
        self._front.go_down()

    def come_back(self) -> None:
        """Listens again on the same port."""
        self._front.come_up()

    @property
    def port(self) -> int:
        return self._front.port

    @property
    def address(self) -> str:
        """`127.0.0.1:port`, as clients want it that make the URL themselves."""
        return f"{self._front.host}:{self._front.port}"

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:port`, or https."""
        return f"{'https' if self._certificate else 'http'}://{self.address}"

    @property
    def ca_file(self) -> Path:
        """What a client must trust. Raises LookupError when the server was not made with `tls=True`."""
        if self._certificate is None:
            raise LookupError("the sandbox was made without tls=True")
        return self._certificate.ca_file

    def inject(
        self,
        fault: Fault,
        call: str,
        *,
        count: int | None = 1,
        probability: float = 1.0,
        match: Callable[[dict[str, Any]], bool] | None = None,
    ) -> Injection:
        """Arms a fault of sandbox.faults for calls of that name (`*` and `tasks.*` match as file names do).

        It strikes `count` times (None: until removed), with `probability`, where `match(params)`. What a call is named,
        and what its parameters are, is the system's matter.
        """
        return self._faults.inject(fault, call, count=count, probability=probability, match=match)

    def clear_faults(self) -> None:
        self._faults.clear()
