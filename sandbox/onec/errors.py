"""How 1C says no: five forms of body, each as the platform or the web server before it writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from sandbox.http_front import RawAnswer

_METADATA_NAMESPACE = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
_STACK = "/srvx/Database/src/DBRelocation.cpp"


@dataclass(frozen=True, slots=True)
class ODataError(Exception):
    """A refusal of the OData interface. `code` as in the platform's guide, -1 is the application's own exception."""

    status: int
    code: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, *, as_json: bool = True) -> RawAnswer:
        return (odata_json if as_json else odata_xml)(self.status, self.code, self.message, self.headers)


def odata_json(status: int, code: int | str, message: str, headers: Mapping[str, str] | None = None) -> RawAnswer:
    body = {"odata.error": {"code": str(code), "message": {"lang": "ru", "value": message}}}
    return _json(status, body, headers)


def odata_xml(status: int, code: int | str, message: str, headers: Mapping[str, str] | None = None) -> RawAnswer:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<m:error xmlns:m="{_METADATA_NAMESPACE}"><m:code>{escape(str(code))}</m:code>'
        f'<m:message xml:lang="ru">{escape(message)}</m:message></m:error>'
    )
    return RawAnswer(status, text.encode(), "application/xml;charset=utf-8", headers or {})


def platform_json(status: int, message: str, outer: str = "Ошибка при выполнении запроса") -> RawAnswer:
    """The platform, before OData: the reason stands in the innermost description."""
    body = {
        "#exception": "{http://v8.1c.ru/8.2/virtual-resource-system}Exception",
        "exception": {
            "clsid": "580392e6-ba49-4280-ac67-fcd6f2180121",
            "reason": status,
            "descr": outer,
            "creationStack": _STACK,
            "inner": {"clsid": "ca4c1a2e-3d5f-4a26-8b4b-6b0d8e1c9d11", "descr": message, "creationStack": _STACK},
        },
    }
    return _json(status, body)


def platform_xml(status: int, message: str) -> RawAnswer:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<exception xmlns="http://v8.1c.ru/8.2/virtual-resource-system" '
        f'clsid="580392e6-ba49-4280-ac67-fcd6f2180121" reason="{status}">'
        f"<creationStack>{_STACK}</creationStack><descr>{escape(message)}</descr></exception>"
    )
    return RawAnswer(status, text.encode(), "application/xml;charset=utf-8")


def application_page(status: int, message: str) -> RawAnswer:
    text = (
        "<html><head><title>1C:Enterprise 8 application error</title></head><body>"
        f"<h2>1C:Enterprise 8 application error:</h2><p>{escape(message)}</p></body></html>"
    )
    return RawAnswer(status, text.encode(), "text/html; charset=utf-8")


def iis_page(status: int, message: str) -> RawAnswer:
    """The web server itself: nothing of 1C has seen the request."""
    text = f"<!DOCTYPE html><html><head><title>IIS Detailed Error</title></head><body><h3>{message}</h3></body></html>"
    return RawAnswer(status, text.encode(), "text/html; charset=utf-8")


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> RawAnswer:
    text = json.dumps(body, ensure_ascii=False).encode()
    return RawAnswer(status, text, "application/json;charset=utf-8", headers or {})
