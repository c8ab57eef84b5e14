"""Writes as text for the journal how a call of a function has failed: the next with its message reports the same."""

from __future__ import annotations

import json

from core.errors import BusinessError, OutcomeError, PermanentError
from core.texts import Text


def written(error: OutcomeError) -> str:
    business = isinstance(error, BusinessError)
    told = {"reason": error.text.en, "reason_ru": error.text.ru, "code": error.code, "business": business}
    return json.dumps(told, ensure_ascii=False)


def read(text: str, plain_code: str) -> OutcomeError:
    """Return the error in a text.

    `plain_code` is for a text of the first versions, which is the reason alone; later ones wrote it in English only.
    """
    try:
        told = json.loads(text)
        kind = BusinessError if told["business"] is True else PermanentError
        reason = Text(str(told["reason"]), str(told.get("reason_ru", told["reason"])))
        return kind(reason, code=str(told["code"]))
    except (ValueError, TypeError, KeyError):
        return PermanentError(text, code=plain_code)
