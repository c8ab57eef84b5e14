"""Headers that Python's own folding would spoil.

email.policy loses the space between two encoded words when a text beyond ASCII is too long for one line (seen with
Python 3.11.7: "новый вид ошибки" arrives as "новый видошибки"). The older email.header.Header does it right; what it
makes is written as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage

_ENCODED_WORD_LIMIT = 75  # characters; RFC 2047 section 2


def set_text(mail: EmailMessage, name: str, text: str) -> None:
    """`text` is one line without control characters."""
    if text.isascii():
        mail[name] = text
    else:
        mail.set_raw(name, _encoded(text, name))


def set_addresses(mail: EmailMessage, name: str, addresses: Sequence[Address]) -> None:
    """At least one address; each on a line of its own if a name among them needs it."""
    if all(each.display_name.isascii() for each in addresses):
        mail[name] = list(addresses)
    else:
        mail.set_raw(name, ",\r\n ".join(_written(each) for each in addresses))


def _written(address: Address) -> str:
    if address.display_name.isascii():
        return str(address)
    return f"{_encoded(address.display_name, '')}\r\n <{address.addr_spec}>"


def _encoded(text: str, header_name: str) -> str:
    return Header(text, "utf-8", maxlinelen=_ENCODED_WORD_LIMIT, header_name=header_name or None).encode(linesep="\r\n")
