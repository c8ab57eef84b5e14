"""Handles `telegram.queue`: a message of any topic is sent to its chats, and that finishes the task."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from base_handler import BaseMessageHandler
from consumers.telegram.client import TelegramClient
from consumers.telegram.config import TelegramSettings
from consumers.telegram.delivery import Delivery, InDoubtError, Report
from consumers.telegram.errors import UNREACHABLE, UnreachableError
from consumers.telegram.fields import MessageFields
from consumers.telegram.limiter import FLOOD, Limiter
from consumers.telegram.sender import Sender
from core.errors import BusinessError, OutcomeError, PartialOutageError, PermanentError, TransientError
from core.messages import IncomingMessage
from core.request_figures import RequestFigures
from core.results import Done, Result, with_warnings
from core.texts import Text
from toolkit.claims import KeyClaims, busy
from toolkit.send_journal import SendJournal

_CLAIM_WAIT = 10.0  # seconds until a second message of the same task is looked at again


class TelegramHandler(BaseMessageHandler):
    """Sends messages; the tracker forwards their results at once."""

    settings_class = TelegramSettings
    # Telegram recognises no repetition, and the journal of what was sent belongs to one machine.
    exclusive = True

    def __init__(self, settings: TelegramSettings, client: TelegramClient, stop: threading.Event) -> None:
        super().__init__("telegram")
        self._client = client
        self._fields = MessageFields(settings)
        self._limiter = Limiter(settings)
        self._journal = SendJournal(settings.state_dir, "telegram")
        self._resend = settings.on_ambiguous == "resend"
        self._unreachable_is_business = settings.unreachable == "business"
        sender = Sender(client, self._limiter, stop, is_html=settings.parse_mode == "HTML")
        self._delivery = Delivery(sender, self._journal, resend=self._resend)
        self._claims = KeyClaims()

    @classmethod
    def from_settings(cls, settings: TelegramSettings, stop: threading.Event) -> TelegramHandler:
        """Build the handler. Raises NotConfiguredError when TELEGRAM_BOT_TOKEN is empty."""
        return cls(settings, TelegramClient(settings, stop), stop)

    def prepare_for(self, concurrency: int) -> int:
        """Let at the most half of the threads wait for busy chats; a single one never does."""
        self._limiter.most_waiting = concurrency // 2
        return concurrency

    def handle(self, message: IncomingMessage) -> Result:
        key = message.task.task_id
        draft = self._fields.draft(message.task)
        if not self._claims.take(key):
            raise busy(_CLAIM_WAIT)
        try:
            report = self._delivery.deliver(message, draft)
        finally:
            self._claims.release([key])
        self._raise_what_is_open(report)
        if not report.sent:
            raise self._refusal(report.refused)
        return _done(report, draft.warnings)

    def probe(self) -> None:
        """Make one request, and look at the journal."""
        self._journal.check()
        self._client.get_me()

    def get_stats(self) -> dict[str, Any]:
        return {**self._client.stats(), **self._limiter.stats()}

    def request_figures(self) -> Sequence[RequestFigures]:
        return self._client.figures

    def close(self) -> None:
        """Close the journal's file."""
        self._journal.close()

    def _raise_what_is_open(self, report: Report) -> None:
        """Raise for the chats that are open; the others have had theirs by now, whatever is raised for these."""
        doubt = _told(report.doubtful)
        if self._resend and not all(isinstance(each, InDoubtError) for each in report.doubtful.values()):
            # Also where another chat waits: to send again what may have arrived must cost an attempt.
            reason = Text(
                f"May have been delivered; each further attempt sends it again: {doubt.en}",
                f"Возможно, доставлено; каждая следующая попытка отправит ещё раз: {doubt.ru}",
            )
            raise TransientError(reason, code="no_answer")
        if report.busy is not None:
            raise report.busy
        if report.waiting:
            first = min(each.retry_after or 0.0 for each in report.waiting.values())
            raise PartialOutageError(_told(report.waiting), code=FLOOD, retry_after=first)
        if report.doubtful:
            reason = Text(
                f"May have been delivered, is not sent again: {doubt.en}",
                f"Возможно, доставлено, ещё раз не отправляется: {doubt.ru}",
            )
            raise PermanentError(reason, code="may_be_delivered")

    def _refusal(self, refused: Mapping[str, PermanentError]) -> OutcomeError:
        """Return the error when nobody was reached.

        A refusal that is not about the chat is the message's own fault, and comes first.
        """
        fault = next((each for each in refused.values() if not isinstance(each, UnreachableError)), None)
        if fault is not None:
            return PermanentError(_told(refused), code=fault.code)
        kind = BusinessError if self._unreachable_is_business else PermanentError
        return kind(_told(refused), code=UNREACHABLE)


def _told(errors: Mapping[str, OutcomeError]) -> Text:
    return Text.join("; ", (error.text.led_by(f"{chat}: ") for chat, error in errors.items()))


def _done(report: Report, warnings: Sequence[Text]) -> Done:
    parts = [sent for chat in report.sent.values() for sent in chat]
    message_ids = [sent.message_id for sent in parts]
    chat_ids = [chat[0].chat_id for chat in report.sent.values()]
    response: dict[str, Any] = {
        "result": {"task": {"id": message_ids[0], "status": "sent"}},
        "success": True,
        "telegram_message_id": message_ids[0] if len(message_ids) == 1 else message_ids,
        "telegram_chat_id": chat_ids[0] if len(chat_ids) == 1 else chat_ids,
    }
    if report.refused:
        response["telegram_refused"] = {chat: error.text.en for chat, error in report.refused.items()}
        response["telegram_refused_ru"] = {chat: error.text.ru for chat, error in report.refused.items()}
    # By the English words: of parts that an earlier version has sent the journal has no others.
    told = {each.en: each for each in (*warnings, *(each for sent in parts for each in sent.told))}
    return Done(
        with_warnings(response, [*told.values()]), external_id=message_ids[0] or None, duplicate=not report.is_new
    )
