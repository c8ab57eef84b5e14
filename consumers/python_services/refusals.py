"""How a call of a function has failed, as text for the journal: whoever has its message next tells the same."""

from __future__ import annotations

import json

from core.errors import BusinessError, OutcomeError, PermanentError


def written(error: OutcomeError) -> str:
    told = {"reason": error.reason, "code": error.code, "business": isinstance(error, BusinessError)}
    return json.dumps(told, ensure_ascii=False)


def read(text: str, plain_code: str) -> OutcomeError:
    """`plain_code` for a text of earlier versions, which is the reason alone."""
    try:
        told = json.loads(text)
        kind = BusinessError if told["business"] is True else PermanentError
        return kind(str(told["reason"]), code=str(told["code"]))
    except (ValueError, TypeError, KeyError):
        return PermanentError(text, code=plain_code)
