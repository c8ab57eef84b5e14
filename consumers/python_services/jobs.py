"""Reads and writes a job that a service has accepted, in the sent queue's header: what a tracker must know, readable.

yandex-disk from 2026-12-01T10:00:10Z until 2026-12-02T10:00:00Z https://svc.internal/jobs/7
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from core.envelopes import EXTERNAL_ID_LIMIT
from core.errors import PermanentError
from core.texts import Text

_MOMENT = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
_JOB = re.compile(rf"([\w.-]+) from {_MOMENT} until {_MOMENT} (https?://\S+)")


@dataclass(frozen=True, slots=True)
class Job:
    """A job that a service has accepted.

    Not to be asked before `begins`, given up after `expires`; both are unix seconds.
    """

    service: str
    begins: int
    expires: int
    url: str

    def external_id(self) -> str:
        """Return the job as a text. Raises PermanentError when the address is too long for a header."""
        text = f"{self.service} from {_iso(self.begins)} until {_iso(self.expires)} {self.url}"
        if len(text.encode()) > EXTERNAL_ID_LIMIT:
            reason = Text(
                f"The job has been started, but its status address has {len(self.url)} characters and cannot be kept: "
                f"{EXTERNAL_ID_LIMIT} bytes are allowed together with the rest",
                f"Задание начато, но его адрес состояния не сохранить, он слишком длинный (символов: {len(self.url)}); "
                f"вместе с остальным допускается (байт): {EXTERNAL_ID_LIMIT}",
            )
            raise PermanentError(reason, code="status_address")
        return text


def job_of(external_id: str | None) -> Job | None:
    """Return the job in a text. None when the text is no job's."""
    found = _JOB.fullmatch(external_id or "")
    try:
        return Job(found[1], _seconds(found[2]), _seconds(found[3]), found[4]) if found else None
    except ValueError:
        return None


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
