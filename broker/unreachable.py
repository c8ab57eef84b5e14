"""Explains why RabbitMQ cannot be used, and what to change: pika says it by types, often without a text."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPConnectionError,
    AuthenticationError,
    ConnectionClosedByBroker,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from broker.resolving import UnresolvedError
from core import certificates
from core.texts import BilingualError, Text

_NOT_ALLOWED = 530  # AMQP 0-9-1: the virtual host is not there, or not for this user


class UnreachableError(BilingualError, AMQPConnectionError):
    """One host could not be used; `text` names it, the reason and the remedy."""

    def __init__(self, host: str, port: int, cause: BaseException) -> None:
        why = explain(cause)
        super().__init__(why.led_by(f"{host}:{port}: "))


def explain(error: BaseException) -> Text:
    """Return the innermost reason that says something, with its remedy where one is known."""
    wrapped = list(causes(error))
    for cause in reversed(wrapped):
        if (text := _known(cause)) is not None:
            return text
    told = next((str(cause) for cause in reversed(wrapped) if str(cause)), repr(wrapped[-1]))
    return Text(told, told)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what pika has wrapped, from the outermost to the innermost; of several, the last."""
    yield error
    wrapped = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    for inner in reversed(wrapped):
        if isinstance(inner, BaseException):
            yield from causes(inner)
            return


def _known(cause: BaseException) -> Text | None:
    return next((say(cause) for kind, say in _KNOWN if isinstance(cause, kind)), None)


def _tls(error: ssl.SSLError) -> Text:
    told = error.reason or error
    return Text(
        f"TLS fails ({told}): is this the port for TLS, RABBITMQ_PORT with RABBITMQ_TLS=true?",
        f"TLS не получается ({told}): это порт для TLS, RABBITMQ_PORT при RABBITMQ_TLS=true?",
    )


def _unknown_name(error: OSError) -> Text:
    return Text(
        f"the name cannot be resolved ({error.strerror}): see RABBITMQ_HOST",
        f"имя не разрешается ({error.strerror}): см. RABBITMQ_HOST",
    )


def _refused_by_broker(error: ConnectionClosedByBroker) -> Text | None:
    return _access_denied(error.reply_text) if error.reply_code == _NOT_ALLOWED else None


def _access_denied(told: str) -> Text:
    said = f" ({told})" if told else ""
    return Text(
        f"RabbitMQ does not let this user into the virtual host{said}: see RABBITMQ_VIRTUAL_HOST and the user's "
        "permissions (rabbitmqctl list_permissions)",
        f"RabbitMQ не пускает этого пользователя в виртуальный хост{said}: см. RABBITMQ_VIRTUAL_HOST и права "
        "пользователя (rabbitmqctl list_permissions)",
    )


_NOBODY_LISTENS = Text(
    "nobody listens there (connection refused): is RabbitMQ running, are RABBITMQ_HOST and RABBITMQ_PORT right?",
    "там никто не слушает (connection refused): запущен ли RabbitMQ, верны ли RABBITMQ_HOST и RABBITMQ_PORT?",
)
_SILENT = Text(
    "no answer within RABBITMQ_CONNECTION_TIMEOUT: see RABBITMQ_HOST, RABBITMQ_PORT and firewalls",
    "нет ответа за RABBITMQ_CONNECTION_TIMEOUT: см. RABBITMQ_HOST, RABBITMQ_PORT и межсетевые экраны",
)
_NOT_LET_IN = Text(
    "RabbitMQ does not let this user in: see RABBITMQ_USERNAME and RABBITMQ_PASSWORD",
    "RabbitMQ не пускает этого пользователя: см. RABBITMQ_USERNAME и RABBITMQ_PASSWORD",
)
_NO_AMQP = Text(
    "what listens there does not speak AMQP 0-9-1: see RABBITMQ_PORT and RABBITMQ_TLS",
    "тот, кто там слушает, не говорит на AMQP 0-9-1: см. RABBITMQ_PORT и RABBITMQ_TLS",
)
_KNOWN: Sequence[tuple[type[BaseException], Callable[[Any], Text | None]]] = (  # the first that fits
    (UnreachableError, lambda error: error.text),
    (ssl.SSLCertVerificationError, lambda error: certificates.reason(error, "RABBITMQ_CA_FILE")),
    (ssl.SSLError, _tls),
    (socket.gaierror, _unknown_name),
    (UnresolvedError, lambda error: Text(f"{error}: see RABBITMQ_HOST", f"{error}: см. RABBITMQ_HOST")),
    (ConnectionRefusedError, lambda _: _NOBODY_LISTENS),
    (AMQPConnectorStackTimeout, lambda _: _SILENT),
    (TimeoutError, lambda _: _SILENT),
    (ProbableAuthenticationError, lambda _: _NOT_LET_IN),
    (AuthenticationError, lambda _: _NOT_LET_IN),
    (ProbableAccessDeniedError, lambda error: _access_denied(str(error).partition(f"({_NOT_ALLOWED}) ")[2])),
    (ConnectionClosedByBroker, _refused_by_broker),
    (IncompatibleProtocolError, lambda _: _NO_AMQP),
)
