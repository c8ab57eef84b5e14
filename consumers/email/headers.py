"""Writes headers that Python's own folding would spoil.

email.policy takes the quotes off a long quoted name, so that `"Doe, John" <a@b>` reads as two recipients (CPython
gh-80222, fixed in 2025; seen with 3.11.7, 3.12.1 and 3.13.0). It encodes the comma between two addresses (gh-100884),
and loses the space between two encoded words when a text beyond ASCII is too long for one line (seen with 3.11.7:
"новый вид ошибки" arrives as "новый видошибки"). Addresses are therefore written here, each on a line of its own, and
texts beyond ASCII by the older email.header.Header, which does it right; what these make is written as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage

_ENCODED_WORD_LIMIT = 75  # characters; RFC 2047 section 2
_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # an atom of RFC 5322 3.2.3
_WORDS = re.compile(rf"{_WORD}(?: {_WORD})*")


def set_text(mail: EmailMessage, name: str, text: str) -> None:
    """Set a header to `text`, which is one line without control characters."""
    if text.isascii():
        mail[name] = text
    else:
        mail.set_raw(name, _encoded(text, name))


def set_addresses(mail: EmailMessage, name: str, addresses: Sequence[Address]) -> None:
    """Set a header to addresses: at least one, with names of at most 200 characters.

    No line becomes too long then (RFC 5322 2.1.1).
    """
    mail.set_raw(name, ",\r\n ".join(map(_written, addresses)))


def _written(address: Address) -> str:
    name = address.display_name
    if not name:
        return address.addr_spec
    if not name.isascii() or "=?" in name:  # the latter would be taken for an encoded word
        return f"{_encoded(name, '')}\r\n <{address.addr_spec}>"
    if not _WORDS.fullmatch(name):
        name = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    return f"{name} <{address.addr_spec}>"


def _encoded(text: str, header_name: str) -> str:
    return Header(text, "utf-8", maxlinelen=_ENCODED_WORD_LIMIT, header_name=header_name or None).encode(linesep="\r\n")
