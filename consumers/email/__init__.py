"""E-mail: messages sent through an SMTP server, finished as soon as the server has taken them."""

from consumers.email.handler import EmailHandler
from consumers.email.tracker import EmailTracker

__all__ = ["EmailHandler", "EmailTracker"]
