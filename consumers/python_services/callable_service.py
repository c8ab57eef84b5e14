"""Calls a function of the registry once per task in a process of its own; its result is the task's.

One that is not idempotent is never called twice for a task: its beginning is written down before the call
(SendJournal), and what was begun and not finished goes to people. When they put the message back into the queue,
it is called again: a message that was not here when the call failed is their decision.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from consumers.python_services import refusals
from consumers.python_services.client import request_body, title
from consumers.python_services.events import ServiceOutput
from consumers.python_services.http_service import response
from consumers.python_services.outcomes import CODE_LIMIT, Failed, Finished, Running, failure, read
from consumers.python_services.processes import (
    CallableProcess,
    DeadlineError,
    EndedError,
    NotBegunError,
    ProcessPool,
    UnusableError,
)
from consumers.python_services.registry import Poll, PythonSpec
from core import values
from core.copies import decode_history
from core.errors import (
    BusinessError,
    ConfigurationError,
    LostError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.events.base import write
from core.messages import IncomingMessage
from core.results import Done, Result
from core.secrets import Secrets
from core.texts import Text
from toolkit.send_journal import SendJournal, busy

MAY_HAVE_RUN = "may_have_run"
_LEFT = Text("an earlier worker began it and did not finish it", "прежний воркер её начал и не закончил")
_PART = "call"
_CLEANING = 24 * 3600.0  # seconds between two looks for what the journal may forget
_PERMANENT = frozenset({"PermanentError", "ValueError"})


class CallableService:
    """A service that is a function. Usable from any thread. `import_timeout` is in seconds."""

    def __init__(
        self, name: str, spec: PythonSpec, journal: SendJournal, secrets: Secrets, import_timeout: float
    ) -> None:
        self._name = name
        self._spec = spec
        self._journal = journal
        self._mask = secrets.mask
        self._cleaned_at: float | None = None
        self._pool = ProcessPool(spec.callable, import_timeout, self._tell)

    def prepared(self, message: IncomingMessage) -> Callable[[], Result]:
        """Return the call to be made; it raises outcomes. Configuration is this service's alone."""
        return partial(self._run, message)

    def close(self) -> None:
        self._pool.close()

    def _run(self, message: IncomingMessage) -> Result:
        if self._spec.idempotent:
            process = self._ready_process()
            try:
                return Done(response(self._name, self._result_of(process, message), "python"))
            except (DeadlineError, EndedError) as error:
                raise TransientError(self._about(error.text), code="callable_ended") from None
        return self._run_once(message)

    # -- never twice ----------------------------------------------------------------------------------------------

    def _run_once(self, message: IncomingMessage) -> Result:
        task_id = message.task.task_id
        self._clean_journal()
        earlier = self._journal.parts(task_id).get(_PART)
        if earlier is not None:
            if earlier.state == "sent":
                return Done(response(self._name, json.loads(earlier.detail), "python"), duplicate=True)
            if earlier.is_running:
                raise busy()
            if earlier.state == "sending":
                self._give_up(task_id, _LEFT)
            if _was_here(message, earlier.at):
                raise refusals.read(earlier.detail, MAY_HAVE_RUN)
        process = self._ready_process()
        try:
            message.ensure_ours()
            self._journal.begin(task_id, _PART, earlier)
        except BaseException:
            self._pool.give_back(process)
            raise
        try:
            result = self._called_once(process, message)
            self._journal.sent(task_id, _PART, json.dumps(result, ensure_ascii=False))
        finally:
            self._journal.leave(task_id, _PART)
        return Done(response(self._name, result, "python"))

    def _called_once(self, process: CallableProcess, message: IncomingMessage) -> Any:
        task_id = message.task.task_id
        try:
            return self._result_of(process, message)
        except NotBegunError as error:
            self._journal.undo(task_id, _PART, None)
            raise TransientError(self._about(error.text), code="callable_ended") from None
        except (DeadlineError, EndedError, _UnexpectedError) as error:
            self._give_up(task_id, error.text)
        except (TransientError, ConfigurationError, LostError):
            self._journal.undo(task_id, _PART, None)  # not called, or the callable itself says that it may be again
            raise
        except OutcomeError as error:
            self._journal.refused(task_id, _PART, refusals.written(error))
            raise

    def _clean_journal(self) -> None:
        if self._cleaned_at is None or time.monotonic() - self._cleaned_at > _CLEANING:
            self._journal.check()
            self._cleaned_at = time.monotonic()

    def _give_up(self, task_id: str, what: Text) -> NoReturn:
        reason = Text(
            f"it may have run already and is not idempotent: {what.en}; look what it has done, then put the message "
            "back into its queue if it is to be called once more",
            f"возможно, она уже выполнялась, а idempotent для неё не задано: {what.ru}; посмотрите, что она сделала, "
            "и, если её надо вызвать ещё раз, верните сообщение в его очередь",
        )
        error = PermanentError(self._about(reason), code=MAY_HAVE_RUN)
        self._journal.refused(task_id, _PART, refusals.written(error))
        raise error

    # -- the call -------------------------------------------------------------------------------------------------

    def _ready_process(self) -> CallableProcess:
        try:
            return self._pool.take()
        except (UnusableError, DeadlineError, EndedError) as error:
            reason = Text(f"it cannot be imported: {error}", f"импортировать её не удалось: {error.text.ru}")
            raise ConfigurationError(self._about(reason), code="callable") from None

    def _result_of(self, process: CallableProcess, message: IncomingMessage) -> Any:
        """Return the result. Raises an outcome, DeadlineError or EndedError (the process is gone then)."""
        order = request_body(message.task)
        try:
            answer = self._answer(process, order, message)
        except NotBegunError:  # it had died while it was idle
            process = self._ready_process()
            answer = self._answer(process, order, message)
        self._pool.give_back(process)
        if "error" in answer:
            raise self._outcome(answer["error"])
        if "bad" in answer:
            raise PermanentError(self._about(Text(*answer["bad"])), code="bad_result")
        result = answer.get("result") or {}
        match read(result, Poll()):
            case Finished(value):
                return value
            case Failed(told):
                raise failure(title(self._name), told)
            case Running():
                reason = Text(
                    "it returned the status running: only a service over HTTP can be asked again",
                    "она вернула состояние running: переспросить можно только сервис по HTTP",
                )
                raise PermanentError(self._about(reason), code="bad_result")
        return result

    def _answer(self, process: CallableProcess, order: Mapping[str, object], message: IncomingMessage) -> Any:
        try:
            message.ensure_ours()  # to have a process ready may have taken long
        except LostError:
            self._pool.give_back(process)
            raise
        return process.call(order, self._spec.timeout)

    def _outcome(self, told: Mapping[str, Any]) -> OutcomeError:
        kinds = set(told.get("kinds", ()))
        text = self._about(Text.of(self._mask(values.text(told.get("message", "")))))
        code = values.text(told.get("code") or "")[:CODE_LIMIT]
        retry_after = told.get("retry_after")
        if bpmn_error := values.text(told.get("bpmn_error") or "") or (code if "BusinessError" in kinds else ""):
            return BusinessError(text, code=bpmn_error[:CODE_LIMIT])
        if _PERMANENT & kinds:
            return PermanentError(text, code=code or "callable_refused")
        if "TransientError" in kinds or self._spec.idempotent:
            usable = isinstance(retry_after, int | float) and 0 <= retry_after < 1e9
            return TransientError(text, code=code or "callable_failed", retry_after=retry_after if usable else None)
        return _UnexpectedError(text, code="callable_failed")

    def _about(self, what: Text) -> Text:
        who, function = title(self._name), self._spec.callable
        return Text(f"{who.en} ({function}): {what.en}", f"{who.ru}, функция {function}: {what.ru}")

    def _tell(self, line: str) -> None:
        write(ServiceOutput(self._name, line))


def _was_here(message: IncomingMessage, at: float) -> bool:
    """Return whether the message is older than what was written then, as far as it shows.

    Then no person has put it back since.
    """
    headers = getattr(message.properties, "headers", None) or {}
    _, first_seen = decode_history(headers, time.time())
    return message.may_have_been_begun or first_seen < at


class _UnexpectedError(TransientError):
    """A callable that is not idempotent raised what was not meant for us: how far it came is not known."""
