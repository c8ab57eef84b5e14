"""One SMTP connection after another: a mail to one recipient in a transaction of its own, or one outcome.

Until the final dot is on its way nothing can have been delivered, afterwards only the server knows (RFC 1047): that
line is drawn here. smtplib draws none, so the content is sent by hand, everything before it by smtplib.
"""

from __future__ import annotations

import base64
import contextlib
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from consumers.email.config import EmailSettings
from consumers.email.errors import RecipientRefusedError, Reply, Stage, outcome_of
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    NotConfiguredError,
    OutageError,
    OutcomeError,
    PermanentError,
    StoppingError,
)

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class Letter(NamedTuple):
    """A mail as it goes over the wire. `needs_utf8`: an address in its headers is not ASCII (RFC 6531)."""

    content: bytes
    needs_utf8: bool = False


class SmtpClient:
    """Makes sessions with the server of the settings. Usable from any thread."""

    def __init__(self, settings: EmailSettings, stop: threading.Event) -> None:
        """Raises NotConfiguredError when EMAIL_SMTP_HOST is empty."""
        if settings.smtp_host is None or settings.sender is None:
            raise NotConfiguredError("EMAIL_SMTP_HOST is not set")
        self.host = settings.smtp_host
        self.sender = settings.sender
        self.settings = settings
        self._stop = stop
        self._lock = threading.Lock()
        self._own_name: str | None = None
        self._connections = 0
        self._mails = 0

    def session(self) -> SmtpSession:
        return SmtpSession(self)

    def require_running(self) -> None:
        """Raises StoppingError when the daemon is stopping."""
        if self._stop.is_set():
            raise StoppingError

    def stats(self) -> dict[str, int]:
        with self._lock:
            return {"connections": self._connections, "mails": self._mails}

    def count_mail(self) -> None:
        with self._lock:
            self._mails += 1

    def connect(self) -> smtplib.SMTP:
        """Connected, encrypted and logged in. Raises OutageError or ConfigurationError."""
        with self._lock:
            self._connections += 1
            # Asked once: a broken name service would cost seconds per connection.
            self._own_name = self._own_name or socket.getfqdn()
        with _errors("greeting"):
            smtp = self._connected(self._own_name)
        try:
            with _errors("greeting"):
                _socket_of(smtp).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _socket_of(smtp).settimeout(self.settings.command_timeout)
                _greet(smtp)
            if self.settings.tls == "starttls":
                self._start_tls(smtp)
            self._log_in(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _connected(self, own_name: str) -> smtplib.SMTP:
        port, timeout = self.settings.smtp_port, self.settings.connect_timeout
        if self.settings.tls == "tls":
            return smtplib.SMTP_SSL(self.host, port, own_name, timeout=timeout, context=self._context())
        return smtplib.SMTP(self.host, port, own_name, timeout=timeout)

    def _start_tls(self, smtp: smtplib.SMTP) -> None:
        if not smtp.has_extn("starttls"):
            raise ConfigurationError(
                "the mail server offers no STARTTLS: give EMAIL_TLS=tls with its port, or EMAIL_TLS=none", code="no_tls"
            )
        with _errors("tls"):
            smtp.starttls(context=self._context())
        with _errors("greeting"):
            _greet(smtp)

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        name, password = self.settings.smtp_username, self.settings.smtp_password
        if not name or not password:
            return
        with _errors("login"):
            if f"{name}{password.get_secret_value()}".isascii():
                smtp.login(name, password.get_secret_value())
            elif "PLAIN" in smtp.esmtp_features.get("auth", "").upper().split():
                # smtplib speaks ASCII only; PLAIN is UTF-8 (RFC 4616).
                token = base64.b64encode(f"\0{name}\0{password.get_secret_value()}".encode()).decode()
                _require(smtp.docmd("AUTH", f"PLAIN {token}"), "login", 235)
            else:
                raise smtplib.SMTPNotSupportedError("AUTH PLAIN, which a login beyond ASCII needs")

    def _context(self) -> ssl.SSLContext:
        ca_file = self.settings.ca_file
        try:
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(f"EMAIL_CA_FILE cannot be used: {error.strerror}", code="ca_file") from None
        if not self.settings.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class SmtpSession:
    """For one thread: connects when it has to, anew after a loss, and says goodbye at the end."""

    def __init__(self, client: SmtpClient) -> None:
        self._client = client
        self._smtp: smtplib.SMTP | None = None
        self._used = False
        self.is_silent = False  # the server has let a time-out pass with a mail in its hands

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):  # the mails are settled: no answer is needed
                _socket_of(smtp).settimeout(self._client.settings.connect_timeout)
                smtp.quit()
            smtp.close()

    def check(self) -> None:
        """Connects and asks for nothing. Raises OutageError or ConfigurationError."""
        smtp = self._connection()
        with self._dropping_on_loss(), _errors("greeting"):
            _require(smtp.noop(), "greeting", 250)

    def deliver(self, letter: Letter, recipient: str, before_content: Callable[[], None]) -> str:
        """Gives the server the mail for one recipient; its answer. `before_content` is called when all is agreed.

        Raises RecipientRefusedError, RecipientDeferredError, AmbiguousError (the server may have it), and with nothing
        delivered any other outcome.
        """
        self._client.require_running()
        if self._smtp is not None and self._used:
            try:
                return self._transaction(letter, recipient, before_content)
            except OutageError:  # idle for too long, or enough mails for one connection: only a fresh one can tell
                self._drop()
        self._used = False
        return self._transaction(letter, recipient, before_content)

    def require_right_to_send(self) -> None:
        """Raises ConfigurationError when the server's policy refuses even our own address as a recipient."""
        smtp = self._connection()
        with self._dropping_on_loss(), _errors("recipient"):
            smtp.mail(self._client.sender)
            reply = Reply.of(*smtp.rcpt(self._client.sender))
            smtp.rset()
        if reply.kind == 5 and reply.enhanced.startswith("5.7."):
            raise ConfigurationError(
                f"the mail server lets the worker send to nobody, not even to EMAIL_FROM: {reply}", code=reply.word
            )

    def _transaction(self, letter: Letter, recipient: str, before_content: Callable[[], None]) -> str:
        smtp = self._connection()
        with self._dropping_on_loss():
            self._agree(smtp, letter, recipient)
        try:
            before_content()
        except BaseException:
            self._drop()  # the server waits for content that must not come
            raise
        with self._dropping_on_loss():
            return self._content(smtp, letter)

    def _agree(self, smtp: smtplib.SMTP, letter: Letter, recipient: str) -> None:
        """From MAIL to the server's "go ahead"."""
        options = []
        if smtp.has_extn("size"):
            options.append(f"SIZE={len(letter.content)}")
        needs_utf8 = letter.needs_utf8 or not recipient.isascii()
        if needs_utf8:
            if not smtp.has_extn("smtputf8"):
                kind = PermanentError if letter.needs_utf8 else RecipientRefusedError
                raise kind(
                    "an address holds letters beyond ASCII before the @, and the mail server has no SMTPUTF8",
                    code="no_smtputf8",
                )
            options.append("SMTPUTF8")
        smtp.command_encoding = "utf-8" if needs_utf8 else "ascii"
        self._used = True
        try:
            with _errors("sender"):
                _require(smtp.mail(self._client.sender, options), "sender", 250)
            with _errors("recipient"):
                _require(smtp.rcpt(recipient), "recipient", 250, 251)
            with _errors("content"):
                _require(smtp.docmd("DATA"), "content", 354)
        except OutageError:
            raise
        except OutcomeError:
            self._reset(smtp)
            raise

    def _content(self, smtp: smtplib.SMTP, letter: Letter) -> str:
        settings = self._client.settings
        with _errors("content"):  # without its end the server throws the mail away
            smtp.send(_quoted(letter.content))
        try:
            _socket_of(smtp).settimeout(settings.data_timeout)
            smtp.send(b".\r\n")
            reply = Reply.of(*smtp.getreply())
            _socket_of(smtp).settimeout(settings.command_timeout)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            self.is_silent = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
            reason = f"the mail server did not say whether it has taken the mail: {_text(error)}"
            raise AmbiguousError(reason, code="no_answer") from None
        if reply.code // 100 == 2:
            self._client.count_mail()
            return str(reply)
        if reply.code // 100 not in (4, 5):
            self._drop()
            raise AmbiguousError(f"the mail server answered a mail with {reply}", code="bad_answer")
        raise outcome_of("content", reply)

    def _connection(self) -> smtplib.SMTP:
        if self._smtp is None:
            self._smtp = self._client.connect()
            self._used = False
        return self._smtp

    def _reset(self, smtp: smtplib.SMTP) -> None:
        try:
            smtp.rset()
        except (OSError, smtplib.SMTPException):
            self._drop()  # the next mail gets a connection of its own

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()

    @contextlib.contextmanager
    def _dropping_on_loss(self) -> Iterator[None]:
        try:
            yield
        except OutageError:
            self._drop()
            raise


def _greet(smtp: smtplib.SMTP) -> None:
    """smtplib's own greeting takes a server that has no time for one that knows no EHLO."""
    answer = smtp.ehlo()
    _require(smtp.helo() if answer[0] // 100 == 5 else answer, "greeting", 250)


def _require(answer: tuple[int, bytes], stage: Stage, *wanted: int) -> None:
    reply = Reply.of(*answer)
    if reply.code not in wanted:
        raise outcome_of(stage, reply)


@contextlib.contextmanager
def _errors(stage: Stage) -> Iterator[None]:
    """smtplib's and the socket's errors as outcomes; nothing was delivered when they happen."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"the certificate of the mail server is not trusted ({error.verify_message}): give EMAIL_CA_FILE",
            code="certificate",
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise ConfigurationError(
            f"the mail server does not offer what is wanted: {error}", code="not_offered"
        ) from None
    except smtplib.SMTPResponseException as error:
        if error.smtp_code < 400:  # not SMTP, or a connection that ended in the middle
            raise OutageError(f"the mail server gave no proper answer: {_text(error)}", code="no_answer") from None
        raise outcome_of(stage, Reply.of(error.smtp_code, error.smtp_error)) from None
    except ValueError as error:  # what cannot be written into a command, or looked up as a name
        if stage in ("sender", "recipient"):
            raise RecipientRefusedError(
                f"the address cannot be told the mail server: {error}", code="address"
            ) from None
        raise ConfigurationError(f"the mail server cannot be asked: {error}", code="bad_setting") from None
    except (OSError, smtplib.SMTPException) as error:
        raise OutageError(f"the mail server cannot be reached: {_text(error)}", code="no_connection") from None


def _socket_of(smtp: smtplib.SMTP) -> socket.socket:
    """Raises what smtplib raises without a connection: after an error it has none."""
    if smtp.sock is None:
        raise smtplib.SMTPServerDisconnected("the connection is closed")
    return smtp.sock


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _quoted(content: bytes) -> bytes:
    """With line ends and leading dots as RFC 5321 4.5.2 wants them; ends with a line end."""
    lines = _LEADING_DOT.sub(b"..", _LINE_END.sub(b"\r\n", content))
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"
