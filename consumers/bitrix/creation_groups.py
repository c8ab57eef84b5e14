"""Puts messages into groups: who has which key, what waits for its turn, what can be fetched further.

A group is what one request creates. While it is on its way the next one is looked up, so a thread has two in hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from consumers.bitrix.batch import Command
from consumers.bitrix.checklists import Checklist
from consumers.bitrix.fields import Translated
from consumers.bitrix.rows import Row
from core.errors import OutcomeError
from core.messages import CamundaTask, IncomingMessage
from core.results import Result
from core.texts import Text
from toolkit.claims import KeyClaims, busy

Outcome = Result | OutcomeError
Settled = tuple[IncomingMessage, Outcome]
Translate = Callable[[CamundaTask], Translated]
More = Callable[[int], Sequence[IncomingMessage]]


@dataclass(slots=True)
class Job:
    """One task to create. `task` is what the portal has of it."""

    message: IncomingMessage
    addition: Command
    checklists: list[Checklist]
    warnings: list[Text]
    task: Row | None = None
    existed: bool = False
    errors: list[OutcomeError] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.message.task.task_id


class CreationGroups:
    """The groups of one thread, which closes them whatever happens: a key must not stay with a thread that is gone.

    `more(limit)` gives up to `limit` further messages, none when there are none at the moment.
    """

    def __init__(
        self, messages: Iterable[IncomingMessage], more: More, claims: KeyClaims, translate: Translate, wait: float
    ) -> None:
        self._waiting = deque(messages)
        self._more = more
        self._claims = claims
        self._translate = translate
        self._wait = wait
        self._owned: set[str] = set()

    def group(self, size: int) -> Generator[Settled, None, list[Job]]:
        """Return up to `size` jobs with different keys; yield what cannot become one."""
        self._waiting.extend(self._more(size - len(self._waiting)))
        jobs: list[Job] = []
        put_off = []
        while self._waiting and len(jobs) < size:
            message = self._waiting.popleft()
            key = message.task.task_id
            if key in self._owned:
                put_off.append(message)  # its first message is in hand: looked up after that is through, and then found
            elif not self._claims.take(key):
                yield message, busy(self._wait)
            else:
                self._owned.add(key)
                try:
                    made = self._translate(message.task)
                    params = {"fields": made.fields}
                    addition = Command("tasks.task.add", params, write=True, guard=message.ensure_ours)
                    jobs.append(Job(message, addition, made.checklists, made.warnings))
                except OutcomeError as error:
                    self.release([key])
                    yield message, error
        self._waiting.extendleft(reversed(put_off))
        return jobs

    def release(self, keys: Iterable[str]) -> None:
        """Release these keys: others may have them now."""
        keys = list(keys)
        self._owned.difference_update(keys)
        self._claims.release(keys)

    def rest(self) -> Iterator[IncomingMessage]:
        """Yield what has not become a job."""
        while self._waiting:
            yield self._waiting.popleft()

    def close(self) -> None:
        self.release(self._owned)
