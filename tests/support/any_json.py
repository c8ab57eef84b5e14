"""Answers of any content for property tests: JSON as a server may write it, with what JSON itself does not allow."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

# NaN, infinite numbers and halves of characters are among it: Python's and other writers let them pass.
TEXT = st.text(st.characters(), max_size=8)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["", "running", "succeeded"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def objects(*names: str, known: st.SearchStrategy[Any] = ANY) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have some of these names."""
    return st.dictionaries(st.sampled_from(names) | TEXT, ANY | known, max_size=6)


def written(value: Any) -> bytes:
    return json.dumps(value).encode()
