"""Real mail servers of Debian 12 on loopback, each with a configuration of its own, for tests that must know.

    tree = mail_servers(cache_folder())
    with EmailSandbox() as sink, Postfix(tree, sink.port) as server:
        smtplib.SMTP("127.0.0.1", server.port).send_message(...)
        sink.mails()

What a server takes it hands on to the sink, where every mail can be counted from outside.
"""

from sandbox.email.servers.exim import Exim
from sandbox.email.servers.opensmtpd import OpenSmtpd
from sandbox.email.servers.packages import mail_servers
from sandbox.email.servers.postfix import Postfix
from sandbox.email.servers.server import MailServerError, RealServer, Site

__all__ = ["Exim", "MailServerError", "OpenSmtpd", "Postfix", "RealServer", "Site", "mail_servers"]
