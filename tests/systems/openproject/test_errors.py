"""What each signal of OpenProject means for the message: the table of errors, on real sockets."""

from __future__ import annotations

import pytest

from consumers.openproject.errors import (
    InvalidQueryError,
    MissingRightError,
    NotFoundError,
    UpdateConflictError,
    outcome_of,
)
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from sandbox.http_front import RawAnswer
from sandbox.openproject import OpenProjectSandbox, faults
from tests.systems.openproject.support import client_for
from toolkit.http import unguarded

# status, identifier, outcome of a read, outcome of a write
SIGNALS: tuple[tuple[int, str, type[OutcomeError], type[OutcomeError]], ...] = (
    (400, "InvalidQuery", InvalidQueryError, InvalidQueryError),
    (400, "InvalidSignal", PermanentError, PermanentError),
    (400, "InvalidRequestBody", PermanentError, PermanentError),
    (401, "Unauthenticated", ConfigurationError, ConfigurationError),
    (403, "MissingPermission", MissingRightError, MissingRightError),
    (404, "NotFound", NotFoundError, NotFoundError),
    (409, "UpdateConflict", UpdateConflictError, UpdateConflictError),
    (415, "TypeNotSupported", ConfigurationError, ConfigurationError),
    (422, "PropertyConstraintViolation", PermanentError, PermanentError),
    (422, "PropertyIsReadOnly", PermanentError, PermanentError),
    (422, "MultipleErrors", PermanentError, PermanentError),
    (429, "TooManyRequests", OutageError, OutageError),
    (500, "InternalServerError", TransientError, AmbiguousError),
    (503, "ServiceUnavailable", OutageError, OutageError),
)


@pytest.mark.parametrize(("status", "name", "read", "write"), SIGNALS)
def test_a_refusal_in_the_servers_own_form(
    status: int, name: str, read: type[OutcomeError], write: type[OutcomeError]
) -> None:
    with OpenProjectSandbox() as server:
        client = client_for(server)
        server.inject(faults.refusal(status, name, "Так нельзя", retry_after=9), "*", count=None)
        with pytest.raises(read) as of_read:
            client.get("work_packages/1")
        with pytest.raises(write) as of_write:
            client.write("POST", "work_packages", {}, unguarded)
        assert (of_read.type, of_write.type) == (read, write)
        assert "Так нельзя" in str(of_read.value)
        assert (of_read.value.code, of_read.value.retry_after) == (name, 9.0)


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (200, OutageError, AmbiguousError),
        *((status, ConfigurationError, ConfigurationError) for status in (404, 405, 406, 410)),
        (500, OutageError, AmbiguousError),
        (502, OutageError, AmbiguousError),
        (503, OutageError, OutageError),
        (504, OutageError, AmbiguousError),
    ],
)
def test_a_page_of_something_in_between(status: int, read: type[OutcomeError], write: type[OutcomeError]) -> None:
    with OpenProjectSandbox() as server:
        client = client_for(server)
        server.inject(faults.html(status), "*", count=None)
        with pytest.raises(read):
            client.get("statuses")
        with pytest.raises(write):
            client.write("POST", "work_packages", {}, unguarded)


def test_broken_json_and_a_list_are_no_answers() -> None:
    with OpenProjectSandbox() as server:
        client = client_for(server)
        for body in (b'{"_type": "Wor', b"[]", b"\xff"):
            server.inject(faults.answer(RawAnswer(201, body)), "POST *")
            with pytest.raises(AmbiguousError):
                client.write("POST", "work_packages", {}, unguarded)


def test_several_errors_are_told_together_with_their_attributes() -> None:
    details = {"details": {"attribute": "subject"}}
    inner = [
        {"_type": "Error", "errorIdentifier": "x", "message": "пусто", "_embedded": details},
        {
            "_type": "Error",
            "errorIdentifier": "x",
            "message": "раньше начала",
            "_embedded": {"details": {"attribute": "dueDate"}},
        },
    ]
    body = {"_type": "Error", "errorIdentifier": "urn:…:MultipleErrors", "message": "…", "_embedded": {"errors": inner}}
    error = outcome_of(422, body, what="POST work_packages", write=True)
    assert "subject: пусто; dueDate: раньше начала" in error.reason
    assert error.code == "MultipleErrors"


@pytest.mark.parametrize(
    "body", [{}, {"_embedded": 7}, {"message": 7}, {"errorIdentifier": None}, {"_embedded": {"errors": [7]}}]
)
def test_a_refusal_without_a_reason_has_its_status(body: dict[str, object]) -> None:
    error = outcome_of(422, body, what="POST work_packages", write=True)
    assert (type(error), error.code) == (PermanentError, "http_422")


def test_the_token_is_in_no_text() -> None:
    with OpenProjectSandbox() as server:
        client = client_for(server)
        url = server.url
    with pytest.raises(OutageError) as caught:
        client.get("statuses")
    assert server.token not in str(caught.value)
    assert url not in str(caught.value)
