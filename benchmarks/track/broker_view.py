"""What RabbitMQ itself tells of a tracker: when it was connected, and how many messages were moved."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime

from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import LOG_FOLDER

_POLL = 0.02  # seconds; the log file tells nobody that it has grown
_TRACKER = "task-creator tracker"

# The node's log: "<time> [info] <pid> connection … - <name>…: user 'x' authenticated …", later "closing AMQP
# connection …"; 3.10 repeats the pid and puts parentheses around the name, 4.0 and 4.3 do not.
_LINE = re.compile(
    r"^(?P<at>\S+ \S+) \[info\] (?P<who><[\d.]+>) (?P<what>connection|closing AMQP connection) (?P<rest>.*)$",
    re.MULTILINE,
)
_DELIVERED = re.compile(r"messages_delivered_total => (\d+)")
_RECEIVED = re.compile(r"messages_received_total => (\d+)")


@dataclass(frozen=True, slots=True)
class Session:
    """One cycle of a tracker, from the log-in to the close of its connection; unix seconds."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class BrokerView:
    """Reads the node's log and counters; asks nothing of its queues."""

    def __init__(self, node: RabbitNode) -> None:
        self._node = node

    def sessions(self) -> list[Session]:
        """The tracker's closed connections, oldest first."""
        began: dict[str, float] = {}
        sessions = []
        for path in sorted((self._node.folder / LOG_FOLDER).glob("*.log")):
            for line in _LINE.finditer(path.read_text(errors="replace")):
                at = datetime.fromisoformat(line["at"]).timestamp()
                if _TRACKER not in line["rest"]:
                    continue
                if line["what"] == "connection" and "authenticated" in line["rest"]:
                    began[line["who"]] = at
                elif line["what"] != "connection" and line["who"] in began:
                    sessions.append(Session(began.pop(line["who"]), at))
        return sessions

    def wait_for_sessions(self, count: int, timeout: float) -> list[Session]:
        """Until that many connections of a tracker are closed. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while len(sessions := self.sessions()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(sessions)} of {count} cycles within {timeout:.0f} s")
            time.sleep(_POLL)
        return sessions

    def moved(self) -> int:
        """Messages published and delivered since the node's start, whatever the queue and the client."""
        counters = self._node.eval("rabbit_global_counters:overview()")
        return sum(int(number) for number in [*_DELIVERED.findall(counters), *_RECEIVED.findall(counters)])
