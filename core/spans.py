"""Says how long something takes, as short as people say it."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Return `3d5h`, `5h12m`, `14m` or `42s`: the largest unit, and also the next one, rounded down."""
    minutes, seconds = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    return f"{minutes}m" if minutes else f"{seconds}s"
