"""Where rows are played: each lane is a private RabbitMQ node that one row at a time may break."""

from __future__ import annotations

import random
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from queue import SimpleQueue

from benchmarks.faults.row import Row
from benchmarks.faults.runner import Orders, Result, play
from benchmarks.faults.stage import Stage, StageInterruptedError
from sandbox.address import BrokerAddress
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import Server

_VHOSTS_AT_ONCE = 10  # one call of rabbitmqctl takes half a second, for one virtual host or for ten


class Lane:
    """A node that is whole again before each row, and a fresh virtual host for each."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._node: RabbitNode | None = None
        self._vhosts: list[BrokerAddress] = []

    def play(self, row: Row, orders: Orders, interrupted: threading.Event) -> Result:
        """Raises StageInterruptedError; what else goes wrong with the row's own machinery is a complaint."""
        try:
            return self._played(row, orders, interrupted)
        except StageInterruptedError:
            raise
        except Exception as error:  # noqa: BLE001  # one broken row must not cost an hour of others; it is red
            self.close()
            where = traceback.format_exception(error)[-2].strip().replace("\n", " ")
            what = f"{type(error).__name__}: {error}; {where}"
            return Result(row, complaints=[f"could not be played: {what}"], tracebacks=[what])

    def _played(self, row: Row, orders: Orders, interrupted: threading.Event) -> Result:
        if row.node_config:
            with RabbitNode(self._server, row.node_config) as node:
                return play(row, node, node.address, orders, interrupted)
        node = self._healthy_node()
        if row.quorum_by_default:
            [address] = node.add_vhosts([uuid.uuid4().hex[:12]], default_queue_type="quorum")
            return play(row, node, address, orders, interrupted)
        return play(row, node, self._fresh_vhost(node), orders, interrupted)

    def stage(self, row: Row, chance: random.Random, interrupted: threading.Event) -> Stage:
        """A stage for a play of another kind than a row's."""
        node = self._healthy_node()
        return Stage(row, node, self._fresh_vhost(node), chance=chance, interrupted=interrupted, short=True)

    def close(self) -> None:
        if self._node is not None:
            self._node.close()
            self._node = None
            self._vhosts = []

    def _healthy_node(self) -> RabbitNode:
        if self._node is None:
            self._node = RabbitNode(self._server)
        self._node.start()
        return self._node

    def _fresh_vhost(self, node: RabbitNode) -> BrokerAddress:
        if not self._vhosts:
            self._vhosts = node.add_vhosts([uuid.uuid4().hex[:12] for _ in range(_VHOSTS_AT_ONCE)])
        return self._vhosts.pop()


@contextmanager
def open_lanes(count: int, server: Server) -> Iterator[list[Lane]]:
    lanes = [Lane(server) for _ in range(count)]
    try:
        yield lanes
    finally:
        for lane in lanes:
            lane.close()


def play_all(
    jobs: Sequence[tuple[Row, Orders]],
    lanes: Sequence[Lane],
    interrupted: threading.Event,
    on_result: Callable[[Result, Orders], None],
) -> list[Result]:
    """The results in the order of the jobs, each told as soon as it is known.

    An exception, Ctrl+C included, ends all rows in order and is raised then.
    """
    free: SimpleQueue[Lane] = SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def one(row: Row, orders: Orders) -> Result:
        lane = free.get()
        try:
            return lane.play(row, orders, interrupted)
        finally:
            free.put(lane)

    with ThreadPoolExecutor(len(lanes), thread_name_prefix="lane") as pool:
        futures = {pool.submit(one, *job): job for job in jobs}
        try:
            for future in as_completed(futures):
                on_result(future.result(), futures[future][1])
        except BaseException:
            interrupted.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]
