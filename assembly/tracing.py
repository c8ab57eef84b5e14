"""Builds the tracing of the worker from the settings; nothing of OpenTelemetry is loaded where none is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config import Settings
from core.texts import Text
from settings.errors import Mistake, SettingsError
from tracing.settings import PREFIX, TracingSettings

if TYPE_CHECKING:
    from tracing.exporting import Tracing


def make_tracing(settings: Settings) -> Tracing | None:
    """Build the tracing from settings in which `tracing.settings.mistakes` finds nothing; None where none is wanted.

    Raises SettingsError for a value that only the SDK can judge.
    """
    told = settings.for_system(TracingSettings)
    if not told.is_wanted:
        return None
    from tracing.exporting import exported

    try:
        return exported(told.variables(), is_exported=told.is_exported)
    except ValueError as error:
        problem = Text(
            f"OpenTelemetry's SDK cannot use a value: {error}", f"SDK OpenTelemetry не принимает значение: {error}"
        )
        hint = Text("correct that variable, or leave it unset", "исправьте эту переменную или не задавайте её")
        raise SettingsError([Mistake(f"{PREFIX}…", None, problem, hint)]) from error
