"""Merges rows of a tabular part. 1C takes it only whole (developer guide 8.3.27, 17.4.13.1.3).

What is left out is deleted. So an update that names rows by a column is sent with all the others, as they were read,
and one that names none says how many it has replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.onec.literals import as_guid
from core import values
from core.errors import TransientError
from core.texts import Text

Json = dict[str, Any]

# The additional attributes of the standard library: one row for each property (PropertyManager of SSL 3.1).
USUAL_KEYS: Mapping[str, str] = {"ДополнительныеРеквизиты": "Свойство"}
# Shown by the library instead of the value where it is not empty (PropertyManagerInternal, UseUnlimitedString).
_LONG_TEXT = "ТекстоваяСтрока"
_VALUE = "Значение"


@dataclass(frozen=True, slots=True)
class Body:
    """The content to write into an object.

    `keys` name the column by which rows of a tabular part are told apart, `remarks` say what of the message was not
    taken.
    """

    fields: Json
    keys: Mapping[str, str]
    remarks: Sequence[Text] = ()

    def beside(self, current: Mapping[str, Any]) -> Json:
        """Return all that is sent to change the object `current`.

        Raises TransientError when it does not show its rows.
        """
        tables = {name: merged(name, self.fields[name], current.get(name), key) for name, key in self.keys.items()}
        return {**self.fields, **tables}

    def lost(self, current: Mapping[str, Any]) -> Iterator[Text]:
        """Yield a sentence for the result for each tabular part whose rows are lost without being named."""
        for name, rows in self.fields.items():
            before = current.get(name)
            if isinstance(rows, list) and name not in self.keys and isinstance(before, list) and before:
                yield Text(
                    f"{name}: its {len(before)} rows have been replaced by the {len(rows)} of the message",
                    f"{name}: прежние строки ({len(before)}) заменены строками сообщения ({len(rows)})",
                )


def require_distinct(table: str, rows: Sequence[Json], column: str) -> None:
    """Raise BadValueError for a row without a value in `column`, and for a second one with the same."""
    seen: set[object] = set()
    for number, row in enumerate(rows, 1):
        key = _key(row.get(column))
        if key is None:
            wanted = Text(
                f"a row with {column}, by which rows are told apart",
                f"строка со значением {column}, по которому строки различаются",
            )
            raise values.BadValueError(f"{table}[{number}]", row, wanted)
        if key in seen:
            wanted = Text("different from that of other rows", "значение, которого нет в других строках")
            raise values.BadValueError(f"{table}[{number}].{column}", row[column], wanted)
        seen.add(key)


def merged(table: str, rows: Sequence[Json], current: Any, column: str) -> list[Json]:
    """Return the rows that are there, with what the message says of each; new ones behind them."""
    if not isinstance(current, list) or not all(isinstance(each, Mapping) for each in current):
        text = Text(
            f"1C does not show the rows of {table}: writing some would delete the others",
            f"1С не показывает строки {table}: запись части строк удалила бы остальные",
        )
        raise TransientError(text, code="rows")
    # Links that 1C adds to what it tells are nothing to write.
    all_rows = [{name: value for name, value in row.items() if "@" not in name} for row in current]
    places = {_key(row.get(column)): place for place, row in enumerate(all_rows)}
    for row in rows:
        place = places.get(_key(row[column]))
        if place is None:
            all_rows.append(dict(row))
        else:
            all_rows[place] |= _changed(all_rows[place], row)
    return [{**row, "LineNumber": str(number)} for number, row in enumerate(all_rows, 1)]


def _changed(before: Json, row: Json) -> Json:
    is_hidden = bool(before.get(_LONG_TEXT)) and _VALUE in row and _LONG_TEXT not in row
    return {**row, _LONG_TEXT: ""} if is_hidden else row


def _key(value: Any) -> object:
    return as_guid(value) or (values.text(value) if not values.is_blank(value) else None)
