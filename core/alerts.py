"""Decides which alerts are sent and when they repeat: few alerts out of the event stream. Pure: no clock, no I/O.

Sent once: a new kind of error, a queue that RabbitMQ refuses, a system that is down for longer than a moment and its
return, a part of one (a service) that is down, a tracker that no longer gets through and its return, messages that were
put into a queue which this worker does not consume, a connection to RabbitMQ that is lost again and again. What goes on
is sent again after `repeat` seconds, with how often it has happened since.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from core import values
from core.events.base import Event
from core.events.connections import ConnectionUnstable
from core.events.messages import MessageParked, MessageRerouted, PartDown
from core.events.queues import QueueUnusable
from core.events.systems import Swept
from core.pauses import Pauses
from core.texts import Text

Kind = Literal["error", "unconsumed", "part", "down", "up", "stale", "fresh", "unstable", "unusable"]

REASON_LIMIT = 300  # characters of an error's text
SILENCE = 600.0  # seconds; a part that is met again after so long is met anew
PART_FORGOTTEN = 3600.0  # seconds without a message that met it: it works again, or nobody needs it
_SHAPES = 20  # of one code and topic; a server that tells something new each time must not call people each time
_VALUES = re.compile(r"""'[^']*'|"[^"]*"|«[^»]*»|\S*\d\S*""")
_UNKNOWN = Text.of("–")
_REMEMBERED = 1000  # kinds of errors; a thousand kinds are no kinds any more


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When alerts are sent, in seconds.

    `delay`: a system may be down without an alert; `stale_after`: a tracker may fail; `repeat`: until the same alert is
    sent again.
    """

    delay: float = 60.0
    stale_after: float = 900.0
    repeat: float = 4 * 3600.0


class Alert(NamedTuple):
    """One alert. `text` is whole sentences."""

    kind: Kind
    system: str
    text: Text


@dataclass(slots=True)
class _Told:
    at: float
    since: int = 0  # how often it has happened since it was told
    pending: Alert | None = None  # to be told again when `repeat` is over


@dataclass(slots=True)
class _Part:
    first: float
    last: float
    reason: Text
    told: bool = False


@dataclass(slots=True)
class _Tracker:
    last_success: float
    failure: Text = _UNKNOWN
    told: bool = False


@dataclass(slots=True)
class AlertBook:
    """The alerts of this worker: `note` takes events as they come, `due` is asked now and then.

    `now` is seconds of the clock of `pauses`.
    """

    policy: AlertPolicy
    pauses: Pauses
    mask: Callable[[str], str] = lambda text: text
    _errors: dict[tuple[str, ...], _Told] = field(default_factory=dict)
    _told_down: set[str] = field(default_factory=set)
    _parts: dict[tuple[str, Text], _Part] = field(default_factory=dict)
    _trackers: dict[str, _Tracker] = field(default_factory=dict)
    _due: list[Alert] = field(default_factory=list)

    def watch(self, trackers: Iterable[str], now: float) -> None:
        """Remember the trackers' names, so that one that never gets through is missed, too."""
        for system in trackers:
            self._trackers.setdefault(system, _Tracker(now))

    def note(self, event: Event, now: float) -> None:
        match event:
            case MessageParked():
                topic = event.identity.topic or "–"
                kind = self._kind_of(event, topic, self._plain(event.reason.en)[:REASON_LIMIT])
                self._happened(kind, _error(event, topic, self._short(event.reason)), now)
            case MessageRerouted(is_consumed=False):
                self._happened(("unconsumed", event.target), _unconsumed(event), now)
            case ConnectionUnstable():
                self._happened(("unstable", event.connection), _unstable(event, self._short(event.reason)), now)
            case QueueUnusable():
                self._happened(("unusable", event.queue), _unusable(event, self._short(event.reason)), now)
            case PartDown():
                part = self._parts.setdefault((event.system, event.part), _Part(now, now, _UNKNOWN))
                if now - part.last > SILENCE:
                    part.first = now
                part.last, part.reason = now, self._short(event.reason)
            case Swept():
                self._swept(event, now)

    def due(self, now: float) -> list[Alert]:
        """Return the alerts that are due now; they count as sent from then on."""
        told, self._due = self._due, []
        told += self._pauses_due(now)
        told += self._parts_due(now)
        for system, tracker in self._trackers.items():
            if (hold := self.pauses.hold_of(system)) is not None and hold.covers("track"):
                tracker.last_success = now  # it rests because a person wants it to
            if not tracker.told and now - tracker.last_success >= self.policy.stale_after:
                tracker.told = True
                told.append(_is_stale(system, tracker, now))
        for entry in self._errors.values():
            if entry.pending is not None and now - entry.at >= self.policy.repeat:
                told.append(_again(entry.pending, entry.since))
                entry.at, entry.since, entry.pending = now, 0, None
        return told

    def _parts_due(self, now: float) -> list[Alert]:
        self._parts = {key: part for key, part in self._parts.items() if now - part.last < PART_FORGOTTEN}
        told = []
        for (system, name), part in self._parts.items():
            # Messages meet it again and again: one that met it once and came through is no reason to call anybody.
            if not part.told and part.last - part.first >= self.policy.delay:
                part.told = True
                told.append(_is_partly_down(system, name, part))
        return told

    def _kind_of(self, event: MessageParked, topic: str, reason: str) -> tuple[str, ...]:
        """Return what makes two errors the same kind.

        Errors of one code may concern different fields: what is left of the reason without its values tells them apart,
        as long as they are few.
        """
        kind = ("error", event.system, event.error_code, topic)
        shape = (*kind, _VALUES.sub("…", reason))
        known = sum(key[: len(kind)] == kind for key in self._errors)
        return shape if shape in self._errors or known < _SHAPES else kind

    def _happened(self, key: tuple[str, ...], alert: Alert, now: float) -> None:
        known = self._errors.get(key)
        if known is not None:
            known.since += 1
            known.pending = alert
            return
        if len(self._errors) >= _REMEMBERED:
            self._errors.pop(next(iter(self._errors)))
        self._errors[key] = _Told(now)
        self._due.append(alert)

    def _pauses_due(self, now: float) -> list[Alert]:
        """Return the alerts on systems that are down or back.

        Only what stays so counts: a system whose probe succeeds and whose work fails goes up and down for hours.
        """
        told = []
        for pause in self.pauses.latest():
            is_told = pause.system in self._told_down
            if pause.ended is None and not is_told:
                if pause.is_alert or now - pause.since >= self.policy.delay:
                    self._told_down.add(pause.system)
                    told.append(_is_down(pause.system, self._short(pause.reason)))
            elif pause.ended is not None and is_told and now - pause.ended >= self.policy.delay:
                self._told_down.discard(pause.system)
                told.append(_is_up(pause.system, pause.ended - pause.since))
        return told

    def _short(self, reason: Text) -> Text:
        return reason.map(lambda each: values.cut_middle(self._plain(each), REASON_LIMIT))

    def _plain(self, reason: str) -> str:
        text = " ".join(self.mask(reason).split()).rstrip(".")
        # A reason may hold what another server said: half of a surrogate pair, say, which no mail can.
        return "".join(character if character.isprintable() else "?" for character in text)

    def _swept(self, event: Swept, now: float) -> None:
        tracker = self._trackers.setdefault(event.system, _Tracker(now))
        if event.reason is not None:
            tracker.failure = self._short(event.reason)
            return
        if tracker.told:
            self._due.append(_is_fresh(event.system, now - tracker.last_success))
        self._trackers[event.system] = _Tracker(now)


def _error(event: MessageParked, topic: str, reason: Text) -> Alert:
    system, code = event.system, event.error_code
    text = Text(
        f"{system}: a new kind of error, {code}, topic {topic}: {reason.en}. It is in the error queue.",
        f"{system}: новый вид ошибки, {code}, топик {topic}: {reason.ru}. Сообщение в очереди ошибок.",
    )
    return Alert("error", system, text)


def _unconsumed(event: MessageRerouted) -> Alert:
    text = Text(
        f"{event.target}: messages were put there, and this worker does not consume it. They wait for whoever does.",
        f"{event.target}: туда переложены сообщения, а этот воркер её не читает. Они ждут того, кто читает.",
    )
    return Alert("unconsumed", event.system, text)


def _unstable(event: ConnectionUnstable, reason: Text) -> Alert:
    text = Text(
        f"{event.connection} loses its connection to RabbitMQ again and again: {reason.en}. It is made anew with "
        "growing pauses, nothing is lost.",
        f"{event.connection} снова и снова теряет соединение с RabbitMQ: {reason.ru}. Оно открывается заново с "
        "растущими паузами, ничего не теряется.",
    )
    return Alert("unstable", "rabbitmq", text)


def _unusable(event: QueueUnusable, reason: Text) -> Alert:
    text = Text(
        f"{event.queue} cannot be used: {reason.en}. What is for it waits, nothing is lost; the other queues flow.",
        f"{event.queue} использовать нельзя: {reason.ru}. То, что для неё, ждёт, ничего не теряется; остальные идут.",
    )
    return Alert("unusable", "rabbitmq", text)


def _is_down(system: str, reason: Text) -> Alert:
    text = Text(
        f"{system} is not usable: {reason.en}. Its messages wait, nothing is lost.",
        f"{system} недоступна: {reason.ru}. Её сообщения ждут, ничего не теряется.",
    )
    return Alert("down", system, text)


def _is_partly_down(system: str, name: Text, part: _Part) -> Alert:
    text = Text(
        f"{system}: {name.en} is not usable: {part.reason.en}. Its messages wait, nothing is lost; the others flow.",
        f"{system}: {name.ru}: недоступно: {part.reason.ru}. Его сообщения ждут, ничего не теряется; остальные идут.",
    )
    return Alert("part", system, text)


def _is_up(system: str, seconds: float) -> Alert:
    minutes = _minutes(seconds)
    return Alert(
        "up", system, Text(f"{system} is back after {minutes} min.", f"{system} снова работает, через {minutes} мин.")
    )


def _is_stale(system: str, tracker: _Tracker, now: float) -> Alert:
    minutes = _minutes(now - tracker.last_success)
    text = Text(
        f"{system}: no look for finished tasks has succeeded for {minutes} min: {tracker.failure.en}. Answers to "
        "Camunda are late.",
        f"{system}: завершённые задачи не проверяются уже {minutes} мин.: {tracker.failure.ru}. Ответы в Camunda "
        "запаздывают.",
    )
    return Alert("stale", system, text)


def _is_fresh(system: str, seconds: float) -> Alert:
    minutes = _minutes(seconds)
    text = Text(
        f"{system}: finished tasks are looked for again, after {minutes} min.",
        f"{system}: завершённые задачи снова проверяются, через {minutes} мин.",
    )
    return Alert("fresh", system, text)


def _again(alert: Alert, count: int) -> Alert:
    text = Text(f"{alert.text.en} ({count} more since.)", f"{alert.text.ru} (С тех пор ещё {count}.)")
    return Alert(alert.kind, alert.system, text)


def _minutes(seconds: float) -> int:
    return max(1, round(seconds / 60))
