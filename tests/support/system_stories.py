"""The stories that every system must survive, told about the whole daemon and counted from outside by task id."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, wait_until


@dataclass(frozen=True)
class System:
    """One outside system. `objects()` gives what it holds under each task id: two under one are a duplicate."""

    queue: str
    variables: Mapping[str, str]
    task: Callable[[str], bytes]
    objects: Callable[[], Mapping[str, Sequence[object]]]
    go_down: Callable[[], None]
    come_back: Callable[[], None]
    secrets: Sequence[str] = field(default_factory=tuple)
    outage_sign: str = "system.paused"  # in the log, when it is down

    @property
    def sent_queue(self) -> str:
        return f"{self.queue.removesuffix('.queue')}.sent.queue"

    def created_times(self) -> Counter[int]:
        """How many task ids have one object, two, …"""
        return Counter(len(objects) for objects in self.objects().values())


def answered(broker: Broker) -> Counter[str]:
    return Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(RESPONSES))


def _answered_ids(broker: Broker) -> set[str]:
    return {json.loads(body)["original_message"]["task_id"] for _, body in broker.peek(RESPONSES)}


def publish(system: System, broker: Broker, count: int, *, times: int = 1) -> list[str]:
    broker.declare(system.queue)
    task_ids = [f"task-{number}" for number in range(count)]
    for _ in range(times):
        broker.publish_all(system.queue, [system.task(task_id) for task_id in task_ids])
    return task_ids


def the_loop_closes(system: System, vhost: BrokerAddress, broker: Broker, folder: Path, *, count: int = 60) -> None:
    """Somebody must be finishing the tasks, unless the system finishes them at once."""
    task_ids = publish(system, broker, count)
    with Daemon(vhost, folder, system.variables) as daemon:
        broker.wait_for_count(RESPONSES, count, 90)
        wait_until(lambda: broker.count(system.sent_queue) == 0, 60, "an empty sent queue")
        assert daemon.stop() == 0
    assert answered(broker) == Counter(task_ids)
    assert set(system.objects()) == set(task_ids)
    assert system.created_times() == {1: count}
    assert (broker.count(system.queue), broker.count(ERRORS)) == (0, 0)
    for secret in system.secrets:
        assert secret not in daemon.output()


def kills_create_nothing_twice(
    system: System, vhost: BrokerAddress, broker: Broker, folder: Path, *, count: int = 100, kills: int = 4
) -> None:
    """A worker killed again and again, and every task published twice."""
    task_ids = publish(system, broker, count, times=2)
    for number in range(kills):
        before = len(system.objects())
        # A journal of starts for each: a message that is in hand at three deaths would be taken for their cause.
        changes = {"STATE_DIR": str(folder / f"state-{number}")}
        with Daemon(vhost, folder, {**system.variables, **changes}) as daemon:
            wait_until(lambda least=before + 5: len(system.objects()) >= least, 60, "progress")  # type: ignore[misc]
            daemon.kill()
    with Daemon(vhost, folder, system.variables) as daemon:
        wait_until(lambda: len(system.objects()) == count, 90, "every task in the system")
        # Not by the counts: one may be answered twice, and what a sweep holds is in no queue for a moment.
        wait_until(lambda: _answered_ids(broker) == set(task_ids), 90, "an answer to every task")
        wait_until(lambda: broker.count(system.queue) == 0, 60, "the second copies to be looked at")
        assert daemon.stop() == 0
    assert set(answered(broker)) == set(task_ids)
    assert system.created_times() == {1: count}
    assert broker.count(ERRORS) == 0


def an_outage_spends_no_attempt(
    system: System, vhost: BrokerAddress, broker: Broker, folder: Path, *, count: int = 40
) -> None:
    broker.declare(system.queue)  # before the worker does: a quorum queue of its own has another delivery limit
    with Daemon(vhost, folder, {**system.variables, "RETRY_ATTEMPTS": "0"}) as daemon:
        wait_until(lambda: f"{system.queue} is consumed" in daemon.output(), 30, "the start")
        system.go_down()
        task_ids = publish(system, broker, count)
        wait_until(lambda: system.outage_sign in daemon.output(), 30, "the outage to be noticed")
        time.sleep(1)  # several probes
        system.come_back()
        wait_until(lambda: len(system.objects()) == count, 60, "every task in the system")
        wait_until(lambda: not broker.count(system.queue), 60, "an empty queue")
        assert daemon.stop() == 0
    assert set(system.objects()) == set(task_ids)
    assert system.created_times() == {1: count}
    assert broker.count(ERRORS) == 0


def cut_off(proxy: TcpProxy) -> None:
    """Both ends know of it at once."""
    proxy.refuse()
    proxy.cut()


def a_partition_creates_nothing_twice(
    system: System,
    vhost: BrokerAddress,
    broker: Broker,
    folder: Path,
    *,
    blow: Callable[[TcpProxy], None],
    quick: Mapping[str, str] = MappingProxyType({}),
    count: int = 40,
) -> None:
    """The worker that works loses its way to RabbitMQ, not to the system, and another one takes over.

    The system must take so long for a task that the first worker has much in hand when the second one begins. `quick`:
    variables that let the second one overtake the first.
    """
    task_ids = publish(system, broker, count)
    variables = {**system.variables, "RABBITMQ_HEARTBEAT": "2", "CONCURRENCY": "1"}
    with TcpProxy(vhost.host, vhost.port) as proxy:
        lost = Daemon(vhost.through(proxy.port), folder / "lost", variables)
        standby = Daemon(vhost, folder / "standby", {**variables, **quick})
        with lost:
            wait_until(lambda: len(system.objects()) >= 3, 60, "the first objects")
            with standby:
                wait_until(lambda: "standing by" in standby.output(), 30, "a second worker")
                blow(proxy)
                wait_until(lambda: len(system.objects()) == count, 90, "every task in the system")
                wait_until(lambda: broker.count(system.queue) == 0, 60, "an empty queue")
                proxy.restore()
                assert (standby.stop(), lost.stop()) == (0, 0)
    assert set(system.objects()) == set(task_ids)
    assert system.created_times() == {1: count}
    assert broker.count(ERRORS) == 0
