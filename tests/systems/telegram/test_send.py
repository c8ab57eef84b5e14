"""What reaches a chat, and what the process gets to know of it: the handler before the sandbox."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.telegram.bot import TelegramBot
from consumers.telegram.config import TelegramSettings
from consumers.telegram.handler import TelegramHandler
from consumers.telegram.tracker import TelegramTracker
from core.errors import BusinessError, ConfigurationError, NotConfiguredError, OutageError, PermanentError
from core.messages import TrackedTask
from core.results import Done, Rejected
from core.values import BadValueError
from sandbox.telegram import CHANNEL, GROUP, PERSON, SUPERGROUP, Chat, TelegramSandbox, faults
from tests.systems.bitrix.support import at_once
from tests.systems.telegram.support import handler_for, message, outcome, settings_for


@pytest.fixture
def server() -> Iterator[TelegramSandbox]:
    with TelegramSandbox() as server:
        yield server


@pytest.fixture
def handler(server: TelegramSandbox, tmp_path: Path) -> Iterator[TelegramHandler]:
    with handler_for(server, tmp_path) as handler:
        yield handler


def done(handler: TelegramHandler, **variables: Any) -> dict[str, Any]:
    """The response of a message that is sent."""
    result = handler.handle(message(**variables))
    assert isinstance(result, Done)
    return dict(result.response)


# -- texts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["send_telegram", "telegram_notify", "telegram_anything"])
def test_a_message_of_any_topic_arrives(server: TelegramSandbox, handler: TelegramHandler, topic: str) -> None:
    result = handler.handle(message(topic, text="Договор согласован"))
    assert result == Done(
        {
            "result": {"task": {"id": "1", "status": "sent"}},
            "success": True,
            "telegram_message_id": "1",
            "telegram_chat_id": str(PERSON),
        },
        external_id="1",
    )
    assert server.texts(PERSON) == ["Договор согласован"]


@pytest.mark.parametrize("name", ["text", "message", "body"])
def test_the_text_has_several_names(server: TelegramSandbox, handler: TelegramHandler, name: str) -> None:
    done(handler, **{name: "a < b & c > <b>d</b>"})
    assert server.texts(PERSON) == ["a < b & c > <b>d</b>"]


def test_variables_win_over_extension_properties(server: TelegramSandbox, handler: TelegramHandler) -> None:
    handler.handle(message(text="переменная", extensions={"text": "свойство", "title": "Заголовок"}))
    assert server.texts(PERSON) == ["Заголовок\n\nпеременная"]


def test_a_title_is_bold_and_its_special_characters_survive(server: TelegramSandbox, handler: TelegramHandler) -> None:
    done(handler, title="Счёт <7> & Co", text="Оплатите")
    [sent] = server.messages
    assert sent.text == "Счёт <7> & Co\n\nОплатите"
    assert [(each["type"], each["offset"], each["length"]) for each in sent.entities] == [("bold", 0, 13)]


def test_html_of_the_author_is_filled_with_values_that_stay_text(
    server: TelegramSandbox, handler: TelegramHandler
) -> None:
    done(
        handler,
        text_html='<b>{name}</b>: <a href="https://example.ru/?q={query}">{{открыть}}</a> {missing_text}',
        name="<i>ООО «Ромашка» & Ко</i>",
        query='"><b>x',
        missing_text=None,
    )
    [sent] = server.messages
    assert sent.text == "<i>ООО «Ромашка» & Ко</i>: {открыть}"
    assert [each["type"] for each in sent.entities] == ["bold", "text_link"]
    assert sent.entities[1]["url"] == 'https://example.ru/?q="><b>x'


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("<h1>x</h1>", "<h1>"),
        ("<b>x", "<b> is not closed"),
        ("<b><i>x</b></i>", "</b> closes nothing; <i> is open"),
        ("x</b>", "</b> closes nothing"),
        ("1 < 2", "is no tag"),
        ("a<br>b", "<br>"),
        ("<b onclick=x>a</b>", "onclick"),
        ("<span>a</span>", "needs class"),
        ("{nobody}", "{nobody}"),
        ("<!-- x -->", "is no tag"),
    ],
)
def test_a_mistake_in_the_html_is_told_and_nothing_is_sent(
    server: TelegramSandbox, handler: TelegramHandler, source: str, told: str
) -> None:
    error = outcome(handler, message(text_html=source))
    assert type(error) is not BusinessError
    assert isinstance(error, PermanentError)
    assert told in error.reason
    assert server.requests == 0


def test_without_a_parse_mode_styles_are_left_out(server: TelegramSandbox, tmp_path: Path) -> None:
    with handler_for(server, tmp_path, parse_mode="none") as handler:
        done(handler, title="A & B", text_html="<b>x &lt; y</b>")
    [sent] = server.messages
    assert (sent.text, sent.entities) == ("A & B\n\nx < y", ())
    assert "parse_mode" not in sent.sent


@pytest.mark.parametrize("variables", [{}, {"text": "  \n "}, {"text_html": "<b> </b>"}])
def test_a_message_without_text_is_a_mistake(handler: TelegramHandler, variables: dict[str, Any]) -> None:
    error = outcome(handler, message(**variables))
    assert isinstance(error, PermanentError)
    assert error.code == "no_text"


def test_a_long_text_is_split_and_every_message_id_is_told(server: TelegramSandbox, handler: TelegramHandler) -> None:
    text = "\n\n".join("абзац " * 100 + str(number) for number in range(20))
    response = done(handler, text=text)
    assert "".join(" ".join(server.texts(PERSON)).split()) == "".join(text.split())
    assert response["telegram_message_id"] == ["1", "2", "3", "4"]
    assert response["telegram_chat_id"] == str(PERSON)


def test_a_long_text_may_be_truncated(server: TelegramSandbox, tmp_path: Path) -> None:
    with handler_for(server, tmp_path, overflow="truncate") as handler:
        assert done(handler, text="слово " * 2000)["telegram_message_id"] == "1"
    [text] = server.texts(PERSON)
    assert text.endswith("слово…")
    assert 4000 < len(text) <= 4096


def test_a_value_that_is_asked_for_very_often_fills_no_memory(handler: TelegramHandler) -> None:
    error = outcome(handler, message(text_html="{x}" * 100_000, x="y" * 100_000))
    assert isinstance(error, PermanentError)
    assert error.code == "text_too_long"


def test_a_text_that_would_flood_a_chat_is_refused(server: TelegramSandbox, handler: TelegramHandler) -> None:
    error = outcome(handler, message(text="x" * 100_000))
    assert isinstance(error, PermanentError)
    assert (error.code, server.requests) == ("text_too_long", 0)


# -- options -----------------------------------------------------------------------------------------------------------


def test_options_are_passed_on(server: TelegramSandbox, handler: TelegramHandler) -> None:
    done(
        handler,
        chat_id=SUPERGROUP,
        text="x",
        message_thread_id="7",
        disable_notification="да",
        protect_content=True,
        link_preview="no",
    )
    sent = server.messages[0].sent
    assert {**sent, "text": "x", "chat_id": SUPERGROUP} == sent
    assert sent["message_thread_id"] == 7
    assert sent["disable_notification"] is sent["protect_content"] is True
    assert sent["link_preview_options"] == {"is_disabled": True}


def test_previews_are_off_by_setting_unless_asked_for(server: TelegramSandbox, tmp_path: Path) -> None:
    with handler_for(server, tmp_path, link_preview=False) as handler:
        done(handler, text="x")
        done(handler, text="x", link_preview=True)
    assert ["link_preview_options" in each.sent for each in server.messages] == [True, False]


@pytest.mark.parametrize(
    "variables",
    [
        {"chat_id": "нет такого"},
        {"chat_id": True},
        {"chat_id": [1001, {}, "x"]},
        {"chat_id": "https://t.me/name"},
        {"chat_id": 0},
        {"message_thread_id": "general"},
        {"disable_notification": "maybe"},
        {"link_preview": 5},
    ],
)
def test_a_value_that_cannot_be_meant_is_named(
    server: TelegramSandbox, handler: TelegramHandler, variables: dict[str, Any]
) -> None:
    error = outcome(handler, message(text="x", **variables))
    assert isinstance(error, BadValueError)
    assert next(iter(variables)) in error.reason
    assert server.requests == 0


# -- chats -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chats", [[PERSON, str(GROUP), "@company_news", PERSON], f"{PERSON}, {GROUP}.0,@Company_News, @company_news"]
)
def test_several_chats_get_it_once_each(server: TelegramSandbox, handler: TelegramHandler, chats: Any) -> None:
    response = done(handler, chat_id=chats, text="x")
    assert [each.chat_id for each in server.messages] == [PERSON, GROUP, CHANNEL]
    assert response["telegram_message_id"] == ["1", "1", "1"]
    assert response["telegram_chat_id"] == [str(PERSON), str(GROUP), str(CHANNEL)]


def test_without_any_chat_the_message_is_a_mistake(server: TelegramSandbox, tmp_path: Path) -> None:
    with handler_for(server, tmp_path, chat_id=None) as handler:
        error = outcome(handler, message(text="x"))
    assert isinstance(error, PermanentError)
    assert error.code == "no_chat"


def test_who_cannot_be_reached_is_told_and_the_others_get_it(server: TelegramSandbox, handler: TelegramHandler) -> None:
    server.set_state(PERSON, "blocked")
    response = done(handler, chat_id=[PERSON, GROUP, 404], text="x")
    assert server.texts(GROUP) == ["x"]
    assert response["telegram_chat_id"] == str(GROUP)
    assert set(response["telegram_refused"]) == {str(PERSON), "404"}
    assert "blocked by the user" in response["telegram_refused"][str(PERSON)]
    assert set(response["telegram_refused_ru"]) == {str(PERSON), "404"}


def test_a_chat_that_got_only_a_part_is_told_with_it(server: TelegramSandbox, handler: TelegramHandler) -> None:
    blocked = faults.refusal(403, "Forbidden: bot was blocked by the user")
    server.inject(blocked, "sendMessage", match=lambda _: len(server.messages) == 1)
    response = done(handler, chat_id=[PERSON, GROUP], text="x" * 5000)
    assert response["telegram_refused"][str(PERSON)].endswith("blocked by the user (after 1 of 2 parts)")
    assert response["telegram_chat_id"] == str(GROUP)


@pytest.mark.parametrize(("setting", "kind"), [("business", BusinessError), ("permanent", PermanentError)])
def test_when_nobody_can_be_reached_the_process_learns_it(
    server: TelegramSandbox, tmp_path: Path, setting: str, kind: type
) -> None:
    server.set_state(PERSON, "deactivated")
    with handler_for(server, tmp_path, unreachable=setting) as handler:
        error = outcome(handler, message(chat_id=[PERSON, 404], text="x"))
        assert type(error) is kind
        assert isinstance(error, BusinessError | PermanentError)
        assert error.code == "TELEGRAM_UNREACHABLE"
        # Put back from the error queue after the person has let the bot in again.
        server.set_state(PERSON, "")
        assert isinstance(outcome(handler, message(text="x")), Done)


def test_a_group_that_has_moved_gets_its_message_at_once(server: TelegramSandbox, handler: TelegramHandler) -> None:
    server.migrate(GROUP, -1005005005005)
    response = done(handler, chat_id=GROUP, text="a" * 5000)
    assert response["telegram_chat_id"] == "-1005005005005"
    assert response["telegram_message_id"] == ["1", "2"]
    assert [each.status for each in server.log] == [400, 200, 200], "the new id is remembered"


# -- repetition --------------------------------------------------------------------------------------------------------


def test_a_message_that_comes_again_is_not_sent_again(server: TelegramSandbox, tmp_path: Path) -> None:
    incoming = message(text="x" * 5000, chat_id=[PERSON, GROUP])
    with handler_for(server, tmp_path) as handler:
        first = handler.handle(incoming)
    with handler_for(server, tmp_path) as another:
        second = another.handle(incoming)
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.response == second.response
    assert len(server.messages) == 4


def test_a_retry_sends_only_what_is_missing(server: TelegramSandbox, handler: TelegramHandler) -> None:
    incoming = message(text="x" * 5000, chat_id=[PERSON, GROUP])
    server.inject(
        faults.refusal(503, "Service Unavailable"), "sendMessage", match=lambda sent: sent["chat_id"] == GROUP
    )
    assert isinstance(outcome(handler, incoming), OutageError)
    assert isinstance(outcome(handler, incoming), Done)
    assert [each.chat_id for each in server.messages] == [PERSON, PERSON, GROUP, GROUP]


def test_two_messages_of_one_task_at_once_are_sent_once(server: TelegramSandbox, handler: TelegramHandler) -> None:
    incoming = message(text="x")
    server.latency = 0.05
    results = at_once(4, lambda _: outcome(handler, incoming))
    assert sum(isinstance(each, Done) for each in results) >= 1
    assert {getattr(each, "code", "") for each in results if not isinstance(each, Done)} <= {"key_in_use"}
    assert len(server.messages) == 1


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_an_empty_token_means_not_in_use() -> None:
    for made in (TelegramHandler, TelegramTracker):
        with pytest.raises(NotConfiguredError):
            made.from_settings(TelegramSettings(), threading.Event())


def test_nothing_is_left_for_the_tracker_to_ask(server: TelegramSandbox, tmp_path: Path) -> None:
    tracker = TelegramTracker.from_settings(settings_for(server, tmp_path), threading.Event())
    assert tracker.system_name == "telegram"
    [verdict] = tracker.check([TrackedTask("task", "1")])
    assert isinstance(verdict, Rejected)


def test_the_bot_sends_notes_to_operators(server: TelegramSandbox, tmp_path: Path) -> None:
    bot = TelegramBot(settings_for(server, tmp_path), threading.Event())
    bot.send("Очередь <bitrix24> стоит & ждёт")
    server.add_chat(Chat(2002))
    server.set_state(GROUP, "kicked")
    with pytest.raises(PermanentError, match="kicked"):
        bot.send("x" * 5000, [str(GROUP), "2002"])
    assert server.texts(PERSON) == ["Очередь <bitrix24> стоит & ждёт"]
    assert [len(text) for text in server.texts(2002)] == [4096, 904]
    with pytest.raises(BadValueError):
        bot.send("x", ["nobody"])
    with pytest.raises(PermanentError):
        bot.send(" ")
    with pytest.raises(ConfigurationError):
        TelegramBot(settings_for(server, tmp_path, chat_id=None), threading.Event()).send("x")


def test_a_message_to_very_many_chats_is_refused_before_anything_is_sent(
    server: TelegramSandbox, handler: TelegramHandler
) -> None:
    with pytest.raises(PermanentError, match="101 chats") as caught:
        handler.handle(message(text="x", chat_id=[str(number) for number in range(1, 102)]))
    assert caught.value.code == "too_many_chats"
    assert server.messages == []
