"""Lets persons pause systems: these rest until somebody resumes them or the time is over, whatever restarts meanwhile.

The pauses are kept in a file of the state directory. A pause counts at once, also where the file cannot be written;
then the answer says that it will not survive a restart.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

from control.protocol import RefusedError
from core.events.base import EventStream
from core.events.files import HoldsUnreadable
from core.events.systems import SystemHeld, SystemReleased
from core.holds import SCOPES, Hold, Scope
from core.texts import Text

FILE = "holds.json"  # within the state directory
LOOK = 1.0  # seconds between looks at what is over


class Holdable(Protocol):
    """A part of the work on a system that can rest."""

    def hold(self) -> None: ...

    def release(self) -> None: ...


class Holding:
    """The pauses of persons in one worker. Thread-safe. `parts` by system, and by what part of the work they do."""

    def __init__(
        self,
        file: Path,
        parts: Mapping[str, Mapping[Scope, Sequence[Holdable]]],
        events: EventStream,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._parts = parts
        self._events = events
        self._stop = stop
        self._clock = clock
        self._lock = threading.Lock()
        self._holds: dict[str, Hold] = {}
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """Hold what was held when the last worker ended. To be called before the work begins."""
        with self._lock:
            for hold in self._read():
                if hold.until is None or hold.until > self._clock():
                    self._holds[hold.system] = hold  # also of a system without settings: it may get them
                    self._apply(hold)
                    self._events.emit(SystemHeld(hold))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._lift_what_is_over, name="holds", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def holds(self) -> list[Hold]:
        with self._lock:
            return list(self._holds.values())

    def hold(self, hold: Hold) -> Text | None:
        """Pause a system, or change its pause; return why it will not survive a restart, if so.

        Raises RefusedError for a system that this worker does not know.
        """
        self._ensure_known(hold.system)
        with self._lock:
            before = self._holds.get(hold.system)
            self._holds[hold.system] = hold if before is None else replace(hold, since=before.since)
            self._apply(hold)
            self._events.emit(SystemHeld(self._holds[hold.system]))
            return self._write()

    def release(self, system: str, by: str) -> Text | None:
        """Resume a system; the answer is that of `hold`. Raises RefusedError when no person has paused it."""
        self._ensure_known(system)
        with self._lock:
            if system not in self._holds:
                raise RefusedError(
                    "not_held",
                    Text(f"{system} is paused by nobody", f"{system} никем не приостановлена"),
                )
            return self._lift(system, by)

    def _ensure_known(self, system: str) -> None:
        if system not in self._parts and system not in self._holds:
            known = ", ".join(sorted(self._parts))
            raise RefusedError(
                "unknown_system",
                Text(f"{system}: no such system; there are {known}", f"{system}: нет такой системы; есть {known}"),
            )

    def _lift_what_is_over(self) -> None:
        while not self._stop.wait(LOOK):
            with self._lock:
                now = self._clock()
                for hold in list(self._holds.values()):
                    if hold.until is not None and hold.until <= now:
                        self._lift(hold.system, None)

    def _lift(self, system: str, by: str | None) -> Text | None:
        del self._holds[system]
        for parts in self._parts.get(system, {}).values():
            for part in parts:
                part.release()
        self._events.emit(SystemReleased(system, by))
        return self._write()

    def _apply(self, hold: Hold) -> None:
        for work, parts in self._parts.get(hold.system, {}).items():
            for part in parts:
                if hold.covers(work):
                    part.hold()
                else:
                    part.release()

    # -- the file -----------------------------------------------------------------------------------------------------

    def _read(self) -> list[Hold]:
        try:
            return [_hold_of(each) for each in json.loads(self._file.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._events.emit(HoldsUnreadable(str(self._file), f"{type(error).__name__}: {error}"))
            return []

    def _write(self) -> Text | None:
        interim = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = [asdict(hold) for hold in self._holds.values()]
            interim.write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")
            interim.replace(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                interim.unlink(missing_ok=True)
            return Text(
                f"it will not survive a restart: {self._file}: {error.strerror}",
                f"перезапуска это не переживёт: {self._file}: {error.strerror}",
            )
        return None


def _hold_of(told: Mapping[str, object]) -> Hold:
    """Return a hold as the file tells it. Raises ValueError, TypeError, KeyError."""
    system, by, reason, scope = told["system"], told["by"], told["reason"], told["scope"]
    since, until = told["since"], told["until"]
    if not (isinstance(system, str) and isinstance(by, str) and isinstance(reason, str) and scope in SCOPES):
        raise ValueError(f"{told} is no pause")
    if not isinstance(since, int | float) or not (until is None or isinstance(until, int | float)):
        raise ValueError(f"{told} is no pause")
    return Hold(system, by, float(since), None if until is None else float(until), reason, scope)
