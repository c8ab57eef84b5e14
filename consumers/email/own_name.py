"""Finds the name that the worker gives itself in EHLO."""

from __future__ import annotations

import re

from settings.values import is_address

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]")


def is_name(written: str) -> bool:
    """True for a host name, or an address in brackets, as RFC 5321 4.1.2 wants them."""
    literal = _LITERAL.fullmatch(written)
    return is_address(literal[1]) if literal else _NAME.fullmatch(written) is not None


def own_name(machine: str, address: str) -> str:
    """Return the machine's name if the world could know it, else its own end of the connection (RFC 5321 4.1.4).

    In a container the name is a bare id, which servers refuse.
    """
    if "." in machine and not is_address(machine) and _NAME.fullmatch(machine):
        return machine
    bare = address.partition("%")[0]  # fe80::1%eth0
    return f"[IPv6:{bare}]" if ":" in bare else f"[{bare}]"
