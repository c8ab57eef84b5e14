"""Where a message of the default queue belongs, by its system and its topic. Pure.

Camunda's side publishes with the routing key `<system>.<topic>`; what no binding takes arrives in the default queue.
That holds for every topic of python-services (docs/contract.md), for topics with a dot in them, and for misspelt ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

BUILT_IN: Mapping[str, str] = {
    "send_email": "email.queue",
    "email_*": "email.queue",
    "send_telegram": "telegram.queue",
    "telegram_*": "telegram.queue",
    "python": "python-services.queue",
    "create_yandex_file": "python-services.queue",
    "yandex_*": "python-services.queue",
    "create_user": "python-services.queue",
    "user_*": "python-services.queue",
    "file_*": "python-services.queue",
    "data_*": "python-services.queue",
    "bitrix24/*": "bitrix24.queue",
    "openproject/*": "openproject.queue",
    "1c/*": "1c.queue",
    "python-services/*": "python-services.queue",
    "email/*": "email.queue",
    "telegram/*": "telegram.queue",
}


class Pattern(NamedTuple):
    """`topic` or `system/topic`; either part may hold `*` and `?`."""

    system: str
    topic: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        system, slash, topic = text.partition("/")
        return cls(system, topic) if slash else cls("*", text)

    def matches(self, system: str, topic: str) -> bool:
        return fnmatchcase(topic, self.topic) and fnmatchcase(system, self.system)

    @property
    def rank(self) -> tuple[bool, int, bool, int]:
        """What makes one pattern closer than another: an exact topic, a longer one, then the same of the system."""
        return (_is_exact(self.topic), len(self.topic), _is_exact(self.system), len(self.system))


class Routes:
    """`rules` are patterns and queues; those of the operator replace a built-in rule with the same pattern."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        parsed = {Pattern.parse(text): queue for text, queue in {**BUILT_IN, **rules}.items()}
        self._rules = sorted(parsed.items(), key=lambda rule: rule[0].rank, reverse=True)

    def find(self, system: str, topic: str) -> str | None:
        """The queue of the closest rule, or None."""
        return next((queue for pattern, queue in self._rules if pattern.matches(system, topic)), None)


def _is_exact(text: str) -> bool:
    return "*" not in text and "?" not in text and "[" not in text
