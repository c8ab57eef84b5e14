"""The model's outside system and the handler that works with it: what each task does is written down beforehand.

The system has no unique key, like Bitrix24: looking up and creating are two requests, and only a worker that looks up
first, alone on its queue, creates one object per task. With `unique` it refuses a second object, like 1C.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import Counter

from base_handler import BaseMessageHandler
from core.errors import (
    AmbiguousError,
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.messages import IncomingMessage
from core.results import Accepted, Done, Result

RETRIES = 2  # RETRY_ATTEMPTS of the model's workers
ON_THE_WIRE = 0.003  # seconds between looking up and creating, in which anything may happen
DOUBT_WAIT = 0.1  # seconds that a doubtful request may still be running


class Act(enum.Enum):
    """What happens to a task. The first letters of the value tell its end: in the sent or in the error queue."""

    ACCEPT = "sent"
    DONE = "sent, finished at once"
    LOCKED_ONCE = "sent, after a transient error"
    LOCKED_TO_THE_LAST = "sent, at the very last attempt"
    NO_RESULT_ONCE = "sent, after the handler returned None"
    CRASH_ONCE = "sent, after an unexpected exception"
    LOST_ANSWER = "sent, after a request that was executed without an answer"
    LOST_REQUEST = "sent, after a request that was not executed and had no answer"
    OUTAGE_ONCE = "sent, after the system went down with it"
    REVOKED_ONCE = "sent, after its credentials were refused"
    UNKNOWN_USER = "error permanent"
    LIMIT = "error business"
    ALWAYS_LOCKED = "error transient"
    ALWAYS_CRASH = "error transient, by an unexpected exception"
    ALWAYS_EXIT = "error transient, by SystemExit"
    UNWRITABLE = "error permanent, by a result that is no JSON, after creating"

    @property
    def is_stored(self) -> bool:
        return self.value.startswith("sent")

    @property
    def creates(self) -> bool:
        return self.is_stored or self is Act.UNWRITABLE

    @property
    def outcome(self) -> str:
        """The outcome in the error report."""
        return self.value.split()[1].rstrip(",")


class OutsideSystem:
    """Objects by key, what every task is to meet, and whether the system is down. Used from any thread."""

    def __init__(self, *, unique: bool) -> None:
        self._unique = unique
        self._lock = threading.Lock()
        self._met: Counter[str] = Counter()
        self.acts: dict[str, Act] = {}
        self.created: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()  # the highest attempt number seen, by task
        self.down: OutcomeError | None = None

    def find(self, key: str) -> bool:
        with self._lock:
            return self.created[key] > 0

    def create(self, key: str) -> None:
        time.sleep(ON_THE_WIRE)
        with self._lock:
            if not (self._unique and self.created[key]):
                self.created[key] += 1

    def meets_first(self, key: str) -> bool:
        """True at the first call for this key."""
        with self._lock:
            self._met[key] += 1
            return self._met[key] == 1

    def note_attempt(self, key: str, attempt: int) -> None:
        with self._lock:
            self.attempts[key] = max(self.attempts[key], attempt)


class ModelHandler(BaseMessageHandler):
    """One worker's handler: looks up, then does what the task's act says. Several threads share it."""

    def __init__(self, outside: OutsideSystem, *, exclusive: bool) -> None:
        super().__init__("model")
        self.exclusive = exclusive
        self._outside = outside
        self._lock = threading.Lock()
        self._claimed: set[str] = set()

    def probe(self) -> None:
        if self._outside.down is not None:
            raise self._outside.down

    def handle(self, message: IncomingMessage) -> Result:
        key = message.task.task_id
        self.probe()
        if not self._claim(key):
            raise AmbiguousError("another thread has this key", retry_after=DOUBT_WAIT)
        try:
            self._outside.note_attempt(key, message.attempt)
            return self._act(message, key)
        finally:
            self._release(key)

    def find(self, key: str) -> bool:
        return self._outside.find(key)

    def _act(self, message: IncomingMessage, key: str) -> Result:
        act = self._outside.acts[key]
        found = self.find(key)
        if act is Act.UNWRITABLE:
            if not found:
                self._create(message, key)
            return Accepted({"x": float("nan")}, key)
        if found:
            return Accepted({"id": key}, key, duplicate=True)
        self._fail_if_told(act, message, key)
        if act is Act.NO_RESULT_ONCE and message.attempt == 1:
            return None  # type: ignore[return-value]  # an author's mistake, which the specification allows
        self._create(message, key)
        return Done({"id": key}, key) if act is Act.DONE else Accepted({"id": key}, key)

    def _create(self, message: IncomingMessage, key: str) -> None:
        if message.redelivered:
            # The request of a worker that was cut off may be running still. The doubt comes back as a new message.
            raise AmbiguousError("an earlier worker may be creating it", retry_after=DOUBT_WAIT)
        self._outside.create(key)

    def _fail_if_told(self, act: Act, message: IncomingMessage, key: str) -> None:
        match act:
            case Act.UNKNOWN_USER:
                raise PermanentError("no such user")
            case Act.LIMIT:
                raise BusinessError("the limit is used up", code="LIMIT")
            case Act.ALWAYS_LOCKED:
                raise TransientError("locked")
            case Act.ALWAYS_CRASH:
                raise ZeroDivisionError("a mistake in the handler")
            case Act.ALWAYS_EXIT:
                raise SystemExit(3)
            case Act.LOCKED_TO_THE_LAST if message.attempt <= RETRIES:
                raise TransientError("locked")
            case Act.LOCKED_ONCE if message.attempt == 1:
                raise TransientError("locked")
            case Act.CRASH_ONCE if message.attempt == 1:
                raise ZeroDivisionError("a mistake in the handler")
            case Act.LOST_ANSWER if self._outside.meets_first(key):
                self._create(message, key)
                raise AmbiguousError("no answer", retry_after=DOUBT_WAIT)
            case Act.LOST_REQUEST if self._outside.meets_first(key):
                raise AmbiguousError("no answer", retry_after=DOUBT_WAIT)
            case Act.OUTAGE_ONCE if self._outside.meets_first(key):
                raise OutageError("connection refused")
            case Act.REVOKED_ONCE if self._outside.meets_first(key):
                raise ConfigurationError("the webhook was revoked")

    def _claim(self, key: str) -> bool:
        with self._lock:
            if key in self._claimed:
                return False
            self._claimed.add(key)
            return True

    def _release(self, key: str) -> None:
        with self._lock:
            self._claimed.discard(key)
