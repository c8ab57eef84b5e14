"""Sends a task to the last resort before the error queue: one HTTP address that takes every task nobody else does.

The Camunda task id goes along as Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07), so that a request
without an answer may be sent again. A 2xx with a JSON object, or with no content, is the task's result.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import SecretStr

from consumers.default.config import DefaultSettings
from core import values
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    OutageError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.messages import CamundaTask
from core.request_figures import RequestFigures
from core.results import with_warnings
from core.texts import Text
from toolkit.http import Guard, HttpAnswer
from toolkit.http_outcomes import COMMON, Rule
from toolkit.json_answers import read_answer, result_of
from toolkit.json_client import Json, JsonClient

_NAME = Text("The webhook", "Вебхук")
_MOST_BODY = 1024 * 1024  # bytes; the result travels in messages
_CHECK_IT = Text(
    "check DEFAULT_QUEUE_WEBHOOK_URL and DEFAULT_QUEUE_WEBHOOK_TOKEN",
    "проверьте DEFAULT_QUEUE_WEBHOOK_URL и DEFAULT_QUEUE_WEBHOOK_TOKEN",
)

_RULES: Mapping[int, Rule] = {
    **COMMON,
    401: Rule(ConfigurationError, _CHECK_IT),
    403: Rule(ConfigurationError, _CHECK_IT),
    404: Rule(ConfigurationError, _CHECK_IT),
    405: Rule(ConfigurationError, _CHECK_IT),
    409: Rule(TransientError),  # an earlier request with this key is at work
    423: Rule(TransientError),
    429: Rule(OutageError),
    501: Rule(PermanentError),
}


class Webhook:
    """The webhook of the operator. Usable from any thread."""

    def __init__(self, settings: DefaultSettings, url: SecretStr, stop: threading.Event) -> None:
        self._wait = settings.webhook_wait
        credentials = partial(_credentials, settings.webhook_token)
        http = settings.http_client(_NAME, credentials=credentials, max_body=_MOST_BODY)
        self._api = _WebhookClient(_NAME, http, url.get_secret_value, stop, rules=_RULES)

    @property
    def figures(self) -> Sequence[RequestFigures]:
        """What became of the requests."""
        return self._api.figures

    def deliver(self, task: CamundaTask, guard: Guard) -> dict[str, Any]:
        """Return the result, a JSON object. Raises an outcome, but never one that would stop the whole queue.

        Other messages of it need no webhook.
        """
        try:
            headers = {"Idempotency-Key": values.header_string(task.task_id)}
            return self._api.ask("POST", "", _envelope(task), headers=headers, guard=guard)
        except (OutageError, ConfigurationError) as error:
            wait = max(self._wait, error.retry_after or 0.0)
            raise PartialOutageError(error.text, code=error.code, retry_after=wait, part="webhook") from None
        except AmbiguousError as error:
            # Its receiver knows the key: the same request again finds out what became of the first.
            error.retry_after = self._wait
            raise


class _WebhookClient(JsonClient):
    """A foreign server: its text is read as far as it has one reading, and the result says where it did not."""

    def content(self, answer: HttpAnswer) -> Json | None:
        return read_answer(answer).content or None

    def accepted(self, answer: HttpAnswer, what: str, *, write: bool) -> Json:
        content, notes = result_of(answer, _NAME)
        # Either of the two being the receiver's own, both of ours stand elsewhere: they tell the same and stay a pair.
        is_taken = "warnings" in content or "warnings_ru" in content
        return with_warnings(content, notes, "task_creator_warnings" if is_taken else "warnings")


def _credentials(token: SecretStr | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}


def _envelope(task: CamundaTask) -> dict[str, Any]:
    """Return the task as a receiver wants it: variables as plain values, whatever form they came in."""
    return {
        "task_id": task.task_id,
        "topic": task.topic,
        "system": task.fields.get("system"),
        "business_key": task.fields.get("business_key"),
        "process_instance_id": task.process_instance_id,
        "process_definition_key": task.process_definition_key,
        "activity_id": task.activity_id,
        "variables": task.variables.as_told(),
        "metadata": task.metadata,
    }
