"""The closed vocabulary of what can go wrong with one task, and what each outcome makes the daemon do.

    OutcomeError
     ├─ BusinessError       the system refused for a reason that the process should know   -> error queue
     ├─ PermanentError      this message can never succeed                                  -> error queue
     ├─ TransientError      may succeed soon; an attempt is spent                           -> delayed retry
     ├─ OutageError         the system is down or unreachable; nothing is spent             -> pause, probe
     ├─ PartialOutageError  one part of it is (a service, a chat); nothing is spent         -> this message waits
     ├─ ConfigurationError  bad credentials, missing right or field; nothing is spent       -> pause, alert
     ├─ AmbiguousError      the request may have been executed                              -> look up again
     │   └─ BusyError       our own running work has the key; nothing is spent              -> comes again
     └─ LostError           the delivery may be another worker's by now                     -> dropped, RabbitMQ has it

Handlers and trackers raise these; `core.policy` decides what follows. The two classes below the tree are not
outcomes: they never concern a message, only the life of the process.
"""

from __future__ import annotations

from typing import ClassVar, Self

from core.outcomes import OUTCOMES, FailedOutcome, Outcome, OutcomeRow
from core.texts import BilingualError, Text


class OutcomeError(BilingualError):
    """The task was not done; the subclass says what that means for the message.

    `code` is a short stable word for machines (`ERROR_CORE`, `unknown_topic`), `retry_after` is in seconds. A reason of
    ours is given in both languages: error reports, alerts and commands show both, logs the English one.
    """

    outcome: ClassVar[FailedOutcome]

    def __init__(self, reason: str | Text, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.code = code or self.outcome
        self.retry_after = retry_after

    @property
    def reason(self) -> str:
        return self.text.en

    @classmethod
    def row(cls) -> OutcomeRow | None:
        """Return what the table says of it; None for a system's own class that has no word of the table."""
        return OUTCOMES.get(getattr(cls, "outcome", None))  # type: ignore[arg-type]

    def retold(self, text: Text) -> Self:
        """Return the same error with another reason: with more words, or without a secret."""
        # Not by its constructor: a system's own class may want other arguments.
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.text, copy.args = text, (text.en,)
        return copy


class BusinessError(OutcomeError):
    """The system refused for a business reason."""

    outcome = Outcome.BUSINESS


class PermanentError(OutcomeError):
    """This message can never succeed."""

    outcome = Outcome.PERMANENT


class InvalidMessageError(PermanentError):
    """The message breaks the contract; it goes to the error queue with its original bytes."""


class TransientError(OutcomeError):
    """May succeed soon; one attempt is spent."""

    outcome = Outcome.TRANSIENT


class OutageError(OutcomeError):
    """The system is down or unreachable; no attempt is spent."""

    outcome = Outcome.OUTAGE


class PartialOutageError(OutcomeError):
    """The part of the system that this message needs is down or asks for patience; no attempt is spent.

    `part` names one that is down and that people should hear of.
    """

    outcome = Outcome.PARTIAL_OUTAGE

    def __init__(
        self,
        reason: str | Text,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        part: str | Text | None = None,
    ) -> None:
        super().__init__(reason, code=code, retry_after=retry_after)
        self.part = None if part is None else Text.of(part)


class ConfigurationError(OutcomeError):
    """Credentials, rights or set-up of the system are wrong; no attempt is spent."""

    outcome = Outcome.CONFIGURATION


class AmbiguousError(OutcomeError):
    """The request may have been executed; look up by the idempotency key before doing it again."""

    outcome = Outcome.AMBIGUOUS


class BusyError(AmbiguousError):
    """Another message of the same task is in our own hands. Nothing is in doubt, so no doubt is counted."""


class LostError(OutcomeError):
    """RabbitMQ may have given the message to another worker: nothing more is begun for it or reported about it."""

    outcome = Outcome.LOST


class NotConfiguredError(BilingualError):
    """The system has no settings, so its queue is not consumed. `variable` is the missing one, if one is missing."""

    def __init__(self, reason: str | Text = "", *, variable: str | None = None) -> None:
        super().__init__(reason or Text(f"{variable} is not set", f"{variable} не задана"))
        self.variable = variable


class StoppingError(Exception):
    """The daemon is stopping: the message goes back to the broker untouched."""
