"""The real daemon with one fault in it: `python -m tests.worker_with_faults POINT N` dies by SIGKILL at the N-th time.

POINT: `created` (the task exists in Bitrix24, nothing is published), `published` (the result is sent, unconfirmed),
`confirmed` (the broker has the result, the input is not acked), `answered` (the response is confirmed, the sent
message is not acked), `exit` (the handler ends the process by itself for a task whose title says so).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import main
from consumers.bitrix import BitrixTaskHandler
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher
from runtime.tracking import Sweeper


def die_at(count: int) -> Callable[[], None]:
    remaining = count

    def step() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def install(point: str, count: int) -> None:
    step = die_at(count)
    if point == "created":
        handle_batch = BitrixTaskHandler.handle_batch

        def dying_handle_batch(self: BitrixTaskHandler, messages: Any) -> Any:
            for outcome in handle_batch(self, messages):
                step()
                yield outcome

        BitrixTaskHandler.handle_batch = dying_handle_batch  # type: ignore[method-assign]
    elif point == "published":
        publish = RabbitMQPublisher.publish

        def dying_publish(self: RabbitMQPublisher, queue: str, message: Any) -> Any:
            future = publish(self, queue, message)
            step()
            return future

        RabbitMQPublisher.publish = dying_publish  # type: ignore[method-assign]
    elif point == "confirmed":
        ack = RabbitMQConsumer.ack

        def dying_ack(self: RabbitMQConsumer, delivery: Any) -> None:
            step()
            ack(self, delivery)

        RabbitMQConsumer.ack = dying_ack  # type: ignore[method-assign]
    elif point == "answered":
        wait = Sweeper._wait

        def dying_wait(self: Sweeper, connection: Any, futures: Any) -> None:
            wait(self, connection, futures)
            step()

        Sweeper._wait = dying_wait  # type: ignore[method-assign]
    else:
        raise SystemExit(f"unknown kill point {point!r}")


if __name__ == "__main__":
    install(sys.argv[1], int(sys.argv[2]))
    sys.exit(main.main(["run"]))
