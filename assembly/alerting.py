"""Builds the alerting of the worker from the settings: one channel for each address and each chat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from config import Settings
from consumers.email.addresses import parse_address
from consumers.email.config import EmailSettings
from consumers.email.mailer import Mailer
from consumers.telegram.bot import TelegramBot
from consumers.telegram.chats import chats_of
from consumers.telegram.config import TelegramSettings
from core.alerts import AlertBook, AlertPolicy
from core.events.alerts import Way
from core.pauses import Pauses
from core.texts import Text
from core.values import BadValueError
from runtime.alert_settings import AlertSettings
from runtime.alerting import Alerting, Channel
from settings.errors import Mistake

_ADDRESSES, _CHATS = "NOTIFY_EMAIL_TO", "NOTIFY_TELEGRAM_CHATS"


def make_alerting(settings: Settings, pauses: Pauses, stop: threading.Event, mask: Callable[[str], str]) -> Alerting:
    """Build the alerting from settings in which `mistakes` finds nothing."""
    told = settings.for_system(AlertSettings)
    policy = AlertPolicy(delay=told.delay, stale_after=told.stale_after, repeat=told.repeat)
    channels: list[Channel] = [*_mail_channels(settings, told), *_telegram_channels(settings, told, stop)]
    return Alerting(AlertBook(policy, pauses, mask), channels, name=told.name, language=told.language, stop=stop)


@dataclass(frozen=True, slots=True)
class _MailChannel:
    name: str
    mailer: Mailer
    address: str
    way: Way = "mail"

    def send(self, subject: str, text: str) -> None:
        self.mailer.send(subject, text, [self.address])


@dataclass(frozen=True, slots=True)
class _TelegramChannel:
    name: str
    bot: TelegramBot
    chat: str
    way: Way = "telegram"

    def send(self, subject: str, text: str) -> None:
        self.bot.send(text, [self.chat])


def _mail_channels(settings: Settings, told: AlertSettings) -> Iterator[Channel]:
    if told.email_to:
        mailer = Mailer(settings.for_system(EmailSettings))
        yield from (_MailChannel(f"mail to {address}", mailer, address) for address in told.email_to)


def _telegram_channels(settings: Settings, told: AlertSettings, stop: threading.Event) -> Iterator[Channel]:
    if told.telegram_chats:
        bot = TelegramBot(settings.for_system(TelegramSettings), stop)
        for chat in told.telegram_chats:
            [wanted] = chats_of(_CHATS, chat)
            yield _TelegramChannel(f"Telegram to {wanted}", bot, wanted)


def mistakes(settings: Settings) -> Iterator[Mistake]:
    """Yield a mistake where alerts are to be sent by a way that has no settings, or to no address."""
    told = settings.for_system(AlertSettings)
    ways = (
        (_ADDRESSES, told.email_to, settings.for_system(EmailSettings).smtp_host, "EMAIL_SMTP_HOST", _address),
        (_CHATS, told.telegram_chats, settings.for_system(TelegramSettings).bot_token, "TELEGRAM_BOT_TOKEN", _chat),
    )
    for variable, receivers, way, missing, judged in ways:
        if receivers and way is None:
            problem = Text(f"needs {missing}, which is not set", f"требует {missing}, а она не задана")
            hint = Text(f"set {missing}, or leave this empty", f"задайте {missing} или уберите это значение")
            yield Mistake(variable, ",".join(receivers), problem, hint, beside=missing)
        for receiver in receivers:
            if (wrong := judged(receiver)) is not None:
                yield wrong


def _address(written: str) -> Mistake | None:
    try:
        parse_address(_ADDRESSES, written)
    except BadValueError:
        hint = Text("addresses separated by commas: duty@example.ru", "адреса через запятую: duty@example.ru")
        return Mistake(_ADDRESSES, written, Text("is no mail address", "это не почтовый адрес"), hint)
    return None


def _chat(written: str) -> Mistake | None:
    try:
        [_] = chats_of(_CHATS, written)
    except (BadValueError, ValueError):
        hint = Text("123456789, -1001234567890 or @channel", "123456789, -1001234567890 или @channel")
        return Mistake(_CHATS, written, Text("is no id of a chat", "это не id чата"), hint)
    return None
