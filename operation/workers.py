"""Asks the running workers how they stand, and reads of several which one knows more about a system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from control.client import NoWorkerError, SilentWorkerError, Workers
from control.protocol import RefusedError
from core.texts import BilingualError

_RANKS = {"down": 3, "paused": 2, "ok": 1}  # the others are not in use there


def answers_of(workers: Workers) -> tuple[Sequence[Mapping[str, Any]], BilingualError | None]:
    """Return the status of each running worker; without any, also why. Raises ForbiddenError."""
    try:
        return workers.ask("status"), None
    except (NoWorkerError, SilentWorkerError, RefusedError) as error:
        return [], error


def system_among(answers: Sequence[Mapping[str, Any]], system: str) -> Mapping[str, Any] | None:
    """Return what the answers to `status` say of a system; None when no worker serves it.

    Of two workers one may stand by: it has met no trouble, and whoever has knows more.
    """
    told = [each for answer in answers for each in answer["systems"] if each["system"] == system]
    return max(told, key=lambda each: _RANKS.get(each["state"], 0), default=None)
