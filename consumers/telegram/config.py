"""Settings of the Telegram system. An empty TELEGRAM_BOT_TOKEN switches the system off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from consumers.telegram.chats import chats_of
from core.texts import Text
from core.values import BadValueError
from settings.base import PositiveCount, StateDir
from settings.errors import ValueProblem
from toolkit.http_settings import HttpSystemSettings, base_address, clear_text_notice

_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+")

Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


def _token(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value().strip():
        return None
    token = value.get_secret_value().strip()
    if not _TOKEN.fullmatch(token):
        raise ValueProblem(
            Text("is not the token of a bot", "это не токен бота"),
            Text("copy it from @BotFather: digits, a colon, letters", "скопируйте его у @BotFather: цифры:буквы"),
        )
    return SecretStr(token)


def _chats(value: str | None) -> str | None:
    try:
        return ",".join(chats_of("chat_id", value)) or None
    except BadValueError as error:
        raise ValueProblem(
            error.text,
            Text("write 123456789, -1001234567890 or @channel", "запишите 123456789, -1001234567890 или @channel"),
        ) from error


def _address(value: str) -> str:
    return base_address(
        value, system=Text("a Bot API server", "сервера Bot API"), example="https://api.telegram.org", suffix="/bot"
    )


def _proxy(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value().strip():
        return None
    proxy = value.get_secret_value().strip()
    hint = Text(
        "write http://host:port or http://user:password@host:port",
        "запишите http://host:port или http://user:password@host:port",
    )
    try:
        address = urlsplit(proxy)
        is_usable = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        is_usable = False
    if proxy.lower().startswith("socks"):
        raise ValueProblem(
            Text(
                "SOCKS needs a further package, which is not part of this program",
                "для SOCKS нужен ещё один пакет, в программу он не входит",
            ),
            hint,
        )
    if not is_usable:
        raise ValueProblem(Text("is not the address of an HTTP proxy", "это не адрес HTTP-прокси"), hint)
    return SecretStr(proxy)


class TelegramSettings(HttpSystemSettings):
    """The settings of Telegram: how to reach the Bot API and how messages are sent. Times are in seconds."""

    env_prefix = "TELEGRAM_"

    bot_token: Annotated[SecretStr | None, AfterValidator(_token)] = None
    chat_id: Annotated[str | None, AfterValidator(_chats)] = None  # several are separated by commas
    api_url: Annotated[str, AfterValidator(_address)] = "https://api.telegram.org"  # without a slash at the end
    proxy: Annotated[SecretStr | None, AfterValidator(_proxy)] = None
    parse_mode: Literal["HTML", "none"] = "HTML"
    overflow: Literal["split", "truncate"] = "split"
    link_preview: bool = True
    on_ambiguous: Literal["resend", "fail"] = "resend"
    unreachable: Literal["business", "permanent"] = "business"
    # core.telegram.org/bots/faq: about 30 a second in all, one a second in a chat, 20 a minute in a group. The real
    # limits are not published, so these only keep us from running into every one of them.
    rate_per_second: Rate = 25.0
    chat_rate_per_second: Rate = 1.0
    chat_burst: PositiveCount = 3
    group_rate_per_minute: Rate = 20.0
    state_dir: StateDir = Path("state")

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.bot_token is not None:
            yield from clear_text_notice("api_url", self.api_url, Text("the bot's token", "токен бота"))
        yield from super().notices()
