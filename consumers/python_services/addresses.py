"""Defines which addresses a service may have: those of the registry. Messages and answers only fill them in.

A message fills placeholders (always one part of the path or of the query, however it is written); an answer may name
the address of a job, on the service's own origin or on a host that the registry allows. Instance metadata of clouds
(169.254.0.0/16) is never asked.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from core import values
from core.errors import PermanentError
from core.texts import Text
from settings.errors import ValueProblem

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_PORTS = {"http": 80, "https": 443}
_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
_HOST = re.compile(r"[a-z0-9_.-]+(:\d{1,5})?|\[[0-9a-f:.]+\](:\d{1,5})?")


def checked_template(template: str) -> str:
    """Return an address. Raises ValueProblem when it is no http(s) one whose placeholders stand in path or query."""
    rest = _PLACEHOLDER.sub("x", template)
    parts = _split(rest)
    authority = template.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0]
    if parts is None or parts.username is not None or "{" in authority or re.search(r"[\s{}#\\]", rest):
        raise ValueProblem(
            Text("is not the address of a service", "это не адрес сервиса"),
            Text(
                "without user and password, placeholders behind the host: https://host/jobs/{folder}",
                "без имени и пароля, подстановки после имени узла: https://host/jobs/{folder}",
            ),
        )
    if _is_link_local(str(parts.hostname)):
        raise ValueProblem(
            Text("is in 169.254.0.0/16, where clouds keep secrets", "из 169.254.0.0/16, где облака хранят секреты"),
            Text("give the service another address", "укажите другой адрес сервиса"),
        )
    return template


def checked_host(host: str) -> str:
    """Return `host` or `host:port` in lower case. Raises ValueProblem."""
    host = host.lower()
    if (
        not _HOST.fullmatch(host)
        or _split(f"http://{host}/") is None
        or _is_link_local(host.rpartition(":")[0] or host)
    ):
        raise ValueProblem(
            Text("is not the name of a host", "это не имя узла"),
            Text("host or host:port, without scheme and path", "host или host:port, без схемы и пути"),
        )
    return host


def filled(template: str, value_of: Callable[[str], Any]) -> str:
    """Return the address with its placeholders filled in.

    Raises PermanentError that names the one without a usable value.
    """

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        value = value_of(name)
        if values.is_blank(value):
            reason = Text(
                f"The address of the service needs a variable {name!r}, which is empty",
                f"Для адреса сервиса нужна переменная {name!r}, а она пустая",
            )
            raise PermanentError(reason, code="no_value")
        text = values.text(value)
        if text.strip(".") == "":  # "..": the part before it would be cut off
            raise values.BadValueError(name, value, Text("a part of an address", "часть адреса"))
        return quote(text, safe="")

    return _PLACEHOLDER.sub(fill, template)


def resolved(location: str, asked: str, allowed_hosts: Iterable[str]) -> str:
    """Return the absolute address in a Location header. Raises PermanentError that names a host that is not allowed."""
    target, origin = _split(location, asked), _split(asked)
    if target is None or origin is None or target.username is not None or not location.isprintable():
        reason = Text("The service names a status address that is none", "Сервис указал негодный адрес состояния")
        raise PermanentError(reason, code="status_address")
    host, port = str(target.hostname), _port(target)
    same = (target.scheme, host, port) == (origin.scheme, origin.hostname, _port(origin))
    named = {host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"} & set(allowed_hosts)
    secure_enough = target.scheme == "https" or origin.scheme == "http"
    if _is_link_local(host) or not (same or (named and secure_enough)):
        place = f"{target.scheme}://{target.netloc}"
        reason = Text(
            f"The service names a status address on {place}, which is neither its own origin nor in status_hosts: it "
            "was not asked",
            f"Сервис указал адрес состояния на {place}, а это не его собственные схема, узел и порт и не узел из "
            "status_hosts: запрос туда не посылался",
        )
        raise PermanentError(reason, code="status_host")
    return target._replace(fragment="").geturl()


def _split(url: str, base: str = "") -> SplitResult | None:
    try:
        parts = urlsplit(urljoin(base, url))
        usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _is_link_local(host: str) -> bool:
    """Return whether a host is link-local, in every form in which libraries read an address.

    2852039166 and ::ffff:169.254.169.254 are such, too.
    """
    host = host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return address.is_link_local
        address = address.ipv4_mapped
    return address in _LINK_LOCAL
