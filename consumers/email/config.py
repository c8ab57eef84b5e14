"""Settings of the e-mail system. An empty EMAIL_SMTP_HOST switches the system off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from consumers.email.addresses import NAME_LIMIT, BadAddressError, domain_of, parse_address
from consumers.email.own_name import is_name
from core import values
from core.texts import Text
from settings.base import EnvironmentSettings, PositiveCount, Seconds, Shared, StateDir, missing_files
from settings.errors import FieldProblem, ValueProblem
from settings.values import LOOPBACK_HOSTS, parse_endpoints

PORTS = {"starttls": 587, "tls": 465, "none": 25}


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    hint = Text("an address such as noreply@example.ru", "адрес, например noreply@example.ru")
    try:
        address = parse_address("the setting", value)
    except values.BadValueError as error:
        raise ValueProblem(Text("is no mail address", "это не почтовый адрес"), hint) from error
    if address.display_name or not address.addr_spec.isascii():
        raise ValueProblem(Text("is more than an address", "это не просто адрес"), hint)
    return address.addr_spec


def _host(value: str | None) -> str | None:
    if value is None:
        return None
    endpoints, others = (parse_endpoints(value, port) for port in (1, 2))
    if len(endpoints) != 1 or endpoints == others:  # the port is given, whichever it is
        raise ValueProblem(
            Text("is not the name of one server", "это не имя одного сервера"),
            Text(
                "the host alone, like mail.example.ru; its port goes into EMAIL_SMTP_PORT",
                "только узел, например mail.example.ru; порт задаётся в EMAIL_SMTP_PORT",
            ),
        )
    return endpoints[0].host


def _ehlo_name(value: str | None) -> str | None:
    if value is not None and not is_name(value):
        raise ValueProblem(
            Text("is no name of a machine", "это не имя машины"),
            Text(
                "letters, digits, hyphens and dots, like worker.example.ru, or an address like [192.0.2.7]",
                "буквы, цифры, дефисы и точки, например worker.example.ru, или адрес, например [192.0.2.7]",
            ),
        )
    return value


def _header_text(value: str) -> str:
    if not value.isprintable():
        raise ValueProblem(
            Text("has characters that are not printable", "содержит непечатаемые символы"),
            Text("plain text on one line", "простой текст в одну строку"),
        )
    if len(value) > NAME_LIMIT:
        raise ValueProblem(
            Text(f"has more than {NAME_LIMIT} characters", f"длиннее {NAME_LIMIT} символов"),
            Text("a short name", "короткое имя"),
        )
    return value


def _domains(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return frozenset(domain_of(part.strip().removeprefix("@")) for part in value.split(",") if part.strip())
    except BadAddressError as error:
        raise ValueProblem(
            Text("is no list of domains", "это не список доменов"),
            Text("domains separated by commas: example.ru,corp.ru", "домены через запятую: example.ru,corp.ru"),
        ) from error


class EmailSettings(EnvironmentSettings):
    """The settings of mail: how it is sent and what a message may hold. Times are in seconds, sizes in bytes."""

    env_prefix = "EMAIL_"

    tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_host: Annotated[str | None, AfterValidator(_host)] = None
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = Field(default_factory=lambda known: PORTS[known["tls"]])
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    ca_file: Path | None = None
    tls_verify: bool = True
    # None: the machine's own name if it has dots in it, else its address.
    ehlo_name: Annotated[str | None, AfterValidator(_ehlo_name)] = None
    sender: Annotated[str | None, AfterValidator(_address), Shared("EMAIL_FROM")] = None
    from_name: Annotated[str, AfterValidator(_header_text)] = ""
    reply_to: Annotated[str | None, AfterValidator(_address)] = None
    templates_dir: Path | None = None
    attachments_dir: Path | None = None
    max_attachment_bytes: PositiveCount = 10 * 1024 * 1024  # all attachments of a message together
    max_recipients: PositiveCount = 50
    # Empty: any.
    allowed_domains: Annotated[frozenset[str], BeforeValidator(_domains)] = frozenset()
    on_ambiguous: Literal["resend", "fail"] = "resend"
    ambiguous_wait: Seconds = 60.0
    deferred_wait: Seconds = 300.0  # greylisting wants minutes
    all_refused: Literal["business", "permanent"] = "business"
    connect_timeout: Seconds = 30.0  # with the greeting, which some servers hold back on purpose
    command_timeout: Seconds = 60.0
    # RFC 5321 4.5.3.2.6: who gives up earlier sends mails twice that the server is still taking in.
    data_timeout: Seconds = 600.0
    state_dir: StateDir = Path("state")

    def cross_check(self) -> Iterator[FieldProblem]:
        if self.smtp_host is not None and self.sender is None:
            yield FieldProblem(
                "sender",
                Text("is not set", "не задан"),
                Text(
                    "the address that mails come from; or leave EMAIL_SMTP_HOST empty",
                    "адрес, от которого приходят письма; или оставьте EMAIL_SMTP_HOST пустым",
                ),
                beside="smtp_host",
            )
        password = self.smtp_password.get_secret_value() if self.smtp_password else ""
        if bool(self.smtp_username) != bool(password):
            yield FieldProblem(
                "smtp_password" if self.smtp_username else "smtp_username",
                Text("is not set", "не задано"),
                Text("give both user name and password, or none", "задайте и имя, и пароль, или ни того ни другого"),
            )
        yield from missing_files(self, "ca_file")
        for name in ("templates_dir", "attachments_dir"):
            folder: Path | None = getattr(self, name)
            if folder is not None and not folder.is_dir():
                yield FieldProblem(
                    name,
                    Text("there is no such folder", "такой папки нет"),
                    Text("give the path of an existing folder", "укажите путь к существующей папке"),
                )

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.smtp_host is None:
            return
        if self.tls == "none" and self.smtp_host not in LOOPBACK_HOSTS:
            yield (
                "tls",
                Text(
                    "none: mails and the password cross the network in clear",
                    "none: письма и пароль передаются по сети открытым текстом",
                ),
            )
        if self.tls != "none" and not self.tls_verify:
            yield "tls_verify", Text("the server's certificate is not checked", "сертификат сервера не проверяется")
        if self.data_timeout < 600:
            yield (
                "data_timeout",
                Text(
                    "a server may take 600 s to accept a mail: a slow one would be taken for lost and sent again",
                    "сервер может принимать письмо до 600 с: медленное будет принято за потерянное и послано ещё раз",
                ),
            )
