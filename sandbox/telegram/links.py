"""Which addresses become links. The others are dropped without a word: the text stays, the link does not.

Source: tdlib/td 022d6020, td/telegram/LinkManager.cpp (check_link_impl) and tdutils/td/utils/HttpUrl.cpp (parse_url).
"""

from __future__ import annotations

import re
from typing import Any

_WITH_SCHEME = re.compile(r"([^:/?#@\[\]]*)://(.*)", re.DOTALL)
_OWN_SCHEME = re.compile(r"(tg|ton|tonsite):(?://)?(.*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r"(.*?)(?::([0-9]{1,5}))?", re.DOTALL)
_HOST = re.compile(r"(?:[A-Za-z0-9._!$,~*'();&+=-]|%[0-9a-fA-F]{2}|[^\x00-\x7f])+")
_USER = re.compile(r"tg:(?://)?user\?id=([0-9]+)", re.IGNORECASE)


def user_of(url: str) -> dict[str, Any] | None:
    """Who is meant by `tg://user?id=123`, as an answer shows it."""
    found = _USER.fullmatch(url)
    return {"id": int(found[1]), "is_bot": False, "first_name": "Анна"} if found else None


def checked(url: str) -> str | None:
    """The address in the form that an answer shows, None for one that is no link."""
    if own := _OWN_SCHEME.fullmatch(url):
        return _own(own[1].lower(), own[2])
    scheme, rest = "http", url
    if written := _WITH_SCHEME.fullmatch(url):
        scheme, rest = written[1].lower(), written[2]
        if scheme not in {"http", "https"}:
            return None
    authority, query = _split(rest)
    userinfo, at, place = authority.rpartition("@")
    parts = _PORT.fullmatch(place)
    if parts is None or not _HOST.fullmatch(parts[1]) or "." not in parts[1] or parts[1] == ".":
        return None  # `http://portal/tasks/5`: a host without a dot
    if parts[2] is not None and not 0 < int(parts[2]) <= 65535:
        return None
    port = f":{int(parts[2])}" if parts[2] else ""
    query = query.rstrip()
    path = query if query.startswith("/") else f"/{query}"
    shown = "".join(f"%{ord(each):02X}" if each <= " " else each for each in path)
    return f"{scheme}://{userinfo}{at}{parts[1].lower()}{port}{shown}"


def _own(scheme: str, rest: str) -> str | None:
    host, query = _split(rest)
    allowed = r"[A-Za-z0-9_.-]+" if scheme == "tonsite" else r"[A-Za-z0-9_-]+"
    return f"{scheme}://{host.lower()}{query}" if re.fullmatch(allowed, host) else None


def _split(address: str) -> tuple[str, str]:
    """Host (with user and port), and the rest."""
    ends = min((at for mark in "/?#" if (at := address.find(mark)) >= 0), default=len(address))
    return address[:ends], address[ends:]
