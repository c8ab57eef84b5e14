"""The fields of leads (1), deals (2), contacts (3) and companies (4), and which values each type takes and shows.

Source: pages crm-item-add (fields of each kind), crm-item-fields, crm/_include/user-fields-for-examples-cut (user
fields), crm-item-list (booleans are `Y` and `N`). Read in the published module (yuliai/bitrix-modules 026c2eea,
crm/lib/controller/item.php): of booleans only `Y`, `y` and `true` are true, so `1` is stored as no; a date that PHP
cannot read is not set, without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.clock import iso, parse_moment
from sandbox.bitrix24.errors import RestError

ENTITY_NAMES: Mapping[int, str] = {1: "lead", 2: "deal", 3: "contact", 4: "company"}
HAS_MULTIFIELDS = frozenset({1, 3, 4})

_DEFAULT_CURRENCY = "RUB"
_NUMBERS = frozenset({"integer", "user", "employee", "crm_company", "crm_contact", "crm_lead", "iblock_element"})


class _Unset:
    """What the portal does not store although it says nothing."""


UNSET = _Unset()


@dataclass(frozen=True, slots=True)
class CrmField:
    """`name` is that of requests and answers (`title`). `options` maps the ids of an enumeration to their texts."""

    name: str
    type: str
    multiple: bool = False
    read_only: bool = False
    options: Mapping[int, str] | None = None

    @property
    def is_user_field(self) -> bool:
        return self.name.startswith("UF_")

    @property
    def upper_name(self) -> str:
        return self.name if self.is_user_field else re.sub(r"([A-Z])", r"_\1", self.name).upper()

    def shown_name(self, *, original: bool) -> str:
        """`UF_CRM_2_1639` is `ufCrm2_1639`, `UF_CRM_1721` is `ufCrm_1721` (crm/lib/service/converter.php)."""
        return self.name if original or not self.is_user_field else camel_user_field(self.name)

    def stored(self, value: Any, zone: tzinfo) -> Any:
        """What the portal keeps, UNSET for nothing. Raises RestError."""
        if self.multiple:
            if not isinstance(value, (list, Mapping)) and not php.is_empty(value):
                given = type(value).__name__
                raise RestError("100", f"Expected iterable value for multiple field, but got {given} instead")
            each = [self._stored_one(one, zone) for one in php.values(value or []) if not php.is_empty(one)]
            return [one for one in each if one is not UNSET]
        if self.type == "file":
            return self._file(value)
        if isinstance(value, (list, dict)) and value:
            raise self._refusal()
        return self._stored_one(value, zone)

    def _stored_one(self, value: Any, zone: tzinfo) -> Any:
        if self.type == "boolean":
            return value is True or value in ("true", "y", "Y")
        if php.is_empty(value):
            return None
        converters: Mapping[str, Callable[[], Any]] = {
            "double": lambda: self._number(value),
            "date": lambda: self._moment(value, zone),
            "datetime": lambda: self._moment(value, zone),
            "enumeration": lambda: self._choice(value),
            "money": lambda: str(value) if "|" in str(value) else f"{value}|{_DEFAULT_CURRENCY}",
            "file": lambda: self._file(value),
            **dict.fromkeys(_NUMBERS, lambda: php.integer(value)),
        }
        return converters.get(self.type, lambda: "1" if value is True else str(value))()

    def _choice(self, value: Any) -> int:
        if php.integer(value) not in (self.options or {}):
            raise self._refusal()
        return php.integer(value)

    def _moment(self, value: Any, zone: tzinfo) -> Any:
        moment = parse_moment(str(value), zone)
        if moment is None:
            return UNSET
        return iso(moment, zone)[:10] if self.type == "date" else moment

    def _file(self, value: Any) -> Any:
        if php.is_empty(value):
            return None
        parts = php.values(value)
        if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            return UNSET  # `{"fileData": …}` succeeds, and the field stays empty (how-to-make-contact-edit-card)
        return {"name": parts[0], "content": parts[1]}

    def _number(self, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise self._refusal() from error

    def _refusal(self) -> RestError:
        return RestError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f"Неверное значение поля «{self.name}»")

    def shown(self, stored: Any, zone: tzinfo) -> Any:
        if isinstance(stored, list):
            return [self._shown_one(each, zone) for each in stored]
        if stored is None:
            return [] if self.multiple else None
        return self._shown_one(stored, zone)

    def _shown_one(self, stored: Any, zone: tzinfo) -> Any:
        match self.type:
            case "boolean":
                return "Y" if stored else "N"
            case "date":
                # A day is midnight in UTC: `2024-06-18T02:00:00+02:00` on the page crm-item-add.
                return datetime.fromisoformat(f"{stored}T00:00:00+00:00").astimezone(zone).isoformat()
            case "datetime":
                return iso(stored, zone)
            case "file":
                return {"id": 1, "url": f"/files/{stored['name']}", "urlMachine": f"/files/{stored['name']}"}
        return stored

    def described(self) -> dict[str, Any]:
        """As crm.item.fields tells it (crm_rest_field_description)."""
        shown: dict[str, Any] = {
            "type": self.type,
            "isRequired": False,
            "isReadOnly": self.read_only,
            "isImmutable": False,
            "isMultiple": self.multiple,
            "isDynamic": self.is_user_field,
            "title": self.name,
            "upperName": self.upper_name,
        }
        if self.options is not None:
            shown["items"] = [{"ID": str(option), "VALUE": text} for option, text in self.options.items()]
        return shown


def camel_user_field(name: str) -> str:
    if not re.fullmatch(r"[A-Z_]+|UF_CRM_\d{1,4}_[\d_]+|UF_CRM_\d{1,4}_[A-Z_]+", name):
        return "ufCrm_" + name.removeprefix("UF_CRM_")
    kept = re.sub(r"(?<=\d)_(?=\d)", "~", name)
    head, *rest = kept.lower().split("_")
    return (head + "".join(part.capitalize() for part in rest)).replace("~", "_")


_SHARED = {
    "id": "integer!",
    "createdTime": "datetime!",
    "updatedTime": "datetime!",
    "createdBy": "user!",
    "updatedBy": "user!",
    "assignedById": "user",
    "opened": "boolean",
    "comments": "text",
    "originatorId": "string",
    "originId": "string",
    "observers": "user[]",
    "utmSource": "string",
    "utmMedium": "string",
    "utmCampaign": "string",
    "utmContent": "string",
    "utmTerm": "string",
}
_SOURCE = {"sourceId": "crm_status", "sourceDescription": "text"}
_SALE = {
    "title": "string",
    "stageId": "crm_status",
    "opportunity": "double",
    "currencyId": "crm_currency",
    "isManualOpportunity": "boolean",
    "companyId": "crm_company",
    "contactId": "crm_contact",
    "contactIds": "crm_contact[]",
}
_PERSON = {
    "honorific": "crm_status",
    "name": "string",
    "secondName": "string",
    "lastName": "string",
    "birthdate": "date",
    "post": "string",
}
_HAS = {"hasPhone": "boolean!", "hasEmail": "boolean!"}
_WRITTEN: Mapping[int, Mapping[str, str]] = {
    1: {**_SHARED, **_SOURCE, **_SALE, **_PERSON, **_HAS, "companyTitle": "string", "statusDescription": "text"},
    2: {
        **_SHARED,
        **_SOURCE,
        **_SALE,
        "typeId": "crm_status",
        "categoryId": "integer",
        "isRecurring": "boolean",
        "probability": "integer",
        "taxValue": "double",
        "begindate": "date",
        "closedate": "date",
        "leadId": "crm_lead",
        "additionalInfo": "string",
    },
    3: {
        **_SHARED,
        **_SOURCE,
        **_PERSON,
        **_HAS,
        "typeId": "crm_status",
        "export": "boolean",
        "companyId": "crm_company",
        "companyIds": "crm_company[]",
        "leadId": "crm_lead",
        "originVersion": "string",
    },
    4: {
        **_SHARED,
        **_HAS,
        "title": "string",
        "typeId": "crm_status",
        "bankingDetails": "string",
        "industry": "crm_status",
        "employees": "crm_status",
        "currencyId": "crm_currency",
        "revenue": "double",
        "isMyCompany": "boolean",
        "contactIds": "crm_contact[]",
        "leadId": "crm_lead",
        "originVersion": "string",
    },
}


def _field(name: str, written: str) -> CrmField:
    return CrmField(name, written.rstrip("[]!"), multiple=written.endswith("[]"), read_only=written.endswith("!"))


SYSTEM_FIELDS: Mapping[int, Mapping[str, CrmField]] = {
    entity: {name: _field(name, written) for name, written in fields.items()} for entity, fields in _WRITTEN.items()
}
