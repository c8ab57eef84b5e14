"""Puts failures together that have the same cause: the same system, code and words, but for numbers and names."""

from __future__ import annotations

import re
from hashlib import blake2b

_MOST = 2000  # characters of a reason that are looked at
_VARYING = re.compile(
    r"https?://\S+"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|'[^']*'|\"[^\"]*\"|«[^»]*»|`[^`]*`"
    r"|\d[\d.,:/-]*",
    re.IGNORECASE,
)


def template_of(reason: str) -> str:
    """Return the words of a reason with a dot in the place of numbers, ids, addresses and what is quoted."""
    return " ".join(_VARYING.sub("·", reason[:_MOST]).split())


def group_of(system: str | None, code: str, reason: str) -> str:
    """Return the name of the group that a failure belongs to: ten hexadecimal digits. Raises nothing."""
    said = "\n".join((system or "", code, template_of(reason)))
    return blake2b(said.encode("utf-8", "replace"), digest_size=5).hexdigest()
