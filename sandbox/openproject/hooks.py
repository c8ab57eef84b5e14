"""Webhooks: the server tells of a work package some minutes after it was changed, in the state that it has then.

modules/webhooks/app/workers/represented_webhook_job.rb of opf/openproject: JSON with the action and the whole work
package, signed with HMAC-SHA1 if there is a secret; what fails is logged and not repeated (only a time-out is). It is
sent when the journal is complete: the administrator's `journal_aggregation_time_minutes`, five by default, after the
last change, so that several changes are one hook. A deletion is told by nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sandbox.hook_sender import Hook, HookSender

UPDATED, CREATED = "work_package:updated", "work_package:created"
AGGREGATION = 300.0  # seconds

View = Callable[[int], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Webhook:
    """As an administrator makes it; without a secret nothing is signed."""

    url: str
    events: Collection[str] = (UPDATED,)
    aggregation: float = AGGREGATION
    secret: str = field(default_factory=lambda: secrets.token_hex(16))


class Webhooks:
    """Those of one server. `view` is a work package as the API shows it; None for one that is gone."""

    def __init__(self, view: View) -> None:
        self.sender = HookSender()
        self.hooks: list[Webhook] = []
        self._view = view
        self._last: dict[tuple[Webhook, str, int], float] = {}

    def tell(self, action: str, number: int) -> None:
        for hook in self.hooks:
            if action in hook.events:
                key = hook, action, number
                changed = self._last[key] = time.monotonic()
                self.sender.send(partial(self._due, key, changed), hook.aggregation)

    def _due(self, key: tuple[Webhook, str, int], changed: float) -> Hook | None:
        hook, action, number = key
        if self._last.get(key) != changed:
            return None  # it was changed once more: that one tells
        del self._last[key]
        if (work_package := self._view(number)) is None:
            return None
        body = json.dumps({"action": action, "work_package": work_package}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if hook.secret:
            headers["X-OP-Signature"] = f"sha1={hmac.new(hook.secret.encode(), body, hashlib.sha1).hexdigest()}"
        return Hook(hook.url, body, headers)
