"""Explains what may be concluded from a request without an answer, and what a person can do about it.

No text here contains the URL: for many systems (a Bitrix24 webhook) the URL is the secret. The exceptions of requests
do contain it, so nothing of their texts is repeated.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping

import requests
import urllib3

from core import certificates
from core.errors import AmbiguousError, ConfigurationError, OutageError
from core.request_figures import RequestStatus
from core.texts import BilingualError, Text

_WORDS: Mapping[str, RequestStatus] = {
    "timeout": "timeout",
    **dict.fromkeys(("connect_timeout", "unreachable", "address", "proxy", "proxy_login"), "connect"),
    **dict.fromkeys(("certificate", "ca_file"), "tls"),
    "redirect": "3xx",
}
_CLASSES: Mapping[int, RequestStatus] = {2: "2xx", 3: "3xx", 4: "4xx"}


class DroppedError(BilingualError):
    """The connection ended between sending the request and the last byte of the answer."""


class Failures:
    """The failures of one system, which `system` names for people. `ca_setting` is where its CA is given."""

    def __init__(self, system: Text, ca_setting: Text) -> None:
        self._system = system
        self._ca_setting = ca_setting

    def outcome(self, error: Exception, *, sent: bool, write: bool) -> Exception:
        """Return an outcome, or DroppedError. `sent`: the body was handed to the socket."""
        causes = list(_causes(error))
        timed_out = any(_is_timeout(cause) for cause in causes)
        if not sent:
            return self._unsent(error, causes, timed_out)
        if timed_out:
            return self.unanswered(Text("did not answer in time", "нет ответа за отведённое время"), "timeout", write)
        why = _describe(causes)
        return DroppedError(
            Text(
                f"{self._system.en} dropped the connection before its answer was complete: {why.en}",
                f"{self._system.ru}: соединение оборвалось до конца ответа: {why.ru}",
            )
        )

    def unanswered(self, what: Text, code: str, write: bool) -> AmbiguousError | OutageError:
        text = Text(f"{self._system.en} {what.en}", f"{self._system.ru}: {what.ru}")
        return AmbiguousError(text, code=code) if write else OutageError(text, code=code)

    def _unsent(self, error: Exception, causes: list[BaseException], timed_out: bool) -> Exception:
        if (mistake := self._mistake(error, causes)) is not None:
            return mistake
        if any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes):
            return self._of_proxy(causes)
        if timed_out:
            text = Text(
                f"{self._system.en} did not accept a connection in time",
                f"{self._system.ru}: соединение не установлено за отведённое время",
            )
            return OutageError(text, code="connect_timeout")
        why = _describe(causes)
        text = Text(f"{self._system.en} cannot be reached: {why.en}", f"{self._system.ru}: нет связи: {why.ru}")
        return OutageError(text, code="unreachable")

    def _mistake(self, error: Exception, causes: list[BaseException]) -> ConfigurationError | None:
        """Return the error for what does not go away by waiting."""
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = certificates.reason(cause, self._ca_setting)
                text = Text(f"{self._system.en}: {why.en}", f"{self._system.ru}: {why.ru}")
                return ConfigurationError(text, code="certificate")
        if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
            text = Text(
                f"{self._system.en} would be reached through a SOCKS proxy, which is not supported: set HTTPS_PROXY to "
                "an HTTP proxy, or unset ALL_PROXY",
                f"{self._system.ru}: соединение пошло бы через прокси SOCKS, а он не поддерживается: укажите в "
                "HTTPS_PROXY прокси HTTP или уберите ALL_PROXY",
            )
            return ConfigurationError(text, code="proxy")
        if isinstance(error, ValueError):
            text = Text(
                f"The address of {self._system.en} is unusable", f"{self._system.ru}: адрес системы записан неправильно"
            )
            return ConfigurationError(text, code="address")
        if not isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
            # requests wraps every error of a socket; a bare OSError comes from reading the CA bundle.
            text = Text(
                f"The CA file for {self._system.en} cannot be read",
                f"{self._system.ru}: файл с сертификатом CA не читается",
            )
            return ConfigurationError(text, code="ca_file")
        return None

    def _of_proxy(self, causes: list[BaseException]) -> Exception:
        # http.client has no other place for the status of a CONNECT than its text.
        if any(isinstance(cause, OSError) and " 407 " in str(cause) for cause in causes):
            text = Text(
                f"The proxy before {self._system.en} wants a name and a password (407): give them in HTTPS_PROXY, "
                "http://<name>:<password>@<host>:<port>",
                f"{self._system.ru}: прокси требует имя и пароль (407): укажите их в HTTPS_PROXY, "
                "http://<name>:<password>@<host>:<port>",
            )
            return ConfigurationError(text, code="proxy_login")
        why = _describe(causes)
        text = Text(
            f"{self._system.en} cannot be reached through the proxy (HTTPS_PROXY, NO_PROXY): {why.en}",
            f"{self._system.ru}: нет связи через прокси (HTTPS_PROXY, NO_PROXY): {why.ru}",
        )
        return OutageError(text, code="unreachable")


def may_be_sent(error: Exception) -> bool:
    """Return whether a request without a body, which leaves no trace of being sent, may have been sent.

    True for anything but a failed connect.
    """
    if isinstance(error, ValueError) or not isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
        return False
    unsent = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
        ssl.SSLCertVerificationError,
    )
    return not any(isinstance(cause, unsent) for cause in _causes(error))


def word_of_failure(failure: Exception) -> RequestStatus:
    """Return how a request is counted that ended in an outcome of this module, or in a redirect."""
    return _WORDS.get(getattr(failure, "code", ""), "dropped")


def word_of_status(status: int) -> RequestStatus:
    """Return how an answer is counted."""
    return _CLASSES.get(status // 100, "5xx")


def _is_timeout(cause: BaseException) -> bool:
    # urllib3 counts a refused connection and an unknown name among its time-outs.
    return isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError) and not isinstance(
        cause, urllib3.exceptions.NewConnectionError
    )


def _describe(causes: list[BaseException]) -> Text:
    """Return the innermost operating system text, or the kind of error; never `str(error)`, which contains the URL."""
    for cause in reversed(causes):
        if isinstance(cause, socket.gaierror):
            return Text("its name cannot be resolved", "имя узла не разрешается")
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return Text.of(cause.strerror)
    return Text.of(type(causes[-1]).__name__)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and everything it wraps: requests and urllib3 keep the cause in `args` or `reason`."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        wrapped = [getattr(current, "reason", None), *current.args, current.__cause__, current.__context__]
        pending.extend(cause for cause in wrapped if isinstance(cause, BaseException))
