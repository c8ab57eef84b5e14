"""Whatever a process sends in whatever type: in the message as it was meant, refused by name, or told in the result."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumers.telegram.errors import UNREACHABLE
from core import values
from core.errors import OutcomeError
from core.messages import IncomingMessage
from core.results import Done
from sandbox.telegram import PERSON, SUPERGROUP, TelegramSandbox
from sandbox.telegram.state import Message
from tests.support.engine_values import Variable, variables
from tests.systems.telegram.support import handler_for, message, outcome

SLOW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Meaning = Callable[[Any, list[Message]], bool]


def letters(text: str) -> str:
    return re.sub(r"[\s\x00-\x20]", "", text)


def is_shown(given: Any, sent: list[Message]) -> bool:
    return letters(values.text(given)) in letters("".join(each.text for each in sent))


def is_flag(name: str) -> Meaning:
    return lambda given, sent: (values.text(given).lower() in values.TRUE_WORDS) == (sent[0].sent.get(name) is True)


def is_preview(given: Any, sent: list[Message]) -> bool:
    is_off = bool(sent[0].sent.get("link_preview_options") == {"is_disabled": True})
    return (values.text(given).lower() in values.FALSE_WORDS) == is_off


def is_thread(given: Any, sent: list[Message]) -> bool:
    return bool(float(given) == sent[0].sent["message_thread_id"])


def are_chats(given: Any, sent: list[Message]) -> bool:
    return {int(float(each)) for each in values.items(given)} == {each.sent["chat_id"] for each in sent}


MEANINGS: Mapping[str, Meaning] = {
    **dict.fromkeys(("text", "message", "body", "title", "subject", "x", "y"), is_shown),
    **dict.fromkeys(("chat_id", "chat_ids"), are_chats),
    "message_thread_id": is_thread,
    "disable_notification": is_flag("disable_notification"),
    "protect_content": is_flag("protect_content"),
    "link_preview": is_preview,
}
ONE_CHAT = st.sampled_from([Variable(SUPERGROUP, SUPERGROUP), Variable({"value": 7.0, "type": "Double"}, 7.0)])
SENT = st.dictionaries(st.sampled_from(sorted(MEANINGS)), variables | ONE_CHAT, max_size=5)
TEMPLATES = st.none() | st.sampled_from(["<b>{x}</b> {{{y}}}", "<a href='https://example.ru/?{x}'>{x}</a>{y}"])


@SLOW
@given(SENT, TEMPLATES, st.sampled_from(["variables", "extensions"]), st.sampled_from(["split", "truncate"]))
@example({"text": Variable("a", "a"), "chat_id": Variable("-1002003004005.0", SUPERGROUP)}, None, "extensions", "split")
def test_any_variables_are_sent_as_meant_refused_by_name_or_told(
    sent: dict[str, Variable], template: str | None, source: str, overflow: str
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        TelegramSandbox() as server,
        handler_for(server, Path(folder), overflow=overflow) as handler,
    ):
        given = {name: each.sent for name, each in sent.items()}
        if template is not None:
            given["text_html"] = template
        result = outcome(handler, built(given, source))
        if isinstance(result, OutcomeError):
            of_telegram = result.code == UNREACHABLE or "thread not found" in result.reason
            assert (
                of_telegram or result.code == "no_text" or any(name in result.reason for name in [*sent, "{x}", "{y}"])
            )
            assert not server.messages or of_telegram
            return
        assert isinstance(result, Done)
        warnings = result.response.get("warnings", [])
        placed = {"x", "y"} if template is not None else set()
        for name, each in sent.items():
            is_meant = name not in {"x", "y"} or name in placed
            if is_meant and not values.is_blank(each.value):
                told = any(name in warning or "another text" in warning for warning in warnings)
                assert told or MEANINGS[name](each.value, server.messages), (name, each, server.messages, warnings)


def built(given: dict[str, Any], source: str) -> IncomingMessage:
    if source == "extensions":
        return message(extensions=given)
    return message(extensions=None, **given)


def test_blank_values_count_as_not_given() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        TelegramSandbox() as server,
        handler_for(server, Path(folder)) as handler,
    ):
        blank: dict[str, Any] = {
            "chat_id": "",
            "title": None,
            "message_thread_id": " ",
            "protect_content": "",
            "link_preview": None,
        }
        assert isinstance(outcome(handler, message(text="x", **blank)), Done)
        [shown] = server.messages
        assert shown.sent == {"chat_id": PERSON, "text": "x"}
