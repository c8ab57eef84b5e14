"""The kinds of CRM items and their topics.

Numbers of kinds: api-reference/crm/data-types.md#object_type. Leads, contacts and companies have phones, mail addresses
and sites, deals have none (crm-item-add.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of CRM item: `id_names` are the variables that may name an existing one.

    `genitive` is its name in Russian.
    """

    name: str
    genitive: str
    entity_type_id: int
    title_field: str
    id_names: tuple[str, ...]
    has_contacts: bool = True


LEAD = Kind("lead", "лида", 1, "title", ("lead_id", "leadId"))
DEAL = Kind("deal", "сделки", 2, "title", ("deal_id", "dealId"), has_contacts=False)
CONTACT = Kind("contact", "контакта", 3, "name", ("contact_id", "contactId"))
COMPANY = Kind("company", "компании", 4, "title", ("company_id", "companyId"))

_KINDS = (LEAD, DEAL, CONTACT, COMPANY)
CREATE_TOPICS: Mapping[str, Kind] = {f"bitrix_create_{kind.name}": kind for kind in _KINDS}
UPDATE_TOPICS: Mapping[str, Kind] = {f"bitrix_update_{kind.name}": kind for kind in _KINDS}
