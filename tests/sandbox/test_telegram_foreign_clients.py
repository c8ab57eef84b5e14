"""Worker and sandbox before judges that nobody here wrote.

`telegram-test-api` from npm stands for Telegram on the happy path; it refuses nothing, so the errors are the sandbox's
part. The two are compared in what both answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from core.results import Done
from sandbox.ports import ReservedPort
from sandbox.telegram import PERSON, TelegramSandbox
from sandbox.telegram.html_markup import parse_html
from tests.support import npm
from tests.systems.telegram.support import handler_for, message

PACKAGE = "telegram-test-api@4.2.1"
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
SERVER = """
const TelegramServer = require(process.argv[1]);
new TelegramServer({ host: "127.0.0.1", port: Number(process.argv[2]) }).start();
"""


@pytest.fixture(scope="module")
def foreign(foreign_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the foreign Bot API."""
    module = npm.installed(PACKAGE) / "telegram-test-api"
    reserved = ReservedPort()
    log = tmp_path_factory.mktemp("judge") / "server.log"
    with npm.running(["-e", SERVER, str(module), str(reserved.port)], reserved.port, log):
        yield f"http://127.0.0.1:{reserved.port}"
    reserved.release()


def history(address: str) -> list[dict[str, Any]]:
    answer = requests.post(f"{address}/getUpdatesHistory", json={"token": TOKEN}, timeout=10).json()
    return [each["message"] for each in answer["result"]]


def test_a_foreign_bot_api_has_what_the_worker_has_sent(foreign: str, tmp_path: Path) -> None:
    with (
        TelegramSandbox() as unused,
        handler_for(unused, tmp_path, api_url=foreign, bot_token=SecretStr(TOKEN)) as handler,
    ):
        handler.probe()
        short = handler.handle(message(title="Счёт <7>", text="Оплатите & забудьте", disable_notification="yes"))
        long = handler.handle(message(text="слово " * 1000, chat_id=[5, "-1001234567890123"]))
        again = handler.handle(message(text="x", key="task-1"))
        repeated = handler.handle(message(text="x", key="task-1"))
        assert unused.requests == 0
    assert isinstance(short, Done)
    assert isinstance(long, Done)
    assert isinstance(again, Done)
    assert isinstance(repeated, Done)
    first, *parts, last = history(foreign)
    assert (first["chat_id"], first["parse_mode"], first["disable_notification"]) == (PERSON, "HTML", True)
    assert parse_html(first["text"])[0] == "Счёт <7>\n\nОплатите & забудьте"
    assert [each["chat_id"] for each in parts] == [5, 5, -1001234567890123, -1001234567890123]
    assert " ".join(each["text"] for each in parts[:2]).split() == ["слово"] * 1000
    assert last["text"] == "x"
    assert short.response["telegram_message_id"] == short.external_id
    assert len(long.response["telegram_message_id"]) == 4
    assert long.response["telegram_chat_id"] == ["5", "-1001234567890123"]
    assert (again.duplicate, repeated.duplicate) == (False, True)


def test_the_sandbox_answers_in_the_shape_of_the_foreign_one(foreign: str) -> None:
    def shape(value: Any) -> Any:
        return {key: shape(each) for key, each in value.items()} if isinstance(value, dict) else type(value)

    with TelegramSandbox(token=TOKEN) as ours:
        for method, parameters in (("getMe", {}), ("sendMessage", {"chat_id": PERSON, "text": "x"})):
            answers = [
                shape(requests.post(f"{address}/bot{TOKEN}/{method}", json=parameters, timeout=10).json())
                for address in (foreign, ours.base_url)
            ]
            theirs, own = (answer["result"] for answer in answers)
            common = {"id", "username", "first_name"} if method == "getMe" else {"message_id", "date", "text"}
            assert {name: theirs[name] for name in common} == {name: own[name] for name in common}
            assert [set(answer) for answer in answers] == [{"ok", "result"}] * 2
            if method == "sendMessage":
                assert {"id": int, "type": str, "first_name": str}.items() <= own["chat"].items()
                assert {"id": int, "type": str, "first_name": str}.items() <= theirs["chat"].items()
