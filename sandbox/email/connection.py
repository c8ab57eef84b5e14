"""One client of the mail server, from the greeting to QUIT: enough of SMTP (RFC 5321) for a client that sends."""

from __future__ import annotations

import re
import secrets
import socketserver
import time
from collections.abc import Collection, Sequence
from email.utils import formatdate
from typing import Protocol

from sandbox.email.dialects import Dialect, Refusal
from sandbox.email.faults import RawReplyError, ReplyError
from sandbox.email.mail import Mail
from sandbox.faults import Injection
from sandbox.http_front import ConnectionDroppedError, reset

LINE_LIMIT = 4096  # bytes of a command; RFC 5321 asks for 512
SIZE_LIMIT = 30 * 1024 * 1024  # bytes of a mail

_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>]*)>", re.IGNORECASE)
_SLOW = 1.0  # seconds


class HungUpError(Exception):
    """We have said our last word on this connection."""


class MailServer(Protocol):
    """What a connection asks of the server that it belongs to."""

    dialect: Dialect
    refusals: tuple[Refusal, ...]
    recipients: Collection[str] | None

    def count_connection(self) -> None: ...

    def draw(self, call: str, sender: str | None, recipients: Sequence[str]) -> list[Injection]: ...

    def keep(self, mail: Mail, *, at_once: bool = True) -> None: ...


class Connection(socketserver.StreamRequestHandler):
    """Speaks the dialect of its sandbox."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            self._serve()
        except HungUpError:
            return
        except ConnectionDroppedError:
            reset(self.connection)

    @property
    def _sandbox(self) -> MailServer:
        sandbox: MailServer = self.server.sandbox  # type: ignore[attr-defined]
        return sandbox

    def _serve(self) -> None:
        self._dialect = self._sandbox.dialect
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._name = ""
        self._errors = self._resets = self._mails = 0
        self._told: set[Refusal] = set()
        self._sandbox.count_connection()
        if not self._struck("connect"):
            refusal = self._refusal("connect")
            self._reply(refusal or self._dialect.greeting)
            if refusal:
                raise HungUpError
        while line := self.rfile.readline(LINE_LIMIT):
            self._require_within(self._errors + 1, self._dialect.patience.errors)
            word, _, rest = line.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            self._command(word.upper(), rest)

    def _command(self, word: str, rest: str) -> None:
        dialect = self._dialect
        match word:
            case "EHLO" | "HELO":
                self._hello(word, rest)
            case "NOOP":
                self._reply(dialect.noop)
            case "RSET":
                self._forget()
                self._resets += 1
                if not self._struck("rset"):
                    self._require_within(self._resets, dialect.patience.resets)
                    self._reply(dialect.reset)
            case "MAIL":
                self._mail(rest)
            case "RCPT":
                self._recipient(rest)
            case "DATA" if self._recipients:
                if not self._struck("data"):
                    self._data()
            case "DATA":
                self._reply(dialect.no_recipient_yet)
            case "QUIT":
                if not self._struck("quit"):
                    self._reply(dialect.bye)
                raise HungUpError
            case _:
                self._reply(dialect.unknown_command)

    def _hello(self, word: str, name: str) -> None:
        self._forget()
        self._name = name
        if self._struck("helo"):
            return
        if refusal := self._refusal("helo"):
            self._reply(refusal.replace("{verb}", word))
        elif word == "HELO":
            self._reply(self._dialect.plain_hello)
        else:
            *some, last = self._dialect.features
            self._reply("\r\n".join([self._dialect.hello, *(f"250-{each}" for each in some), f"250 {last}"]))

    def _mail(self, rest: str) -> None:
        path = _PATH.match(rest)
        if path is None:
            self._reply(self._dialect.no_path)
            return
        self._forget()
        if not self._struck("mail"):
            self._sender = path[1]
            if refusal := self._refusal("mail"):
                self._reply(refusal)
                self._sender = None
            else:
                self._require_within(self._mails + 1, self._dialect.patience.mails)
                self._reply(self._dialect.mail)

    def _recipient(self, rest: str) -> None:
        path = _PATH.match(rest)
        if path is None:
            self._reply(self._dialect.no_path)
        elif self._sender is None:
            self._reply(self._dialect.no_mail_yet)
        else:
            self._recipients.append(path[1])
            if self._struck("rcpt"):
                self._recipients.pop()
            elif refusal := self._refusal_of(path[1]):
                self._recipients.pop()
                self._reply(refusal)
            else:
                self._reply(self._dialect.recipient)

    def _refusal_of(self, recipient: str) -> str | None:
        """What is refused for good goes before what is refused for now, and of the latter relaying first: Postfix."""
        ours = self._refusal("rcpt")
        known = self._sandbox.recipients
        relayed = known is not None and recipient.rpartition("@")[2] not in {each.rpartition("@")[2] for each in known}
        found = [ours] if ours else []
        if relayed:
            found.append(self._dialect.relay_denied)
        elif not ours and known is not None and recipient not in known:
            found.append(self._dialect.unknown_user)
        found.sort(key=lambda reply: (reply[0] != "5", reply[0] == "4" and reply != self._dialect.relay_denied))
        return found[0].replace("{recipient}", recipient) if found else None

    def _refusal(self, call: str) -> str | None:
        for refusal in self._sandbox.refusals:
            if refusal.call == call:
                reply = refusal.again if refusal in self._told and refusal.again else refusal.reply
                self._told.add(refusal)
                return reply
        return None

    def _data(self) -> None:
        self._reply(self._dialect.go_ahead)
        lines: list[bytes] = []
        size = 0
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise ConnectionError("the client went away in the middle of a mail")
            size += len(line)
            if size <= SIZE_LIMIT:
                lines.append(line.removeprefix(b"."))
        if size > SIZE_LIMIT:
            self._reply(self._dialect.too_large)
        else:
            self._take(b"".join(lines))
        self._forget()

    def _take(self, content: bytes) -> None:
        drawn = self._sandbox.draw("content", self._sender, self._recipients)
        if self._struck_by(drawn, after_execution=False):
            return
        self._mails += 1
        at_once = self._dialect.patience.mails_at_once
        mail = Mail(self._sender or "", tuple(self._recipients), content, time.time())
        self._sandbox.keep(mail, at_once=at_once is None or self._mails <= at_once)
        if not self._struck_by(drawn, after_execution=True):
            self._reply(self._dialect.taken)

    def _struck(self, call: str) -> bool:
        return self._struck_by(self._sandbox.draw(call, self._sender, self._recipients), after_execution=False)

    def _struck_by(self, drawn: Sequence[Injection], *, after_execution: bool) -> bool:
        """Whether a fault has answered in our place. Raises ConnectionDroppedError."""
        for injection in drawn:
            if injection.fault.after_execution is after_execution:
                try:
                    injection.strike(time.sleep)
                except ReplyError as error:
                    self._reply(str(error))
                    return True
                except RawReplyError as error:
                    self.wfile.write(error.raw)
                    return True
        return False

    def _forget(self) -> None:
        self._sender = None
        self._recipients = []
        self._told = set()

    def _require_within(self, count: int, limit: tuple[int, str] | None) -> None:
        if limit is not None and count > limit[0]:
            self._reply(limit[1])
            raise HungUpError

    def _reply(self, template: str) -> None:
        if template[0] in "45":
            self._errors += 1
        slow_from = self._dialect.patience.slow_from
        if slow_from is not None and self._errors >= slow_from:
            time.sleep(_SLOW)
        known = {
            "{name}": self._name,
            "{sender}": self._sender or "",
            "{id}": secrets.token_hex(5).upper(),
            "{date}": formatdate(),
        }
        for word, value in known.items():
            template = template.replace(word, value)
        self.wfile.write(f"{template}\r\n".encode())
