"""Compares what was written with what 1C has kept: it silently ignores, cuts, rounds and empties; the result says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from consumers.onec.literals import as_guid
from core import values
from core.texts import Text

_MOST_TOLD = 20
_NOT_SHOWN = Text("was sent, but 1C does not show it", "отправлено, но 1С этого не показывает")


def differences(sent: Mapping[str, Any], kept: Mapping[str, Any]) -> list[Text]:
    """Return one sentence for each attribute that is another one now."""
    told = list(_of_object(sent, kept, ""))
    if (more := len(told) - _MOST_TOLD) > 0:
        text = Text(
            f"and {more} more attributes differ from what was sent",
            f"и ещё реквизитов, отличающихся от отправленного: {more}",
        )
        return [*told[:_MOST_TOLD], text]
    return told


def _of_object(sent: Mapping[str, Any], kept: Mapping[str, Any], path: str) -> Iterator[Text]:
    for name, value in sent.items():
        if name in {"Ref_Key", "LineNumber"} or _is_type(name, sent):
            continue
        title = f"{path}{name}"
        if name not in kept:
            yield _NOT_SHOWN.led_by(f"{title}: ")
        elif isinstance(value, list):
            yield from _of_table(value, kept[name], title)
        elif not _is_same(name, sent, kept):
            one, other = _shown(name, sent), _shown(name, kept)
            yield Text(
                f"{title}: {one} was sent, 1C has kept {other}", f"{title}: отправлено {one}, 1С сохранила {other}"
            )


def _of_table(sent: Sequence[Any], kept: Any, title: str) -> Iterator[Text]:
    rows = kept if isinstance(kept, list) else []
    if len(rows) != len(sent):
        yield Text(
            f"{title}: {len(sent)} rows were sent, 1C has kept {len(rows)}",
            f"{title}: строк отправлено {len(sent)}, 1С сохранила {len(rows)}",
        )
        return
    for number, (row, other) in enumerate(zip(sent, rows, strict=True), 1):
        if isinstance(other, Mapping):
            yield from _of_object(row, other, f"{title}[{number}].")
        else:
            yield _NOT_SHOWN.led_by(f"{title}[{number}]: ")


def _is_type(name: str, sent: Mapping[str, Any]) -> bool:
    return name.endswith("_Type") and name.removesuffix("_Type") in sent


def _is_same(name: str, sent: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    kind = sent.get(f"{name}_Type")
    if kind is not None and kind != kept.get(f"{name}_Type"):
        return False
    one, other = sent[name], kept[name]
    if isinstance(one, bool) or isinstance(other, bool):
        return _word(one) == _word(other)
    if isinstance(one, int | float) or isinstance(other, int | float) or kind == "Edm.Double":
        return _number(one) == _number(other) is not None
    if kind == "Edm.Boolean":
        return _word(one) == _word(other)
    return bool(one == other) or (as_guid(one) is not None and as_guid(one) == as_guid(other))


def _word(value: Any) -> str:
    return values.text(value).casefold()


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(value if isinstance(value, int) else str(value))
    except InvalidOperation:
        return None


def _shown(name: str, row: Mapping[str, Any]) -> str:
    kind = row.get(f"{name}_Type")
    return values.shown(row[name]) + (f" ({kind})" if kind is not None else "")
