"""What a message or a file may give stands in the systems' documents, in both languages: every name that is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import get_args

import pytest
from pydantic import BaseModel

from consumers.bitrix.crm_fields import CRM_NAMES
from consumers.bitrix.fields import TASK_NAMES
from consumers.email.compose import PARTS
from consumers.onec.mapping import FieldSpec, Finish, ODataTopic, ServiceTopic
from consumers.openproject import names as openproject
from consumers.python_services.registry import HttpSpec, PythonSpec
from consumers.telegram import names as telegram
from tests.support import documents

OPENPROJECT = {
    name
    for group, called in vars(openproject).items()
    if group.isupper() and not group.startswith("_") and isinstance(called, tuple) and group != "SUPPORTED_TOPICS"
    for name in called
}
TELEGRAM = {
    *(*telegram.TEXTS, "text_html", *telegram.TITLES, *telegram.CHATS),
    *(telegram.THREAD, telegram.PREVIEW, *telegram.FLAGS),
}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The keys of a file: a part of its own, like `auth`, by its keys."""
    for name, field in model.model_fields.items():
        parts = [each for each in (field.annotation, *get_args(field.annotation)) if isinstance(each, type)]
        part = next((each for each in parts if issubclass(each, BaseModel)), None)
        if part is None or part in {FieldSpec, Finish}:
            yield f"{prefix}{field.alias or name}"
        else:
            yield from keys(part, f"{prefix}{name}.")


NAMES: Mapping[str, set[str]] = {
    "consumers/bitrix/README": {*TASK_NAMES, *CRM_NAMES},
    "consumers/openproject/README": OPENPROJECT,
    "consumers/telegram/README": TELEGRAM,
    "consumers/email/README": set(PARTS),
    "consumers/onec/README": {*keys(ODataTopic), *keys(ServiceTopic), *keys(FieldSpec), *keys(Finish)},
    "docs/python-services": {*keys(HttpSpec), *keys(PythonSpec)},
}


@pytest.mark.parametrize("language", ["", ".ru"])
@pytest.mark.parametrize("document", NAMES)
def test_every_name_that_is_read_is_documented(document: str, language: str) -> None:
    shown = {
        word
        for span in documents.code_spans(documents.read(f"{document}{language}.md"))
        for word in re.split(r"[\s,:=]+", span)
    }
    assert sorted(NAMES[document] - shown) == []


def test_the_names_are_those_that_the_code_reads() -> None:
    # A list that had lost its names would ask for nothing.
    assert {"bitrix_task_id"}.isdisjoint(NAMES["consumers/bitrix/README"])
    assert {"title", "PHONE".lower(), "accomplices", "opportunity"} <= NAMES["consumers/bitrix/README"]
    assert {"work_package_id", "estimatedHours"} <= NAMES["consumers/openproject/README"]
    assert {"auth.type", "poll.deadline", "callable", "timeout"} <= NAMES["docs/python-services"]
    assert {"from", "lookup", "finish", "when"} <= NAMES["consumers/onec/README"]
