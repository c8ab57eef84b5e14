"""What Telegram or the worker has not kept of a message is told in its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.telegram.handler import TelegramHandler
from core.errors import PermanentError
from core.results import Done
from sandbox.http_front import RawAnswer
from sandbox.telegram import PERSON, SUPERGROUP, TelegramSandbox, faults
from tests.systems.telegram.support import handler_for, message, outcome


@pytest.fixture
def server() -> Iterator[TelegramSandbox]:
    with TelegramSandbox() as server:
        yield server


@pytest.fixture
def handler(server: TelegramSandbox, tmp_path: Path) -> Iterator[TelegramHandler]:
    with handler_for(server, tmp_path) as handler:
        yield handler


def told(handler: TelegramHandler, **options: Any) -> list[str]:
    result = handler.handle(message(**options))
    assert isinstance(result, Done)
    return list(result.response.get("warnings", []))


# -- what Telegram drops without a word --------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["http://portal/task/5", "tel:+79990000000", "ftp://files.example.ru/x", "/task/5"])
def test_a_link_that_telegram_does_not_make_is_told(handler: TelegramHandler, address: str) -> None:
    """tdlib/td 022d6020, td/telegram/LinkManager.cpp, check_link_impl: http, https, tg, ton; a dot in the host."""
    source = f'<b>Счёт</b> <a href="{address}">задача</a> <a href="https://example.ru/">сайт</a>'
    [warning] = told(handler, text_html=source)
    assert address in warning
    assert "example.ru/" not in warning.replace("files.example.ru/", "")
    assert "with a dot" in warning


def test_what_is_kept_is_not_told(handler: TelegramHandler) -> None:
    everything = (
        "<b>a<i>b</i></b> <u>c</u> <s>d</s> <tg-spoiler>e</tg-spoiler> <span class='tg-spoiler'>f</span> <code>g</code>"
        "<pre><code class='language-python'>h</code></pre><blockquote expandable>i</blockquote>"
        "<a href='tg://user?id=1001'>j</a> <a href='example.ru'>k</a> <b> </b><tg-emoji emoji-id='5'>x</tg-emoji>"
    )
    assert told(handler, title="Тема", text_html=everything, chat_id=[PERSON, SUPERGROUP]) == []
    assert told(handler, text="  a\tb \r\n\r\n <b> 🏟 \u00a0") == []


def test_markup_inside_code_that_telegram_drops_is_told(handler: TelegramHandler) -> None:
    [warning] = told(handler, text_html="<code>a <b>b</b></code>")
    assert "<b>" in warning


@pytest.mark.parametrize(("text", "dropped"), [("A\u030angstro\u0308m", "U+030A"), ("abc\u202ecba", "U+202E")])
def test_characters_that_telegram_drops_are_told(handler: TelegramHandler, text: str, dropped: str) -> None:
    """tdlib/td 022d6020, td/telegram/misc.cpp, clean_input_string."""
    [warning] = told(handler, title="Тема", text=text)
    assert dropped in warning


def test_line_separators_are_line_ends(server: TelegramSandbox, handler: TelegramHandler) -> None:
    """Telegram drops both, and would join the words."""
    assert told(handler, text="a\u2028b\u2029c") == []
    assert server.texts(PERSON) == ["a\nb\nc"]


def test_a_warning_is_told_once_for_all_chats_and_again_when_the_task_comes_again(handler: TelegramHandler) -> None:
    sent = {"text_html": "<a href='http://portal/5'>x</a>", "chat_id": [PERSON, SUPERGROUP], "key": "task-1"}
    first = told(handler, **sent)
    assert len(first) == 1
    assert told(handler, **sent) == first


# -- what the worker leaves out ----------------------------------------------------------------------------------------


def test_markup_that_telegram_refuses_is_told(server: TelegramSandbox, handler: TelegramHandler) -> None:
    server.inject(faults.refusal(400, "Bad Request: can't parse entities: nobody knows why"), "sendMessage")
    [warning] = told(handler, text_html="<b>x</b>")
    assert "without its markup" in warning
    assert "nobody knows why" in warning
    assert server.texts(PERSON) == ["x"]


def test_a_text_that_was_truncated_is_told_with_both_lengths(server: TelegramSandbox, tmp_path: Path) -> None:
    with handler_for(server, tmp_path, overflow="truncate") as handler:
        [warning] = told(handler, text="x" * 5000)
        assert told(handler, text="  " + "x" * 4096 + "\n") == []
    assert "5000" in warning
    assert "4096" in warning


def test_addresses_that_are_lost_without_a_parse_mode_are_told(server: TelegramSandbox, tmp_path: Path) -> None:
    with handler_for(server, tmp_path, parse_mode="none") as handler:
        [warning] = told(handler, title="Тема", text_html="<i>a</i> <a href='https://example.ru/7'>b</a>")
    assert "https://example.ru/7" in warning
    assert "TELEGRAM_PARSE_MODE" in warning


def test_names_that_others_have_won_over_are_told(handler: TelegramHandler) -> None:
    assert told(handler, text="a", message="b", subject="c", title="d") == [
        "message is not used: text is given",
        "subject is not used: title is given",
    ]
    assert told(handler, text_html="{message}", message="b", body=" ", chat_id=PERSON, chat_ids=SUPERGROUP) == [
        "chat_ids is not used: chat_id is given"
    ]
    assert told(handler, text="a", subject="b", extensions={"title": "c"}) == ["title is not used: subject is given"]
    assert told(handler, message="переменная", extensions={"text": "свойство"}) == [
        "text is not used: message is given"
    ]


def test_names_of_the_bot_api_that_mean_nothing_here_are_told(handler: TelegramHandler) -> None:
    step = {"parse_mode": "MarkdownV2", "reply_markup": "{}", "disable_web_page_preview": "true", "own": "x"}
    assert told(handler, text="a", extensions=step, photo="another step's") == [
        "send_telegram has no use for disable_web_page_preview, parse_mode, reply_markup"
    ]
    assert told(handler, text_html="{photo}", extensions={"photo": "x"}) == []


# -- markup beside the text --------------------------------------------------------------------------------------------


def test_a_text_with_much_markup_becomes_more_messages(server: TelegramSandbox, handler: TelegramHandler) -> None:
    """tdlib/telegram-bot-api 01a3679c, Client.cpp, get_formatted_text: 32,768 bytes with the markup."""
    links = [f"<a href='https://example.ru/{number}?{'q' * 2000}'>ссылка {number}</a>" for number in range(40)]
    assert told(handler, text_html="\n".join(links)) == []
    shown = server.messages
    assert 3 <= len(shown) <= 6
    assert "\n".join(each.text for each in shown).split("\n") == [f"ссылка {number}" for number in range(40)]
    assert sum(len(each.entities) for each in shown) == 40


def test_much_markup_is_truncated_to_one_message(server: TelegramSandbox, tmp_path: Path) -> None:
    links = [f"<a href='https://example.ru/{number}?{'q' * 2000}'>ссылка {number}</a>" for number in range(40)]
    with handler_for(server, tmp_path, overflow="truncate") as handler:
        [warning] = told(handler, text_html="\n".join(links))
    [text] = server.texts(PERSON)
    assert text.startswith("ссылка 0\n")
    assert text.endswith("…")
    assert "TELEGRAM_OVERFLOW" in warning


def test_markup_that_fits_into_no_message_is_refused_before_anything_is_sent(
    server: TelegramSandbox, handler: TelegramHandler
) -> None:
    error = outcome(handler, message(text_html=f"Начало <a href='https://example.ru/{'q' * 40_000}'>x</a>"))
    assert isinstance(error, PermanentError)
    assert (error.code, server.requests) == ("text_too_long", 0)
    assert "text_html" in error.reason


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result", [b"{}", b'{"message_id": null}', b'{"message_id": {"x": 1}}', b'{"message_id": true}']
)
def test_a_message_whose_id_is_not_told_was_sent(
    server: TelegramSandbox, handler: TelegramHandler, result: bytes
) -> None:
    server.inject(faults.answer(RawAnswer(200, b'{"ok": true, "result": %s}' % result)), "sendMessage")
    done = handler.handle(message(text="x"))
    assert isinstance(done, Done)
    assert (done.external_id, done.response["telegram_message_id"]) == (None, "")
    assert "id" in done.response["warnings"][0]
