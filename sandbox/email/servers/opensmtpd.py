"""OpenSMTPD. `match` is the line that says what is taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from sandbox.email.dialects import HOST_NAME
from sandbox.email.servers.server import RealServer, Site, accounts, write
from sandbox.jail import SPOOL_OF_OPENSMTPD
from sandbox.ports import LOOPBACK


class OpenSmtpd(RealServer):
    """6.8.0p2."""

    name: ClassVar[str] = "OpenSMTPD"

    def __init__(
        self, tree: Path, sink_port: int, match: str = "from any", limits: Sequence[str] = (), site: Site | None = None
    ) -> None:
        super().__init__(tree, sink_port, site)
        self._match = match
        self._limits = limits

    def _configure(self, root: Path) -> Sequence[str]:
        # One user for all: it looks whether its folders are its users', and ours are all of one.
        accounts(root, [("opensmtpd", 0, 0), ("opensmtpq", 0, 0)])
        for name in SPOOL_OF_OPENSMTPD:
            (root / name).mkdir(mode=0o700)
        (root / "offline").chmod(0o770)
        (root / "var/lib/opensmtpd").mkdir()
        for folder in ("var/spool/smtpd", "var/lib/opensmtpd/empty"):
            (root / folder).symlink_to("/")
        known = ", ".join(f'"{address}"' for address in self.site.recipients)
        domains = ", ".join(f'"{domain}"' for domain in self.site.domains)
        write(
            root / "etc/smtpd.conf",
            "\n".join(
                [
                    *self._limits,
                    f"listen on {LOOPBACK} port {self.port} hostname {HOST_NAME}",
                    f"table users {{ {known} }}",
                    f"table domains {{ {domains} }}",
                    f'action "sink" relay host smtp://{LOOPBACK}:{self._sink_port}',
                    f'match {self._match} for domain <domains> rcpt-to <users> action "sink"',
                ]
            ),
        )
        return ["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"]
