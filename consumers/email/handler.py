"""Handles `email.queue`: every message is a mail, whatever its topic."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from base_handler import BaseMessageHandler, HandlerOutcome
from consumers.email.client import SmtpClient
from consumers.email.compose import Composer
from consumers.email.config import EmailSettings
from consumers.email.delivery import Delivery, Progress
from consumers.email.rights import require_right_to_send
from consumers.email.session import SmtpSession
from core.errors import (
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
)
from core.messages import CamundaTask, IncomingMessage
from core.results import Done, Result, with_warnings
from core.texts import Text
from toolkit.claims import KeyClaims, busy, come_back_later
from toolkit.send_journal import SendJournal
from toolkit.send_journal import busy as being_sent

REJECTED = "EMAIL_REJECTED"


class EmailHandler(BaseMessageHandler):
    """Sends mails over one connection per batch; each is finished when the server has taken it."""

    settings_class = EmailSettings
    batch_size = 20
    # The journal of sends is one machine's own: of several workers only one may send.
    exclusive = True

    def __init__(self, settings: EmailSettings, client: SmtpClient, journal: SendJournal) -> None:
        super().__init__("email")
        self._client = client
        self._composer = Composer(settings)
        self._journal = journal
        self._delivery = Delivery(journal, client)
        self._claims = KeyClaims()
        self._wait = settings.ambiguous_wait
        self._all_refused = BusinessError if settings.all_refused == "business" else PermanentError

    @classmethod
    def from_settings(cls, settings: EmailSettings, stop: threading.Event) -> EmailHandler:
        """Build the handler. Raises NotConfiguredError when EMAIL_SMTP_HOST is empty."""
        return cls(settings, SmtpClient(settings, stop), SendJournal(settings.state_dir, "email"))

    def handle(self, message: IncomingMessage) -> Result:
        [(_, outcome)] = self.handle_batch([message])
        if isinstance(outcome, OutcomeError):
            raise outcome
        return outcome

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        down: OutcomeError | None = None
        with SmtpSession(self._client) as session:
            for message in messages:
                if down is not None:
                    raise down  # of the server: it says nothing about these
                outcome = self._one(session, message)
                if isinstance(outcome, OutageError | ConfigurationError):
                    down = outcome
                elif isinstance(outcome, OutcomeError) and session.is_silent:
                    reason = Text(
                        "the mail server left a mail without an answer", "почтовый сервер оставил письмо без ответа"
                    )
                    down = OutageError(reason, code="no_answer")
                yield message, outcome

    def probe(self) -> None:
        """Connect, log in, write to the journal, and ask again about what the server has refused everybody for."""
        self._journal.check()
        with SmtpSession(self._client) as session:
            session.check()
        if doubted := self._client.doubted:
            require_right_to_send(self._client, doubted)
            self._client.doubted = ()

    def get_stats(self) -> dict[str, Any]:
        return dict(self._client.stats())

    def close(self) -> None:
        """Close the journal's file."""
        self._journal.close()

    def _one(self, session: SmtpSession, message: IncomingMessage) -> HandlerOutcome:
        key = message.task.task_id
        if not self._claims.take(key):
            return busy(self._wait)
        try:
            return self._sent(session, message)
        except OutcomeError as error:
            return error
        finally:
            self._claims.release([key])

    def _sent(self, session: SmtpSession, message: IncomingMessage) -> Done:
        task = message.task
        recipients = self._composer.recipients(task)
        addresses = [each.addr_spec for each in recipients.all]
        earlier = self._delivery.earlier(task.task_id)
        # Before anything else is looked at: what was sent stays sent, even if its attachment is gone by now.
        if (known := self._delivery.known(earlier, addresses)) is not None:
            return self._done(task, known, duplicate=True)
        if self._delivery.is_running(earlier, addresses):
            raise being_sent()
        if message.redelivered and self._delivery.is_in_doubt(earlier, addresses):
            # By a worker that gives no name, or one whose server may be taking it still.
            self._claims.doubt(task.task_id, self._wait)
            reason = Text(
                "An earlier worker may be sending this mail still",
                "Возможно, это письмо ещё отправляет прежний воркер",
            )
            raise come_back_later(reason, "redelivered", self._wait)
        if self._claims.is_in_doubt(task.task_id):
            reason = Text(
                "The server may still be taking this mail, for another message",
                "Возможно, сервер ещё принимает это письмо, по другому сообщению",
            )
            raise come_back_later(reason, "key_in_doubt", self._wait)
        message.ensure_ours()  # again before the mail's end: what was lost before need not go that far
        letter = self._composer.letter(task, recipients, datetime.now(UTC))
        progress = self._delivery.send(session, message, addresses, letter, earlier)
        if progress.doubt is not None:
            self._claims.doubt(task.task_id, self._wait)
        if (error := self._delivery.outcome(progress)) is not None:
            raise error
        if not progress.accepted:
            self._delivery.forget_refusals(task.task_id, addresses)
            what = Text("the mail server refused every recipient", "почтовый сервер отказал всем получателям")
            raise self._all_refused(progress.story(what), code=REJECTED)
        return self._done(task, progress, duplicate=False)

    def _done(self, task: CamundaTask, progress: Progress, *, duplicate: bool) -> Done:
        message_id = self._composer.message_id(task.task_id)
        response = {
            "success": True,
            "email_message_id": message_id,
            "email_accepted": progress.accepted,
            "email_refused": {address: reason.en for address, reason in progress.refused.items()},
            "email_refused_ru": {address: reason.ru for address, reason in progress.refused.items()},
        }
        told = with_warnings(response, self._composer.warnings(task))
        return Done(told, external_id=message_id, duplicate=duplicate)
