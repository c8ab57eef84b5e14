"""Variables of every type that an engine knows, as its REST API writes them and as Camunda's live side does.

Types: docs.camunda.org, user guide, process variables, supported variable values.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

# What a message may hold at all: NaN, infinite numbers and halves of characters are refused before any handler sees it.
TEXT = st.text(max_size=12) | st.sampled_from(
    [
        *("", " ", "4", "12,50", "1,250", "true", "да", "2026-12-01", "2026-12-01T21:00:00.000+0000", "x" * 200),
        "1970-01-01T00:00:00.000+0000",
        "0ad5415a-0000-4000-8000-000000000001",
        "Catalog_Контрагенты/0ad5415a-0000-4000-8000-000000000001",
        "Edm.String",
        "StandardODATA.Undefined",
        "строка\nещё\tодна\0",
        '[{"Количество": 2}]',
    ]
)
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([2**53 + 1, 10**20, 0.1])
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def typed(kind: str, value: st.SearchStrategy[Any], **info: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Values of one type; `info` is their `valueInfo`."""
    beside = {"valueInfo": info} if info else {}
    return value.map(lambda each: {"type": kind, "value": each, **beside})


TYPED = st.one_of(
    typed("String", TEXT | st.none()),
    typed("Xml", st.just("<a/>")),
    typed("Integer", st.integers(-(2**31), 2**31 - 1)),
    typed("Short", st.integers(-(2**15), 2**15 - 1)),
    typed("Long", st.integers(-(2**63), 2**63 - 1)),
    typed("Double", st.floats(allow_nan=False, allow_infinity=False)),
    typed("Boolean", st.booleans()),
    typed("Date", st.datetimes().map(lambda each: each.strftime("%Y-%m-%dT%H:%M:%S.000+0000").rjust(28, "0"))),
    typed("Null", st.none()),
    typed("Json", PLAIN.map(json.dumps)),
    typed("Object", PLAIN.map(json.dumps), serializationDataFormat="application/json"),
    typed("Object", st.just("rO0ABXQ="), serializationDataFormat="application/x-java-serialized-object"),
    typed("Bytes", st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode())),
    typed("File", st.none(), filename="a.pdf"),
    # A business object that looks alike.
    PLAIN.map(lambda each: {"type": "percent", "value": each, "reason": "loyalty"}),
)
ANY = PLAIN | TYPED


def is_told(given_value: Any, told: Any) -> bool:
    """The plain value, or a typed one as it was where it cannot be read."""
    if told == given_value:
        return True
    if not isinstance(given_value, dict) or "value" not in given_value:
        return False
    return bool(told == given_value["value"]) or given_value.get("type") in {"Json", "Object"}
