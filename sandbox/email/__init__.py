"""A mail server for the demo and the stories: takes every mail and keeps it.

with EmailSandbox() as server:
    smtplib.SMTP("127.0.0.1", server.port).send_message(...)
    server.by_task()
"""

from sandbox.email import dialects, faults
from sandbox.email.mail import Mail
from sandbox.email.server import EmailSandbox

__all__ = ["EmailSandbox", "Mail", "dialects", "faults"]
