"""Telegram in the demo: messages to a person and to a group, and one to somebody who has blocked the bot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.demo.messages import again, broken, message, sample, spread
from cli.demo.scenario import Outside, Sample, Scenario
from core.texts import Language, Text
from sandbox.telegram import CHANNEL, PERSON, SUPERGROUP, Chat, TelegramSandbox

SYSTEM = "python-services"  # as Camunda's side addresses messages: they arrive in the default queue
_TOPIC = "send_telegram"
_CHATS = (PERSON, SUPERGROUP, CHANNEL)
_BLOCKED = 1099


class TelegramScenario(Scenario):
    name = "telegram"
    title = Text("Telegram", "Telegram")
    input_queues = ("default.queue", "telegram.queue")
    sent_queues = ("telegram.sent.queue",)
    fewest = 2  # a message, the one for nobody
    has_people = False

    def __init__(self) -> None:
        self.server = TelegramSandbox()

    @contextmanager
    def servers(self) -> Iterator[Text]:
        with self.server as server:
            server.add_chat(Chat(_BLOCKED, "private", "Виктор", state="blocked"))
            yield Text(f"Telegram sandbox on {server.address}", f"песочница Telegram на {server.address}")

    def variables(self, folder: Path) -> dict[str, str]:
        return {
            "TELEGRAM_BOT_TOKEN": self.server.token,
            "TELEGRAM_API_URL": self.server.base_url,
            "TELEGRAM_CHAT_ID": str(PERSON),
        }

    def samples(self, tasks: int, now: datetime) -> list[Sample]:
        everyday = [_text(number, now) for number in range(tasks - self.fewest + 1)]
        specials = [again(everyday[len(everyday) // 3]), broken(SYSTEM, _TOPIC), _for_nobody(now)]
        return spread(everyday, specials)

    def outside(self, samples: Sequence[Sample], lang: Language) -> Outside:
        titles = {each.title: each.key for each in samples if each.title}
        objects: dict[str, list[str]] = {}
        for each in self.server.messages:
            if (key := titles.get(each.text.splitlines()[0])) is not None:
                objects.setdefault(key, []).append(str(each.message_id))
        return Outside(objects)


def _text(number: int, now: datetime) -> Sample:
    title = f"Заявка № {500 + number} ждёт решения"
    variables = {"text": f"{title}\nСумма <1 000 000, срок сегодня & завтра", "chat_id": str(_CHATS[number % 3])}
    return sample("instant", title, _message(title, now, variables))


def _for_nobody(now: datetime) -> Sample:
    title = "Сообщение тому, кто заблокировал бота"
    return sample("refused", title, _message(title, now, {"text": title, "chat_id": str(_BLOCKED)}))


def _message(step: str, now: datetime, variables: Mapping[str, Any]) -> dict[str, Any]:
    return message(SYSTEM, _TOPIC, step, now, variables=variables)
