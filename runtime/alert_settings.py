"""Settings of alerts: who is alerted. Without an address or a chat the alerts stand in the log only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from core.texts import Text
from settings.base import EnvironmentSettings, Seconds
from settings.values import parse_numbers


def _items(value: object) -> object:
    return parse_numbers(value) if isinstance(value, str) else value


Items = Annotated[tuple[str, ...], BeforeValidator(_items)]


class AlertSettings(EnvironmentSettings):
    """Whom alerts are sent to, and when. Times are in seconds."""

    env_prefix = "NOTIFY_"

    email_to: Items = ()
    telegram_chats: Items = ()
    language: Literal["ru", "en"] = "ru"
    name: str = Field(default="Task Creator", min_length=1, max_length=60)  # which worker it is
    delay: Seconds = 60.0
    stale_after: Seconds = 900.0
    repeat: Seconds = 14400.0

    def notices(self) -> Iterator[tuple[str, Text]]:
        if (self.email_to or self.telegram_chats) and self.repeat < 600:
            yield (
                "repeat",
                Text("the same error is told again very soon", "об одной и той же ошибке будет сообщаться очень часто"),
            )
