"""A documented refusal, which ends a call early."""

from __future__ import annotations

from collections.abc import Mapping

# Codes that any method may answer, with status and text: documentation page "Error codes" (error-codes.html).
SYSTEM_ERRORS: Mapping[str, tuple[int, str]] = {
    "INTERNAL_SERVER_ERROR": (500, "Internal server error"),
    "ERROR_UNEXPECTED_ANSWER": (500, "Server returned an unexpected response"),
    "PORTAL_DELETED": (500, "Portal was deleted"),
    "QUERY_LIMIT_EXCEEDED": (503, "Too many requests"),
    "OVERLOAD_LIMIT": (503, "REST API is blocked due to overload."),
    "OPERATION_TIME_LIMIT": (429, "Method is blocked due to operation time limit."),
    "NO_AUTH_FOUND": (401, "Wrong authorization data"),
    "expired_token": (401, "The access token provided has expired."),
    "INVALID_CREDENTIALS": (403, "Invalid request credentials"),
    "insufficient_scope": (
        403,
        "The request requires higher privileges than provided by the webhook token",
    ),
    "user_access_error": (403, "The user does not have access to the application."),
    "ACCESS_DENIED": (403, "REST API is available only on commercial plans."),
    "INVALID_REQUEST": (400, "Https required."),
    "ERROR_METHOD_NOT_FOUND": (404, "Method not found!"),
    "ERROR_BATCH_METHOD_NOT_ALLOWED": (405, "Method is not allowed for batch usage"),
    "ERROR_BATCH_LENGTH_EXCEEDED": (400, "Max batch length exceeded"),
}


class RestError(Exception):
    """An answer `{"error": code, "error_description": description}` with an HTTP status."""

    def __init__(
        self,
        code: str,
        description: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {description}")
        self.code = code
        self.description = description
        self.status = status
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, str]:
        return {"error": self.code, "error_description": self.description}


def system_error(code: str, headers: Mapping[str, str] | None = None) -> RestError:
    """One of SYSTEM_ERRORS. Raises KeyError for a code that is not documented."""
    status, description = SYSTEM_ERRORS[code]
    return RestError(code, description, status=status, headers=headers)


def core_error(description: str) -> RestError:
    """`ERROR_CORE`: the catch-all of the tasks module; the text is localised and ends in `<br>`."""
    return RestError("ERROR_CORE", description + "<br>")
