"""Refusals in the server's own form: status, `urn:openproject-org:api:v3:errors:X`, a localised text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_URN = "urn:openproject-org:api:v3:errors:"


class ApiError(Exception):
    """One refused request."""

    def __init__(
        self,
        status: int,
        name: str,
        message: str,
        *,
        attribute: str | None = None,
        inner: Sequence[ApiError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {name}: {message}")
        self.status = status
        self.name = name
        self.message = message
        self.attribute = attribute
        self.inner = inner
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        # Rate limits come from another layer of the server, which leaves the urn out.
        body: dict[str, Any] = {
            "_type": "Error",
            "errorIdentifier": self.name if self.status == 429 else _URN + self.name,
            "message": self.message,
        }
        if self.attribute is not None:
            body["_embedded"] = {"details": {"attribute": self.attribute}}
        if self.inner:
            body["_embedded"] = {"errors": [each.body for each in self.inner]}
        return body


def not_found() -> ApiError:
    return ApiError(404, "NotFound", "Запрошенный ресурс не найден.")


def forbidden() -> ApiError:
    return ApiError(403, "MissingPermission", "Вы не авторизованы для доступа к этому ресурсу.")


def violation(attribute: str, message: str) -> ApiError:
    return ApiError(422, "PropertyConstraintViolation", message, attribute=attribute)


def read_only(attribute: str) -> ApiError:
    return ApiError(422, "PropertyIsReadOnly", f"{attribute} только для чтения.", attribute=attribute)


def wrong_format(attribute: str, expected: str) -> ApiError:
    return ApiError(422, "PropertyFormatError", f"Неверный формат: ожидается {expected}.", attribute=attribute)


def invalid_query(message: str) -> ApiError:
    return ApiError(400, "InvalidQuery", message)
