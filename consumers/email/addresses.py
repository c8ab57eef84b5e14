"""Mail addresses as people and processes write them, read strictly: what is not clearly an address is refused.

Not taken, though RFC 5322 knows them: quoted local parts, comments, groups, address literals. The parser of the
standard library accepts them, and recurses as deeply as a message wants it to.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from email.errors import MessageError
from email.headerregistry import Address
from typing import Any

from core import values
from core.errors import PermanentError

NAME_LIMIT = 200  # characters of a display name

# RFC 5321 4.5.3.1
_LOCAL_LIMIT = 64
_ADDRESS_LIMIT = 254
_LIST_LIMIT = 100_000  # characters of a list of addresses
_COUNT_LIMIT = 10_000  # addresses that are looked at to find the distinct ones

_LOCAL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+)*"
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?", re.IGNORECASE)
_NUMERIC = re.compile(r"[0-9]+")


class BadAddressError(values.BadValueError):
    """Something that is no mail address."""


def header_text(name: str, value: Any) -> str:
    """A text that may stand in a header. Raises BadValueError for line ends and other control characters."""
    written = str(value) if isinstance(value, str | int | float) else values.text(value)
    if _ENCODED_WORD.search(written):
        # Python's own mail package decodes it, and what it holds may be line ends.
        raise values.BadValueError(name, written, "plain text: an encoded word of RFC 2047 is not taken")
    for character in written:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise values.BadValueError(name, written, "text on one line, without control characters")
    return written.strip()


def parse_addresses(name: str, value: Any) -> Iterator[Address]:
    """A list, a JSON list in a text, or addresses separated by commas or semicolons. Raises BadAddressError."""
    listed = value if isinstance(value, list) else _json_list(value)
    count = 0
    for item in listed:
        if not isinstance(item, str):
            raise BadAddressError(name, item, "a mail address")
        written = header_text(name, item)
        if len(written) > _LIST_LIMIT:
            raise BadAddressError(name, written, f"a list of at most {_LIST_LIMIT} characters")
        for part in _split(name, written):
            count += 1
            if count > _COUNT_LIMIT:
                raise BadAddressError(name, written, f"a list of at most {_COUNT_LIMIT} addresses")
            if part:
                yield parse_address(name, part)


def parse_address(name: str, written: str) -> Address:
    """`a@b.ru` or `Name <a@b.ru>`; the domain comes out in its ASCII form. Raises BadAddressError."""
    text = header_text(name, written)
    display, bare = "", text
    if text.endswith(">") and "<" in text:
        display, _, bare = text[:-1].rpartition("<")
        display, bare = _unquoted(display.strip()), bare.strip()
    local, at, domain = bare.rpartition("@")
    if not at or len(local.encode()) > _LOCAL_LIMIT or not _LOCAL.fullmatch(local) or not local.isprintable():
        raise BadAddressError(name, written, "a mail address such as ivan@example.ru or Иван <ivan@example.ru>")
    if len(display) > NAME_LIMIT or "<" in display or ">" in display:
        raise BadAddressError(name, written, f"an address with a name of at most {NAME_LIMIT} characters")
    try:
        address = Address(display, username=local, domain=domain_of(domain))
    except (MessageError, ValueError, IndexError):
        raise BadAddressError(name, written, "a mail address such as ivan@example.ru") from None
    if len(address.addr_spec.encode()) > _ADDRESS_LIMIT:
        raise BadAddressError(name, written, f"an address of at most {_ADDRESS_LIMIT} bytes")
    return address


def domain_of(written: str) -> str:
    """In lower case and ASCII (пример.рф -> xn--e1afmkfd.xn--p1ai). Raises BadAddressError."""
    try:
        domain = written[:254].encode("idna").decode("ascii").lower()
    except UnicodeError:
        domain = ""
    labels = domain.split(".")
    if len(domain) > 253 or not all(map(_LABEL.fullmatch, labels)) or _NUMERIC.fullmatch(labels[-1]):
        raise BadAddressError("domain", written, "a domain such as example.ru")
    return domain


def key_of(address: Address) -> str:
    """By what a recipient is recognised: no server in use tells upper case from lower."""
    return address.addr_spec.lower()


def distinct(addresses: Iterable[Address]) -> list[Address]:
    """Each recipient once, the first spelling wins."""
    found: dict[str, Address] = {}
    for address in addresses:
        found.setdefault(key_of(address), address)
    return list(found.values())


def require_allowed(name: str, addresses: Iterable[Address], domains: frozenset[str]) -> None:
    """Raises PermanentError for the first address outside of `domains` (empty: any)."""
    for address in addresses:
        if domains and address.domain not in domains:
            raise PermanentError(
                f"{name}: {address.addr_spec} is not in a domain that EMAIL_ALLOWED_DOMAINS names", code="domain"
            )


def _json_list(value: Any) -> list[Any]:
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [value]
    return values.items(value)


def _split(name: str, written: str) -> Iterator[str]:
    """At commas and semicolons that are outside of quotes."""
    part: list[str] = []
    quoted = escaped = False
    for character in written:
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character in ",;" and not quoted:
            yield "".join(part).strip()
            part = []
            continue
        part.append(character)
    if quoted:
        raise BadAddressError(name, written, "a list of addresses: a quote is not closed")
    yield "".join(part).strip()


def _unquoted(display: str) -> str:
    if len(display) >= 2 and display[0] == display[-1] == '"':
        return re.sub(r"\\(.)", r"\1", display[1:-1])
    return display
