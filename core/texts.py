"""What is said to people, in both languages of the operators."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

Language = Literal["en", "ru"]


class Text(NamedTuple):
    """One statement in both languages."""

    en: str
    ru: str

    @classmethod
    def of(cls, told: str | Self) -> Self:
        """What has one wording only, like the words of a server, is the same in both languages."""
        return cls(told, told) if isinstance(told, str) else told

    def say(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en
