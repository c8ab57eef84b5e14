"""An OpenProject whose answers are objects of JSON, and otherwise not what one may expect."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.http_front import HttpRequest, RawAnswer
from sandbox.openproject import OpenProjectSandbox

Place = list[Any] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Blow:
    """What happens to an answer: at a place that `seed` chooses, `value` stands instead; or nothing at all is there."""

    seed: int
    value: Any
    removes: bool = False

    def strike(self, body: dict[str, Any]) -> None:
        places = list(_places(body))
        if not places:
            return
        holder, key = random.Random(self.seed).choice(places)
        if self.removes:
            del holder[key]
        else:
            holder[key] = self.value


class MisshapenOpenProject(OpenProjectSandbox):
    """The answer to the n-th request meets the n-th of `blows`, round and round; what was asked for is done.

    With `reads_only` no answer to a write is touched.
    """

    blows: Sequence[Sequence[Blow]] = ()
    reads_only = False
    _at = 0

    def _answer(self, request: HttpRequest) -> RawAnswer:
        answer = super()._answer(request)
        if not self.blows or (self.reads_only and request.method != "GET") or not isinstance(answer.body, bytes):
            return answer
        with self.state.lock:
            self._at += 1
            blows = self.blows[self._at % len(self.blows)]
        body = json.loads(answer.body)
        for each in blows:
            each.strike(body)
        return RawAnswer(answer.status, json.dumps(body).encode(), answer.content_type, answer.headers)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place below it: what it is in, and under which key or number."""
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    found = [(value, key) for key, _ in pairs]
    for _, inner in pairs:
        found += _places(inner)
    return found
