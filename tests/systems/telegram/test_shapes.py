"""Whatever stands in an answer of Telegram is an outcome of that message, and of no other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumers.telegram.client import TelegramClient
from consumers.telegram.errors import outcome_of
from consumers.telegram.limiter import FLOOD
from core.errors import AmbiguousError, OutageError, OutcomeError
from core.results import Done
from sandbox.http_front import RawAnswer
from sandbox.telegram import GROUP, PERSON, SUPERGROUP, TelegramSandbox, faults
from tests.systems.telegram.support import client_for, handler_for, message, outcome

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_NAMES = st.sampled_from(
    (
        *("ok", "result", "error_code", "description", "parameters", "retry_after", "migrate_to_chat_id"),
        *("message_id", "chat", "id", "text", "entities", "type", "offset", "length"),
    )
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 600)
    | st.integers()
    | st.just(10**400)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["жирно", "can't parse entities", "chat not found", "\ud800", "bold", "text_link"])
)
anything = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=4), inner, max_size=5),
    max_leaves=12,
)
entities = anything | st.lists(
    anything | st.fixed_dictionaries({"type": anything, "offset": anything, "length": anything}), max_size=4
)
messages = anything | st.fixed_dictionaries(
    {}, optional={"message_id": anything, "chat": anything, "text": anything | st.just("жирно"), "entities": entities}
)
parameters = anything | st.fixed_dictionaries({}, optional={"retry_after": anything, "migrate_to_chat_id": anything})
documents = (
    anything
    | st.fixed_dictionaries({"ok": st.just(value=True), "result": messages})
    | st.fixed_dictionaries(
        {
            "ok": st.just(value=False),
            "error_code": st.sampled_from([400, 401, 403, 404, 409, 429, 500, 503]) | anything,
        },
        optional={"description": anything, "parameters": parameters},
    )
)
answers = st.tuples(st.sampled_from([200, 200, 400, 403, 429, 500, 503]), documents)


def spoil(server: TelegramSandbox, drawn: Sequence[tuple[int, Any]], method: str) -> None:
    for status, document in reversed(drawn):
        server.inject(faults.answer(RawAnswer(status, json.dumps(document).encode())), method)


@SLOW
@given(st.lists(answers, min_size=1, max_size=4))
@example([(200, {"ok": False, "error_code": 429, "parameters": {"retry_after": 10**400}})])
@example([(200, {"ok": True, "result": {"text": "жирно", "entities": [{"type": [], "offset": 0, "length": 5}]}})])
def test_any_answer_to_a_message_is_an_outcome_and_the_next_message_arrives(drawn: list[tuple[int, Any]]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        TelegramSandbox() as server,
        handler_for(server, Path(folder)) as handler,
    ):
        spoil(server, drawn, "sendMessage")
        spoilt = message(text_html="<b>жирно</b>", chat_id=[PERSON, GROUP], key="task-1")
        for result in (outcome(handler, spoilt), outcome(handler, spoilt)):
            assert isinstance(result, Done | OutcomeError)
            json.dumps(result.response if isinstance(result, Done) else result.reason, allow_nan=False)
        server.clear_faults()
        after = outcome(handler, message(text="x", chat_id=SUPERGROUP))
        two_chats_had_enough = isinstance(after, OutageError) and after.code == FLOOD
        assert isinstance(after, Done) or two_chats_had_enough


@SLOW
@given(answers)
def test_any_answer_to_the_probe_is_an_outcome(drawn: tuple[int, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, TelegramSandbox() as server:
        spoil(server, [drawn], "getMe")
        client = client_for(server, Path(folder))
        asked_of(client)
        assert client.get_me()["username"] == "task_creator_bot"


def asked_of(client: TelegramClient) -> None:
    try:
        assert isinstance(client.get_me(), dict)
    except OutcomeError as error:
        assert not isinstance(error, AmbiguousError)  # noqa: PT017  # most answers are no error at all


@given(st.integers(100, 599), st.none() | st.dictionaries(_NAMES, anything), st.booleans())
def test_any_refusal_has_an_outcome_with_a_finite_wait(status: int, body: dict[str, Any] | None, write: bool) -> None:
    error = outcome_of(status, body, what="sendMessage", write=write)
    assert isinstance(error, OutcomeError)
    assert 0 <= (getattr(error, "retry_after", None) or 0) <= 24 * 3600
