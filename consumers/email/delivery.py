"""Sends one mail to its recipients, each once: the journal is written before and after every transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.email.client import SmtpClient
from consumers.email.errors import RecipientDeferredError, RecipientRefusedError
from consumers.email.rights import NoRightError, require_right_to_send
from consumers.email.session import Letter, SmtpSession
from core.errors import (
    AmbiguousError,
    BusyError,
    LostError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.messages import IncomingMessage
from core.texts import Text
from toolkit.send_journal import Send, SendJournal

Earlier = Mapping[str, Send]  # by part

_NOBODY = Text("taken for nobody", "не принято ни для кого")
_REFUSED = Text("refused", "отказано")
_NOT_NOW = Text("not now", "отложено")
_IN_DOUBT = Text("in doubt", "под сомнением")
_ENDED = Text("an earlier attempt ended while it was being sent", "прежняя попытка прервалась во время отправки")
_SENT_AGAIN = Text(
    "the mail may have been delivered; each further attempt sends it again",
    "письмо, возможно, доставлено; каждая следующая попытка отправит его ещё раз",
)
_NOT_FOR_ALL = Text(
    "the mail server does not take the mail for everybody now", "почтовый сервер пока принимает письмо не для всех"
)


@dataclass
class Progress:
    """What is known of each recipient of one mail, in the order of the mail."""

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, Text] = field(default_factory=dict)
    deferred: dict[str, Text] = field(default_factory=dict)
    in_doubt: dict[str, Text] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    tried: int = 0  # now
    doubt: AmbiguousError | None = None  # of this attempt
    error: OutcomeError | None = None  # of the server or of the whole mail

    def story(self, what: Text) -> Text:
        """Return a text for the error queue: `what` has happened, who has the mail and who has not."""
        accepted, untried = ", ".join(self.accepted), ", ".join(self.untried)
        told = [Text(f"taken for {accepted}", f"принято для {accepted}") if accepted else _NOBODY]
        for title, found in ((_REFUSED, self.refused), (_NOT_NOW, self.deferred), (_IN_DOUBT, self.in_doubt)):
            told += [
                Text(f"{title.en}: {address} ({reason.en})", f"{title.ru}: {address} ({reason.ru})")
                for address, reason in found.items()
            ]
        if untried:
            told.append(Text(f"not tried yet: {untried}", f"ещё не пробовали: {untried}"))
        return Text.join(": ", [what, Text.join("; ", told)])


class Delivery:
    """Sends what the journal does not know as sent. Recipients are bare addresses. Usable from any thread."""

    def __init__(self, journal: SendJournal, client: SmtpClient) -> None:
        settings = client.settings
        self._journal = journal
        self._client = client
        self._resend = settings.on_ambiguous == "resend"
        self._ambiguous_wait = settings.ambiguous_wait
        self._deferred_wait = settings.deferred_wait

    def earlier(self, task_id: str) -> Earlier:
        """Return what the journal says of the task. It holds for what is asked and sent with it: see `send`."""
        return self._journal.parts(task_id)

    def known(self, earlier: Earlier, recipients: Sequence[str]) -> Progress | None:
        """Return the end of a mail that was sent before; None when something is left to do."""
        progress = Progress()
        if all(_recall(progress, each, earlier.get(_part(each))) for each in recipients) and progress.accepted:
            return progress
        return None

    def is_running(self, earlier: Earlier, recipients: Sequence[str]) -> bool:
        """Return whether another worker of this machine is sending it to one of them."""
        return any(send.is_running for send in _known(earlier, recipients))

    def is_in_doubt(self, earlier: Earlier, recipients: Sequence[str]) -> bool:
        """Return whether it was begun for one of them and its end is not known, nor whether the sender of it lives."""
        return any(send.state == "sending" and not send.owner for send in _known(earlier, recipients))

    def send(
        self,
        session: SmtpSession,
        message: IncomingMessage,
        recipients: Sequence[str],
        letter: Letter,
        earlier: Earlier,
    ) -> Progress:
        """Send one transaction for each recipient without an answer, until one is in doubt or the server fails.

        Raises LostError and BusyError when the mail is another worker's by now, or somebody has sent it since `earlier`
        was read; ConfigurationError when the journal cannot be written: nothing is sent without it.
        """
        progress = Progress()
        unclear: list[_Unclear] = []
        for recipient in recipients:
            state = earlier.get(_part(recipient))
            if _recall(progress, recipient, state):
                continue
            if progress.doubt or progress.error:
                progress.untried.append(recipient)
            elif state is not None and not self._resend:
                progress.in_doubt[recipient] = _ENDED
            else:
                progress.tried += 1
                if self._transaction(session, message, recipient, letter, state=state, progress=progress):
                    unclear.append(_Unclear(recipient, state))
        if unclear:
            self._settle_refusals(message, unclear, progress)
        return progress

    def outcome(self, progress: Progress) -> OutcomeError | None:
        """Return why the mail is not done with, None when every recipient has an answer."""
        if progress.in_doubt and self._resend:
            reason = progress.story(_SENT_AGAIN)
            return TransientError(reason, code="in_doubt", retry_after=self._ambiguous_wait)
        if progress.error is not None:
            return progress.error
        if progress.untried:
            reason = progress.story(Text("not everybody's turn has come", "очередь дошла не до всех"))
            return TransientError(reason, code="in_doubt", retry_after=self._ambiguous_wait)
        if progress.deferred:
            reason = progress.story(_NOT_FOR_ALL)
            return TransientError(reason, code="deferred", retry_after=self._deferred_wait)
        if progress.in_doubt:
            reason = progress.story(Text("the mail may have been delivered", "письмо, возможно, доставлено"))
            return PermanentError(reason, code="may_be_delivered")
        return None

    def forget_refusals(self, task_id: str, recipients: Sequence[str]) -> None:
        """Forget the refusals of a mail that nobody has.

        A person who puts its message back from the error queue wants it tried anew.
        """
        for recipient in recipients:
            self._journal.forget(task_id, _part(recipient))

    def _transaction(
        self,
        session: SmtpSession,
        message: IncomingMessage,
        recipient: str,
        letter: Letter,
        *,
        state: Send | None,
        progress: Progress,
    ) -> bool:
        """Send to one recipient; return whether it was refused without saying whose fault that is."""
        task_id, part = message.task.task_id, _part(recipient)
        attempt = _Attempt(self._journal, message, part, state)
        try:
            answer = session.deliver(letter, recipient, attempt.begin)
        except (LostError, BusyError):
            raise  # nothing was begun
        except RecipientRefusedError as error:
            progress.refused[recipient] = error.text
            if error.may_be_about_us:
                return True
            if not attempt.is_begun:  # refused before the content: only known parts can be settled
                attempt.begin()
            self._journal.refused(task_id, part, _written(error.text))
        except AmbiguousError as error:
            progress.in_doubt[recipient] = error.text
            progress.doubt = error
        except OutcomeError as error:
            self._journal.undo(task_id, part, state)
            if isinstance(error, RecipientDeferredError):
                progress.deferred[recipient] = error.text
                return error.may_be_about_us
            progress.untried.append(recipient)
            progress.error = error
        else:
            self._journal.sent(task_id, part, answer)
            progress.accepted.append(recipient)
        finally:
            self._journal.leave(task_id, part)
        return False

    def _settle_refusals(self, message: IncomingMessage, unclear: Sequence[_Unclear], progress: Progress) -> None:
        """Settle refusals for everybody: the server does not want this worker's mails, or not these recipients.

        Nothing of them is written down before that is known: a crash here must not turn the one into the other.
        """
        recipients = [each.recipient for each in unclear]
        if not (progress.accepted or progress.in_doubt or progress.untried) and len(unclear) == progress.tried:
            try:
                require_right_to_send(self._client, self._candidates(recipients))
            except OutcomeError as error:
                if isinstance(error, NoRightError):
                    self._client.doubted = (recipients[0], *error.asked)
                progress.error = error
                return
        for refusal in unclear:
            if refusal.recipient in progress.refused:
                part = _part(refusal.recipient)
                _Attempt(self._journal, message, part, refusal.state).begin()
                self._journal.refused(message.task.task_id, part, _written(progress.refused[refusal.recipient]))

    def _candidates(self, refused: Sequence[str]) -> Iterator[str]:
        """Yield EMAIL_FROM; if that is no mailbox, somebody who had a mail of ours before."""
        yield self._client.sender
        for each in self._journal.last_sent(len(refused) + 1):
            if each.isascii() and each not in map(_part, refused):
                yield each
                return


@dataclass(frozen=True, slots=True)
class _Unclear:
    """A refusal, for good or for now; `state` is what the journal said before."""

    recipient: str
    state: Send | None


@dataclass(slots=True)
class _Attempt:
    journal: SendJournal
    message: IncomingMessage
    part: str
    state: Send | None  # as it was
    is_begun: bool = False

    def begin(self) -> None:
        """Begin at the last moment at which nothing has happened yet. Raises LostError or BusyError."""
        self.message.ensure_ours()
        if not self.is_begun:  # else a server that says goodbye has refused it, and another connection is tried
            self.journal.begin(self.message.task.task_id, self.part, self.state)
            self.is_begun = True


def _known(earlier: Earlier, recipients: Sequence[str]) -> Iterator[Send]:
    return (earlier[part] for each in recipients if (part := _part(each)) in earlier)


def _part(recipient: str) -> str:
    return recipient.lower()


def _recall(progress: Progress, recipient: str, state: Send | None) -> bool:
    """Take over what an earlier attempt has settled."""
    if state is not None and state.state == "sent":
        progress.accepted.append(recipient)
    elif state is not None and state.state == "refused":
        progress.refused[recipient] = _read(state.detail)
    else:
        return False
    return True


def _written(reason: Text) -> str:
    """Return a reason as the journal keeps it."""
    return json.dumps(reason, ensure_ascii=False)


def _read(detail: str) -> Text:
    """Return a reason from the journal. Earlier versions wrote the English reason alone, which is no JSON."""
    try:
        english, russian = json.loads(detail)
    except (ValueError, TypeError):
        return Text.of(detail)
    return Text(str(english), str(russian))
