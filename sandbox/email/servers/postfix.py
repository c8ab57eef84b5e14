"""Postfix. `settings` are lines of main.cf over Debian's own defaults."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sandbox.email.dialects import HOST_NAME
from sandbox.email.servers.server import ENVIRONMENT_TO_KEEP, RealServer, Site, accounts, write
from sandbox.ports import LOOPBACK

_QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop")
_SERVICES = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(RealServer):
    """3.7. Refusals of the client, its name and the sender are told at RCPT, as `smtpd_delay_reject` is on."""

    name: ClassVar[str] = "Postfix"

    def __init__(
        self, tree: Path, sink_port: int, settings: Mapping[str, str] | None = None, site: Site | None = None
    ) -> None:
        super().__init__(tree, sink_port, site)
        self._settings = settings or {}

    def _configure(self, root: Path) -> Sequence[str]:
        accounts(root, [("postfix", 101, 101)], [("postdrop", 102)])
        for queue in (*_QUEUES, "private", "public", "pid", "saved", "trace"):
            (root / "var/spool/postfix" / queue).mkdir(parents=True)
        (root / "var/lib/postfix").mkdir()
        for file in ("etc/services", "etc/protocols"):
            shutil.copyfile(self._tree / file, root / file)
        (root / "etc/postfix").mkdir()
        shutil.copyfile(self._tree / "usr/share/postfix/dynamicmaps.cf", root / "etc/postfix/dynamicmaps.cf")
        known = ", ".join(f"{address}=known" for address in self.site.recipients)
        settings = {
            "compatibility_level": "3.6",
            "myhostname": HOST_NAME,
            "inet_interfaces": LOOPBACK,
            "inet_protocols": "ipv4",
            "smtpd_tls_security_level": "none",
            "mydestination": "",
            "alias_maps": "",
            "mynetworks": "192.0.2.0/24",  # not us (RFC 5737)
            "relay_domains": ", ".join(self.site.domains),
            "relay_recipient_maps": f"inline:{{{known}}}",
            "relay_transport": f"smtp:[{LOOPBACK}]:{self._sink_port}",
            "smtp_dns_support_level": "disabled",
            "maillog_file": "/var/log/postfix.log",
            "import_environment": f"MAIL_CONFIG LANG=C {ENVIRONMENT_TO_KEEP}",
            **self._settings,
        }
        write(root / "etc/postfix/main.cf", "\n".join(f"{name} = {value}" for name, value in settings.items()))
        write(root / "etc/postfix/master.cf", f"{LOOPBACK}:{self.port} inet n - n - - smtpd{_SERVICES}")
        return ["/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d"]
