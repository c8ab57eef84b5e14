"""A bare client for the tests of the sandbox: it hides nothing that the portal says."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_plus

import requests

from sandbox.bitrix24 import BitrixSandbox


class Rest:
    """Calls methods by JSON over one kept-alive connection."""

    def __init__(self, portal: BitrixSandbox, timeout: float = 10.0) -> None:
        self._portal = portal
        self._timeout = timeout
        self.session = requests.Session()
        self.session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

    def post(self, method: str, json: Any = None) -> requests.Response:
        return self.session.post(self._portal.webhook_url + method, json=json, timeout=self._timeout)

    def answer(self, method: str, /, **params: Any) -> Any:
        """The whole JSON of a call that must succeed."""
        response = self.post(method, params)
        assert response.status_code == 200, response.text
        return response.json()

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of a call that must succeed."""
        return self.answer(method, **params)["result"]

    def refusal(self, method: str, /, **params: Any) -> tuple[int, str, str]:
        """Status, code and text of a call that must be refused."""
        response = self.post(method, params)
        body = response.json()
        assert set(body) == {"error", "error_description"}, body
        return response.status_code, body["error"], body["error_description"]

    def add(self, title: str = "Согласовать договор", responsible: Any = 2, **fields: Any) -> int:
        """Creates a task and returns its id."""
        task = self.call("tasks.task.add", fields={"TITLE": title, "RESPONSIBLE_ID": responsible, **fields})
        return int(task["task"]["id"])

    def ids(self, **params: Any) -> list[int]:
        """Ids of one page of tasks.task.list, ascending unless ordered otherwise."""
        params = {"order": {"ID": "asc"}, "select": ["ID"], **params}
        return [int(task["id"]) for task in self.call("tasks.task.list", **params)["tasks"]]

    def batch(self, cmd: Any, *, halt: int = 0) -> Any:
        return self.call("batch", cmd=cmd, halt=halt)


def command(method: str, **params: str) -> str:
    """One command of a batch; keys as `fields[TITLE]`, values encoded once as the documentation asks."""
    query = "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in params.items())
    return f"{method}?{query}"
