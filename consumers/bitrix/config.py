"""Settings of the Bitrix24 system. An empty BITRIX_WEBHOOK_URL switches the system off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from consumers.bitrix.roles import RolesProblem, read_roles
from core.texts import Text
from settings.base import Pairs, PositiveCount, Seconds, Timezone, missing_files
from settings.errors import FieldProblem, ValueProblem
from settings.values import parse_numbers
from toolkit.http_settings import HttpSystemSettings, clear_text_notice


class Rate(NamedTuple):
    """A leaky bucket: so many requests drain per second, so many may be open."""

    per_second: float
    burst: int


# The published limits of the cloud (b24restdocs limits.md). A self-hosted portal sets its own: ours is a start
# that the limiter lowers when the portal objects.
TARIFFS: Mapping[str, Rate] = {
    "standard": Rate(2.0, 50),
    "enterprise": Rate(5.0, 250),
    "self_hosted": Rate(10.0, 100),
}

# https://host/rest/<user id>/<code>: b24restdocs local-integrations/local-webhooks.md
_WEBHOOK = re.compile(r"https?://[^/\s?#@]+/rest/[0-9]+/[^/\s?#]+", re.IGNORECASE)
_KEY_FIELD = re.compile(r"XML_ID|UF_[A-Z0-9_]+")


def _webhook(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return None
    url = value.get_secret_value().strip().rstrip("/")
    if _WEBHOOK.fullmatch(url):
        return SecretStr(url)
    hint = Text(
        "copy it from Bitrix24: Developer resources → Inbound webhook; it looks like https://host/rest/1/code",
        "скопируйте его в Битрикс24: Разработчикам → Входящий вебхук; вид: https://host/rest/1/код",
    )
    if _WEBHOOK.match(url):
        raise ValueProblem(
            Text("goes on after the webhook's code", "после кода вебхука есть лишнее"),
            Text(
                "leave out the method's name: https://host/rest/1/code", "уберите имя метода: https://host/rest/1/код"
            ),
        )
    raise ValueProblem(Text("is not the address of an inbound webhook", "это не адрес входящего вебхука"), hint)


def _key_field(name: str) -> str:
    if not _KEY_FIELD.fullmatch(name):
        raise ValueProblem(
            Text("is not a field that can hold the key", "в этом поле нельзя хранить ключ"),
            Text("UF_… in capital letters, or XML_ID", "UF_… заглавными буквами или XML_ID"),
        )
    return name


def _numbers(value: object) -> object:
    return parse_numbers(value) if isinstance(value, str) else value


class BitrixSettings(HttpSystemSettings):
    """The settings of Bitrix24: how to reach the portal and how tasks are made there. Times are in seconds."""

    env_prefix = "BITRIX_"

    webhook_url: Annotated[SecretStr | None, AfterValidator(_webhook)] = None  # without a slash at the end
    default_responsible_id: PositiveCount = 1
    default_priority: Annotated[int, Field(ge=0, le=2)] = 1
    max_description_length: PositiveCount = 10_000
    key_field: Annotated[str, AfterValidator(_key_field)] = "UF_CAMUNDA_ID_EXTERNAL_TASK"
    tariff: Literal["standard", "enterprise", "self_hosted"] = "standard"
    rate_limit_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default_factory=lambda known: TARIFFS[known["tariff"]].per_second
    )
    rate_limit_burst: PositiveCount = Field(default_factory=lambda known: TARIFFS[known["tariff"]].burst)
    operating_limit_seconds: Seconds = 480.0
    # 2 waiting, 3 in progress, 4 awaits control, 5 finished, 6 deferred, 7 declined
    finished_statuses: Annotated[
        frozenset[Annotated[int, Field(ge=1, le=7)]], BeforeValidator(_numbers), Field(min_length=1)
    ] = frozenset({4, 5})
    roles_file: Path | None = None
    roles_cache_ttl: Seconds = 3600.0
    fields_cache_ttl: Seconds = 3600.0
    answer_texts: Annotated[Mapping[str, str], Pairs] = Field(default_factory=lambda: {"26": "ДА", "27": "НЕТ"})
    timezone: Timezone = "Europe/Moscow"
    batch_size: Annotated[int, Field(ge=1, le=50)] = 50  # the portal takes no more commands in one request
    ambiguous_wait: Seconds = 75.0  # HttpSystemSettings.safe_wait
    # Only an administrator sees everybody's tasks; a lookup that misses one makes it twice.
    require_admin: bool = True

    def cross_check(self) -> Iterator[FieldProblem]:
        missing = list(missing_files(self, "roles_file"))
        yield from missing
        if self.roles_file is not None and not missing:
            try:
                read_roles(self.roles_file)
            except RolesProblem as problem:
                yield FieldProblem(
                    "roles_file",
                    problem.text,
                    Text(
                        "for example: mappings: {accountant: 12}; config.env.example shows the other form",
                        "например: mappings: {бухгалтер: 12}; другая запись есть в config.env.example",
                    ),
                )
        yield from super().cross_check()

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.webhook_url is not None:
            url = self.webhook_url.get_secret_value()
            yield from clear_text_notice("webhook_url", url, Text("the webhook's code", "код вебхука"))
        if not self.require_admin:
            text = Text(
                "a webhook of an ordinary employee is allowed: tasks that it cannot see may be created twice",
                "разрешён вебхук обычного сотрудника: задачи, которых он не видит, могут быть созданы дважды",
            )
            yield "require_admin", text
        yield from self.wait_notice("ambiguous_wait", self.ambiguous_wait)
        yield from super().notices()
