"""Texts for people, in both languages of the operators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, Self

Language = Literal["en", "ru"]

# C0, DEL and C1 controls, line and paragraph separators, direction marks, lone surrogates
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Text(NamedTuple):
    """One statement in both languages."""

    en: str
    ru: str

    @classmethod
    def of(cls, told: str | Self) -> Self:
        """Return the same wording for both languages, as for the words of a server; a `Text` stays as it is."""
        return cls(told, told) if isinstance(told, str) else told

    @staticmethod
    def join(separator: str, texts: Iterable[Text]) -> Text:
        """Join the texts as `str.join` does, in each language."""
        each = list(texts)
        return Text(separator.join(text.en for text in each), separator.join(text.ru for text in each))

    def map(self, change: Callable[[str], str]) -> Text:
        """Make the same change to both languages."""
        return Text(change(self.en), change(self.ru))

    def led_by(self, start: str) -> Text:
        """Put the same words before both languages, a name for example."""
        return Text(start + self.en, start + self.ru)

    def say(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en


class BilingualError(Exception):
    """An error whose reason people read: `text` is in both languages, `str()` is the English one."""

    def __init__(self, text: str | Text) -> None:
        self.text = Text.of(text)
        super().__init__(self.text.en)


def escape(text: str) -> str:
    """Return the text on one line, everything unprintable written out."""
    return _UNPRINTABLE.sub(lambda match: _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}", text)
