"""Builds the alerting of the worker from the settings."""

from __future__ import annotations

import threading
from collections.abc import Callable

from config import Settings
from core.alerts import AlertBook, AlertPolicy
from runtime.alert_settings import AlertSettings
from runtime.alerting import Alerting, Channel


def make_alerting(settings: Settings, stop: threading.Event, mask: Callable[[str], str]) -> Alerting:
    told = settings.for_system(AlertSettings)
    policy = AlertPolicy(delay=told.delay, stale_after=told.stale_after, repeat=told.repeat)
    channels: list[Channel] = []
    return Alerting(AlertBook(policy), channels, name=told.name, language=told.language, stop=stop, mask=mask)
