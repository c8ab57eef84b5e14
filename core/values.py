"""Turns values as Camunda sends them into values as outside systems take them.

Pure; nonsense is Permanent and named.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, time, tzinfo
from typing import Any
from urllib.parse import quote

from core import numbers
from core.errors import PermanentError
from core.texts import Text

TRUE_WORDS = frozenset({"1", "true", "yes", "y", "да", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "n", "нет", "off"})
SAMPLE_DATE = "2026-12-31T18:00:00+03:00"

_ISO_DATE_TIME = re.compile(r"[\dW-]{8,10}[T ]\d{2}.*")
_ZONE_NAME = re.compile(r"\[[^\[\]]*\]$")  # java.time writes 2026-12-01T12:00+03:00[Europe/Moscow]
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ELLIPSIS = "…"
_AROUND_EPOCH = ("1970-01-01T", "1969-12-31T")
_LATEST_YEAR = 9000  # far from where another time zone would be beyond the calendar
_PLAIN_IN_HEADERS = " !#$&'()*+,/:;<=>?@[]^`{|}"


class BadValueError(PermanentError):
    """A value that makes no sense: the text names the field and the value.

    `wanted` is a noun with what belongs to it, in Russian in the nominative case.
    """

    def __init__(self, name: str | Text, value: Any, wanted: Text) -> None:
        given = shown(value)
        self.problem = Text(f"{given} is not {wanted.en}", f"{given} не подходит, нужно: {wanted.ru}")
        super().__init__(Text.join(": ", [Text.of(name), self.problem]), code="bad_value")


def shown(value: Any) -> str:
    """Return the value as text for a person who reads the error queue."""
    return cut_characters(repr(value), 200)


def is_blank(value: Any) -> bool:
    """True for None, an empty text or an empty collection: as good as not given."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {}, ())


def text(value: Any) -> str:
    """Return any JSON value as text without what JSON decoders and databases refuse (lone surrogates, NUL)."""
    if not isinstance(value, str):
        value = _as_text(value)
    return without_halves(value).replace("\0", "").strip()


def _as_text(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return numbers.shown(value) if isinstance(value, float) else str(value)


def without_halves(written: str) -> str:
    """Return the text with a replacement character for each half of a surrogate pair, which UTF-8 cannot hold."""
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", written)


def header_string(value: str) -> str:
    """Return a quoted string for an HTTP header (RFC 8941, 3.3.3: printable ASCII); the rest is percent-encoded."""
    return f'"{quote(value, safe=_PLAIN_IN_HEADERS)}"'


def cut_words(long: str, limit: int) -> str:
    """Return at most `limit` characters, without the word that was cut: half a secret is not recognised as one."""
    if len(long) <= limit:
        return long
    whole, _, _ = long[:limit].rpartition(" ")
    return f"{whole} {_ELLIPSIS}".strip()


def cut_characters(long: str, limit: int) -> str:
    """Return at most `limit` characters, never ending inside a character as people see it (accents, emoji, flags)."""
    if len(long) <= limit:
        return long
    end = boundary(long, max(limit - len(_ELLIPSIS), 0))
    return (long[:end] + _ELLIPSIS)[:limit]


def cut_middle(long: str, limit: int) -> str:
    """Return at most `limit` characters, from both ends.

    The end of a path says which one it is, that of a reason what to do. No character as people see it is torn apart.
    """
    if len(long) <= limit:
        return long
    tail = long[boundary(long, len(long) - limit // 2) :]
    head = long[: boundary(long, max(limit - len(_ELLIPSIS) - len(tail), 0))]
    return f"{head}{_ELLIPSIS}{tail}"


def boundary(long: str, end: int, start: int = 0) -> int:
    """Return the last place after `start`, up to `end`, that is not inside a character as people see it; else `end`."""
    for place in range(end, start, -1):
        if place == len(long) or not _inside_character(long, place):
            return place
    return end  # one endless "character" of combining marks


def as_identifier(value: Any) -> int | None:
    """Return a positive id, which systems and Camunda like to send as text; None for anything else."""
    if isinstance(value, float) and abs(value) >= numbers.EXACT_WHOLE:
        return None  # which one is meant nobody knows any more
    digits = text(value).removesuffix(".0")  # a whole number may have become a float on its way through JSON
    if digits.isascii() and digits.isdecimal() and len(digits) < 19 and int(digits) > 0:
        return int(digits)
    return None


def identifier(name: str, value: Any) -> int:
    found = as_identifier(value)
    if found is None:
        raise BadValueError(name, value, Text("a positive id", "положительный номер"))
    return found


def flag(name: str, value: Any) -> int:
    """Return 1 for a word that means yes, 0 for one that means no."""
    word = text(value).lower()
    if word in TRUE_WORDS:
        return 1
    if word in FALSE_WORDS:
        return 0
    raise BadValueError(name, value, Text("yes or no", "да или нет"))


def items(value: Any) -> list[Any]:
    """Return a list from a list, a JSON list in a text, a comma separated text or one value."""
    if isinstance(value, str):
        try:
            decoded = json.loads(value)
        except (ValueError, RecursionError):
            decoded = None
        value = decoded if isinstance(decoded, list) else [part.strip() for part in value.split(",")]
    if not isinstance(value, list):
        value = [value]
    return [item for item in value if not is_blank(item)]


def moment(name: str, value: Any, zone: tzinfo, *, earliest: int = 1970) -> str:
    """Return `2026-12-01T12:00:00+03:00` for any ISO 8601 form; without an offset it is meant in `zone`.

    A date alone means the end of that day, because a deadline at its first second would be overdue all day.
    The offset is always written: a system would read a text without one in its own time zone. `earliest` is a year:
    a deadline before 1970 is a mistake, a date of birth is not.
    """
    return _parsed(name, value, zone, earliest).isoformat(timespec="seconds")


def day(name: str, value: Any, zone: tzinfo, *, earliest: int = 1970) -> str:
    """Return `2026-12-02`: the day that a calendar in `zone` shows at that moment.

    An engine in UTC sends Moscow's midnight as `2026-12-01T21:00:00.000+0000`; its first ten characters are the day
    before.
    """
    return _parsed(name, value, zone, earliest).astimezone(zone).date().isoformat()


def is_moment(value: Any) -> bool:
    """Return whether the value is a date in ISO 8601."""
    return _iso(value) is not None


def is_empty_date(value: Any) -> bool:
    """True for the beginning of 1970 with an offset: what clients make of a Date without a value and write back.

    camunda-external-task-client-js 3.1.0 does so, in the time zone of its machine.
    """
    if not isinstance(value, str) or not value.strip().startswith(_AROUND_EPOCH):
        return False
    parsed = _iso(value)
    return parsed is not None and parsed.tzinfo is not None and parsed.timestamp() == 0


def number(name: str, value: Any) -> int | float:
    """Return a number; whole ones as int, exactly. See core.numbers for what is read. Raises BadValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return numbers.of_double(value)
    try:
        return numbers.read(text(value))
    except numbers.NumberError as error:
        raise BadValueError(name, value, error.text) from None


def whole_number(name: str, value: Any) -> int:
    try:
        return numbers.whole(number(name, value))
    except numbers.NumberError as error:
        raise BadValueError(name, value, error.text) from None


def _parsed(name: str, value: Any, zone: tzinfo, earliest: int) -> datetime:
    parsed = _iso(value)
    if parsed is None:
        wanted = Text(
            f"a date such as {SAMPLE_DATE} or 2026-12-31 18:00:00",
            f"дата, например {SAMPLE_DATE} или 2026-12-31 18:00:00",
        )
        raise BadValueError(name, value, wanted)
    if not earliest <= parsed.year <= _LATEST_YEAR:
        years = Text(f"a date from {earliest} to {_LATEST_YEAR}", f"дата с {earliest} по {_LATEST_YEAR} год")
        raise BadValueError(name, value, years)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=zone)


def _iso(value: Any) -> datetime | None:
    written = _ZONE_NAME.sub("", value.strip()) if isinstance(value, str) else ""
    try:
        if _ISO_DATE_TIME.fullmatch(written):
            return datetime.fromisoformat(written)
        return datetime.combine(date.fromisoformat(written), time(23, 59, 59))
    except ValueError:
        return None


def _inside_character(long: str, position: int) -> bool:
    before, after = long[position - 1], long[position]
    if before == "\N{ZERO WIDTH JOINER}" or after == "\N{ZERO WIDTH JOINER}":
        return True
    if unicodedata.category(after).startswith("M") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if before == "\r" and after == "\n":
        return True
    if _is_flag_letter(before) and _is_flag_letter(after):
        letters = position - len(long[:position].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
        return letters % 2 == 1
    return False


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
