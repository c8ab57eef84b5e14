"""Errors are told with a secret hidden or with more words, and stay what they were for who raised them."""

from __future__ import annotations

from core.errors import PartialOutageError, TransientError
from core.texts import Text


class OfASystemError(TransientError):
    """As a system may write its own: other arguments than those of the vocabulary."""

    def __init__(self, status: int, *, seconds: float) -> None:
        super().__init__(Text(f"status {status} for SECRET", f"статус {status} для SECRET"), retry_after=seconds)
        self.status = status


def test_an_error_that_is_told_without_its_secret_stays_what_it_was_for_who_raised_it() -> None:
    raised = OfASystemError(503, seconds=7.5)

    told = raised.retold(raised.text.map(lambda text: text.replace("SECRET", "***")))

    assert (type(told), told.status, told.retry_after, told.code) == (OfASystemError, 503, 7.5, "transient")
    assert (str(told), told.text.ru) == ("status 503 for ***", "статус 503 для ***")
    assert (str(raised), raised.text.ru) == ("status 503 for SECRET", "статус 503 для SECRET")


def test_what_is_told_again_keeps_the_part_that_is_down() -> None:
    told = PartialOutageError("no answer", part="invoices", retry_after=3).retold(Text("none", "нет"))

    assert (told.part, told.retry_after, str(told)) == (Text.of("invoices"), 3, "none")
