"""Decides what happens to a message whose handler did not succeed. Pure: no clock, no chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from core.errors import BusyError, OutcomeError
from core.outcomes import Outcome

# A doubt is solved by looking up again and costs no attempt; this bound keeps a message that can never be
# decided from circulating for ever.
AMBIGUOUS_LIMIT = 20

# Seconds. One wait queue per delay: with a TTL per message, a long wait at the head would hold back short ones behind.
WAIT_STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    3,
    5,
    7,
    10,
    15,
    20,
    30,
    45,
    60,
    90,
    120,
    180,
    300,
    450,
    600,
    900,
    1800,
    3600,
)

LONGEST_LEASE = 10.0  # seconds; see `lease_for`


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How retries are made. `attempts`: retries after the first try. `base_delay`, `max_delay`: seconds."""

    attempts: int
    base_delay: float
    max_delay: float


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a message was tried: `attempt` counts from 1, `ambiguous` counts the doubts so far."""

    attempt: int = 1
    ambiguous: int = 0


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Send a copy to the wait queue of `delay` seconds, carrying `tries`."""

    delay: float
    tries: Tries


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop taking this system's messages; ask again after `retry_after` seconds or the usual interval."""

    alert: bool
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Park:
    """Put it into the error queue."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Do nothing with it: RabbitMQ has it back or gets it back."""


Decision = RetryLater | Pause | Park | Drop


def decide(  # noqa: PLR0911 - one line for each outcome
    error: OutcomeError, tries: Tries, policy: RetryPolicy, jitter: float
) -> Decision:
    """Return what to do after `error` at this try. `jitter` is a random number in [0, 1)."""
    outcome = error.outcome
    match outcome:
        case Outcome.BUSINESS | Outcome.PERMANENT:
            return Park()
        case Outcome.TRANSIENT:
            return _try_again(error, tries, policy, jitter)
        case Outcome.OUTAGE:
            return Pause(alert=False, retry_after=error.retry_after)
        case Outcome.CONFIGURATION:
            return Pause(alert=True, retry_after=error.retry_after)
        case Outcome.PARTIAL_OUTAGE:
            # As in an outage nothing is spent, however long it takes; the rest of the system works on.
            return RetryLater(wait_step(_told_or_base(error, policy)), tries)
        case Outcome.AMBIGUOUS:
            return _doubt_again(error, tries, policy)
        case Outcome.LOST:
            return Drop()
        case _:
            assert_never(outcome)


def is_postponed(decision: Decision, tries: Tries) -> bool:
    """Return whether the message, tried as often as `tries` says, comes again without an attempt spent.

    Its system waits, or it is in doubt: nothing is known to be wrong with the message.
    """
    return isinstance(decision, Pause) or (isinstance(decision, RetryLater) and decision.tries.attempt == tries.attempt)


def _try_again(error: OutcomeError, tries: Tries, policy: RetryPolicy, jitter: float) -> RetryLater | Park:
    if tries.attempt > policy.attempts:
        return Park()
    delay = _delay(error, tries.attempt, policy, jitter)
    return RetryLater(wait_step(delay), Tries(tries.attempt + 1, tries.ambiguous))


def _doubt_again(error: OutcomeError, tries: Tries, policy: RetryPolicy) -> RetryLater | Park:
    delay = wait_step(_told_or_base(error, policy))
    if isinstance(error, BusyError):
        # The copy is delivered as if it were new: the mark is that something may have been begun for it.
        return RetryLater(delay, Tries(tries.attempt, max(1, tries.ambiguous)))
    if tries.ambiguous >= AMBIGUOUS_LIMIT:
        return Park()
    return RetryLater(delay, Tries(tries.attempt, tries.ambiguous + 1))


def lease_for(heartbeat: float) -> float:
    """Return how long after its last proof a delivery counts as ours, in seconds.

    RabbitMQ gives the messages of a silent connection to others after two to three heartbeats (rabbit_heartbeat.erl):
    nothing may be begun for them by then. `heartbeat` 0: it never would.
    """
    return min(LONGEST_LEASE, 1.5 * heartbeat) if heartbeat else LONGEST_LEASE


def suspect_group_size(starts: int, batch_size: int) -> int:
    """Return how many messages may be handled together when a worker has died with them `starts` times.

    Each death shrinks the group: after two of them, however large the batch was, the culprit stands alone.
    """
    return math.isqrt(batch_size) if starts == 1 else 1


def wait_step(delay: float) -> float:
    """Return the shortest wait queue that is not shorter than `delay` seconds (the longest one for anything beyond)."""
    return next((step for step in WAIT_STEPS if step >= delay), WAIT_STEPS[-1])


def next_wait_step(delay: float) -> float | None:
    """Return the wait queue after that of `delay` seconds; None after the longest one."""
    return next((step for step in WAIT_STEPS if step > delay), None)


def _told_or_base(error: OutcomeError, policy: RetryPolicy) -> float:
    return error.retry_after if error.retry_after is not None else policy.base_delay


def _delay(error: OutcomeError, attempt: int, policy: RetryPolicy, jitter: float) -> float:
    if error.retry_after is not None:
        # Never earlier than told, as far as the wait queues reach; a foreign number may be too large to multiply.
        return min(error.retry_after, WAIT_STEPS[-1]) * (1 + 0.1 * jitter)
    # The exponent is bounded: a float overflows long before a patient operator's RETRY_ATTEMPTS does.
    backoff = min(policy.max_delay, policy.base_delay * 2.0 ** min(attempt - 1, 60))
    return backoff * (0.5 + 0.5 * jitter)
