"""Builds the tracing of the worker from the settings; nothing of OpenTelemetry is loaded where none is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config import Settings
from tracing.settings import TracingSettings

if TYPE_CHECKING:
    from tracing.exporting import Tracing


def make_tracing(settings: Settings) -> Tracing | None:
    """Build the tracing from settings in which `tracing.settings.mistakes` finds nothing; None where none is wanted."""
    told = settings.for_system(TracingSettings)
    if not told.is_wanted:
        return None
    from tracing.exporting import exported

    return exported(told.variables(), is_exported=told.is_exported)
