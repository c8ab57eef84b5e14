"""Retry is a decision: the whole table, and the arithmetic of the delays for any error, any settings and any chance."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import (
    AmbiguousError,
    BusinessError,
    BusyError,
    ConfigurationError,
    InvalidMessageError,
    LostError,
    OutageError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.policy import (
    AMBIGUOUS_LIMIT,
    WAIT_STEPS,
    Decision,
    Drop,
    Park,
    Pause,
    RetryLater,
    RetryPolicy,
    Tries,
    decide,
    is_postponed,
    next_wait_step,
    wait_step,
)

POLICY = RetryPolicy(attempts=3, base_delay=5.0, max_delay=900.0)
LAST = Tries(POLICY.attempts + 1)
LONGEST = WAIT_STEPS[-1]

jitters = st.floats(0, 1, exclude_max=True)
seconds = st.floats(0, allow_nan=False)
sane_seconds = st.floats(0, 30 * 24 * 3600)
policies = st.builds(RetryPolicy, st.integers(0, 50), base_delay=st.floats(0.001, 1e6), max_delay=st.floats(0.001, 1e6))


class TestTable:
    @pytest.mark.parametrize(
        ("error", "tries", "settlement"),
        [
            (BusinessError("refused"), Tries(), Park()),
            (BusinessError("refused", retry_after=5), LAST, Park()),
            (PermanentError("no such user"), Tries(), Park()),
            (InvalidMessageError("not JSON"), Tries(), Park()),
            (OutageError("down"), Tries(), Pause(alert=False, retry_after=None)),
            (OutageError("down", retry_after=90), LAST, Pause(alert=False, retry_after=90)),
            (PartialOutageError("one service"), Tries(2, 3), RetryLater(5, Tries(2, 3))),
            (PartialOutageError("one chat", retry_after=31), LAST, RetryLater(45, LAST)),
            (ConfigurationError("revoked"), Tries(), Pause(alert=True, retry_after=None)),
            (ConfigurationError("revoked", retry_after=90), LAST, Pause(alert=True, retry_after=90)),
            (TransientError("locked"), Tries(1), RetryLater(3, Tries(2))),
            (TransientError("locked"), Tries(2), RetryLater(5, Tries(3))),
            (TransientError("locked"), Tries(3), RetryLater(10, Tries(4))),
            (TransientError("locked"), Tries(4), Park()),
            (TransientError("locked"), Tries(999), Park()),
            (TransientError("locked"), Tries(2, ambiguous=7), RetryLater(5, Tries(3, 7))),
            (TransientError("429", retry_after=60), Tries(1), RetryLater(60, Tries(2))),
            (TransientError("429", retry_after=0), Tries(1), RetryLater(0.1, Tries(2))),
            (TransientError("429", retry_after=61), Tries(1), RetryLater(90, Tries(2))),
            (AmbiguousError("no answer"), Tries(1), RetryLater(5, Tries(1, 1))),
            (AmbiguousError("no answer"), LAST, RetryLater(5, Tries(LAST.attempt, 1))),
            (AmbiguousError("no answer", retry_after=1), Tries(1, 6), RetryLater(1, Tries(1, 7))),
            (AmbiguousError("no answer", retry_after=0), Tries(1), RetryLater(0.1, Tries(1, 1))),
            (AmbiguousError("no answer"), Tries(1, AMBIGUOUS_LIMIT - 1), RetryLater(5, Tries(1, AMBIGUOUS_LIMIT))),
            (AmbiguousError("no answer"), Tries(1, AMBIGUOUS_LIMIT), Park()),
            (BusyError("in our hands"), Tries(), RetryLater(5, Tries(1, 1))),
            (BusyError("in our hands", retry_after=60), Tries(2, 7), RetryLater(60, Tries(2, 7))),
            (BusyError("in our hands"), Tries(1, AMBIGUOUS_LIMIT), RetryLater(5, Tries(1, AMBIGUOUS_LIMIT))),
            (LostError("another worker's"), LAST, Drop()),
        ],
    )
    def test_every_outcome_has_one_settlement(self, error: OutcomeError, tries: Tries, settlement: Decision) -> None:
        assert decide(error, tries, POLICY, jitter=0.0) == settlement

    @pytest.mark.parametrize(
        ("error", "tries", "postponed"),
        [
            (OutageError("down"), LAST, True),
            (PartialOutageError("one service"), LAST, True),
            (ConfigurationError("revoked"), LAST, True),
            (AmbiguousError("no answer"), LAST, True),
            (AmbiguousError("no answer"), Tries(1, AMBIGUOUS_LIMIT), False),
            (BusyError("in our hands"), Tries(2, 7), True),
            (TransientError("locked"), Tries(2), False),
            (TransientError("locked"), LAST, False),
            (PermanentError("no such user"), Tries(), False),
            (LostError("another worker's"), Tries(), False),
        ],
    )
    def test_what_comes_again_and_has_lost_nothing_is_postponed(
        self, error: OutcomeError, tries: Tries, postponed: bool
    ) -> None:
        assert is_postponed(decide(error, tries, POLICY, jitter=0.0), tries) is postponed

    def test_without_retries_the_first_transient_error_is_the_last(self) -> None:
        assert decide(TransientError("locked"), Tries(1), RetryPolicy(0, 5, 900), 0.0) == Park()

    @given(st.sampled_from([OutageError, ConfigurationError]), st.integers(1, 10**6), st.integers(0, 10**6), policies)
    @settings(deadline=None)
    def test_no_number_of_tries_turns_an_outage_into_a_loss(
        self, kind: type[OutcomeError], attempt: int, ambiguous: int, policy: RetryPolicy
    ) -> None:
        assert isinstance(decide(kind("down"), Tries(attempt, ambiguous), policy, 0.5), Pause)
        tries = Tries(attempt, ambiguous)
        decision = decide(PartialOutageError("down"), tries, policy, 0.5)
        assert isinstance(decision, RetryLater)
        assert decision.tries == tries


class TestDelays:
    @given(st.integers(1, 10**6), policies, jitters)
    @settings(deadline=None)
    def test_a_backoff_keeps_between_half_and_the_whole_of_its_bound(
        self, attempt: int, policy: RetryPolicy, jitter: float
    ) -> None:
        unbounded = RetryPolicy(attempt, policy.base_delay, policy.max_delay)
        decision = decide(TransientError("locked"), Tries(attempt), unbounded, jitter)
        assert isinstance(decision, RetryLater)
        bound = policy.max_delay
        if attempt < 60:
            bound = min(bound, policy.base_delay * 2 ** (attempt - 1))
        assert wait_step(bound / 2) <= decision.delay <= wait_step(bound)

    @given(st.integers(1, 60), jitters, st.floats(0.1, 60))
    @settings(deadline=None)
    def test_a_later_attempt_never_waits_less_at_the_same_chance(
        self, attempts: int, jitter: float, base_delay: float
    ) -> None:
        policy = RetryPolicy(attempts + 1, base_delay, 900.0)
        decisions = [decide(TransientError("x"), Tries(attempt), policy, jitter) for attempt in range(1, attempts + 1)]
        delays = [decision.delay for decision in decisions if isinstance(decision, RetryLater)]
        assert len(delays) == attempts
        assert all(earlier <= later for earlier, later in pairwise(delays))

    @given(st.sampled_from([TransientError, AmbiguousError]), sane_seconds, policies, jitters)
    @settings(deadline=None)
    def test_nobody_comes_earlier_than_he_was_told(
        self, kind: type[OutcomeError], retry_after: float, policy: RetryPolicy, jitter: float
    ) -> None:
        generous = RetryPolicy(1, policy.base_delay, policy.max_delay)
        decision = decide(kind("wait", retry_after=retry_after), Tries(), generous, jitter)
        assert isinstance(decision, RetryLater)
        # The longest wait queue is the end of what can be promised.
        assert decision.delay >= min(retry_after, LONGEST)
        assert decision.delay <= wait_step(min(retry_after * 1.1, LONGEST))

    @pytest.mark.parametrize("kind", [TransientError, AmbiguousError])
    @pytest.mark.parametrize("retry_after", [math.inf, math.nan, -math.inf, -1.0, 1e308, 10**400, 5e-324])
    def test_no_foreign_number_breaks_the_decision(self, kind: type[OutcomeError], retry_after: float) -> None:
        for jitter in (0.0, 0.999):
            decision = decide(kind("wait", retry_after=retry_after), Tries(), POLICY, jitter)
            assert isinstance(decision, RetryLater)
            assert decision.delay in WAIT_STEPS

    @given(seconds, seconds)
    @settings(deadline=None)
    def test_a_longer_wait_never_goes_into_a_shorter_queue(self, one: float, other: float) -> None:
        shorter, longer = sorted((one, other))
        assert wait_step(shorter) <= wait_step(longer)

    @given(st.floats(0, LONGEST))
    @settings(deadline=None)
    def test_the_queue_is_the_shortest_that_is_long_enough(self, delay: float) -> None:
        step = wait_step(delay)
        assert step >= delay
        assert not any(delay <= each < step for each in WAIT_STEPS)

    def test_the_wait_queues_are_few_and_each_name_is_in_whole_milliseconds(self) -> None:
        assert list(WAIT_STEPS) == sorted(set(WAIT_STEPS))
        assert len(WAIT_STEPS) < 30, "each is a queue in RabbitMQ, for every input queue"
        assert all(step * 1000 == round(step * 1000) for step in WAIT_STEPS)
        assert len({round(step * 1000) for step in WAIT_STEPS}) == len(WAIT_STEPS)


class TestEnds:
    @given(policies, st.lists(jitters, min_size=1, max_size=5), st.integers(0, AMBIGUOUS_LIMIT))
    @settings(deadline=None)
    def test_a_chain_of_transient_errors_ends_after_exactly_the_configured_retries(
        self, policy: RetryPolicy, chances: list[float], ambiguous: int
    ) -> None:
        tries, count = Tries(1, ambiguous), 0
        while True:
            count += 1
            decision = decide(TransientError("x"), tries, policy, chances[count % len(chances)])
            if isinstance(decision, Park):
                break
            assert isinstance(decision, RetryLater)
            tries = decision.tries
        assert count == policy.attempts + 1

    @given(policies, st.lists(st.sampled_from([TransientError, AmbiguousError]), min_size=200, max_size=200))
    @settings(deadline=None)
    def test_no_mixture_of_doubts_and_faults_circulates_for_ever(
        self, policy: RetryPolicy, kinds: list[type[OutcomeError]]
    ) -> None:
        tries = Tries()
        for count, kind in enumerate(kinds, start=1):
            decision = decide(kind("x"), tries, policy, 0.5)
            if isinstance(decision, Park):
                assert count <= policy.attempts + AMBIGUOUS_LIMIT + 1
                return
            assert isinstance(decision, RetryLater)
            spent = decision.tries.attempt + decision.tries.ambiguous
            assert spent == tries.attempt + tries.ambiguous + 1, "every round trip is counted once"
            tries = decision.tries
        pytest.fail("still going round after 200 tries")


def test_each_wait_queue_but_the_longest_has_a_longer_one_to_stand_in_for_it() -> None:
    following = [next_wait_step(step) for step in WAIT_STEPS]
    assert following == [*WAIT_STEPS[1:], None]
