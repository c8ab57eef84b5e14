"""Describes how a queue is consumed: its handler and its threads, and what all queues share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from base_handler import BaseMessageHandler
from core.messages import Limits
from core.policy import RetryPolicy
from core.traces import Tracer


@dataclass(frozen=True, slots=True)
class ConsumedQueue:
    """One entry of QUEUE_HANDLERS, made ready to run. `sent_queue` None: results are not stored."""

    queue: str
    system: str
    handler: BaseMessageHandler
    sent_queue: str | None
    prefetch: int
    threads: int


@dataclass(frozen=True, slots=True)
class ProcessingSettings:
    """What all queues share. `probe_interval` in seconds; `tracer` None: no spans are recorded."""

    errors_queue: str
    limits: Limits
    retry: RetryPolicy
    probe_interval: float
    mask: Callable[[str], str] = lambda text: text  # of secrets that a server's own text may repeat
    tracer: Tracer | None = None
