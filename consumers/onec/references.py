"""Finds an object by one of its attributes, so that a process may name a person or a firm as people do."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from consumers.onec.attributes import slot_of
from consumers.onec.client import OneCClient, rows_of
from consumers.onec.literals import as_guid, object_ref, string
from consumers.onec.metadata import Metadata
from core import values
from core.errors import ConfigurationError, PermanentError
from core.texts import Text

# Characters, and bytes as they stand in the address: with more the query would be longer than web servers take.
_LONGEST, _LONGEST_QUOTED = 150, 1000


class References:
    def __init__(self, client: OneCClient) -> None:
        self._client = client

    def find(self, name: str, value: Any, entity: str, attribute: str, metadata: Metadata) -> str:
        """Return the guid of the one object of `entity` whose `attribute` is `value`; a reference is taken as it is.

        Raises PermanentError when there is none or there are several, ConfigurationError for an unknown attribute.
        """
        text = values.text(value)
        if (ref := object_ref(text)) is not None and ref.entity == entity:
            return ref.key
        if (guid := as_guid(text)) is not None:
            return guid
        if len(text) > _LONGEST or len(quote(text)) > _LONGEST_QUOTED:
            wanted = Text(
                f"a text of at most {_LONGEST} characters to look for ({_LONGEST_QUOTED} in an address)",
                f"текст для поиска не длиннее {_LONGEST} знаков (в адресе – {_LONGEST_QUOTED})",
            )
            raise values.BadValueError(name, value, wanted)
        slot = slot_of(metadata.entity(entity), attribute)
        if slot is None or slot.property.type != "Edm.String" or slot.composite or slot.kind_of:
            close = metadata.entity(entity).near(attribute)
            unknown = Text(
                f"1C: {entity} has no text {attribute!r} to look for {name} in (lookup in ONEC_MAPPING_FILE); "
                f"{close.en}",
                f"1С: у {entity} нет текстового реквизита {attribute!r}, чтобы искать по нему {name} (lookup в "
                f"ONEC_MAPPING_FILE); {close.ru}",
            )
            raise ConfigurationError(unknown, code="attribute_unknown")
        condition = f"{attribute} eq {string(text)} and DeletionMark eq false"
        page = self._client.query(entity, filter=condition, select="Ref_Key", top=2, allowed_only=1)
        found = [key for row in rows_of(page) if (key := as_guid(row.get("Ref_Key"))) is not None]
        if len(found) == 1:
            return found[0]
        shown = values.shown(value)
        if found:
            problem = Text("is there more than once", "найдено не один раз")
        else:
            problem = Text("is not found", "не найдено")
        reason = Text(
            f"{name}: {shown} {problem.en} in {entity} by {attribute}; give its guid",
            f"{name}: {shown} {problem.ru} в {entity} по {attribute}; укажите guid",
        )
        raise PermanentError(reason, code="reference")
