"""The parameters of a request as the Bot API's server reads them: from the query, a form, a multipart form or JSON.

Each is a text in the end (`as_texts`): what was JSON inside is JSON in a text.
Source: core.telegram.org/bots/api#making-requests; tdlib/telegram-bot-api 01a3679c, Client.cpp (to_bool).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from sandbox.http_front import HttpRequest
from sandbox.telegram.errors import bad_request

_TRUE = frozenset({"true", "yes", "1"})


def read_params(request: HttpRequest) -> dict[str, Any]:
    """As they were sent. Raises ApiError."""
    params: dict[str, Any] = dict(parse_qsl(request.query, keep_blank_values=True))
    kind = request.content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return params | dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    if kind == "multipart/form-data":
        return params | _of_parts(request)
    if kind == "application/json" and request.body:
        return params | _of_json(request.body)
    return params


def as_texts(params: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
        for name, each in params.items()
        if each is not None
    }


def is_true(written: str) -> bool:
    """Whatever else it says is no, and never a mistake."""
    return written.strip().lower() in _TRUE


def json_object(written: str, what: str) -> dict[str, Any]:
    """Raises ApiError in the server's words."""
    try:
        value = json.loads(written) if written else {}
    except ValueError:
        raise bad_request(f"can't parse {what} JSON object") from None
    if not isinstance(value, dict):
        raise bad_request(f"object expected as {what}")
    return value


def _of_json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise bad_request("can't parse JSON object")
    return value


def _of_parts(request: HttpRequest) -> dict[str, str]:
    head = f"Content-Type: {request.content_type}\r\n\r\n".encode("latin-1")
    form = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + request.body)
    if not form.is_multipart():
        raise bad_request("can't parse multipart/form-data")
    params = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="Content-Disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and part.get_filename() is None and isinstance(content, bytes):
            params[name] = content.decode("utf-8", "replace")
    return params
