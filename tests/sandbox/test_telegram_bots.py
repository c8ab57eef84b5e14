"""The sandbox before three clients that nobody here wrote, each in an environment of its own.

They send in three ways: aiogram 3.31.0 a multipart form, python-telegram-bot 22.8 an urlencoded form, grammY 1.46.0
JSON; and the first two write a message that they were given as HTML and as MarkdownV2, which must be read back as the
same message.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sandbox.telegram import GROUP, PERSON, SUPERGROUP, TelegramSandbox, faults
from sandbox.telegram.state import Chat
from tests.support import npm, pypi
from tests.support.places import DATA

pytestmark = pytest.mark.usefixtures("foreign_programs")

BLOCKED, BUSY, MOVED_TO = 1002, 1003, -1002003004009

Command = tuple[Sequence[str], dict[str, str]]


def aiogram() -> Command:
    return [str(pypi.installed("aiogram==3.31.0") / "python"), str(DATA / "bot_aiogram.py")], {}


def python_telegram_bot() -> Command:
    return [str(pypi.installed("python-telegram-bot==22.8") / "python"), str(DATA / "bot_ptb.py")], {}


def grammy() -> Command:
    modules = npm.installed("grammy@1.46.0")
    return [str(shutil.which("node")), str(DATA / "bot_grammy.js")], {"NODE_PATH": str(modules)}


@pytest.mark.parametrize("client", [aiogram, python_telegram_bot, grammy])
def test_a_foreign_bot_sees_what_telegram_makes_of_its_messages(client: Callable[[], Command]) -> None:
    command, environment = client()
    with TelegramSandbox() as server:
        for chat in (BLOCKED, BUSY):
            server.add_chat(Chat(chat))
        server.set_state(BLOCKED, "blocked")
        server.migrate(GROUP, MOVED_TO)
        flood = faults.refusal(429, "Too Many Requests: retry after 9", retry_after=9)
        server.inject(flood, "sendMessage", match=lambda params: str(params["chat_id"]) == str(BUSY))
        chats = ",".join(map(str, (PERSON, SUPERGROUP, BLOCKED, GROUP, BUSY)))
        seen = told([*command, server.base_url, server.token, chats], environment)
        reply = server.messages[-1]
    no_entities = "bad request: can't parse entities"  # one of the clients writes all of it in small letters
    assert seen == {
        "me": "task_creator_bot",
        "html": [
            "Счёт 7 <🏟> ссылка\na*b",
            [["bold", 0, 6], ["italic", 5, 1], ["text_link", 12, 6], ["code", 19, 3]],
        ],
        "markdown": ["1+1=2! [a](b) _c_ {d} |e| ~f~ #g >h . ж", [["bold", 38, 1]]],
        "entities": [
            "🏟 жирно тайно a*b т\nx = 1",
            [["bold", 3, 11], ["spoiler", 9, 5], ["code", 15, 3], ["text_link", 19, 1], ["pre", 21, 5]],
        ],
        "again": [True] * len(seen["again"]),
        "reply": ["ответ", 7, "Счёт 7 <🏟> ссылка\na*b", True],
        "refusals": [
            ["refused", f"{no_entities}: character '.' is reserved and must be escaped with the preceding '\\'"],
            ["refused", f'{no_entities}: unsupported start tag "x" at byte offset 0'],
            ["refused", "bad request: message is too long"],
            ["refused", "bad request: chat not found"],
            ["forbidden", None],
            ["migrated", MOVED_TO],
            ["flood", 9],
        ],
    }
    assert (reply.is_silent, reply.thread) == (True, 7)


def told(command: Sequence[str], environment: dict[str, str]) -> Any:
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
