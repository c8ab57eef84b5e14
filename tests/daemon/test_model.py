"""Whatever is done to the processor, in whatever order: nothing is lost, stuck, changed or created twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from broker.connection import connection_parameters
from core.messages import OutgoingMessage
from rabbitmq_publisher import RabbitMQPublisher
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.harness import rabbitmq_settings
from tests.support.model_machine import BrokenPromiseError, ProcessorMachine, Setup
from tests.support.model_worker import LEFT_BY_PIKA, ModelWorker
from tests.support.model_world import RETRIES, Act, ModelHandler

pytestmark = LEFT_BY_PIKA

# Shrinking repeats a failure on a real broker for minutes: it is for the long profile.
FEW = settings(
    max_examples=8,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    database=None,
    report_multiple_bugs=False,
)
LONG = settings(FEW, max_examples=500, stateful_step_count=40, phases=[Phase.generate, Phase.shrink])
UNTIL_FOUND = settings(FEW, max_examples=400)  # about 20 do on average; 60 were once too few


def setup_on(node: RabbitNode, broker: Broker, **made: Any) -> Setup:
    return Setup(node, broker, itertools.count(), **made)


def run(setup: Setup, how: settings) -> None:
    def machine() -> ProcessorMachine:
        return ProcessorMachine(setup)

    run_state_machine_as_test(machine, settings=how)  # type: ignore[arg-type]  # any callable without arguments will do


def test_no_sequence_of_faults_breaks_a_promise(node: RabbitNode, broker: Broker) -> None:
    run(setup_on(node, broker), LONG if settings.get_current_profile_name() == "long" else FEW)


class HastyPublisher(RabbitMQPublisher):
    """Does not wait for the broker's confirm."""

    def publish(self, queue: str, message: OutgoingMessage) -> Future[None]:
        super().publish(queue, message)
        pretended: Future[None] = Future()
        pretended.set_result(None)
        return pretended


class HastyWorker(ModelWorker):
    def make_publisher(self, address: BrokerAddress) -> RabbitMQPublisher:
        parameters = connection_parameters(rabbitmq_settings(address), "hasty publisher")
        return HastyPublisher(parameters, self.topology, self.events, reconnect_max_delay=0.3)


class StubbornWorker(ModelWorker):
    """Tries once more than it was told."""

    retries = RETRIES + 1


class ForgetfulHandler(ModelHandler):
    """Creates without looking up."""

    def find(self, key: str) -> bool:
        return False


@pytest.mark.parametrize(
    ("sabotage", "found"),
    [
        ({"make_worker": HastyWorker}, "lost"),
        ({"make_worker": StubbornWorker}, f"was tried {RETRIES + 2} times"),
        ({"make_handler": ForgetfulHandler}, "too many"),
    ],
    ids=["ack before the confirm", "one retry more", "no look-up before creating"],
)
def test_the_model_finds_what_was_broken_on_purpose(
    node: RabbitNode, broker: Broker, sabotage: dict[str, Any], found: str
) -> None:
    with pytest.raises((BrokenPromiseError, BaseExceptionGroup)) as failure:
        run(setup_on(node, broker, **sabotage), UNTIL_FOUND)
    told = list(broken_promises(failure.value))
    assert any(found in text for text in told), repr(failure.value)


def broken_promises(error: BaseException) -> Iterator[str]:
    """hypothesis wraps a failure that chance did not repeat into a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from broken_promises(inner)
    elif isinstance(error, BrokenPromiseError):
        yield str(error)


# -- what the model has found, each as the shortest sequence that shows it -------------------------------------------


def test_a_handler_that_returns_nothing_is_asked_again(node: RabbitNode, broker: Broker) -> None:
    machine = ProcessorMachine(setup_on(node, broker))
    machine.begin(exclusive=False)
    machine.publish(acts=[Act.NO_RESULT_ONCE])
    machine.teardown()
