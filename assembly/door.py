"""Builds the door of the worker, and what persons can pause through it."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping

from assembly.answers import Served, Worked, answers_of
from assembly.holding import FILE, Holdable, Holding
from config import WorkerSettings
from control.protocol import folder_of
from control.server import Door
from core.events.base import EventStream
from core.holds import Scope
from core.texts import Text


def make_holding(
    worker: WorkerSettings,
    gates: Mapping[str, Holdable],
    trackers: Mapping[str, Holdable],
    events: EventStream,
    stop: threading.Event,
) -> Holding:
    """Return what pauses the systems; `gates` and `trackers` by system."""
    parts: dict[str, dict[Scope, list[Holdable]]] = {}
    for system, gate in gates.items():
        parts.setdefault(system, {})["create"] = [gate]
    for system, tracker in trackers.items():
        parts.setdefault(system, {})["track"] = [tracker]
    return Holding(worker.state_dir / FILE, parts, events, stop)


def served_by(
    worker: WorkerSettings, queues: Iterable[str], tracked: Container[str], unused: Mapping[str, Text]
) -> list[Served]:
    """Return the systems of the input `queues`, also those that have no settings."""
    sent = {queue: worker.sent_queue_of(queue) for queue in queues}
    return [
        Served(queue.removesuffix(".queue"), queue, sent_queue, sent_queue in tracked, unused.get(queue))
        for queue, sent_queue in sent.items()
    ]


def make_door(worker: WorkerSettings, worked: Worked) -> Door:
    return Door(folder_of(worker.state_dir), answers_of(worked), worked.events)
