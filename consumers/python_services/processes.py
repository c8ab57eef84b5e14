"""Runs the processes in which callables work: a hanging or crashing one costs its process, never the daemon.

One process does one call at a time and is used again afterwards; at a deadline it is killed with everything that it has
started (it leads a process group of its own, so that a Ctrl+C meant for the daemon does not reach it either).
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from consumers.python_services.child import LENGTH
from core.texts import BilingualError, Text

RESULT_LIMIT = 1024 * 1024  # bytes of JSON in UTF-8
_ANSWER_LIMIT = 6 * RESULT_LIMIT + 64 * 1024  # the same with every character escaped, and what stands around it
_OUTPUT_LIMIT = 64 * 1024  # bytes of a callable's own output per call that are handed on
_LINE_LIMIT = 4096  # bytes
_CHUNK = 64 * 1024
_CALLS_PER_PROCESS = 1000  # then a fresh one: foreign code may leak memory

Output = Callable[[str], None]


class _ToldError(BilingualError):
    """An error that a caller may be shown."""


class EndedError(_ToldError):
    """The process ended by itself before it had answered."""


class NotBegunError(EndedError):
    """The process ended while it was idle: the callable has not been called."""


class DeadlineError(_ToldError):
    """The process did not answer in time and was killed."""


class UnusableError(_ToldError):
    """The callable cannot be imported."""


def callable_problem(function: str, timeout: float) -> Text | None:
    """Return why this callable cannot be imported within `timeout` seconds, None when it can.

    Tried in a process of its own.
    """
    try:
        CallableProcess(function, timeout, lambda _line: None).close()
    except (UnusableError, DeadlineError, EndedError) as error:
        return error.text
    return None


class CallableProcess:
    """One process, ready to be called. Used by one thread at a time."""

    def __init__(self, function: str, import_timeout: float, output: Output) -> None:
        """Raise UnusableError, DeadlineError or EndedError when the callable cannot be imported in time (seconds)."""
        script = Path(__file__).with_name("child.py")
        # -P: the script's own folder is no place to import from. -u: what it prints is told now, not at its end.
        command = [sys.executable, "-P", "-u", str(script), json.dumps(sys.path), function, str(RESULT_LIMIT)]
        self._process = subprocess.Popen(  # noqa: S603  # our own script; the callable's name comes from the registry
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._output = output
        self._received = bytearray()
        self._printed = bytearray()
        self._printed_total = 0
        self.calls = 0
        for pipe in self._pipes():
            os.set_blocking(pipe.fileno(), False)
        told = self._exchange(b"", import_timeout)
        if "unusable" in told:
            self.close()
            raise UnusableError(Text.of(str(told["unusable"])))

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_usable(self) -> bool:
        return self._exit_status() is None and self.calls < _CALLS_PER_PROCESS

    def call(self, task: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        """Call the callable; return `result`, `error` or `bad` of child.py.

        Raises DeadlineError after `timeout` seconds, EndedError, and NotBegunError when it certainly was not called.
        """
        self.calls += 1
        body = json.dumps({"task": task, "timeout": timeout}).encode()
        try:
            self._exchange(LENGTH.pack(len(body)) + body, timeout)
        except EndedError as error:
            raise NotBegunError(error.text) from None
        return self._exchange(b"", timeout)

    def close(self) -> None:
        """Kill it, with its children; nothing of it is left, also when it has ended by itself before."""
        if self._process.returncode is None:
            # Before it is waited for: until then nobody else can get its number, and with it the group's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # the group that it leads
            self._process.wait()
        for pipe in self._pipes():
            pipe.close()

    def _pipes(self) -> list[IO[bytes]]:
        return [pipe for pipe in (self._process.stdin, self._process.stdout, self._process.stderr) if pipe is not None]

    def _exchange(self, outgoing: bytes, timeout: float) -> Mapping[str, Any]:
        self._printed_total = 0
        try:
            return self._answer(memoryview(outgoing), time.monotonic() + timeout, timeout)
        except BaseException:
            self.close()
            raise
        finally:
            self._flush_line()

    def _answer(self, outgoing: memoryview, deadline: float, timeout: float) -> Mapping[str, Any]:
        stdin, stdout, stderr = self._pipes()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            if outgoing:
                selector.register(stdin, selectors.EVENT_WRITE)
            while (answer := self._complete_frame()) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    text = Text(
                        f"it did not answer within {timeout:g} s and was ended",
                        f"не ответила за {timeout:g} с, её процесс завершён",
                    )
                    raise DeadlineError(text)
                for key, _ in selector.select(left):
                    if key.fileobj is stdin:
                        outgoing = self._written(stdin, outgoing)
                        if not outgoing:
                            selector.unregister(stdin)
                    elif key.fileobj is stderr:
                        if not self._read_output(stderr):
                            selector.unregister(stderr)
                    else:
                        self._receive(stdout)
            self._drain(stderr)
            return answer

    def _written(self, stdin: IO[bytes], outgoing: memoryview) -> memoryview:
        try:
            return outgoing[os.write(stdin.fileno(), outgoing[:_CHUNK]) :]
        except BrokenPipeError:
            return outgoing[:0]  # its end is told by stdout

    def _receive(self, stdout: IO[bytes]) -> None:
        piece = os.read(stdout.fileno(), _CHUNK)
        if not piece:
            raise EndedError(self._how_it_ended())
        self._received += piece

    def _complete_frame(self) -> Mapping[str, Any] | None:
        if len(self._received) < LENGTH.size:
            return None
        [length] = LENGTH.unpack_from(self._received)
        end = LENGTH.size + length
        if length <= _ANSWER_LIMIT and len(self._received) < end:
            return None
        try:
            frame = json.loads(self._received[LENGTH.size : end]) if length <= _ANSWER_LIMIT else None
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            text = Text(
                "it wrote into the worker's own channel and was ended",
                "она писала в служебный канал воркера, её процесс завершён",
            )
            raise EndedError(text)
        del self._received[:end]
        return frame

    def _how_it_ended(self) -> Text:
        deadline = time.monotonic() + 1.0
        while (code := self._exit_status()) is None:
            if time.monotonic() > deadline:
                return Text("it closed its channel and was ended", "она закрыла служебный канал, её процесс завершён")
            time.sleep(0.01)
        if code < 0:
            return Text(f"its process was killed by signal {-code}", f"её процесс убит сигналом {-code}")
        return Text(f"its process ended with exit code {code}", f"её процесс завершился с кодом {code}")

    def _exit_status(self) -> int | None:
        """Return Popen.returncode without taking it: while it is not taken, its group is nobody else's."""
        if self._process.returncode is not None:
            return self._process.returncode
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def _drain(self, stderr: IO[bytes]) -> None:
        for _ in range(64):
            if not self._read_output(stderr):
                return

    def _read_output(self, stderr: IO[bytes]) -> bool:
        try:
            piece = os.read(stderr.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        room = max(_OUTPUT_LIMIT - self._printed_total, 0)
        self._printed += piece[:room]
        if room < len(piece) and self._printed_total <= _OUTPUT_LIMIT:
            self._printed += "… (what this call prints further is left out)".encode()
        self._printed_total += len(piece)
        *lines, self._printed = self._printed.split(b"\n")
        for line in lines:
            self._tell(line)
        return bool(piece)

    def _flush_line(self) -> None:
        if self._printed:
            self._tell(self._printed)
            self._printed = bytearray()

    def _tell(self, line: bytearray) -> None:
        if text := bytes(line[:_LINE_LIMIT]).decode("utf-8", "replace").rstrip():
            self._output(text)


class ProcessPool:
    """The processes of one callable. Usable from any thread; how many there are is its users' matter."""

    def __init__(self, function: str, import_timeout: float, output: Output) -> None:
        self._make = partial(CallableProcess, function, import_timeout, output)
        self._idle: list[CallableProcess] = []
        self._lock = threading.Lock()

    def take(self) -> CallableProcess:
        """Return an idle process or a new one; raise what CallableProcess raises."""
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return self._make()
            if process.is_usable():
                return process
            process.close()

    def give_back(self, process: CallableProcess) -> None:
        """Take back a process that has answered."""
        with self._lock:
            self._idle.append(process)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()
