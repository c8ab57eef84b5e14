"""The Bot API of the sandbox refuses what Telegram refuses, in Telegram's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sandbox.telegram import CHANNEL, GROUP, PERSON, SUPERGROUP, FloodLimits, TelegramSandbox

BOLD = '[{"type": "bold", "offset": 0, "length": 5}]'


@pytest.fixture
def server() -> Iterator[TelegramSandbox]:
    with TelegramSandbox() as server:
        yield server


def call(server: TelegramSandbox, method: str, token: str | None = None, **parameters: Any) -> dict[str, Any]:
    answer = requests.post(f"{server.base_url}/bot{token or server.token}/{method}", json=parameters, timeout=10)
    body: dict[str, Any] = answer.json()
    assert answer.status_code == body.get("error_code", 200)
    return body


def test_a_message_is_answered_with_itself(server: TelegramSandbox) -> None:
    body = call(server, "sendMessage", chat_id=PERSON, text="<b>a</b>&lt;", parse_mode="html")
    assert body["ok"] is True
    result = body["result"]
    assert (result["message_id"], result["text"], result["chat"]["id"]) == (1, "a<", PERSON)
    assert result["entities"] == [{"type": "bold", "offset": 0, "length": 1}]
    assert call(server, "SENDMESSAGE", chat_id="@company_news", text="x")["result"]["chat"]["id"] == CHANNEL
    assert call(server, "getMe")["result"]["is_bot"] is True


def test_query_and_form_are_read_like_json(server: TelegramSandbox) -> None:
    url = f"{server.base_url}/bot{server.token}/sendMessage"
    assert requests.get(f"{url}?chat_id={PERSON}&text=a", timeout=10).json()["ok"] is True
    assert requests.post(url, data={"chat_id": PERSON, "text": "b"}, timeout=10).json()["ok"] is True
    assert requests.post(url, data=b"[]", headers={"Content-Type": "application/json"}, timeout=10).status_code == 400
    files = {"chat_id": (None, str(PERSON)), "text": (None, "приём"), "entities": (None, BOLD)}
    marked = requests.post(url, files=files, timeout=10).json()["result"]
    assert marked["entities"] == [{"type": "bold", "offset": 0, "length": 5}]
    assert server.texts(PERSON) == ["a", "b", "приём"]


@pytest.mark.parametrize(
    ("parameters", "description"),
    [
        ({"text": "x"}, "chat_id is empty"),
        ({"chat_id": PERSON}, "message text is empty"),
        ({"chat_id": PERSON, "text": " \n"}, "text must be non-empty"),
        ({"chat_id": PERSON, "text": "\u200b"}, "text must be non-empty"),
        ({"chat_id": PERSON, "text": "<b> </b>", "parse_mode": "HTML"}, "text must be non-empty"),
        ({"chat_id": PERSON, "text": "x" * 4097}, "message is too long"),
        ({"chat_id": PERSON, "text": "я" * 16_385}, "text is too long"),
        ({"chat_id": 5, "text": "a.b", "parse_mode": "MarkdownV2"}, "can't parse entities: Character '.' is reserved"),
        ({"chat_id": PERSON, "text": "x", "parse_mode": "BBCode"}, "unsupported parse_mode"),
        ({"chat_id": 5, "text": "x"}, "chat not found"),
        ({"chat_id": "@sokolova", "text": "x"}, "chat not found"),
        ({"chat_id": "Анна", "text": "x"}, "chat not found"),
        ({"chat_id": SUPERGROUP, "text": "x", "message_thread_id": 8}, "message thread not found"),
        ({"chat_id": PERSON, "text": "x", "reply_parameters": {"message_id": 99}}, "message to be replied not found"),
        ({"chat_id": PERSON, "text": "x", "reply_parameters": "{"}, "can't parse reply parameters JSON object"),
        ({"chat_id": PERSON, "text": "x", "link_preview_options": "[]"}, "object expected as link preview options"),
    ],
)
def test_bad_requests(server: TelegramSandbox, parameters: dict[str, Any], description: str) -> None:
    body = call(server, "sendMessage", **parameters)
    assert body["error_code"] == 400
    assert body["description"].startswith(f"Bad Request: {description}")
    assert server.messages == []


@pytest.mark.parametrize(
    ("source", "description"),
    [
        ("я<h1>x</h1>", 'Unsupported start tag "h1" at byte offset 2'),
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<b><i>x</b>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("1 < 2", 'Unsupported start tag "" at byte offset 2'),
    ],
)
def test_markup_is_read_strictly(server: TelegramSandbox, source: str, description: str) -> None:
    body = call(server, "sendMessage", chat_id=PERSON, text=source, parse_mode="HTML")
    assert body["description"] == f"Bad Request: can't parse entities: {description}"


def test_the_length_counts_after_the_markup_is_read(server: TelegramSandbox) -> None:
    assert call(server, "sendMessage", chat_id=PERSON, text=f"<b>{'&amp;' * 4096}</b>", parse_mode="HTML")["ok"] is True


def test_tokens_and_methods(server: TelegramSandbox) -> None:
    assert call(server, "getMe", token="1:wrong") == {"ok": False, "error_code": 401, "description": "Unauthorized"}
    assert call(server, "getMe", token="nonsense")["error_code"] == 404
    assert call(server, "sendFax")["error_code"] == 404
    server.revoke_token()
    assert call(server, "getMe")["error_code"] == 401


def test_a_group_that_has_moved_tells_where(server: TelegramSandbox) -> None:
    server.migrate(GROUP, -100777)
    body = call(server, "sendMessage", chat_id=GROUP, text="x")
    assert (body["error_code"], body["parameters"]) == (400, {"migrate_to_chat_id": -100777})
    assert call(server, "sendMessage", chat_id=-100777, text="x")["ok"] is True


def test_a_reply_shows_what_it_replies_to(server: TelegramSandbox) -> None:
    call(server, "sendMessage", chat_id=PERSON, text="вопрос")
    for options in ({"reply_parameters": {"message_id": 1}}, {"reply_to_message_id": 1}):
        answer = call(server, "sendMessage", chat_id=PERSON, text="ответ", **options)["result"]
        assert answer["reply_to_message"]["text"] == "вопрос"
    elsewhere = {"message_id": 1, "chat_id": PERSON}
    answer = call(server, "sendMessage", chat_id=GROUP, text="ответ", reply_parameters=elsewhere)["result"]
    assert answer["reply_to_message"]["chat"]["id"] == PERSON
    absent = {"message_id": 99, "allow_sending_without_reply": True}
    answer = call(server, "sendMessage", chat_id=PERSON, text="ответ", reply_parameters=absent)["result"]
    assert "reply_to_message" not in answer
    assert [each.reply_to for each in server.messages] == [None, 1, 1, 1, None]


@pytest.mark.parametrize(
    ("written", "is_yes"),
    [(True, True), ("true", True), ("Yes", True), (1, True), ("1", True), (False, False), ("да", False), ("on", False)],
)
def test_what_is_no_clear_yes_is_no_and_never_a_mistake(server: TelegramSandbox, written: Any, is_yes: bool) -> None:
    """Client.cpp, to_bool."""
    options = dict.fromkeys(("disable_notification", "protect_content"), written)
    result = call(server, "sendMessage", chat_id=PERSON, text="x", **options)["result"]
    assert result.get("has_protected_content", False) is is_yes
    assert (server.messages[0].is_silent, server.messages[0].is_protected) == (is_yes, is_yes)


def test_options_of_the_preview_and_the_topic_are_shown(server: TelegramSandbox) -> None:
    options: dict[str, Any] = {"link_preview_options": {"is_disabled": True}, "message_thread_id": "7"}
    result = call(server, "sendMessage", chat_id=SUPERGROUP, text="x", **options)["result"]
    assert (result["link_preview_options"], result["message_thread_id"]) == ({"is_disabled": True}, 7)


def test_who_writes_too_fast_waits() -> None:
    now = [0.0]
    limits = FloodLimits(per_chat=2, per_bot=3, period=1, penalty=10)
    with TelegramSandbox(limits=limits, clock=lambda: now[0]) as server:
        for _ in range(2):
            assert call(server, "sendMessage", chat_id=PERSON, text="x")["ok"] is True
        refused = call(server, "sendMessage", chat_id=PERSON, text="x")
        assert (refused["error_code"], refused["parameters"]) == (429, {"retry_after": 10})
        assert call(server, "sendMessage", chat_id=GROUP, text="x")["ok"] is True
        assert call(server, "sendMessage", chat_id=GROUP, text="x")["error_code"] == 429, "all of the bot"
        now[0] = 9.5
        assert call(server, "sendMessage", chat_id=PERSON, text="x")["parameters"] == {"retry_after": 1}
        now[0] = 10.0
        assert call(server, "sendMessage", chat_id=PERSON, text="x")["ok"] is True
        assert server.flood.refused == 3


def test_messages_are_found_by_task(server: TelegramSandbox) -> None:
    for text in ("Задача task-1", "task-2: готово", "task-1 ещё раз", "без задачи"):
        call(server, "sendMessage", chat_id=PERSON, text=text)
    assert {key: len(each) for key, each in server.by_task(r"task-\d+").items()} == {"task-1": 2, "task-2": 1}
    server.wait_until(lambda each: len(each.messages) == 4)
