"""Masks secrets in everything that leaves the process: log lines, error texts, reports, pages.

Two nets: the registered values themselves, in the forms in which libraries print them, and patterns for secrets
that nobody registered. Mask first and shorten afterwards: half a secret is no longer recognised.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, urlsplit

MASK = "***"
MIN_LENGTH = 6  # characters; a shorter value would be found inside ordinary words and numbers

# PHP prints "/" as "\/", a query string as %2F, a query string inside another one as %252F.
_SLASH = r"(?:\\{0,4}/|%(?:25){0,3}2F)"
_WEBHOOK_CODE = re.compile(rf"({_SLASH}rest{_SLASH}\d+{_SLASH})((?:(?!{_SLASH})[^\s\"'<>&?#,)\]}}])+)", re.IGNORECASE)

# Every repetition that may fail to find its end is bounded: a hostile text must not cost quadratic time. (In
# _SLASH too: unbounded, it would try a long row of backslashes anew from each of them.)
_PATTERNS = (
    (_WEBHOOK_CODE, rf"\1{MASK}"),
    (re.compile(r"(bot\d+(?::|%3A))[\w-]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(://[^\s/:@\"'<>]{0,256}:)[^\s\"'<>]{0,512}@"), rf"\1{MASK}@"),
    # To the end of the line: the schemes differ in how many words follow (Basic, Bearer, Digest, …).
    (re.compile(r"(authorization[\\\"']{0,4}\s{0,4}[:=]\s{0,4})[^\r\n]+", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(
            r"((?:password|passwd|passphrase|пароль|secret|token|api[_-]?key|\bauth|\bpwd)[\\\"']{0,4}\s{0,4}[:=]\s{0,4})"
            r"(?:\\{0,4}\"[^\"\r\n]*\"?|\\{0,4}'[^'\r\n]*'?|[^\s&,;\"'}\])]+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_TRIGGERS = ("rest", "bot", "://", "auth", "pass", "пароль", "secret", "token", "key", "pwd")


class Secrets:
    """The secrets that this process knows. Thread-safe; created by the caller, never global."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._forms: tuple[str, ...] = ()  # the longest first, so that a part never spoils the whole
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Register a secret; of a URL also its secret part alone. Values under MIN_LENGTH cannot be masked."""
        forms = {form for part in _parts(value) if len(part) >= MIN_LENGTH for form in _forms(part)}
        with self._lock:
            self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def mask(self, text: str) -> str:
        """Return the text without any secret."""
        text = self.mask_registered(text)
        lowered = text.lower()
        for trigger in _TRIGGERS:  # not any(...): this runs for every field of every log line
            if trigger in lowered:
                return self._mask_patterns(text)
        return text

    def mask_registered(self, text: str) -> str:
        """Mask only the registered secrets: for texts of others, where a word such as "token" means nothing."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    @staticmethod
    def _mask_patterns(text: str) -> str:
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _parts(value: str) -> Iterator[str]:
    yield value
    if match := _WEBHOOK_CODE.search(value):
        yield match[2]
        yield value.rstrip("/")
    if "://" in value and (password := _password(value)):
        yield password


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:  # not a URL after all
        return None


def _forms(value: str) -> Iterator[str]:
    """Yield the forms in which libraries print a text."""
    yield value
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield value.replace("/", "\\/")
    raw = value.encode(errors="surrogateescape")
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw), quote(quote(raw, safe=""), safe="")):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    # Inside a longer base64 text (user:password) the value may start at any of three offsets; only the characters
    # that hold nothing of its neighbours are the same everywhere.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=").decode()
        inner = encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        if len(inner) >= MIN_LENGTH:
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))
