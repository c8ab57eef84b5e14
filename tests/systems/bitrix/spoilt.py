"""A portal whose answers hold anything: JSON of the right outer shape, whatever stands inside."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from sandbox.bitrix24 import BitrixSandbox
from sandbox.bitrix24.portal import Reply
from sandbox.http_front import HttpRequest, RawAnswer

Spoil = Callable[[str, Any], Any]

_NAMES = st.sampled_from(
    (
        *("id", "ID", "status", "STATUS", "title", "task", "tasks", "item", "items", "fields", "fm", "originId"),
        *("ufCamundaIdExternalTask", "ufResultAnswer", "changedDate", "FIELD_NAME", "LIST", "PARENT_ID", "TITLE"),
        *("upperName", "originatorId", "USER_TYPE_ID", "ADMIN", "value", "typeId", "type", "xmlId"),
    )
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["5", "1", "camunda", "title", "name", "2026-01-01T00:00:00+03:00", "UF_RESULT_ANSWER"])
)
anything = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_ROWS = anything | st.lists(anything, max_size=5) | st.dictionaries(st.text(max_size=2), anything, max_size=3)
# What a page of the documentation says of the outer shape of each kind of answer, and nothing of what stands in it.
_OUTER = st.sampled_from(["tasks", "task", "items", "item", "fields", None])
results = st.tuples(_OUTER, _ROWS).map(lambda drawn: drawn[1] if drawn[0] is None else {drawn[0]: drawn[1]})
answers = st.fixed_dictionaries(
    {},
    optional={
        "result": results | st.fixed_dictionaries({"result": anything}, optional={"result_error": anything}),
        "error": _SCALARS | st.sampled_from(["ERROR_CORE", "INTERNAL_SERVER_ERROR", "NOT_FOUND"]),
        "error_description": anything,
        "next": anything,
        "total": anything,
        "time": anything,
    },
)


class SpoiltPortal(BitrixSandbox):
    """`spoil(method, result)` changes the result of every call, alone or inside a batch.

    With `instead` each request is answered by the next of these documents, and nothing is executed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.spoil: Spoil = lambda method, result: result
        self.instead: Sequence[Any] | None = None
        self._turn = itertools.count()
        self._taking = threading.Lock()
        execute = self._api._execute

        def spoilt(method: str, params: dict[str, Any]) -> Reply:
            reply = execute(method, params)
            return Reply(self.spoil(method, reply.result), reply.total, reply.next)

        self._api._execute = spoilt  # type: ignore[method-assign]

    def by_turns(self, documents: Sequence[Any]) -> Any:
        with self._taking:
            return documents[next(self._turn) % len(documents)]

    def _serve(self, request: HttpRequest) -> RawAnswer:
        if self.instead is None:
            return super()._serve(request)
        return RawAnswer(200, json.dumps(self.by_turns(self.instead)).encode())
