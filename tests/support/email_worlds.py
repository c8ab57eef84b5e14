"""The same mail servers twice: as programs of Debian, and as the simulator plays them. Stories are told on both."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from sandbox.debian import UnpackError, cache_folder
from sandbox.email import EmailSandbox
from sandbox.email.dialects import EXIM, OPENSMTPD, POSTFIX, Dialect
from sandbox.email.servers import Exim, OpenSmtpd, Postfix, RealServer, Site, mail_servers
from sandbox.ports import LOOPBACK
from testbench.harness import wait_until

FINE = ""  # the situation in which nothing is wrong
NAME = "worker.example.ru"

_MANY = tuple(f"u{number}@example.com" for number in range(40))
_USERS = ("a@example.com", "b@example.com", "c@example.com", *_MANY)
_KNOWS_WORKER = Site()
_NO_WORKER = Site((*_USERS, "boss@example.ru"))  # EMAIL_FROM is nobody's mailbox there
_NO_RELAYING = Site(_USERS)  # nor is its domain the server's

MakeReal = Callable[[Path, int, Site], RealServer]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a server has against the worker: by its real configuration, and by the name of a refusal in its dialect.

    `name` is what the worker calls itself there.
    """

    real: MakeReal
    refusal: str | None = None
    site: Site = _KNOWS_WORKER
    name: str = NAME


@dataclass(frozen=True, slots=True)
class World:
    """A server in a situation. What it hands on is in `sink`, to be counted from outside."""

    server: str
    is_real: bool
    port: int
    name: str
    sink: EmailSandbox

    def delivered(self) -> Counter[tuple[str, str]]:
        """How often each mail has reached whom, by task id and recipient."""
        return Counter((mail.task_id, recipient) for mail in self.sink.mails() for recipient in mail.recipients)

    def wait_for(self, count: int) -> None:
        """Until so many have been handed on, and a moment longer: a second copy would come at once, too."""
        wait_until(lambda: self.delivered().total() >= count, 60, f"{count} mails at the sink of {self.server}")
        if self.is_real:
            time.sleep(0.3)


def _postfix(**settings: str) -> MakeReal:
    return lambda tree, sink, site: Postfix(tree, sink, settings, site)


def _exim(acls: dict[str, str] | None = None, **main: str) -> MakeReal:
    return lambda tree, sink, site: Exim(tree, sink, main, acls, site)


def _opensmtpd(match: str = "from any") -> MakeReal:
    return lambda tree, sink, site: OpenSmtpd(tree, sink, match, site=site)


_CHECK_SENDER = """
  require verify = sender
  require message = relay not permitted
          domains = +relay_to_domains
  require verify = recipient
  accept
"""
_NAME_WITH_DOTS = """
  deny condition = ${if match{$sender_helo_name}{\\\\.}{no}{yes}}
  accept
"""

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (POSTFIX, EXIM, OPENSMTPD)}
SITUATIONS: dict[str, dict[str, Situation]] = {
    "Postfix": {
        FINE: Situation(_postfix()),
        "no relaying": Situation(_postfix(), site=_NO_RELAYING),
        "no mailbox": Situation(_postfix(), site=_NO_WORKER),
        "bare name": Situation(
            _postfix(smtpd_helo_restrictions="reject_non_fqdn_helo_hostname"), "bare name", name="vm"
        ),
        "bare name at once": Situation(
            _postfix(smtpd_helo_restrictions="reject_non_fqdn_helo_hostname", smtpd_delay_reject="no"),
            "bare name at once",
            name="vm",
        ),
        "name not found": Situation(_postfix(smtpd_helo_restrictions="reject_unknown_helo_hostname"), "name not found"),
        "sender's domain": Situation(
            _postfix(smtpd_sender_restrictions="reject_unknown_sender_domain"), "sender's domain"
        ),
        "sender unknown": Situation(
            _postfix(smtpd_sender_restrictions="reject_unlisted_sender"), "sender unknown", _NO_WORKER
        ),
        "sender denied": Situation(
            _postfix(smtpd_sender_restrictions="check_sender_access inline:{example.ru=REJECT}"), "sender denied"
        ),
        "client": Situation(_postfix(smtpd_client_restrictions="reject"), "client"),
        "client at once": Situation(
            _postfix(smtpd_client_restrictions="reject", smtpd_delay_reject="no"), "client at once"
        ),
    },
    "Exim": {
        FINE: Situation(_exim()),
        "no relaying": Situation(_exim(), site=_NO_RELAYING),
        "no mailbox": Situation(_exim(), site=_NO_WORKER),
        "underscore": Situation(_exim(), "underscore", name="a_b.test"),
        "bare name at once": Situation(
            _exim({"check_helo": _NAME_WITH_DOTS}, acl_smtp_helo="check_helo"), "bare name at once", name="vm"
        ),
        "sender unknown": Situation(_exim({"check_rcpt": _CHECK_SENDER}), "sender unknown", _NO_WORKER),
        "client at once": Situation(_exim(host_reject_connection=LOOPBACK), "client at once"),
    },
    "OpenSMTPD": {
        FINE: Situation(_opensmtpd()),
        "no relaying": Situation(_opensmtpd(), site=_NO_RELAYING),
        "no mailbox": Situation(_opensmtpd(), site=_NO_WORKER),
        "dot at the end": Situation(_opensmtpd(), "dot at the end", name="vm.test."),
        "bare name": Situation(_opensmtpd('from any !helo "vm"'), "bare name", name="vm"),
        "sender denied": Situation(_opensmtpd('from any mail-from "boss@example.ru"'), "sender denied"),
        "client": Situation(_opensmtpd("from src 192.0.2.1"), "client"),
    },
}
WORLDS = [(server, is_real) for server in SITUATIONS for is_real in (False, True)]


def world_id(world: tuple[str, bool]) -> str:
    return f"{'real' if world[1] else 'simulated'}-{world[0]}"


def situation_ids(situations: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{server}-{situation.replace(' ', '-') or 'fine'}" for server, situation in situations]


@cache
def _tree_or_reason() -> Path | str:
    try:
        return mail_servers(cache_folder())
    except (UnpackError, OSError) as error:
        return f"the mail servers of Debian cannot be had here: {error}"


def servers_tree() -> Path:
    """Skips the test where the servers cannot be had."""
    found = _tree_or_reason()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@contextmanager
def world_of(server: str, is_real: bool, situation: str = FINE) -> Iterator[World]:
    given = SITUATIONS[server][situation]
    if is_real:
        tree = servers_tree()
        with EmailSandbox() as sink, given.real(tree, sink.port, given.site) as real:
            try:
                yield World(server, is_real, real.port, given.name, sink)
            except BaseException:
                print(real.log())  # noqa: T201  # pytest shows it beside the failure
                raise
        return
    dialect = DIALECTS[server]
    # A second for each reply belongs to the dialect, not into every story.
    dialect = replace(dialect, patience=replace(dialect.patience, slow_from=None))
    refusals = [dialect.refusals[given.refusal]] if given.refusal else []
    with EmailSandbox(dialect=dialect, refusals=refusals, recipients=given.site.recipients) as played:
        yield World(server, is_real, played.port, given.name, played)


class Dialogue:
    """A client that sends what it is told and keeps every line of the answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout=60)
        self._file = self._socket.makefile("rb")
        self.greeting = self._reply()

    def __call__(self, line: str) -> str:
        try:
            self._socket.sendall(f"{line}\r\n".encode())
            return self._reply()
        except OSError:
            return ""

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _reply(self) -> str:
        lines = []
        while line := self._file.readline().decode():
            lines.append(line)
            if line[3:4] != "-":
                break
        return "".join(lines)
