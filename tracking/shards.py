"""Knows where the open tasks of a sent queue lie: in the queue itself, or in its shards once they are many.

RabbitMQ gives no message out before those ahead of it. So the tasks of a large queue are moved into `SHARDS` queues and
a task told finished is sought in one of them only, which follows from its id in the system. A sweep moves a task
after it has asked about it, by a confirmed copy before the ack; a look at everything moves back what lies in shards
without need. Nothing but the place is told by a shard: whoever finds a message in the wrong one has found it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from broker.errors import TopologyError
from broker.taken_queue import Taking
from broker.topology import shard_of, shard_queue_names
from core.envelopes import SentHeader


class Shards:
    """The shards of one sent queue, as far as this worker knows. Used by one thread; `in_use` by any.

    `look_again`: seconds after which another worker may have made them; `growth`: seconds for which RabbitMQ may forget
    what it has confirmed in a new quorum queue (docs/decisions.md).
    """

    def __init__(
        self, queue: str, look_again: float, growth: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.names = shard_queue_names(queue)
        self._look_again = look_again
        self._growth = growth
        self._clock = clock
        self._looked_at = -math.inf
        self._refused_at = -math.inf
        self._exist = False
        self._held: dict[str, int] = {}  # what each held when it was last seen, and what has been moved since

    @property
    def in_use(self) -> tuple[str, ...]:
        """The queues that may hold tasks."""
        return self.names if self._exist else ()

    @property
    def total(self) -> int:
        """How many messages lie in them; what other workers have moved since they were counted is not known."""
        return sum(self._held.values())

    def of(self, header: SentHeader) -> str:
        """Return the queue of an open task."""
        return self.names[shard_of(header.external_id or header.task_id)]

    def look(self, taking: Taking) -> None:
        """Find out, now and then, whether they exist and what they hold: another worker may have made and filled them.

        RabbitMQ writes an error into its log when it is asked for a queue that does not exist.
        """
        if self._clock() - self._looked_at >= self._look_again:
            self.count(taking)

    def count(self, taking: Taking) -> None:
        """Find out whether they exist and what they hold.

        Who knows of none asks for the first one: it is made after the others, and emptied after them.
        """
        self._looked_at = self._clock()
        first = self.names[0]
        if not self._exist and taking.ready([first])[first] is None:
            return
        found = taking.ready(self.names)
        self._exist = any(ready is not None for ready in found.values())
        self._held = {name: ready or 0 for name, ready in found.items()}

    def make(self, taking: Taking) -> bool:
        """Create what is missing of them; return False where RabbitMQ has refused that lately, or to read them.

        To be called before they are filled. Raises TopologyError when it refuses now.
        """
        if self._clock() - self._refused_at < self._look_again:
            return False
        are_new = None in taking.ready(self.names).values()
        try:
            if are_new:
                taking.ensure(reversed(self.names))
            taking.ensure_readable(self.names[0])  # what is put there must be found again
        except TopologyError:
            self._refused_at = self._clock()
            raise
        if are_new:
            taking.rest(self._growth)
        self._exist = True
        self.count(taking)
        return True

    def held(self, queue: str) -> int:
        """Return how many messages one of them holds, as far as is known."""
        return self._held.get(queue, 0)

    def opened(self, queue: str, ready: int) -> None:
        """Note how many messages one of them held when it was opened."""
        self._held[queue] = ready

    def moved(self, source: str, target: str | None = None) -> None:
        """Note that a message has left a queue, one of them or the sent queue, for another one or for good."""
        for queue, change in ((source, -1), (target, 1)):
            if queue in self.names:
                self._held[queue] = max(0, self._held.get(queue, 0) + change)
