"""What a running worker answers through its door: how it stands, and what persons have it do.

Times are unix seconds. What is said to a person is in both languages: `{"en": ..., "ru": ...}`.
"""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from assembly.holding import Holding
from base_tracker import ChangedTask
from control.protocol import RefusedError
from control.server import Answer, Caller
from core.events.base import EventStream
from core.events.control import OperatorActed
from core.holds import SCOPES, Hold, Scope
from core.pauses import Pauses
from core.texts import Text
from core.version import VERSION
from tracking.tracker_thread import TrackerThread

LONGEST_REASON = 500  # characters
LONGEST_ID = 100  # characters of an external id


@dataclass(frozen=True, slots=True)
class Served:
    """A system of this worker. `unused` says why no messages of it are taken, if so."""

    system: str
    queue: str
    sent_queue: str | None
    is_tracked: bool
    unused: Text | None = None


@dataclass(frozen=True, slots=True)
class Worked:
    """What the answers are made of."""

    started_at: float
    served: Sequence[Served]
    pauses: Pauses
    holding: Holding
    trackers: Mapping[str, TrackerThread]  # by system
    is_ready: Callable[[], bool]
    stats: Callable[[], Mapping[str, Any]]
    exposition: Callable[[], bytes]
    events: EventStream


def answers_of(worked: Worked) -> dict[str, Answer]:
    """Return the answers by what is asked."""
    told = _Answers(worked)
    return {
        "status": told.status,
        "hold": told.hold,
        "release": told.release,
        "track": told.track,
        "changed": told.changed,
        "note": told.note,
        "metrics": told.metrics,
    }


class _Answers:
    def __init__(self, worked: Worked) -> None:
        self._worked = worked

    def status(self, _told: Mapping[str, Any], _caller: Caller) -> dict[str, Any]:
        now = time.time()
        stats = self._worked.stats()
        return {
            "version": VERSION,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._worked.started_at,
            "now": now,
            "is_ready": self._worked.is_ready(),
            "systems": [self._system(each, stats, now) for each in self._worked.served],
            "statistics": stats,
        }

    def hold(self, told: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Pause a `system`, `until` a moment or None, with a `reason`; `scope` of core.holds, `by` in the API."""
        system, until, now = _text(told, "system"), told.get("until"), time.time()
        reason, scope = told.get("reason", ""), told.get("scope", "all")
        if scope not in SCOPES:
            raise _bad("scope", scope, Text(f"one of {', '.join(SCOPES)}", f"одно из {', '.join(SCOPES)}"))
        if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
            limit = Text(f"up to {LONGEST_REASON} characters", f"до {LONGEST_REASON} символов")
            raise _bad("reason", reason, limit)
        if until is not None and not (isinstance(until, int | float) and until > now):
            raise _bad("until", until, Text("a moment to come, in unix seconds", "будущий момент, секунды unix"))
        who = _who(told, caller)
        hold = Hold(system, who, now, until, reason, cast(Scope, scope))
        warning = self._worked.holding.hold(hold)
        why = f": {reason}" if reason else ""
        self._worked.events.emit(OperatorActed(who, f"pause {system}{why}", system))
        return {"hold": asdict(hold), "warning": _both(warning)}

    def release(self, told: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Resume a `system`."""
        system, who = _text(told, "system"), _who(told, caller)
        warning = self._worked.holding.release(system, who)
        self._worked.events.emit(OperatorActed(who, f"resume {system}", system))
        down = self._worked.pauses.of(system)
        return {"warning": _both(warning), "down": None if down is None else _both(down.reason)}

    def track(self, told: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Ask about a task now: `task_id` or `external_id`, and `system` where it is known.

        `sweeps` of the answer says for each tracker at the end of which sweep it has been asked; `status` counts them.
        """
        task = ChangedTask(_text_or_none(told, "external_id"), _text_or_none(told, "task_id"))
        system = _text_or_none(told, "system")
        trackers = {name: each for name, each in self._worked.trackers.items() if system in (None, name)}
        if task == ChangedTask(None, None):
            raise _bad("task_id", None, Text("a task id or an external id", "id задачи или внешний id"))
        if not trackers:
            raise RefusedError(
                "not_tracked",
                Text(f"this worker tracks no {system}", f"этот воркер не отслеживает {system}"),
            )
        held = [name for name in trackers if (hold := self._worked.pauses.hold_of(name)) and hold.covers("track")]
        sweeps = {name: tracker.look_for(task) for name, tracker in sorted(trackers.items())}
        what = f"track {task.task_id or task.external_id}"
        self._worked.events.emit(OperatorActed(_who(told, caller), what, system))
        return {"pid": os.getpid(), "sweeps": sweeps, "held": sorted(held), "now": time.time()}

    def changed(self, told: Mapping[str, Any], _caller: Caller) -> dict[str, Any]:
        """Look soon at tasks of which a `system` has told, by their `external_ids`; it is nobody's act.

        Anybody's may be among them. `dropped` of the answer: how many only a sweep will find.
        """
        system, given = _text(told, "system"), told.get("external_ids")
        if not isinstance(given, list) or not all(
            isinstance(each, str) and 0 < len(each) <= LONGEST_ID for each in given
        ):
            raise _bad("external_ids", type(given).__name__, Text("a list of texts", "список текстов"))
        tracker = self._worked.trackers.get(system)
        dropped = len(given) if tracker is None else tracker.hear_of(given)
        return {"pid": os.getpid(), "is_tracked": tracker is not None, "dropped": dropped}

    def metrics(self, _told: Mapping[str, Any], _caller: Caller) -> str:
        """Return the metrics in the text format of Prometheus."""
        return self._worked.exposition().decode()

    def note(self, told: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Keep what a person has done without the worker: `what`, `system`, `count`."""
        count = told.get("count")
        what, system = _text(told, "what"), _text_or_none(told, "system")
        acted = OperatorActed(_who(told, caller), what, system, count if isinstance(count, int) else None)
        self._worked.events.emit(acted)
        return {}

    def _system(self, served: Served, stats: Mapping[str, Any], now: float) -> dict[str, Any]:
        pauses = self._worked.pauses
        pause, hold = pauses.of(served.system), pauses.hold_of(served.system)
        told: dict[str, Any] = {
            "system": served.system,
            "queue": served.queue,
            "sent_queue": served.sent_queue,
            "is_tracked": served.is_tracked,
            "state": "ok",
            "unused": _both(served.unused),
            "hold": None if hold is None else asdict(hold),
            "down": None,
            "tracker": stats["trackers"].get(served.system),
            "sweeps": None,
            "has_shards": False,
        }
        if (thread := self._worked.trackers.get(served.system)) is not None:
            told["sweeps"] = {"begun": thread.begun, "ended": thread.ended, "next": thread.next_sweep}
            told["has_shards"] = bool(thread.shards)
        if served.unused is not None:
            told["state"] = "unconfigured"
        if pause is not None:
            told["state"] = "down"
            told["down"] = {
                "since": now - pauses.age(pause.since),
                "reason": _both(pause.reason),
                "outcome": pause.outcome,
                "code": pause.error_code,
                "is_alert": pause.is_alert,
                "next_probe": now - pauses.age(pause.next_probe),
            }
        if hold is not None:
            told["state"] = "paused"
        return told


def _both(text: Text | None) -> dict[str, str] | None:
    return None if text is None else {"en": text.en, "ru": text.ru}


def _who(told: Mapping[str, Any], caller: Caller) -> str:
    """Return who has asked: the user of the process, or whom the API names, which runs as the worker's user."""
    if (by := told.get("by")) is not None:
        return _text(told, "by") if isinstance(by, str) else "?"
    try:
        return pwd.getpwuid(caller.uid).pw_name
    except KeyError:
        return f"uid {caller.uid}"


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not value or len(value) > LONGEST_REASON:
        raise _bad(name, value, Text("a text", "текст"))
    return value


def _text_or_none(told: Mapping[str, Any], name: str) -> str | None:
    return None if told.get(name) is None else _text(told, name)


def _bad(name: str, value: object, wanted: Text) -> RefusedError:
    return RefusedError(
        "bad_value",
        Text(f"{name}={value!r} does not fit: {wanted.en}", f"{name}={value!r} не подходит, нужно: {wanted.ru}"),
    )
