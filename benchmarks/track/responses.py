"""Camunda's side: takes the responses and notes when each one came."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pika

from benchmarks.track.stock import RESPONSES_QUEUE
from sandbox.address import BrokerAddress

TURN = 0.2  # seconds between looks at the stop flag


class Responses:
    """`with Responses(address) as responses:`; `came` maps a Camunda task id to when its response came (monotonic)."""

    def __init__(self, address: BrokerAddress) -> None:
        self.came: dict[str, float] = {}
        self.count = 0
        self._address = address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="responses", daemon=True)

    def __enter__(self) -> Responses:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with pika.BlockingConnection(self._address.amqp_parameters()) as connection:
            channel = connection.channel()
            channel.basic_consume(RESPONSES_QUEUE, self._on_response, auto_ack=True)
            while not self._stop.is_set():
                connection.process_data_events(time_limit=TURN)

    def _on_response(self, _channel: Any, _method: Any, _properties: pika.BasicProperties, body: bytes) -> None:
        now = time.monotonic()
        self.count += 1
        self.came.setdefault(json.loads(body)["original_message"]["task_id"], now)
