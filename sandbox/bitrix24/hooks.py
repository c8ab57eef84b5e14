"""Outgoing webhooks: the portal tells of what happens to its tasks, and knows them by their ids only.

The fields are those of api-reference/tasks/events-tasks/on-task-*.md as an outgoing webhook sends them
(local-integrations/local-webhooks.md): a form, the `auth` without OAuth tokens, the text `undefined` for what is not
told. Nothing is sent twice and nothing again (api-reference/events/index.md). A cloud portal sends them over a queue of
its own, so that `delay` seconds pass.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode

from sandbox.hook_sender import Hook, HookSender

EVENTS = ("ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE")
_UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class OutgoingWebhook:
    """As an administrator makes it; the portal shows him the token."""

    url: str
    events: Collection[str] = EVENTS
    delay: float = 0.0
    token: str = field(default_factory=lambda: secrets.token_hex(16))


class Webhooks:
    """Those of one portal, whose address clients see as `domain`."""

    def __init__(self, domain: str) -> None:
        self.sender = HookSender()
        self.hooks: list[OutgoingWebhook] = []
        self._domain = domain
        self._member_id = secrets.token_hex(16)

    def tell(self, event: str, task_id: int) -> None:
        for number, hook in enumerate(self.hooks, 1):
            if event in hook.events:
                self.sender.send(partial(self._hook, event, task_id, hook, number), hook.delay)

    def _hook(self, event: str, task_id: int, hook: OutgoingWebhook, number: int) -> Hook:
        form = urlencode(self._fields(event, task_id, hook, number)).encode()
        return Hook(hook.url, form, {"Content-Type": "application/x-www-form-urlencoded"})

    def _fields(self, event: str, task_id: int, hook: OutgoingWebhook, number: int) -> Mapping[str, str]:
        before, after = (f"data[FIELDS_{when}]" for when in ("BEFORE", "AFTER"))
        return {
            "event": event,
            "event_handler_id": str(number),
            **({before: _UNDEFINED} if event == "ONTASKADD" else {f"{before}[ID]": str(task_id)}),
            **({after: _UNDEFINED} if event == "ONTASKDELETE" else {f"{after}[ID]": str(task_id)}),
            "data[IS_ACCESSIBLE_BEFORE]": "N" if event == "ONTASKADD" else _UNDEFINED,
            "data[IS_ACCESSIBLE_AFTER]": "N" if event == "ONTASKDELETE" else _UNDEFINED,
            "ts": str(int(time.time())),
            "auth[domain]": self._domain,
            "auth[client_endpoint]": f"https://{self._domain}/rest/",
            "auth[server_endpoint]": "https://oauth.bitrix.info/rest/",
            "auth[member_id]": self._member_id,
            "auth[application_token]": hook.token,
        }
