"""Times as people write and read them: `90`, `15m`, `2h`, `3d`; `2 h 14 min`."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime

from core.texts import Language, Text

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "с": 1, "м": 60, "ч": 3600, "д": 86400}
_DURATION = re.compile(r"(\d{1,9})([smhdсмчд]?)")
_STEPS = (
    (86400, Text("d", "д"), 3600, Text("h", "ч")),
    (3600, Text("h", "ч"), 60, Text("min", "мин")),
    (60, Text("min", "мин"), 1, Text("s", "с")),
)
_SECONDS = Text("s", "с")
_MINUTES = Text("m", "м")
_SHORT_STEPS = (
    (86400, Text("d", "д"), 3600, Text("h", "ч")),
    (3600, Text("h", "ч"), 60, _MINUTES),
    (60, _MINUTES, 1, _SECONDS),
)


def duration(text: str) -> float:
    """Read an option's duration in seconds. Raises ArgumentTypeError."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: 90, 15m, 2h, 3d")
    return float(int(found[1]) * _UNITS[found[2]])


def moment(text: str) -> float:
    """Read an option's moment (unix seconds): so long ago, or ISO 8601 in this machine's time zone.

    Raises ArgumentTypeError.
    """
    if _DURATION.fullmatch(text.strip().lower()) is not None:
        return time.time() - duration(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is no moment: 2h, 2026-11-23, 2026-11-23T14:30") from None


def say_duration(seconds: float, lang: Language) -> str:
    """Return a duration in two units at most, e.g. `2 h 14 min`."""
    whole = max(0, int(seconds))
    for size, name, smaller, smaller_name in _STEPS:
        if whole >= size:
            rest = whole % size // smaller
            told = f"{whole // size} {name.say(lang)}"
            return f"{told} {rest} {smaller_name.say(lang)}" if rest else told
    return f"{whole} {_SECONDS.say(lang)}"


def say_shortly(seconds: float, lang: Language) -> str:
    """Return a duration for the cell of a table: `2h14m`."""
    whole = max(0, int(seconds))
    for size, name, smaller, smaller_name in _SHORT_STEPS:
        if whole >= size:
            rest = whole % size // smaller
            told = f"{whole // size}{name.say(lang)}"
            return f"{told}{rest}{smaller_name.say(lang)}" if rest and size > 60 else told
    return f"{whole}{_SECONDS.say(lang)}"


def say_moment(unix: float, now: float) -> str:
    """Return a moment in this machine's time zone: the time alone if it is today."""
    then, today = datetime.fromtimestamp(unix, UTC).astimezone(), datetime.fromtimestamp(now, UTC).astimezone()
    if then.date() == today.date():
        return then.strftime("%H:%M:%S")
    if then.year == today.year:
        return then.strftime("%d.%m %H:%M")
    return then.strftime("%d.%m.%Y %H:%M")
