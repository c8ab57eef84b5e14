"""E-mail: sends messages through an SMTP server; each is finished as soon as the server has taken it."""

from consumers.email.handler import EmailHandler
from consumers.email.tracker import EmailTracker

__all__ = ["EmailHandler", "EmailTracker"]
