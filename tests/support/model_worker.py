"""One worker of the model: the daemon's real parts, each of its two connections behind a wire that can be damaged."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable

import pytest

from broker.connection import connection_parameters
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher
from sandbox.address import BrokerAddress
from sandbox.proxy import TcpProxy
from testbench.harness import Bench, rabbitmq_settings
from tests.support.model_world import RETRIES, ModelHandler

PREFETCH = 8
HEARTBEAT = 60  # seconds: longer than any wire here stands still, so that a slow machine does not end the connection

# pika leaves the sockets of a BlockingConnection that is lost between its opening and its close() to the collector.
LEFT_BY_PIKA = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)


class ModelWorker(Bench):
    """Runs from its construction until `stop_orderly` or `kill`."""

    retries = RETRIES

    def __init__(self, address: BrokerAddress, queue: str, handler: ModelHandler) -> None:
        super().__init__(address)
        with contextlib.ExitStack() as wires:
            self.intake = wires.enter_context(TcpProxy(address.host, address.port))
            self.outlet = wires.enter_context(TcpProxy(address.host, address.port))
            self._wires = wires.pop_all()
        self.consumer = self.make_consumer(address.through(self.intake.port))
        self.publisher = self.make_publisher(address.through(self.outlet.port))
        sent_queue = f"{queue.removesuffix('.queue')}.sent.queue"
        self.add(queue, handler, sent_queue=sent_queue, prefetch=PREFETCH, attempts=self.retries, probe_interval=0.1)
        self._session = contextlib.ExitStack()
        self._session.enter_context(self.running())

    def make_consumer(self, address: BrokerAddress) -> RabbitMQConsumer:
        parameters = connection_parameters(rabbitmq_settings(address, heartbeat=HEARTBEAT), "model consumer")
        return RabbitMQConsumer(parameters, self.topology, reconnect_max_delay=0.3)

    def make_publisher(self, address: BrokerAddress) -> RabbitMQPublisher:
        parameters = connection_parameters(rabbitmq_settings(address, heartbeat=HEARTBEAT), "model publisher")
        return RabbitMQPublisher(parameters, self.topology, self.events, reconnect_max_delay=0.3, growth=0.0)

    def is_idle(self) -> bool:
        """Nothing delivered is unsettled and nothing published is unconfirmed."""
        subscriptions = self.consumer._subscriptions.values()
        return not any(each.unsettled for each in subscriptions) and not self.publisher.unconfirmed()

    def cut(self) -> None:
        self.intake.cut()
        self.outlet.cut()

    def stop_orderly(self) -> None:
        for wire in (self.intake, self.outlet):
            wire.restore()
        self._end()

    def kill(self) -> None:
        """As SIGKILL: the sockets are reset and nothing more is said to the broker."""
        for wire in (self.intake, self.outlet):
            wire.close()
        self._end()

    def _end(self) -> None:
        self._session.close()
        self._wires.close()
        gc.collect()  # here and not in the middle of another test


MakeWorker = Callable[[BrokerAddress, str, ModelHandler], ModelWorker]
