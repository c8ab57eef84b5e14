"""Which work packages were closed since a moment of the server's own clock: what makes a quiet sweep one request.

`filters=[{"status": c}, {"updatedAt": <>d [moment, ""]}]`: both ends count, closing sets updatedAt.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from base_tracker import Changes
from consumers.openproject.client import OpenProjectClient, elements_of, filters
from runtime.json_client import Json
from runtime.watermark import Change, Mark

OVERLAP = timedelta(seconds=300)
MOST_ROWS = 2000  # with more, a full sweep costs little more

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)


class ClosedWorkPackages:
    def __init__(self, client: OpenProjectClient) -> None:
        self._client = client

    def changes(self, since: Mark | None) -> Changes | None:
        """None when the server cannot tell: too many, or an answer without dates. Raises an outcome."""
        if since is None:
            latest = self._client.get(
                "work_packages", filters=filters(status=("c", [])), sortBy=[["updatedAt", "desc"]], pageSize=1
            )
            moments = [_moment(row) for row in elements_of(latest)]
            return None if None in moments else Changes((), Mark(next(filter(None, moments), _EARLIEST)))
        earliest = since.since(OVERLAP).replace(microsecond=0)  # the filter knows whole seconds
        rows = self._rows(earliest)
        if rows is None:
            return None
        found = {Change(str(row.get("id")), moment) for row in rows if (moment := _moment(row)) is not None}
        if len(found) < len({str(row.get("id")) for row in rows}) or any(each.moment < earliest for each in found):
            return None  # a filter that is ignored must not make us believe that nothing was closed
        return since.advanced(found, max((each.moment for each in found), default=since.moment), OVERLAP)

    def _rows(self, earliest: datetime) -> list[Json] | None:
        condition = filters(status=("c", []), updatedAt=("<>d", [_iso(earliest), ""]))
        order = [["updatedAt", "asc"], ["id", "asc"]]
        rows: list[Json] = []
        for answer in self._client.pages("work_packages", filters=condition, sortBy=order):
            if int(answer.get("total") or 0) > MOST_ROWS:
                return None
            rows += elements_of(answer)
        if len({str(row.get("id")) for row in rows}) < int(answer.get("total") or 0):
            return None  # one was opened again while pages were turned, and another one slipped past
        return rows


def _moment(row: Json) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(row.get("updatedAt")))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
