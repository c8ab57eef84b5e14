"""A mail server that nobody here wrote (aiosmtpd), with replies to order for each step and recipient."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox.ports import LOOPBACK, ReservedPort

TAKE_AND_DROP = "the mail is kept, the connection reset before the answer"
DROP = "the connection is reset"
TAKE_AND_STALL = "the mail is kept, and nothing is answered"


@dataclass(frozen=True, slots=True)
class Received:
    """One mail in the box of one recipient."""

    recipient: str
    raw: bytes
    options: tuple[str, ...] = ()

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=default)

    @property
    def task_id(self) -> str:
        return str(self.message["X-Camunda-Task-Id"])


class _Protocol(SMTP):
    """aiosmtpd, with the steps that its hooks do not reach made to order as well."""

    box: MailServer

    def abort(self) -> None:
        # asyncio's TLS transport knows no abort any more once it is being closed (Python 3.11, sslproto.py).
        if isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
            self.transport.abort()

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802  # aiosmtpd's name
        if (reply := self.box.next_reply("EHLO")) is not None:
            await self.push(reply)
        else:
            await super().smtp_EHLO(hostname)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  # aiosmtpd's name
        recipient = self.envelope.rcpt_tos[0] if self.envelope and self.envelope.rcpt_tos else None
        if (reply := self.box.next_reply("BEFORE DATA", recipient)) is not None:
            await self.push(reply)
        else:
            await super().smtp_DATA(arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802  # aiosmtpd's name
        if (reply := self.box.next_reply("AUTH")) is not None:
            await self.push(reply)
        else:
            await super().smtp_AUTH(arg)


class MailServer:
    """Listens while used as a context. `replies("RCPT", "450 4.2.0 later")` answers the next RCPT so."""

    def __init__(
        self,
        *,
        tls: str = "none",
        context: ssl.SSLContext | None = None,
        credentials: tuple[str, str] | None = None,
        smtputf8: bool = True,
        size_limit: int = 33_554_432,
    ) -> None:
        self._reserved = ReservedPort()
        self.port = self._reserved.port
        self.mails: list[Received] = []
        self.connections = 0
        self.commands: list[str] = []
        self._implicit = context if tls == "tls" else None
        self._options: dict[str, Any] = {
            "enable_SMTPUTF8": smtputf8,
            "data_size_limit": size_limit,
            "hostname": "mail.test",
            "tls_context": context if tls == "starttls" else None,
            "require_starttls": tls == "starttls",
        }
        self.credentials = credentials or ("", "")
        if credentials is not None:
            self._options |= {
                "auth_required": True,
                "auth_require_tls": False,
                "authenticator": self._authenticated,
            }
        self._replies: defaultdict[tuple[str, str | None], deque[str]] = defaultdict(deque)
        self._always: dict[tuple[str, str | None], str] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail-server", daemon=True)
        self._server: asyncio.Server | None = None
        self._protocols: list[_Protocol] = []

    def _authenticated(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        name, password = (each.encode() for each in self.credentials)
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (name, password)
        return AuthResult(success=good, handled=good)

    # -- what tests ask and order -----------------------------------------------------------------------------------

    def replies(self, step: str, *replies: str, to: str | None = None) -> None:
        """The next answers at EHLO, AUTH, MAIL, RCPT, BEFORE DATA or DATA, for one recipient or for any."""
        with self._lock:
            self._replies[step, to].extend(replies)

    def always(self, step: str, reply: str, to: str | None = None) -> None:
        with self._lock:
            self._always[step, to] = reply

    def relent(self, step: str, to: str | None = None) -> None:
        """What `always` said of it counts no more."""
        with self._lock:
            self._always.pop((step, to), None)

    def by_task(self) -> dict[str, list[Received]]:
        found: defaultdict[str, list[Received]] = defaultdict(list)
        for mail in list(self.mails):
            found[mail.task_id].append(mail)
        return dict(found)

    def boxes(self) -> list[str]:
        return [mail.recipient for mail in self.mails]

    def next_reply(self, step: str, recipient: str | None = None) -> str | None:
        with self._lock:
            self.commands.append(step)
            for key in ((step, recipient), (step, None)):
                if self._replies[key]:
                    return self._replies[key].popleft()
                if key in self._always:
                    return self._always[key]
        return None

    # -- its life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.release()

    def go_down(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)

    def come_back(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    async def _start(self) -> None:
        self._server = await self._loop.create_server(self._protocol, LOOPBACK, self.port, ssl=self._implicit)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        protocols, self._protocols = self._protocols, []
        for protocol in protocols:
            protocol.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _protocol(self) -> _Protocol:
        protocol = _Protocol(self, loop=self._loop, **self._options)
        protocol.box = self
        self.connections += 1
        self._protocols.append(protocol)
        return protocol

    # -- hooks of aiosmtpd --------------------------------------------------------------------------------------------

    async def handle_MAIL(  # noqa: N802
        self, server: _Protocol, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if (reply := self.next_reply("MAIL")) is not None:
            return await self._act(server, reply)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: _Protocol, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if (reply := self.next_reply("RCPT", address)) is not None:
            return await self._act(server, reply)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: _Protocol, session: Session, envelope: Envelope) -> str:  # noqa: N802
        [recipient] = envelope.rcpt_tos
        reply = self.next_reply("DATA", recipient)
        if reply is None or reply.startswith("2") or reply in (TAKE_AND_DROP, TAKE_AND_STALL):
            content = envelope.original_content or b""
            self.mails.append(Received(recipient, content, tuple(envelope.mail_options)))
        return "250 2.0.0 queued" if reply is None else await self._act(server, reply)

    async def _act(self, server: _Protocol, reply: str) -> str:
        if reply in (DROP, TAKE_AND_DROP):
            server.abort()
        elif reply == TAKE_AND_STALL:
            await asyncio.sleep(3600)
        return reply
