"""One mail to its recipients, each once: the journal is told before and after every transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from consumers.email.config import EmailSettings
from consumers.email.errors import RecipientDeferredError, RecipientRefusedError
from consumers.email.session import Letter, SmtpSession
from core.errors import AmbiguousError, OutcomeError, PermanentError, TransientError
from runtime.send_journal import Send, SendJournal

_POLICY = "smtp_5.7."  # RFC 3463: refused for reasons of security or policy


@dataclass
class Progress:
    """What is known of each recipient of one mail, in the order of the mail."""

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    deferred: dict[str, str] = field(default_factory=dict)
    in_doubt: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    doubt: AmbiguousError | None = None  # of this attempt
    error: OutcomeError | None = None  # of the server or of the whole mail

    def story(self) -> str:
        """For the error queue: who has it and who has not."""
        told = [f"taken for {', '.join(self.accepted) or 'nobody'}"]
        for title, found in (("refused", self.refused), ("not now", self.deferred), ("in doubt", self.in_doubt)):
            told += [f"{title}: {address} ({reason})" for address, reason in found.items()]
        if self.untried:
            told.append(f"not tried yet: {', '.join(self.untried)}")
        return "; ".join(told)


class Delivery:
    """Sends what the journal does not know as sent. Recipients are bare addresses. Usable from any thread."""

    def __init__(self, journal: SendJournal, settings: EmailSettings) -> None:
        self._journal = journal
        self._resend = settings.on_ambiguous == "resend"
        self._ambiguous_wait = settings.ambiguous_wait
        self._deferred_wait = settings.deferred_wait

    def known(self, task_id: str, recipients: Sequence[str]) -> Progress | None:
        """The end of a mail that was sent before, by what the journal says; None when something is left to do."""
        parts = self._journal.parts(task_id)
        progress = Progress()
        if all(_recall(progress, each, parts.get(_part(each))) for each in recipients) and progress.accepted:
            return progress
        return None

    def is_in_doubt(self, task_id: str, recipients: Sequence[str]) -> bool:
        """Whether an attempt to one of them was begun whose end the journal does not know."""
        parts = self._journal.parts(task_id)
        states = (parts.get(_part(each)) for each in recipients)
        return any(state is not None and state.state == "sending" for state in states)

    def send(self, session: SmtpSession, task_id: str, recipients: Sequence[str], letter: Letter) -> Progress:
        """One transaction for each recipient without an answer, until one is in doubt or the server fails.

        Raises ConfigurationError when the journal cannot be written: nothing is sent without it.
        """
        parts = self._journal.parts(task_id)
        progress = Progress()
        policy = 0  # recipients that the server's policy has refused now
        for recipient in recipients:
            state = parts.get(_part(recipient))
            if _recall(progress, recipient, state):
                continue
            if progress.doubt or progress.error:
                progress.untried.append(recipient)
            elif state is not None and not self._resend:
                progress.in_doubt[recipient] = "an earlier attempt ended while it was being sent"
            else:
                refusal = self._transaction(session, task_id, recipient, letter, state=state, progress=progress)
                policy += refusal is not None and refusal.code.startswith(_POLICY)
        if policy and policy == len(recipients):
            self._tell_whom_the_policy_is_about(session, task_id, recipients, progress)
        return progress

    def outcome(self, progress: Progress) -> OutcomeError | None:
        """Why the mail is not done with, None when every recipient has an answer."""
        if progress.in_doubt and self._resend:
            reason = f"the mail may have been delivered and is sent again: {progress.story()}"
            return TransientError(reason, code="in_doubt", retry_after=self._ambiguous_wait)
        if progress.error is not None:
            return progress.error
        if progress.untried:
            reason = f"not everybody's turn has come: {progress.story()}"
            return TransientError(reason, code="in_doubt", retry_after=self._ambiguous_wait)
        if progress.deferred:
            reason = f"the mail server does not take the mail for everybody now: {progress.story()}"
            return TransientError(reason, code="deferred", retry_after=self._deferred_wait)
        if progress.in_doubt:
            return PermanentError(f"the mail may have been delivered: {progress.story()}", code="may_be_delivered")
        return None

    def forget_refusals(self, task_id: str, recipients: Sequence[str]) -> None:
        """For a mail that nobody has: whoever puts its message back from the error queue wants it tried anew."""
        for recipient in recipients:
            self._journal.forget(task_id, _part(recipient))

    def _transaction(
        self,
        session: SmtpSession,
        task_id: str,
        recipient: str,
        letter: Letter,
        *,
        state: Send | None,
        progress: Progress,
    ) -> RecipientRefusedError | None:
        part = _part(recipient)
        try:
            answer = session.deliver(letter, recipient, partial(self._journal.begin, task_id, part))
        except RecipientRefusedError as error:
            self._journal.begin(task_id, part)  # perhaps refused before the content: only known parts can be settled
            self._journal.refused(task_id, part, error.reason)
            progress.refused[recipient] = error.reason
            return error
        except AmbiguousError as error:
            progress.in_doubt[recipient] = error.reason
            progress.doubt = error
        except OutcomeError as error:
            if state is None:  # else the doubt of an earlier attempt stays
                self._journal.forget(task_id, part)
            if isinstance(error, RecipientDeferredError):
                progress.deferred[recipient] = error.reason
            else:
                progress.untried.append(recipient)
                progress.error = error
        else:
            self._journal.sent(task_id, part, answer)
            progress.accepted.append(recipient)
        return None

    def _tell_whom_the_policy_is_about(
        self, session: SmtpSession, task_id: str, recipients: Sequence[str], progress: Progress
    ) -> None:
        """Refused for everybody: the worker has lost its right to send, or these recipients are forbidden."""
        try:
            session.require_right_to_send()
        except OutcomeError as error:
            progress.error = error
            self.forget_refusals(task_id, recipients)


def _part(recipient: str) -> str:
    return recipient.lower()


def _recall(progress: Progress, recipient: str, state: Send | None) -> bool:
    """Takes over what an earlier attempt has settled."""
    if state is not None and state.state == "sent":
        progress.accepted.append(recipient)
    elif state is not None and state.state == "refused":
        progress.refused[recipient] = state.detail
    else:
        return False
    return True
