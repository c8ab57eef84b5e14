"""Reads values that are more than one number or word from text. Every parser raises ValueProblem."""

from __future__ import annotations

import ipaddress
import json
from typing import Any, NamedTuple

from core.texts import Text
from settings.errors import ValueProblem

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class Endpoint(NamedTuple):
    """One node of a cluster."""

    host: str
    port: int


def parse_endpoints(hosts: str, default_port: int) -> tuple[Endpoint, ...]:
    """Read `rabbit-1,rabbit-2:5673,[::1]:5674` as endpoints."""
    return tuple(_endpoint(item.strip(), default_port) for item in hosts.split(","))


def _endpoint(item: str, default_port: int) -> Endpoint:
    # More than one colon without brackets is a bare IPv6 address, which has no port; with "/" it is some URL.
    has_port = (item.count(":") == 1 or "]:" in item) and "/" not in item
    host, _, port = item.rpartition(":") if has_port else (item, "", str(default_port))
    host = host.strip("[]")
    if not _is_host(host):
        raise ValueProblem(
            Text(f"{item!r} is not a host name", f"{item!r} не имя узла"),
            Text(
                "only host or host:port, separated by commas; user and password have variables of their own",
                "только host или host:port через запятую; для имени и пароля есть свои переменные",
            ),
        )
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise ValueProblem(
            Text(f"{port!r} is not a port", f"{port!r} не номер порта"),
            Text("write host:port with a port from 1 to 65535", "запишите host:port, порт от 1 до 65535"),
        )
    return Endpoint(host, int(port))


def _is_host(name: str) -> bool:
    if ":" in name:
        try:
            ipaddress.IPv6Address(name)
        except ValueError:
            return False
        return True
    return bool(name) and not any(character in "/@?#[]=" or character.isspace() for character in name)


def parse_json_object(text: str) -> dict[str, Any]:
    hint = Text(
        'write a JSON object on one line: {"name": "value"}', 'запишите объект JSON в одну строку: {"имя": "значение"}'
    )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueProblem(Text(f"is not valid JSON: {error}", f"это не JSON: {error}"), hint) from error
    if not isinstance(value, dict):
        raise ValueProblem(Text("is not a JSON object", "это не объект JSON"), hint)
    return value


def parse_pairs(text: str) -> dict[str, Any]:
    """Read `{"a": 1}` or `a=1,b=2` as a mapping."""
    if text.lstrip().startswith("{"):
        return parse_json_object(text)
    pairs = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        if not (name and value):
            raise ValueProblem(
                Text(f"{pair!r} is not a pair name=value", f"{pair!r} не пара имя=значение"),
                Text(
                    'write a=1,b=2 or a JSON object {"a": 1, "b": 2}',
                    'запишите a=1,b=2 или объект JSON {"a": 1, "b": 2}',
                ),
            )
        pairs[name] = value
    return pairs


def parse_numbers(text: str) -> list[str]:
    """Split `4, 5` at the commas; whether the parts are numbers is the field's own matter."""
    return [part.strip() for part in text.split(",") if part.strip()]


def is_address(host: str) -> bool:
    """Return whether the host is an IP address, so that there is nothing to resolve."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
