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
from core.errors import NotConfiguredError
from core.settings_errors import Mistake, SettingsError
from core.texts import Text
from core.values import BadValueError
from runtime.alert_settings import AlertSettings
from runtime.alerting import Alerting, Channel


def make_alerting(settings: Settings, stop: threading.Event, mask: Callable[[str], str]) -> Alerting:
    """Raises SettingsError when somebody is to be told by a way that has no settings, or at no address."""
    told = settings.for_system(AlertSettings)
    policy = AlertPolicy(delay=told.delay, stale_after=told.stale_after, repeat=told.repeat)
    channels: list[Channel] = [*_mail_channels(settings, told), *_telegram_channels(settings, told, stop)]
    return Alerting(AlertBook(policy, mask), channels, name=told.name, language=told.language, stop=stop)


@dataclass(frozen=True, slots=True)
class _MailChannel:
    name: str
    mailer: Mailer
    address: str

    def send(self, subject: str, text: str) -> None:
        self.mailer.send(subject, text, [self.address])


@dataclass(frozen=True, slots=True)
class _TelegramChannel:
    name: str
    bot: TelegramBot
    chat: str

    def send(self, subject: str, text: str) -> None:
        self.bot.send(text, [self.chat])


def _mail_channels(settings: Settings, told: AlertSettings) -> Iterator[Channel]:
    if not told.email_to:
        return
    try:
        mailer = Mailer(settings.for_system(EmailSettings))
    except NotConfiguredError:
        raise _mistake("NOTIFY_EMAIL_TO", ",".join(told.email_to), "EMAIL_SMTP_HOST") from None
    for address in told.email_to:
        try:
            parse_address("NOTIFY_EMAIL_TO", address)
        except BadValueError:
            hint = Text("addresses separated by commas: duty@example.ru", "адреса через запятую: duty@example.ru")
            problem = Text("is no mail address", "это не почтовый адрес")
            raise SettingsError([Mistake("NOTIFY_EMAIL_TO", address, problem, hint)]) from None
        yield _MailChannel(f"mail to {address}", mailer, address)


def _telegram_channels(settings: Settings, told: AlertSettings, stop: threading.Event) -> Iterator[Channel]:
    if not told.telegram_chats:
        return
    try:
        bot = TelegramBot(settings.for_system(TelegramSettings), stop)
    except NotConfiguredError:
        raise _mistake("NOTIFY_TELEGRAM_CHATS", ",".join(told.telegram_chats), "TELEGRAM_BOT_TOKEN") from None
    for chat in told.telegram_chats:
        try:
            [wanted] = chats_of("NOTIFY_TELEGRAM_CHATS", chat)
        except (BadValueError, ValueError):
            hint = Text("123456789, -1001234567890 or @channel", "123456789, -1001234567890 или @channel")
            problem = Text("is no id of a chat", "это не id чата")
            raise SettingsError([Mistake("NOTIFY_TELEGRAM_CHATS", chat, problem, hint)]) from None
        yield _TelegramChannel(f"Telegram to {wanted}", bot, wanted)


def _mistake(variable: str, value: str, missing: str) -> SettingsError:
    problem = Text(f"needs {missing}, which is not set", f"требует {missing}, а она не задана")
    hint = Text(f"set {missing}, or leave this empty", f"задайте {missing} или уберите это значение")
    return SettingsError([Mistake(variable, value, problem, hint)])
