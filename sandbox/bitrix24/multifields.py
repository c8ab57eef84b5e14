"""Phones, mail addresses and the like of leads, contacts and companies (`fm`): what each form of a write does.

Source: tutorial how-to-change-email-or-phone, page crm-item-update. A list adds; of an object the key decides: the id
of an entry changes it, an empty value deletes it, anything else adds. Nothing that is not named is touched, and what
has no type is passed over without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bitrix24 import php

Entry = dict[str, Any]


def changed(present: list[Entry], written: Any, next_id: Callable[[], int]) -> list[Entry]:
    entries = {entry["id"]: dict(entry) for entry in present}
    for key, each in php.items(written):
        given = php.mapping(each)
        if given.get("typeId") is None or given.get("value") is None:
            continue
        known = int(key) if isinstance(written, Mapping) and key.isdecimal() and int(key) in entries else None
        if given["value"] == "":
            if known is not None:
                del entries[known]
            continue
        if known is None:
            entry_id = next_id()
            entries[entry_id] = {"id": entry_id, "valueType": "", "value": "", "typeId": str(given["typeId"])}
            known = entry_id
        entries[known]["value"] = str(given["value"])
        if given.get("valueType") is not None:
            entries[known]["valueType"] = str(given["valueType"])
    return list(entries.values())


def has(entries: list[Entry], type_id: str) -> bool:
    return any(entry["typeId"] == type_id for entry in entries)
