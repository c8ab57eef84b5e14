"""Finds messages by what people type: ids with their dashes or without, words of a title, beginnings of either."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, text

Readings = list[list[list[str]]]  # for each thing that was typed the ways to read it, each of which is several words
Find = Callable[[Connection, str, int], list[int]]

_WORD = re.compile(r"[^\W_]+")
_ID = re.compile(r"[0-9a-f]{1,32}")
_ID_PARTS = (8, 4, 4, 4, 12)
_SAID = (
    "select id, replace(name || ' ' || coalesce(process, ''), '-', '') || ' ' || coalesce(business, '') || ' ' "
    "|| coalesce(title, '') || ' ' || coalesce(message_id, '') from message where "
)
_LATEST = text(
    _SAID + "id > min((select up_to from indexed), (select coalesce(max(id), 0) from message) - :looked) "  # noqa: S608 - ours
    "order by id desc"
)
_NAMED = text(_SAID + "name >= :begin and name < :end limit :most")
_MATCHING = text("select rowid from message_search where message_search match :match order by rowid desc limit :most")
_LAST = "\U0010ffff"  # stands behind all other characters
_LOOKED_THROUGH = 2000  # of the latest messages; one by one, which takes some 10 ms
_OF_ONE_BEGINNING = 500  # names that are looked through


def find_in_sqlite(connection: Connection, typed: str, most: int) -> list[int]:
    """Return the ids of the latest messages that hold all of this, also those whose words are not indexed yet.

    FTS5 puts all messages of a beginning together before it gives the first one. A beginning that is frequent is found
    among the latest messages without it; one that is not there is rare enough. So are beginnings of task ids, which
    are no words of FTS5: there they would cost twice what the index of names does.
    """
    readings = readings_of(typed)
    if not readings:
        return []
    found = _saying(readings, connection.execute(_LATEST, {"looked": _LOOKED_THROUGH}).all())
    for begin in _beginnings(typed):
        if len(found) < most:
            values = {"begin": begin, "end": begin + _LAST, "most": _OF_ONE_BEGINNING}
            found |= _saying(readings, connection.execute(_NAMED, values).all())
    for begun in sorted({0, 1, len(readings)}):
        if len(found) >= most or (begun > 1 and found):
            break
        found.update(connection.scalars(_MATCHING, {"match": _match(readings, begun), "most": most}))
    return sorted(found, reverse=True)[:most]


def find_in_postgresql(connection: Connection, typed: str, most: int) -> list[int]:
    """Return the ids of the latest messages that hold all of this."""
    readings = readings_of(typed)
    if not readings:
        return []
    # postgresql.org/docs/15/datatype-textsearch.html, tsquery: lexemes in quotes, & and |, :* for a beginning
    match = " & ".join(_any(" | ", ("'" + "':* & '".join(way) + "':*" for way in ways)) for ways in readings)
    matching = text("select id from message where words @@ to_tsquery('simple', :match) order by id desc limit :most")
    return list(connection.scalars(matching, {"match": match, "most": most}))


def readings_of(typed: str) -> Readings:
    """Return for each thing that was typed the ways to read it: one word without its dashes, or several words."""
    return [each for each in map(_readings_of_one, typed.lower().split()) if each]


def _readings_of_one(typed: str) -> list[list[str]]:
    plain, joined = _WORD.findall(typed), _WORD.findall(typed.replace("-", ""))
    return [each for each in ([plain] if plain == joined else [joined, plain]) if each]


def _match(readings: Readings, begun: int) -> str:
    """Return the readings as an expression of FTS5: strings, AND and OR (sqlite.org/fts5.html, section 3).

    Of the last `begun` things that were typed the beginning is enough; where one is several words, of the last of them.
    """
    stars = ["*" if number >= len(readings) - begun else "" for number in range(len(readings))]
    return " AND ".join(
        _any(" OR ", ('"' + '" AND "'.join(way) + f'"{star}' for way in ways))
        for ways, star in zip(readings, stars, strict=True)
    )


def _any(joint: str, ways: Iterable[str]) -> str:
    return f"({joint.join(f'({way})' for way in ways)})"


def _beginnings(typed: str) -> Iterator[str]:
    """Yield what a name may begin with: what was typed, and an id as Camunda writes it."""
    for each in typed.split():
        yield each
        digits = each.lower().replace("-", "")
        if _ID.fullmatch(digits) and (written := _as_camunda_writes(digits)) != each:
            yield written


def _as_camunda_writes(digits: str) -> str:
    ends = list(accumulate(_ID_PARTS))
    return "-".join(filter(None, (digits[end - length : end] for end, length in zip(ends, _ID_PARTS, strict=True))))


def _saying(readings: Readings, rows: Iterable[Any]) -> set[int]:
    return {id_ for id_, said in rows if _says(said.lower(), readings)}


def _says(said: str, readings: Readings) -> bool:
    def is_in(word: str) -> bool:
        return word in said

    def begins(word: str) -> bool:
        return any(each.startswith(word) for each in known)

    # To part all words of a text takes ten times as long as to look whether the letters are there.
    if not all(any(all(map(is_in, way)) for way in ways) for ways in readings):
        return False
    known = _WORD.findall(said)
    return all(any(all(map(begins, way)) for way in ways) for ways in readings)
