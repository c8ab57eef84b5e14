"""Settings of the default handler. Without any it re-routes by the built-in rules and reports the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from core.texts import Text
from settings.base import Pairs, Seconds
from settings.errors import FieldProblem, ValueProblem
from toolkit.http_settings import HttpSystemSettings, clear_text_notice

_ADDRESS = re.compile(r"https?://[^\s#@/?]+[^\s#]*", re.IGNORECASE)
_QUEUE = re.compile(r"(?!amq\.)[\w.:-]{1,200}")
_NOT_FOR_INPUT = ("default.queue", "errors.camunda_tasks.queue", "camunda.responses.queue")


def _webhook(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not _ADDRESS.fullmatch(value.get_secret_value().strip()):
        raise ValueProblem(
            Text("is not an http address", "это не адрес http"),
            Text("like https://host/path, without user and password", "например https://host/path, без имени и пароля"),
        )
    return None if value is None else SecretStr(value.get_secret_value().strip())


def _routes(rules: Mapping[str, str]) -> Mapping[str, str]:
    for pattern, queue in rules.items():
        if (
            queue in _NOT_FOR_INPUT
            or queue.endswith(".sent.queue")
            or ".retry." in queue
            or not _QUEUE.fullmatch(queue)
        ):
            raise ValueProblem(
                Text(f"{pattern}={queue} names no input queue", f"{pattern}={queue}: это не входная очередь"),
                Text(
                    "a pattern of the topic, or system/topic, and an input queue: send_sms=sms.queue",
                    "шаблон топика или система/топик и входная очередь: send_sms=sms.queue",
                ),
            )
    return rules


class DefaultSettings(HttpSystemSettings):
    """The settings for messages of `default.queue`. Times are in seconds."""

    env_prefix = "DEFAULT_QUEUE_"

    routes: Annotated[Mapping[str, str], Pairs, AfterValidator(_routes)] = Field(default_factory=dict)
    webhook_url: Annotated[SecretStr | None, AfterValidator(_webhook)] = None
    webhook_token: SecretStr | None = None
    webhook_wait: Seconds = 60.0

    def cross_check(self) -> Iterator[FieldProblem]:
        if self.webhook_token is not None and self.webhook_url is None:
            yield FieldProblem(
                "webhook_token",
                Text("would not be used: there is no webhook", "не был бы использован: вебхука нет"),
                Text(
                    "set DEFAULT_QUEUE_WEBHOOK_URL, too, or leave this empty",
                    "задайте и DEFAULT_QUEUE_WEBHOOK_URL или уберите",
                ),
                beside="webhook_url",
            )
        yield from super().cross_check()

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.webhook_url is not None and self.webhook_token is not None:
            url = self.webhook_url.get_secret_value()
            yield from clear_text_notice("webhook_url", url, Text("the token", "токен"))
        if self.webhook_url is not None and urlsplit(self.webhook_url.get_secret_value()).query:
            yield (
                "webhook_url",
                Text(
                    "holds a query: some servers write it into their logs",
                    "содержит параметры: некоторые серверы пишут их в журнал",
                ),
            )
        yield from super().notices()
