"""Refusals in Telegram's own form. core.telegram.org/bots/api#making-requests"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """One refused request; the HTTP status is the error code."""

    def __init__(
        self, code: int, description: str, *, retry_after: int | None = None, migrate_to_chat_id: int | None = None
    ) -> None:
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description
        told = {"retry_after": retry_after, "migrate_to_chat_id": migrate_to_chat_id}
        self.parameters = {name: value for name, value in told.items() if value is not None}

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        return {**body, "parameters": self.parameters} if self.parameters else body


def bad_request(description: str) -> ApiError:
    return ApiError(400, f"Bad Request: {description}")


def forbidden(description: str) -> ApiError:
    return ApiError(403, f"Forbidden: {description}")


def too_many_requests(seconds: int) -> ApiError:
    return ApiError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)
