"""Shows an object of 1C as the process gets to see it.

Camunda's side copies `id`, `title` and `status` into variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.onec.attributes import is_empty
from consumers.onec.literals import ObjectRef
from consumers.onec.mapping import FINISHED_BY, Finish
from core import values

_TEXT_LIMIT = 1000  # characters of one attribute
_TECHNICAL = {"Ref_Key", "DataVersion"}
_TITLES = ("Description", "Наименование")


def task_view(ref: ObjectRef, row: Mapping[str, Any], finish: Finish) -> dict[str, Any]:
    """Return a view that is flat and small: texts, numbers and booleans; no tabular parts, no empty values."""
    number = values.text(row.get("Number", row.get("Code", "")) or "")
    titles = (values.text(row[name]) for name in _TITLES if not is_empty(row.get(name)))
    kind = ref.entity.partition("_")[2]
    view: dict[str, Any] = {
        "id": ref.key,
        "title": next(titles, f"{kind} {number}".strip()),
        "status": status_of(row, finish),
        "onec_ref": str(ref),
        "onec_number": number,
        "attributes": {name: _shown(value) for name, value in row.items() if _is_shown(name, value)},
    }
    if finish.moment is not None and not is_empty(row.get(finish.moment)):
        view["onec_executed_at"] = _shown(row[finish.moment])
    if finish.result is not None and not is_empty(row.get(finish.result)):
        view["onec_result"] = _shown(row[finish.result])
    return view


def status_of(row: Mapping[str, Any], finish: Finish) -> str:
    """Return a status attribute's value, or the word for what such objects know: executed, completed, posted, open."""
    if row.get("DeletionMark") is True:
        return "deleted"
    if finish.attribute is not None:
        return values.text(row.get(finish.attribute) or "")
    flag = FINISHED_BY.get(finish.when)
    if flag is None:
        return "posted" if row.get("Posted") is True else "created"
    return finish.when if row.get(flag) is True else "open"


def _is_shown(name: str, value: Any) -> bool:
    is_plain = isinstance(value, str | int | float) and not is_empty(value)
    return is_plain and name not in _TECHNICAL and "@" not in name and not name.startswith("odata.")


def _shown(value: Any) -> Any:
    """Return a value; something that is no single value in another place than it should be is shown as a text."""
    if isinstance(value, bool | int | float):
        return value
    return values.cut_characters(value if isinstance(value, str) else values.text(value), _TEXT_LIMIT)
