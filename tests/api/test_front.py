"""Who is let in, what is refused, and how that is told."""

from __future__ import annotations

import pytest

from api.front import MOST_SENT
from api.problems import MEDIA_TYPE, language_of
from operation.desk import Desk
from tests.api.support import VIEWER, Client, serving

STATUS = "/api/v1/status"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic b3BzOm9wcw==", "Bearer wrong", "Bearer тoken", "Bearer \x80\xff"]
)
def test_without_a_token_that_somebody_holds_nothing_is_told(client: Client, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("utf-8")}
    stranger = Client(client.base, None)
    for path in (STATUS, "/api/v1/messages", "/api/v1/nothing"):
        answer = stranger.ask("GET", path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Content-Type"] == MEDIA_TYPE
        assert answer.json()["code"] in ("no-token", "wrong-token")


def test_whoever_watches_needs_no_token(client: Client) -> None:
    stranger = Client(client.base, None)
    assert stranger.get("/livez") == {"alive": True}
    assert stranger.get("/openapi.json")["openapi"].startswith("3.")
    assert stranger.ask("GET", "/readyz").status_code == 503


def test_a_viewer_looks_and_changes_nothing(client: Client) -> None:
    viewer = Client(client.base, VIEWER)
    viewer.get(STATUS)
    changes: tuple[tuple[str, str, dict[str, object] | None], ...] = (
        ("PUT", "/api/v1/systems/bitrix24/pause", {}),
        ("DELETE", "/api/v1/systems/bitrix24/pause", None),
        ("POST", "/api/v1/messages/x/retry", {}),
        ("POST", "/api/v1/retries", {"filter": {}}),
        ("POST", "/api/v1/archives", {"filter": {}}),
        ("POST", "/api/v1/archives/restore", {"filter": {}}),
        ("DELETE", "/api/v1/retries/x", None),
        ("DELETE", "/api/v1/archives/x", None),
    )
    for method, path, body in changes:
        answer = viewer.ask(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "operators-only"), path


def test_every_problem_is_told_in_the_same_way_and_in_the_language_of_whoever_asks(client: Client) -> None:
    asked = {
        ("GET", "/nothing"): 404,
        ("POST", "/livez"): 405,
        ("GET", "/api/v1/messages?limit=201"): 422,
        ("GET", "/api/v1/messages?unknown=1"): 422,
        ("GET", "/api/v1/retries/none"): 404,
        ("GET", "/api/v1/messages"): 503,  # nobody has begun a journal
        ("POST", "/api/v1/retries"): 422,
        ("PUT", "/api/v1/systems/bitrix24/pause"): 422,
    }
    for (method, path), status in asked.items():
        english, russian = (
            client.ask(method, path, headers={"Accept-Language": each}) for each in ("en", "ru, en;q=0.5")
        )
        for answer in (english, russian):
            told = answer.json()
            assert answer.status_code == told["status"] == status, answer.text
            assert answer.headers["Content-Type"] == MEDIA_TYPE
            assert told["type"] == f"/problems/{told['code']}"
            assert told["instance"] == path.partition("?")[0]
            assert told["request_id"] == answer.headers["X-Request-ID"]
        assert english.json()["detail"].isascii()
        assert not russian.json()["detail"].isascii()


def test_what_does_not_fit_is_named(client: Client) -> None:
    answer = client.ask("GET", "/api/v1/messages?limit=0&since=yesterday&state=lost&nothing=1")
    assert {each["pointer"] for each in answer.json()["errors"]} <= {
        *("query/limit", "query/since", "query/state/0", "query/nothing"),
    }
    assert answer.json()["errors"]


def test_a_method_that_is_not_there_names_those_that_are(client: Client) -> None:
    allowed = client.ask("GET", "/api/v1/systems/bitrix24/pause").headers["Allow"]
    assert allowed == "DELETE, PUT"


def test_a_request_keeps_its_id(client: Client) -> None:
    answer = client.ask("GET", "/livez", headers={"X-Request-ID": "my-own.1"})
    assert answer.headers["X-Request-ID"] == "my-own.1"
    other = client.ask("GET", "/livez", headers={"X-Request-ID": "not mine\t"})
    assert other.headers["X-Request-ID"] not in ("", "not mine")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(client: Client, is_chunked: bool) -> None:
    body = b" " * (MOST_SENT + 1)
    answer = client.ask("POST", "/api/v1/retries", data=iter([body]) if is_chunked else body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_changes_have_a_limit_a_minute_and_looks_have_none(desk: Desk) -> None:
    with serving(desk, unsafe_per_minute=3) as client:
        for _ in range(3):
            assert client.ask("DELETE", "/api/v1/retries/none").status_code == 404
        answer = client.ask("DELETE", "/api/v1/retries/none")
        assert (answer.status_code, answer.json()["code"]) == (429, "too-many-requests")
        assert 0 < int(answer.headers["Retry-After"]) <= 61
        assert client.ask("GET", "/api/v1/retries/none").status_code == 404


def test_nobody_to_be_asked_is_told_as_such(client: Client) -> None:
    answer = client.ask("PUT", "/api/v1/systems/bitrix24/pause", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "no-worker")
    assert answer.headers["Retry-After"]
    answer = client.ask("POST", "/api/v1/retries", json={"filter": {}})
    assert (answer.status_code, answer.json()["code"]) == (503, "rabbitmq-unusable")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-US,ru;q=0.9", "en"),
        ("de, ru;q=0.1", "ru"),
        ("en;q=0.2, ru;q=0.3", "ru"),
        ("ru;q=0", "en"),
        ("ru;q=x", "en"),
        ("*", "en"),
    ],
)
def test_the_language_that_is_liked_best(accepted: str, language: str) -> None:
    assert language_of(accepted) == language
