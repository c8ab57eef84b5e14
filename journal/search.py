"""Finds messages by what people type: ids with their dashes or without, words of a title, beginnings of either."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection, text

Readings = list[list[list[str]]]  # for each thing that was typed the ways to read it, each of which is several words
Find = Callable[[Connection, str, int], list[int]]

_WORD = re.compile(r"[^\W_]+")


def find_in_sqlite(connection: Connection, typed: str, most: int) -> list[int]:
    """Return the ids of the latest messages that hold all of this, also those whose words are not indexed yet."""
    readings = readings_of(typed)
    if not readings:
        return []
    tail = text("select id, words from message_words where id > (select up_to from indexed) order by id desc")
    found = [row.id for row in connection.execute(tail) if _says(row.words, readings)][:most]
    matching = text(
        "select rowid from message_search where message_search match :match order by rowid desc limit :most"
    )
    # Whole words first: of a word that stands in millions of titles the index need not put its forms together.
    for star in ("", "*"):
        if len(found) < most:
            # sqlite.org/fts5.html, section 3: an expression of strings, AND and OR.
            match = _expression(readings, f'"{{}}"{star}'.format, " AND ", " OR ")
            found += connection.scalars(matching, {"match": match, "most": most}).all()
    return found


def find_in_postgresql(connection: Connection, typed: str, most: int) -> list[int]:
    """Return the ids of the latest messages that hold all of this."""
    readings = readings_of(typed)
    if not readings:
        return []
    # postgresql.org/docs/15/datatype-textsearch.html, tsquery: lexemes in quotes, & and |, :* for a beginning
    match = _expression(readings, "'{}':*".format, " & ", " | ")
    matching = text("select id from message where words @@ to_tsquery('simple', :match) order by id desc limit :most")
    return list(connection.scalars(matching, {"match": match, "most": most}))


def readings_of(typed: str) -> Readings:
    """Return for each thing that was typed the ways to read it: one word without its dashes, or several words."""
    return [each for each in map(_readings_of_one, typed.lower().split()) if each]


def _readings_of_one(typed: str) -> list[list[str]]:
    plain, joined = _WORD.findall(typed), _WORD.findall(typed.replace("-", ""))
    return [each for each in ([plain] if plain == joined else [joined, plain]) if each]


def _expression(readings: Readings, word: Callable[[str], str], all_of: str, any_of: str) -> str:
    def one(ways: Sequence[Sequence[str]]) -> Iterator[str]:
        yield from (f"({all_of.join(map(word, way))})" for way in ways)

    return all_of.join(f"({any_of.join(one(ways))})" for ways in readings)


def _says(said: str, readings: Readings) -> bool:
    known = _WORD.findall(said.lower())

    def begins(word: str) -> bool:
        return any(each.startswith(word) for each in known)

    return all(any(all(map(begins, way)) for way in ways) for ways in readings)
