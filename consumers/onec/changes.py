"""Finds which objects were finished since a moment of the infobase's own clock.

A quiet sweep needs one request for each kind.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from base_tracker import ChangedTask, Changes
from consumers.onec.client import Json, OneCClient, count_of, rows_of
from consumers.onec.completion import Completion
from consumers.onec.creation import OUR_KEYS
from consumers.onec.literals import ObjectRef, as_guid, moment
from toolkit.watermark import Change, Mark

OVERLAP = timedelta(hours=1)  # the application writes the date before the transaction ends, and summer time goes back
MOST_ROWS = 2000  # with more, a full sweep costs little more

_EARLIEST = datetime(1970, 1, 2)  # noqa: DTZ001 - 1C knows no zones
_FUTURE = timedelta(days=1)  # two clocks and any zone differ by less

Marks = Mapping[str, Mark]


class FinishedObjects:
    """Asks which objects were finished. `now` gives the local time of the infobase, roughly."""

    def __init__(self, client: OneCClient, page_size: int, now: Callable[[], datetime]) -> None:
        self._client = client
        self._page_size = page_size
        self._now = now

    def changes(self, since: Marks | None, completions: Mapping[str, Completion]) -> Changes | None:
        """Return the changes.

        None when it cannot be known: no date is known, too many rows, or an answer that is not what was asked. Kinds of
        objects that have no date of their end wait for the next full sweep, if others do.
        """
        dated = {entity: each for entity, each in completions.items() if each.finish.moment is not None}
        if not dated:
            return None
        tasks: list[ChangedTask] = []
        marks: dict[str, Mark] = {}
        for entity, completion in dated.items():
            known = since.get(entity) if since is not None else None
            found = self._start(completion) if known is None else self._since(known, completion)
            if found is None:
                return None
            tasks += found.tasks
            marks[entity] = found.mark
        return Changes(tasks, marks)

    def _start(self, completion: Completion) -> Changes | None:
        date = completion.finish.moment
        page = self._client.query(
            completion.entity,
            filter=f"{completion.condition} and {date} le {moment(self._now() + _FUTURE)}",
            select=f"Ref_Key,{date}",
            orderby=f"{date} desc",
            top=1,
            allowed_only=1,
        )
        latest = [completion.moment(row) or _EARLIEST for row in rows_of(page)]
        return Changes((), Mark(max([_EARLIEST, *latest])))

    def _since(self, mark: Mark, completion: Completion) -> Changes | None:
        earliest = max(mark.since(OVERLAP), _EARLIEST)
        rows = self._rows(completion, earliest)
        if rows is None:
            return None
        found: set[Change] = set()
        for row in rows:
            key, finished = as_guid(row.get("Ref_Key")), completion.moment(row)
            if key is None or finished is None or finished < earliest:
                return None  # a filter that is ignored must not make us believe that nothing was finished
            # The key is made of the task id, which cannot be read from it; 1C itself makes none of this version.
            is_ours = uuid.UUID(key).version == OUR_KEYS
            found.add(Change(str(ObjectRef(completion.entity, key)), finished, is_ours=is_ours))
        horizon = self._now() + _FUTURE
        latest = max((each.moment for each in found if each.moment <= horizon), default=mark.moment)
        return mark.advanced(found, latest, OVERLAP)

    def _rows(self, completion: Completion, earliest: datetime) -> list[Json] | None:
        date = completion.finish.moment
        rows: list[Json] = []
        total: int | None = None
        while True:
            page = self._client.query(
                completion.entity,
                filter=f"{completion.condition} and {date} ge {moment(earliest)}",
                select=f"Ref_Key,{date}",
                orderby=f"{date},Ref_Key",
                top=self._page_size,
                skip=len(rows),
                inlinecount="allpages",
                allowed_only=1,
            )
            found = rows_of(page)
            rows += found
            total = count_of(page) if total is None else total
            if len(rows) > MOST_ROWS or (total or 0) > MOST_ROWS:
                return None
            known = len({as_guid(row.get("Ref_Key")) for row in rows})
            # The developer guide (8.3.27, 17.4.6.2) says that $top and $skip are ignored beside $inlinecount: then the
            # first page is all there is.
            if len(found) < self._page_size or (total is not None and known >= total):
                # With fewer than were counted, one was opened again while pages were turned, and another one may have
                # slipped past.
                return rows if known >= (total or 0) else None
