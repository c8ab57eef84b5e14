"""CRM topics: one table of topic -> kind of item, one way to add and to update them (crm.item.*), finished at once.

The universal methods replace the deprecated crm.deal.add and its siblings. An item bears `originatorId` "camunda"
and the Camunda task id in `originId`; it is looked up by both before it is added.
Documentation: api-reference/crm/universal/crm-item-add.md, crm-item-update.md, crm-item-list.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumers.bitrix.client import BitrixClient
from consumers.bitrix.errors import UnclearAnswerError
from core import values
from core.errors import AmbiguousError, PermanentError, TransientError
from core.inputs import Inputs, activity_name
from core.messages import CamundaTask, IncomingMessage
from core.results import Done
from runtime.claims import KeyClaims, again, busy

ORIGINATOR = "camunda"

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of CRM item: `id_names` are the variables that may name an existing one."""

    entity_type_id: int
    title_field: str
    id_names: tuple[str, ...]


LEAD = Kind(1, "title", ("lead_id", "leadId"))
DEAL = Kind(2, "title", ("deal_id", "dealId"))
CONTACT = Kind(3, "name", ("contact_id", "contactId"))
COMPANY = Kind(4, "title", ("company_id", "companyId"))

CREATE_TOPICS: Mapping[str, Kind] = {
    "bitrix_create_lead": LEAD,
    "bitrix_create_deal": DEAL,
    "bitrix_create_contact": CONTACT,
    "bitrix_create_company": COMPANY,
}
UPDATE_TOPICS: Mapping[str, Kind] = {
    "bitrix_update_lead": LEAD,
    "bitrix_update_deal": DEAL,
    "bitrix_update_contact": CONTACT,
    "bitrix_update_company": COMPANY,
}


def _text(_: str, value: Any) -> str:
    return values.text(value)


# Item field -> (names in the message, translation). Each field may also be given by its own name.
_FIELDS: Mapping[str, tuple[tuple[str, ...], Callable[[str, Any], Any]]] = {
    "title": (("title",), _text),
    "name": (("name", "first_name"), _text),
    "lastName": (("lastName", "last_name"), _text),
    "secondName": (("secondName", "second_name"), _text),
    "companyTitle": (("companyTitle", "company_title"), _text),
    "post": (("post", "position"), _text),
    "comments": (("comments", "description"), _text),
    "opportunity": (("opportunity", "amount", "sum"), values.number),
    "currencyId": (("currencyId", "currency_id", "currency"), _text),
    "stageId": (("stageId", "stage_id"), _text),
    "categoryId": (("categoryId", "category_id"), values.whole_number),
    "typeId": (("typeId", "type_id"), _text),
    "sourceId": (("sourceId", "source_id"), _text),
    "sourceDescription": (("sourceDescription", "source_description"), _text),
    "assignedById": (("assignedById", "assigned_by_id", "responsible_id"), values.identifier),
    "companyId": (("companyId", "company_id"), values.identifier),
    "contactId": (("contactId", "contact_id"), values.identifier),
}
_MULTIFIELDS = {"PHONE": ("phone",), "EMAIL": ("email",), "WEB": ("web", "site")}


class CrmItems:
    """Adds and updates CRM items. `ambiguous_wait` is in seconds."""

    def __init__(self, client: BitrixClient, claims: KeyClaims, ambiguous_wait: float) -> None:
        self._client = client
        self._claims = claims
        self._ambiguous_wait = ambiguous_wait

    def create(self, message: IncomingMessage, kind: Kind) -> Done:
        """Adds the item, or adopts the one that an earlier attempt added. Raises an outcome."""
        key = message.task.task_id
        if not self._claims.take(key):
            raise busy("task", self._ambiguous_wait)
        try:
            if (found := self._find(kind, key)) is not None:
                return _done(found, duplicate=True)
            if message.redelivered:
                raise again("An earlier worker may be creating this item still", "redelivered", self._ambiguous_wait)
            return self._add(message, kind)
        finally:
            self._claims.release([key])

    def update(self, message: IncomingMessage, kind: Kind) -> Done:
        """Updates the item named by its id, or by the key that it was created with. Raises an outcome."""
        fields = item_fields(message.task, kind, new=False)
        if not fields:
            raise PermanentError("The message names no field of the item to update", code="nothing_to_update")
        params = {
            "entityTypeId": kind.entity_type_id,
            "id": self._target(message.task, kind),
            "fields": fields,
            "useOriginalUfNames": "Y",
        }
        # Repeating an update changes nothing, so a doubtful one is simply done again.
        answer = self._client.call("crm.item.update", params, guard=message.ensure_ours)
        return _done(_item(answer.result) or {"id": params["id"]})

    def _add(self, message: IncomingMessage, kind: Kind) -> Done:
        task = message.task
        fields = {
            **item_fields(task, kind, new=True),
            "originatorId": ORIGINATOR,
            "originId": task.task_id,
        }
        params = {"entityTypeId": kind.entity_type_id, "fields": fields, "useOriginalUfNames": "Y"}
        try:
            answer = self._client.call("crm.item.add", params, write=True, guard=message.ensure_ours)
            item = _item(answer.result)
        except AmbiguousError as error:
            item = self._find(kind, task.task_id)
            if item is None and isinstance(error, UnclearAnswerError):
                raise TransientError(error.reason, code=error.code) from error
            if item is None:
                raise again(error.reason, error.code, self._ambiguous_wait) from error
        return _done(item or {})

    def _target(self, task: CamundaTask, kind: Kind) -> int:
        found = Inputs(task).first(*kind.id_names, "crm_id", "crmId")
        if found and (item_id := values.as_identifier(found[1])) is not None:
            return item_id
        reference = values.text(found[1]) if found else task.task_id
        item = self._find(kind, reference)
        if item is None:
            raise PermanentError(
                f"There is no CRM item to update: give its id in {kind.id_names[0]}, or the id of the Camunda task "
                f"that created it ({reference} did not)",
                code="item_not_found",
            )
        return int(item["id"])

    def _find(self, kind: Kind, key: str) -> Item | None:
        params = {
            "entityTypeId": kind.entity_type_id,
            "select": ["id", "title", "originatorId", "originId"],
            "filter": {"originatorId": ORIGINATOR, "@originId": [key]},
            "order": {"id": "ASC"},
        }
        result = self._client.call("crm.item.list", params).result
        rows = result.get("items") if isinstance(result, Mapping) else None
        for row in rows if isinstance(rows, list) else []:
            if row.get("originId") == key and row.get("originatorId") == ORIGINATOR:
                return dict(row)
        return None


def item_fields(task: CamundaTask, kind: Kind, *, new: bool) -> dict[str, Any]:
    """The `fields` of crm.item.add (`new`) or crm.item.update. Raises PermanentError naming a wrong value."""
    inputs = Inputs(task)
    own_names = set(kind.id_names) if not new else set()
    fields: dict[str, Any] = {}
    for field, (names, translate) in _FIELDS.items():
        found = inputs.first(*(name for name in names if name not in own_names))
        if found is not None:
            fields[field] = translate(*found)
    if new and not fields.get(kind.title_field) and not fields.get("lastName"):
        fields[kind.title_field] = fields.get("title") or activity_name(task) or f"Camunda {task.task_id}"
    multifields = [
        {"typeId": type_id, "valueType": "WORK", "value": values.text(value)}
        for type_id, names in _MULTIFIELDS.items()
        if (found := inputs.first(*names)) is not None
        for value in values.items(found[1])
    ]
    if multifields and new:
        fields["fm"] = multifields
    return fields | inputs.named(lambda name: name.startswith("UF_CRM_"))


def _item(result: Any) -> Item | None:
    item = result.get("item") if isinstance(result, Mapping) else None
    return dict(item) if isinstance(item, Mapping) else None


def _done(item: Item, *, duplicate: bool = False) -> Done:
    item_id = str(item["id"]) if "id" in item else None
    return Done({"result": {"item": dict(item)}, "success": True}, external_id=item_id, duplicate=duplicate)
