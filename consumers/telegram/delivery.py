"""Sends one message to all its chats, each part at most once as far as that can be known.

Telegram recognises no repetition. So the intention is on disk before each part is sent and the result after it
(toolkit.send_journal): a message that comes again sends only what is missing. What stands there as being sent may have
arrived; whether it is sent once more is the operator's choice (TELEGRAM_ON_AMBIGUOUS).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from consumers.telegram.errors import DoubtfulOutageError, FloodError
from consumers.telegram.events import PartResent
from consumers.telegram.fields import Draft
from consumers.telegram.markup import Rich
from consumers.telegram.sender import Sender, Sent
from core.errors import AmbiguousError, BusyError, OutcomeError, PartialOutageError, PermanentError, StoppingError
from core.events.base import write
from core.messages import IncomingMessage
from core.texts import Text
from toolkit.send_journal import Send, SendJournal, busy

_MOST_SENDS = 10  # of one part that may have arrived each time; then a person decides
_PATIENCE = 2.0  # seconds that one message may wait in a thread, which then serves no other chat


class InDoubtError(AmbiguousError):
    """The message may have arrived at an earlier try, and is not sent again."""


@dataclass(slots=True)
class Report:
    """What has become of each chat. `is_new`: something was sent now, and not only by an earlier delivery.

    `busy`: another worker of this machine is writing to one of them.
    """

    sent: dict[str, list[Sent]] = field(default_factory=dict)
    refused: dict[str, PermanentError] = field(default_factory=dict)
    doubtful: dict[str, AmbiguousError] = field(default_factory=dict)
    waiting: dict[str, PartialOutageError] = field(default_factory=dict)
    busy: BusyError | None = None
    is_new: bool = False


class Delivery:
    def __init__(self, sender: Sender, journal: SendJournal, *, resend: bool) -> None:
        """`resend`: what may have arrived is sent again; else it stays in doubt."""
        self._sender = sender
        self._journal = journal
        self._resend = resend

    def deliver(self, message: IncomingMessage, draft: Draft) -> Report:
        """Send what is missing. After OutageError, ConfigurationError, LostError, StoppingError the rest comes later.

        What was sent till then stands in the journal, for the next delivery of the message.
        """
        report = Report()
        earlier = self._journal.parts(message.task.task_id)
        run = _Run(message, draft, earlier, report)
        for chat in draft.chats:
            try:
                report.sent[chat] = self._to_chat(chat, run)
            except PartialOutageError as error:
                report.waiting[chat] = error
            except BusyError as error:
                report.busy = error
            except AmbiguousError as error:
                report.doubtful[chat] = error
            except PermanentError as error:
                report.refused[chat] = error
        return report

    def _to_chat(self, chat: str, run: _Run) -> list[Sent]:
        sent = []
        for number, part in enumerate(run.draft.parts, 1):
            name = f"{chat}/{number}"
            known = run.earlier.get(name)
            if known is not None and known.state == "sent":
                sent.append(_read(known.detail))
                continue
            if known is not None and known.is_running:
                raise busy()
            if known is not None and not (self._resend and known.tries < _MOST_SENDS):
                reason = Text(
                    f"part {name} was being sent before (times: {known.tries}) and may have arrived",
                    f"часть {name} уже отправлялась (раз: {known.tries}) и могла дойти",
                )
                raise InDoubtError(reason, code="in_doubt")
            try:
                sent.append(self._send(chat, name, part, known, run))
            except PermanentError as error:
                if not sent:
                    raise
                done, all_parts = len(sent), len(run.draft.parts)
                english, russian = error.text
                reason = Text(
                    f"{english} (after {done} of {all_parts} parts)", f"{russian} (после {done} из {all_parts} частей)"
                )
                raise error.retold(reason) from error
        return sent

    def _send(self, chat: str, name: str, part: Rich, known: Send | None, run: _Run) -> Sent:
        """Send one part. `known` is what the journal says of it: nothing, or that it was being sent before."""
        while True:
            run.patience -= self._sender.wait_for_turn(chat, run.patience, run.task_id)
            try:
                return self._begun(chat, name, part, known, run)
            except FloodError as error:
                if (error.retry_after or 0.0) > run.patience:
                    raise

    def _begun(self, chat: str, name: str, part: Rich, known: Send | None, run: _Run) -> Sent:
        ensure_ours = run.message.ensure_ours
        ensure_ours()
        self._journal.begin(run.task_id, name, known)
        if known is not None:
            write(PartResent(run.task_id, name))
        try:
            sent = self._sender.send(chat, part, run.draft.options, ensure_ours)
        except (AmbiguousError, DoubtfulOutageError):
            raise  # it may have arrived: the journal goes on saying so
        except (OutcomeError, StoppingError):
            self._journal.undo(run.task_id, name, known)
            raise
        else:
            self._journal.sent(run.task_id, name, _written(sent))
            run.report.is_new = True
            return sent
        finally:
            self._journal.leave(run.task_id, name)


@dataclass(slots=True)
class _Run:
    message: IncomingMessage
    draft: Draft
    earlier: Mapping[str, Send]
    report: Report
    patience: float = _PATIENCE

    @property
    def task_id(self) -> str:
        return self.message.task.task_id


def _written(sent: Sent) -> str:
    """Return what was sent, as the journal keeps it.

    What was lost as an object, Russian by English: versions that know English only read the names of a list.
    """
    told = f" {json.dumps(dict(sent.told))}" if sent.told else ""
    return f"{sent.chat_id} {sent.message_id}{told}"


def _read(detail: str) -> Sent:
    chat_id, message_id, told = (*detail.split(" ", 2), "", "")[:3]
    lost = json.loads(told or "{}")
    pairs = lost.items() if isinstance(lost, dict) else zip(lost, lost, strict=True)  # a list: such a version wrote it
    return Sent(chat_id, message_id, tuple(Text(*pair) for pair in pairs))
