"""Exim. `main` are lines of its main section, `acls` the statements of further access control lists by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sandbox.email.dialects import HOST_NAME
from sandbox.email.servers.server import ENVIRONMENT_TO_KEEP, RealServer, Site, accounts, write
from sandbox.ports import LOOPBACK

# Texts and order as in Debian's /etc/exim4/conf.d/acl/30_exim4-config_check_rcpt (4.96).
_CHECK_RCPT = """
  require message = relay not permitted
          domains = +relay_to_domains
  require verify = recipient
  accept
"""


class Exim(RealServer):
    """4.96, the daemon of exim4-daemon-light: a queue run every 30 minutes, as Debian starts it."""

    name: ClassVar[str] = "Exim"

    def __init__(
        self,
        tree: Path,
        sink_port: int,
        main: Mapping[str, str] | None = None,
        acls: Mapping[str, str] | None = None,
        site: Site | None = None,
    ) -> None:
        super().__init__(tree, sink_port, site)
        self._main = main or {}
        self._acls = {"check_rcpt": _CHECK_RCPT, **(acls or {})}

    def _configure(self, root: Path) -> Sequence[str]:
        accounts(root, [("Debian-exim", 105, 109)], [("mail", 8)])
        for folder in ("var/spool/exim4", "var/log/exim4", "var/mail"):
            (root / folder).mkdir()
        main = {
            "primary_hostname": HOST_NAME,
            "domainlist relay_to_domains": " : ".join(self.site.domains),
            "daemon_smtp_ports": str(self.port),
            "local_interfaces": LOOPBACK,
            "tls_advertise_hosts": "",
            "smtputf8_advertise_hosts": "",  # as in Debian's conf.d/main/02_exim4-config_options
            "acl_smtp_rcpt": "check_rcpt",
            "keep_environment": ENVIRONMENT_TO_KEEP,
            "log_file_path": "/var/log/exim4/%slog",
            "spool_directory": "/var/spool/exim4",
            # It reads its configuration again as the user that it has become, and to that user the file would seem to
            # be of its own making, which it does not accept: proot shows our files as the present user's.
            "exim_user": "root",
            "exim_group": "root",
            **self._main,
        }
        known = ", ".join(self.site.recipients)
        text = "\n".join(f"{name} = {value}" for name, value in main.items())
        lists = "\n".join(f"{name}:{statements}" for name, statements in self._acls.items())
        write(
            root / "etc/exim4/exim4.conf",
            f"""{text}
begin acl
{lists}
begin routers
known:
  driver = manualroute
  domains = +relay_to_domains
  condition = ${{if inlisti{{$local_part@$domain}}{{<, {known}}}}}
  transport = sink
  route_list = * {LOOPBACK} byname
  self = send
  no_more
begin transports
sink:
  driver = smtp
  port = {self._sink_port}
  allow_localhost
  connection_max_messages = 1
  user = Debian-exim
begin retry
* * F,2h,15m""",
        )
        return ["/usr/sbin/exim4", "-bdf", "-q30m"]
