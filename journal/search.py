"""Finds messages by what people type: ids with their dashes or without, words of a title, beginnings of either."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, text

Readings = list[list[list[str]]]  # for each thing that was typed the ways to read it, each of which is several words
Find = Callable[[Connection, str, int], list[int]]

_WORD = re.compile(r"[^\W_]+")
_LOOKED_THROUGH = 2000  # of the latest messages; one by one, which takes some 10 ms


def find_in_sqlite(connection: Connection, typed: str, most: int) -> list[int]:
    """Return the ids of the latest messages that hold all of this, also those whose words are not indexed yet.

    FTS5 puts all messages of a beginning together before it gives the first one. A beginning that is frequent is found
    among the latest messages without it; one that is not there is rare enough.
    """
    readings = readings_of(typed)
    if not readings:
        return []
    latest = text(
        "select id, words from message_words where id > min((select up_to from indexed), "
        "(select coalesce(max(id), 0) from message) - :looked) order by id desc"
    )
    rows = connection.execute(latest, {"looked": _LOOKED_THROUGH})
    found = {row.id for row in rows if _says(row.words, readings)}
    matching = text(
        "select rowid from message_search where message_search match :match order by rowid desc limit :most"
    )
    for begun in (0, 1, len(readings)):
        if len(found) >= most or (begun > 1 and found):
            break
        found.update(connection.scalars(matching, {"match": _match(readings, begun), "most": most}))
    return sorted(found, reverse=True)[:most]


def find_in_postgresql(connection: Connection, typed: str, most: int) -> list[int]:
    """Return the ids of the latest messages that hold all of this."""
    readings = readings_of(typed)
    if not readings:
        return []
    # postgresql.org/docs/15/datatype-textsearch.html, tsquery: lexemes in quotes, & and |, :* for a beginning
    match = " & ".join(_one(ways, "'{}':*".format, " & ", " | ") for ways in readings)
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

    Of the last `begun` things that were typed the beginning is enough.
    """
    stars = ["*" if number >= len(readings) - begun else "" for number in range(len(readings))]
    ones = (_one(ways, f'"{{}}"{star}'.format, " AND ", " OR ") for ways, star in zip(readings, stars, strict=True))
    return " AND ".join(ones)


def _one(ways: Sequence[Sequence[str]], word: Callable[[str], str], all_of: str, any_of: str) -> str:
    return f"({any_of.join(f'({all_of.join(map(word, way))})' for way in ways)})"


def _says(said: str, readings: Readings) -> bool:
    known = _WORD.findall(said.lower())

    def begins(word: str) -> bool:
        return any(each.startswith(word) for each in known)

    return all(any(all(map(begins, way)) for way in ways) for ways in readings)
