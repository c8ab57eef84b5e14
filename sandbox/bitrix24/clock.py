"""The portal's clock. With `scale` 60 a minute of limits passes in a second, so that tests need not wait."""

from __future__ import annotations

import time
from datetime import datetime, tzinfo


class Clock:
    """Seconds since the epoch, running `scale` times as fast as the machine's clock since it was made."""

    def __init__(self, scale: float = 1.0) -> None:
        self.offset = 0.0  # seconds by which it is wrong: somebody has set it, or its machine has
        self._scale = scale
        self._origin = time.time()
        self._started = time.monotonic()

    def now(self) -> float:
        return self._origin + self.offset + (time.monotonic() - self._started) * self._scale

    def real_time(self, moment: float) -> float:
        """When a client's own clock will show that `moment` has come."""
        return self._origin + (moment - self.offset - self._origin) / self._scale


def iso(moment: float, zone: tzinfo) -> str:
    """`2025-10-06T17:02:43+03:00`: the form of every date in an answer."""
    return datetime.fromtimestamp(int(moment), zone).isoformat()


def parse_moment(text: str, zone: tzinfo) -> int | None:
    """Epoch seconds of an ISO date or of the portal's own `DD.MM.YYYY HH:MM:SS`; None when it is neither.

    A text without offset is read in the server's zone, not in the client's.
    """
    moment = _parse(text.strip())
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())


def _parse(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for pattern in ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S %z"):
        try:
            return datetime.strptime(text, pattern)  # noqa: DTZ007  # the caller adds the zone
        except ValueError:
            continue
    return None
