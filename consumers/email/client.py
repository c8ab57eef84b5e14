"""Connects to the mail server: greeted, encrypted and logged in, or one outcome that says why not."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator

from consumers.email.config import EmailSettings
from consumers.email.errors import RecipientDeferredError, RecipientRefusedError, Reply, Stage, outcome_of
from consumers.email.own_name import own_name
from consumers.email.wire import BadAnswerError, Smtp, SmtpSsl
from core import certificates
from core.errors import ConfigurationError, NotConfiguredError, OutageError, StoppingError
from core.texts import Text

_GOODBYE = 5.0  # seconds for the answer to QUIT, which changes nothing


class SmtpClient:
    """Connects to the server of the settings. Usable from any thread.

    `doubted` are recipients that the server refused when it seemed to refuse the worker: the probe asks again.
    """

    def __init__(self, settings: EmailSettings, stop: threading.Event) -> None:
        """Raise NotConfiguredError when EMAIL_SMTP_HOST is empty."""
        if settings.smtp_host is None or settings.sender is None:
            raise NotConfiguredError(variable="EMAIL_SMTP_HOST")
        self.host = settings.smtp_host
        self.sender = settings.sender
        self.settings = settings
        self._stop = stop
        self._lock = threading.Lock()
        self._machine: str | None = None
        self.last_name = settings.ehlo_name or ""
        self.doubted: tuple[str, ...] = ()
        self._connections = 0
        self._mails = 0

    def require_running(self) -> None:
        """Raise StoppingError when the daemon is stopping."""
        if self._stop.is_set():
            raise StoppingError

    def stats(self) -> dict[str, int]:
        with self._lock:
            return {"connections": self._connections, "mails": self._mails}

    def count_mail(self) -> None:
        with self._lock:
            self._mails += 1

    def connect(self) -> Smtp:
        """Return a connection, encrypted and logged in. Raises OutageError or ConfigurationError."""
        with self._lock:
            self._connections += 1
        with errors("greeting"):
            smtp = self._connected()
        try:
            with errors("greeting"):
                socket_of(smtp).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                socket_of(smtp).settimeout(self.settings.command_timeout)
                smtp.local_hostname = self.last_name = self._own_name(smtp)
                _greet(smtp)
            if self.settings.tls == "starttls":
                self._start_tls(smtp)
            self._log_in(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _connected(self) -> Smtp:
        port, timeout = self.settings.smtp_port, self.settings.connect_timeout
        if self.settings.tls == "tls":
            return SmtpSsl(self.host, port, "localhost", timeout=timeout, context=self._context())
        return Smtp(self.host, port, "localhost", timeout=timeout)

    def _own_name(self, smtp: smtplib.SMTP) -> str:
        if self.settings.ehlo_name:
            return self.settings.ehlo_name
        with self._lock:
            if self._machine is None:  # asked once: a broken name service would cost seconds per connection
                self._machine = socket.getfqdn()
        return own_name(self._machine, str(socket_of(smtp).getsockname()[0]))

    def _start_tls(self, smtp: Smtp) -> None:
        if not smtp.has_extn("starttls"):
            text = Text(
                "the mail server offers no STARTTLS: give EMAIL_TLS=tls with its port, or EMAIL_TLS=none",
                "почтовый сервер не предлагает STARTTLS: задайте EMAIL_TLS=tls и порт для него или EMAIL_TLS=none",
            )
            raise ConfigurationError(text, code="no_tls")
        with errors("tls"):
            smtp.starttls(context=self._context())
        with errors("greeting"):
            _greet(smtp)

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        name, password = self.settings.smtp_username, self.settings.smtp_password
        if not name or not password:
            return
        with errors("login"):
            if f"{name}{password.get_secret_value()}".isascii():
                smtp.login(name, password.get_secret_value())
            elif "PLAIN" in smtp.esmtp_features.get("auth", "").upper().split():
                # smtplib speaks ASCII only; PLAIN is UTF-8 (RFC 4616).
                token = base64.b64encode(f"\0{name}\0{password.get_secret_value()}".encode()).decode()
                require(smtp.docmd("AUTH", f"PLAIN {token}"), "login", 235)
            else:
                raise _not_offered(
                    Text(
                        "AUTH PLAIN, which a login beyond ASCII needs",
                        "AUTH PLAIN, нужен для имени и пароля не в ASCII",
                    )
                )

    def _context(self) -> ssl.SSLContext:
        ca_file = self.settings.ca_file
        try:
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except OSError as error:  # ssl.SSLError is one
            text = Text(
                f"EMAIL_CA_FILE cannot be used: {error.strerror}", f"EMAIL_CA_FILE не годится: {error.strerror}"
            )
            raise ConfigurationError(text, code="ca_file") from None
        if not self.settings.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _greet(smtp: Smtp) -> None:
    """Greet the server. smtplib's own greeting takes a server that has no time for one that knows no EHLO."""
    answer = smtp.ehlo()
    if answer[0] // 100 != 5:
        require(answer, "greeting", 250)
        return
    second = smtp.helo()
    if second[0] // 100 == 5:
        said = Reply.of(*answer)
        text = Text(
            f"the mail server refused the name {smtp.local_hostname} that the worker gives itself: "
            f"{said}; give it another one in EMAIL_EHLO_NAME",
            f"почтовый сервер не принял имя {smtp.local_hostname}, которым воркер представляется: "
            f"{said}; задайте другое в EMAIL_EHLO_NAME",
        )
        raise ConfigurationError(text, code="ehlo_name")
    require(second, "greeting", 250)


def require(answer: tuple[int, bytes], stage: Stage, *wanted: int) -> None:
    """Raise the outcome of an answer whose code is not wanted."""
    reply = Reply.of(*answer)
    if reply.code not in wanted:
        raise outcome_of(stage, reply)


@contextlib.contextmanager
def errors(stage: Stage) -> Iterator[None]:
    """Turn smtplib's and the socket's errors into outcomes; nothing was delivered when they happen."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        why = certificates.reason(error, "EMAIL_CA_FILE")
        text = Text(f"the mail server: {why.en}", f"почтовый сервер: {why.ru}")
        raise ConfigurationError(text, code="certificate") from None
    except BadAnswerError as error:
        kind = RecipientDeferredError if stage in ("recipient", "content") else OutageError
        raise kind(_no_proper_answer(error.text), code="bad_answer") from None
    except smtplib.SMTPNotSupportedError as error:
        raise _not_offered(Text.of(str(error))) from None
    except smtplib.SMTPResponseException as error:
        if error.smtp_code < 400:  # of another kind than what was asked
            raise OutageError(_no_proper_answer(shown(error)), code="bad_answer") from None
        raise outcome_of(stage, Reply.of(error.smtp_code, error.smtp_error)) from None
    except ValueError as error:  # what cannot be written into a command, or looked up as a name
        if stage in ("sender", "recipient"):
            text = Text(
                f"the address cannot be told the mail server: {error}", f"почтовому серверу не передать адрес: {error}"
            )
            raise RecipientRefusedError(text, code="address") from None
        text = Text(f"the mail server cannot be asked: {error}", f"к почтовому серверу не обратиться: {error}")
        raise ConfigurationError(text, code="bad_setting") from None
    except (OSError, smtplib.SMTPException) as error:
        if type(error) is smtplib.SMTPException and stage == "login":  # smtplib knows none of the ways that are offered
            text = Text(
                "the mail server offers no way to log in that is known here (PLAIN, LOGIN, CRAM-MD5)",
                "почтовый сервер не предлагает ни одного из известных воркеру способов входа (PLAIN, LOGIN, CRAM-MD5)",
            )
            raise ConfigurationError(text, code="not_offered") from None
        why = shown(error)
        text = Text(f"the mail server cannot be reached: {why.en}", f"нет связи с почтовым сервером: {why.ru}")
        raise OutageError(text, code="no_connection") from None


def _no_proper_answer(what: Text) -> Text:
    return Text(
        f"the mail server gave no proper answer: {what.en}", f"почтовый сервер ответил не по правилам SMTP: {what.ru}"
    )


def _not_offered(what: Text) -> ConfigurationError:
    text = Text(
        f"the mail server does not offer what is wanted: {what.en}",
        f"почтовый сервер не предлагает того, что нужно: {what.ru}",
    )
    return ConfigurationError(text, code="not_offered")


def socket_of(smtp: smtplib.SMTP) -> socket.socket:
    """Return the socket. Raises what smtplib raises without a connection: after an error it has none."""
    if smtp.sock is None:
        raise smtplib.SMTPServerDisconnected("the connection is closed")
    return smtp.sock


def say_goodbye(smtp: smtplib.SMTP) -> None:
    """End the session. Raises what smtplib raises; nothing depends on the answer."""
    socket_of(smtp).settimeout(_GOODBYE)
    smtp.quit()


def shown(error: Exception) -> Text:
    """Return the error for a person who reads the error queue."""
    kind = type(error).__name__
    if not str(error):
        return Text.of(kind)
    told = error.text if isinstance(error, BadAnswerError) else Text.of(str(error))
    return told.led_by(f"{kind}: ")
