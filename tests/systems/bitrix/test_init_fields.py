"""`init-fields` makes a bare portal usable and says what it cannot do."""

from __future__ import annotations

import pytest

from consumers.bitrix.init_fields import init_fields
from core.errors import ConfigurationError, OutcomeError
from core.results import Accepted
from sandbox.bitrix24 import BARE_USER_FIELDS, BitrixSandbox, UserField
from tests.systems.bitrix.support import client_for, handler_for, message

KEY = "UF_CAMUNDA_ID_EXTERNAL_TASK"


def test_a_bare_portal_becomes_usable_and_a_second_run_changes_nothing() -> None:
    with BitrixSandbox(user_fields=BARE_USER_FIELDS) as portal:
        handler = handler_for(portal)
        with pytest.raises(ConfigurationError):
            handler.handle(message())
        report = init_fields(client_for(portal), KEY)
        assert report.created == [
            KEY,
            "UF_ELEMENT_ID",
            "UF_PROCESS_INSTANCE_ID",
            "UF_RESULT_EXPECTED",
            "UF_RESULT_QUESTION",
        ]
        assert report.present == []  # a list of choices, which REST cannot create
        result = handler.handle(message(key="k", extensions={"UF_RESULT_EXPECTED": "да", "UF_RESULT_QUESTION": "?"}))
        assert isinstance(result, Accepted)
        assert list(portal.tasks_by_key()) == ["k"]

        again = init_fields(client_for(portal), KEY)
        assert (again.created, again.present) == ([], report.created)


def test_a_complete_portal_needs_nothing() -> None:
    with BitrixSandbox() as portal:
        report = init_fields(client_for(portal), "XML_ID")
        assert (report.created, report.wrong_type) == ([], [])
        assert "UF_RESULT_ANSWER" in report.present
        assert KEY not in report.present


def test_a_field_of_another_type_is_told_and_left_alone() -> None:
    with BitrixSandbox(user_fields=[UserField("UF_RESULT_EXPECTED", "string")]) as portal:
        report = init_fields(client_for(portal), KEY)
        assert report.wrong_type == ["UF_RESULT_EXPECTED"]


def test_who_may_not_create_fields_is_told_so() -> None:
    with BitrixSandbox(user_fields=BARE_USER_FIELDS, admin=False) as portal, pytest.raises(OutcomeError):
        init_fields(client_for(portal), KEY)
