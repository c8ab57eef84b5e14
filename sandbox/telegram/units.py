"""UTF-16 units, in which entities are counted, and bytes of UTF-8, in which mistakes are told."""

from __future__ import annotations

from typing import Any

Entity = dict[str, Any]

_RANKS = {
    kind: rank
    for rank, kinds in enumerate(
        (
            ("blockquote", "expandable_blockquote"),
            ("pre",),
            ("code",),
            ("text_link", "text_mention"),
            ("bold",),
            ("italic",),
            ("underline",),
            ("strikethrough",),
            ("spoiler",),
        )
    )
    for kind in kinds
}


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def byte(source: str, at: int) -> int:
    return len(source[:at].encode("utf-8", "surrogatepass"))


def in_order(entities: list[Entity]) -> list[Entity]:
    """The outer one of two that begin together comes first (tdlib, MessageEntity.cpp: get_type_priority)."""
    return sorted(entities, key=lambda each: (each["offset"], -each["length"], _RANKS.get(each["type"], len(_RANKS))))
