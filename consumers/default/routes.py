"""Finds where a message of the default queue belongs, by its system and its topic. Pure.

Camunda's side publishes with the routing key `<system>.<topic>`; what no binding takes arrives in the default queue.
That holds for every topic of python-services (docs/contract.md), for topics with a dot in them, and for misspelt ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

# Systems with a queue of their own: what is addressed to them is theirs, whatever its topic is called.
SYSTEMS: Mapping[str, str] = {
    "bitrix24": "bitrix24.queue",
    "openproject": "openproject.queue",
    "1c": "1c.queue",
    "email": "email.queue",
    "telegram": "telegram.queue",
}

# For python-services and for systems that nobody knows the topic tells.
TOPICS: Mapping[str, str] = {
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
    "python-services/*": "python-services.queue",
}


class Pattern(NamedTuple):
    """A pattern `topic` or `system/topic`; either part may hold `*` and `?`."""

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
        """How close a pattern is: an exact topic first, a longer one, then the same of the system."""
        return (_is_exact(self.topic), len(self.topic), _is_exact(self.system), len(self.system))


class Routes:
    """The rules for all messages.

    `rules` are the operator's patterns and queues; one with a built-in rule's pattern replaces it.
    """

    def __init__(self, rules: Mapping[str, str]) -> None:
        self._own = _sorted(rules)
        self._all = _sorted({**TOPICS, **rules})

    def find(self, system: str, topic: str) -> str | None:
        """Return the queue of the closest rule, or None."""
        if system in SYSTEMS:
            return _closest(self._own, system, topic) or SYSTEMS[system]
        return _closest(self._all, system, topic)


def _sorted(rules: Mapping[str, str]) -> Sequence[tuple[Pattern, str]]:
    parsed = ((Pattern.parse(text), queue) for text, queue in rules.items())
    return sorted(parsed, key=lambda rule: rule[0].rank, reverse=True)


def _closest(rules: Sequence[tuple[Pattern, str]], system: str, topic: str) -> str | None:
    return next((queue for pattern, queue in rules if pattern.matches(system, topic)), None)


def _is_exact(text: str) -> bool:
    return "*" not in text and "?" not in text and "[" not in text
