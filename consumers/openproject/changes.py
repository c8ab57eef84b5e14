"""Finds which work packages were closed since a moment of the server's own clock.

That makes a quiet sweep one request. `filters=[{"status": c}, {"updatedAt": <>d [moment, ""]}]`: both ends count,
closing sets updatedAt. The row tells the key, too: without it nobody knows the task for ours.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from base_tracker import Changes
from consumers.openproject.client import OpenProjectClient, filters
from consumers.openproject.keys import TaskKeys
from consumers.openproject.reading import number_of, page_of, text_of
from toolkit.json_client import Json
from toolkit.watermark import Change, Mark

OVERLAP = timedelta(seconds=300)
MOST_ROWS = 2000  # with more, a full sweep costs little more

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)


class ClosedWorkPackages:
    def __init__(self, client: OpenProjectClient, keys: TaskKeys) -> None:
        self._client = client
        self._keys = keys

    def changes(self, since: Mark | None) -> Changes | None:
        """Return the changes; None when the server cannot say: too many, or rows without id or date.

        Raises an outcome.
        """
        if since is None:
            latest = self._client.get(
                "work_packages", filters=filters(status=("c", [])), sortBy=[["updatedAt", "desc"]], pageSize=1
            )
            page = page_of(latest, "GET work_packages")
            moments = [_moment(row) for row in page.rows]
            if page.unreadable or None in moments:
                return None
            return Changes((), Mark(next(filter(None, moments), _EARLIEST)))
        earliest = since.since(OVERLAP).replace(microsecond=0)  # the filter knows whole seconds
        rows = self._rows(earliest)
        if rows is None:
            return None
        found: set[Change] = set()
        for row in rows:
            number, moment = number_of(row), _moment(row)
            if number is None or moment is None or moment < earliest:
                return None  # a filter that is ignored must not make us believe that nothing was closed
            found.add(Change(str(number), moment, self._keys.of(row)))
        return since.advanced(found, max((each.moment for each in found), default=since.moment), OVERLAP)

    def _rows(self, earliest: datetime) -> list[Json] | None:
        condition = filters(status=("c", []), updatedAt=("<>d", [_iso(earliest), ""]))
        order = [["updatedAt", "asc"], ["id", "asc"]]
        rows: list[Json] = []
        for page in self._client.pages("work_packages", filters=condition, sortBy=order):
            if page.total > MOST_ROWS or page.unreadable:
                return None
            rows += page.rows
        if len({number_of(row) for row in rows}) < page.total:
            return None  # one was opened again while pages were turned, and another one slipped past
        return rows


def _moment(row: Json) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text_of(row.get("updatedAt")) or "")
    except ValueError:
        return None
    # Far from where a calendar ends: the overlap is taken off, and zones are changed.
    return moment if moment.tzinfo is not None and 1970 <= moment.year <= 9000 else None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
