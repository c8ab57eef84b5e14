"""Reads mail addresses, as people and processes write them, strictly: what is not clearly an address is refused.

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
from core.texts import Text

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
    """Return a text that may stand in a header. Raises BadValueError for line ends and other control characters."""
    written = str(value) if isinstance(value, str | int | float) else values.text(value)
    if _ENCODED_WORD.search(written):
        # Python's own mail package decodes it, and what it holds may be line ends.
        wanted = Text(
            "plain text: an encoded word of RFC 2047 is not taken",
            "простой текст, кодированные слова (RFC 2047) не принимаются",
        )
        raise values.BadValueError(name, written, wanted)
    for character in written:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            wanted = Text(
                "text on one line, without control characters", "текст в одну строку без управляющих символов"
            )
            raise values.BadValueError(name, written, wanted)
    return written.strip()


def parse_addresses(name: str, value: Any) -> Iterator[Address]:
    """Yield the addresses of a list, a JSON list in a text, or a text separated by commas or semicolons.

    Raises BadAddressError.
    """
    listed = value if isinstance(value, list) else _json_list(value)
    count = 0
    for item in listed:
        if not isinstance(item, str):
            raise BadAddressError(name, item, Text("a mail address", "почтовый адрес"))
        written = header_text(name, item)
        if len(written) > _LIST_LIMIT:
            wanted = Text(f"a list of at most {_LIST_LIMIT} characters", f"список не длиннее {_LIST_LIMIT} символов")
            raise BadAddressError(name, written, wanted)
        for part in _split(name, written):
            count += 1
            if count > _COUNT_LIMIT:
                wanted = Text(
                    f"a list of at most {_COUNT_LIMIT} addresses", f"список, в котором не больше {_COUNT_LIMIT} адресов"
                )
                raise BadAddressError(name, written, wanted)
            if part:
                yield parse_address(name, part)


def parse_address(name: str, written: str) -> Address:
    """Read `a@b.ru` or `Name <a@b.ru>`; the domain comes out in its ASCII form. Raises BadAddressError."""
    text = header_text(name, written)
    display, bare = "", text
    if text.endswith(">") and "<" in text:
        display, _, bare = text[:-1].rpartition("<")
        display, bare = _unquoted(display.strip()), bare.strip()
    local, at, domain = bare.rpartition("@")
    if not at or len(local.encode()) > _LOCAL_LIMIT or not _LOCAL.fullmatch(local) or not local.isprintable():
        wanted = Text(
            "a mail address such as ivan@example.ru or Иван <ivan@example.ru>",
            "почтовый адрес, например ivan@example.ru или Иван <ivan@example.ru>",
        )
        raise BadAddressError(name, written, wanted)
    if len(display) > NAME_LIMIT or "<" in display or ">" in display:
        wanted = Text(
            f"an address with a name of at most {NAME_LIMIT} characters",
            f"адрес с именем не длиннее {NAME_LIMIT} символов",
        )
        raise BadAddressError(name, written, wanted)
    try:
        address = Address(display, username=local, domain=domain_of(domain, name))
    except (MessageError, ValueError, IndexError):
        wanted = Text("a mail address such as ivan@example.ru", "почтовый адрес, например ivan@example.ru")
        raise BadAddressError(name, written, wanted) from None
    if len(address.addr_spec.encode()) > _ADDRESS_LIMIT:
        wanted = Text(f"an address of at most {_ADDRESS_LIMIT} bytes", f"адрес не длиннее {_ADDRESS_LIMIT} байт")
        raise BadAddressError(name, written, wanted)
    return address


def domain_of(written: str, name: str = "domain") -> str:
    """Return the domain in lower case and ASCII (пример.рф -> xn--e1afmkfd.xn--p1ai).

    Raises BadAddressError, which names `name`.
    """
    try:
        domain = written[:254].encode("idna").decode("ascii").lower()
    except UnicodeError:
        domain = ""
    labels = domain.split(".")
    if len(domain) > 253 or not all(map(_LABEL.fullmatch, labels)) or _NUMERIC.fullmatch(labels[-1]):
        raise BadAddressError(name, written, Text("a domain such as example.ru", "домен, например example.ru"))
    return domain


def key_of(address: Address) -> str:
    """Return the key by which a recipient is recognised: no server in use distinguishes upper case from lower."""
    return address.addr_spec.lower()


def distinct(addresses: Iterable[Address]) -> list[Address]:
    """Return each recipient once, the first spelling wins."""
    found: dict[str, Address] = {}
    for address in addresses:
        found.setdefault(key_of(address), address)
    return list(found.values())


def require_allowed(name: str, addresses: Iterable[Address], domains: frozenset[str]) -> None:
    """Raise PermanentError for the first address outside of `domains` (empty: any)."""
    for address in addresses:
        if domains and address.domain not in domains:
            reason = Text(
                f"{name}: {address.addr_spec} is not in a domain that EMAIL_ALLOWED_DOMAINS names",
                f"{name}: домен адреса {address.addr_spec} не указан в EMAIL_ALLOWED_DOMAINS",
            )
            raise PermanentError(reason, code="domain")


def _json_list(value: Any) -> list[Any]:
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [value]
    return values.items(value)


def _split(name: str, written: str) -> Iterator[str]:
    """Split at commas and semicolons that are outside of quotes."""
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
        wanted = Text("a list of addresses: a quote is not closed", "список адресов, в котором закрыты все кавычки")
        raise BadAddressError(name, written, wanted)
    yield "".join(part).strip()


def _unquoted(display: str) -> str:
    if len(display) >= 2 and display[0] == display[-1] == '"':
        return re.sub(r"\\(.)", r"\1", display[1:-1])
    return display
