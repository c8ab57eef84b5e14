"""Names the errors that are counted each by itself; all others are counted as `other`.

A system has codes of its own by the hundred, and one that it makes up tomorrow must not become a new series: here stand
those that the program itself gives, by what they mean. The journal has them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from core.outcomes import Outcome

Stage = Literal["create", "track", "respond"]
STAGES: tuple[Stage, ...] = get_args(Stage)
OTHER = "other"

_NO_ANSWER = ("timeout", "connection_dropped")
_NO_CONNECTION = ("connect_timeout", "unreachable", "no_connection")
_NO_SERVER = ("http_429", "http_502", "http_503", "http_504")
_NO_ACCESS = ("certificate", "redirect", "http_401", "http_403", "http_404")

CODES: Mapping[tuple[Stage, Outcome], tuple[str, ...]] = {
    ("create", Outcome.BUSINESS): (),
    ("create", Outcome.PERMANENT): (
        *("not_json", "missing_task_id", "unknown_topic", "no_handler", "bad_value"),
        *("kills_worker", "result_too_large", "http_400", "http_404", "http_422"),
    ),
    ("create", Outcome.TRANSIENT): ("handler_failed", "no_outcome", "http_409", "http_423", "http_500"),
    ("create", Outcome.OUTAGE): (*_NO_CONNECTION, *_NO_ANSWER, *_NO_SERVER),
    ("create", Outcome.PARTIAL_OUTAGE): ("service_down", *_NO_CONNECTION, *_NO_ANSWER, *_NO_SERVER, *_NO_ACCESS),
    ("create", Outcome.CONFIGURATION): _NO_ACCESS,
    ("create", Outcome.AMBIGUOUS): ("still_running", *_NO_ANSWER, "http_500", "http_502", "http_504"),
    ("track", Outcome.BUSINESS): ("task_deleted", "task_declined"),
    ("respond", Outcome.PERMANENT): ("bad_result",),
}
CLASSES = tuple(dict.fromkeys(outcome for _, outcome in CODES))
LISTED = (*sorted({code for codes in CODES.values() for code in codes}), OTHER)


def code_of(stage: Stage, outcome: Outcome, code: str) -> str:
    """Return the code by which this error is counted."""
    return code if code in CODES.get((stage, outcome), ()) else OTHER


def combinations(*stages: Stage) -> Iterator[tuple[str, str, str]]:
    """Yield stage, class and code of all that can be counted at these stages."""
    for (stage, outcome), codes in CODES.items():
        if stage in stages:
            yield from ((stage, outcome.value, code) for code in (*codes, OTHER))
