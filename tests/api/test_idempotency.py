"""The same key gets the same answer, and nothing is done a second time."""

from __future__ import annotations

import pytest
from fastapi import Response

from api import idempotency
from api.idempotency import Answers
from api.problems import Problem


def test_the_first_answer_is_given_again() -> None:
    answers = Answers()
    assert answers.begin("k", b"body") is None
    answers.end("k", Response(b"done", 202, {"Location": "/x"}))
    again = answers.begin("k", b"body")
    assert again is not None
    assert (again.status_code, again.body, again.headers["Location"]) == (202, b"done", "/x")


def test_another_body_is_refused_and_a_running_request_is_waited_for() -> None:
    answers = Answers()
    answers.begin("k", b"body")
    with pytest.raises(Problem) as running:
        answers.begin("k", b"body")
    with pytest.raises(Problem) as other:
        answers.begin("k", b"other")
    assert (running.value.status, other.value.status) == (409, 422)


@pytest.mark.parametrize("response", [None, Response(b"", 409), Response(b"", 503)])
def test_what_was_not_done_may_be_tried_again(response: Response | None) -> None:
    answers = Answers()
    answers.begin("k", b"body")
    answers.end("k", response)
    assert answers.begin("k", b"another") is None


def test_memory_has_a_bound_and_what_runs_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST", 10)
    monkeypatch.setattr(idempotency, "MOST_BYTES", 50)
    answers = Answers()
    for number in range(100):
        answers.begin(f"{number}", b"")
        answers.end(f"{number}", Response(b"ten bytes.", 202))
    assert answers.begin("0", b"") is None
    assert answers.begin("99", b"") is not None
