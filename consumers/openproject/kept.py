"""Compares what was written with what OpenProject has made of it: it drops and changes some things silently.

Dates on days off move to the next working day (app/services/work_packages/set_attributes_service.rb), an address gets a
scheme (app/models/custom_value/link_strategy.rb), a field that is not switched on is dropped, a subject may be made by
the type. The answer to a write shows the work package as it is then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from consumers.openproject.reading import href_of
from core import values
from core.texts import Text
from toolkit.json_client import Json

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def differences(sent: Json, answer: Json, *, besides: str | None = None) -> list[Text]:
    """Return one sentence for each property that is not as it was sent.

    `besides` is looked at by somebody else.
    """
    told = [
        _other(name, Text.of(values.shown(kept)), Text.of(values.shown(wanted)))
        for name, wanted, kept in _pairs(sent, answer)
        if name != besides and _comparable(name, wanted) != _comparable(name, kept)
    ]
    links = answer.get("_links")
    for name, wanted in _wanted_links(sent):
        if not _is_hidden(links, name) and (has := _targets(links, name)) != wanted:
            told.append(_other(name, _listed(has), _listed(wanted)))
    return told


def _other(name: str, has: Text, wanted: Text) -> Text:
    return Text(
        f"{name}: OpenProject has {has.en}, not {wanted.en}", f"{name}: в OpenProject {has.ru}, а не {wanted.ru}"
    )


def _wanted_links(sent: Json) -> Iterator[tuple[str, set[str]]]:
    links = sent.get("_links")
    if isinstance(links, Mapping):
        yield from ((name, _targets(links, name)) for name in links)


def _pairs(sent: Json, answer: Json) -> Iterator[tuple[str, Any, Any]]:
    for name, wanted in sent.items():
        if name not in {"_links", "lockVersion"}:
            yield name, _raw(wanted), _raw(answer.get(name))


def _raw(value: Any) -> Any:
    return value.get("raw") if isinstance(value, Mapping) and "raw" in value else value


def _comparable(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if name == "estimatedTime" and (match := _DURATION.fullmatch(value)):
            days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        return value.replace("\r\n", "\n").strip()
    return value


def _targets(links: Any, name: str) -> set[str]:
    target = links.get(name) if isinstance(links, Mapping) else None
    each = target if isinstance(target, list) else [target]
    return {href for one in each if (href := href_of({"one": one}, "one")) is not None}


def _listed(hrefs: set[str]) -> Text:
    return Text.of(", ".join(sorted(hrefs))) if hrefs else Text("nothing", "пусто")


def _is_hidden(links: Any, name: str) -> bool:
    """Return whether it leads to what the token's user may not see: `urn:openproject-org:api:v3:undisclosed`."""
    target = links.get(name) if isinstance(links, Mapping) else None
    return isinstance(target, Mapping) and str(target.get("href")).startswith("urn:")
