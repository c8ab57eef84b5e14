"""The classes of outcomes, their table and the policy say the same; and an error stays what it was when it is told."""

from __future__ import annotations

from typing import get_args

import pytest

from core.errors import OutcomeError, PartialOutageError, TransientError
from core.outcomes import OUTCOMES, FailedOutcome, Outcome
from core.policy import Drop, Park, Pause, RetryLater, RetryPolicy, Tries, decide
from core.texts import Text

KINDS = [each for each in OutcomeError.__subclasses__() if each.__module__ == "core.errors"]


class OfASystemError(TransientError):
    """As a system may write its own: other arguments than those of the vocabulary."""

    def __init__(self, status: int, *, seconds: float) -> None:
        super().__init__(Text(f"status {status} for SECRET", f"статус {status} для SECRET"), retry_after=seconds)
        self.status = status


def test_every_outcome_is_raised_by_one_class_or_is_a_result() -> None:
    raised = [each.outcome for each in KINDS]
    assert sorted([*raised, Outcome.ACCEPTED, Outcome.DONE]) == sorted(OUTCOMES)
    assert set(raised) == set(get_args(FailedOutcome))
    assert set(OUTCOMES) == set(Outcome)


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_spends_an_attempt_where_the_table_says_so(kind: type[OutcomeError]) -> None:
    spent = OUTCOMES[kind.outcome].spends_attempt
    match decide(kind("why"), Tries(1), RetryPolicy(3, 5, 900), 0.5):
        case Park():
            assert spent is None
        case RetryLater(tries=tries):
            assert tries.attempt == (2 if spent else 1)
            assert spent is not None
        case Pause() | Drop():
            assert spent is False


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_waits_has_spent_nothing(kind: type[OutcomeError]) -> None:
    row = OUTCOMES[kind.outcome]
    assert not row.only_waits or row.spends_attempt is False


def test_an_error_that_is_told_without_its_secret_stays_what_it_was_for_who_raised_it() -> None:
    raised = OfASystemError(503, seconds=7.5)

    told = raised.retold(raised.text.map(lambda text: text.replace("SECRET", "***")))

    assert (type(told), told.status, told.retry_after, told.code) == (OfASystemError, 503, 7.5, "transient")
    assert (str(told), told.text.ru) == ("status 503 for ***", "статус 503 для ***")
    assert (str(raised), raised.text.ru) == ("status 503 for SECRET", "статус 503 для SECRET")


def test_what_is_told_again_keeps_the_part_that_is_down() -> None:
    told = PartialOutageError("no answer", part="invoices", retry_after=3).retold(Text("none", "нет"))

    assert (told.part, told.retry_after, str(told)) == (Text.of("invoices"), 3, "none")
