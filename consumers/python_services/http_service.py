"""Does a task by a service over HTTP: one request per task, whose answer is the result or the address of a job."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import SecretStr

from consumers.python_services import addresses
from consumers.python_services.client import ServiceClient, title
from consumers.python_services.jobs import Job
from consumers.python_services.outcomes import Failed, Finished, Running, failure, read, refused
from consumers.python_services.registry import HttpSpec
from core.errors import AmbiguousError, PermanentError
from core.inputs import Inputs
from core.messages import CamundaTask, IncomingMessage
from core.request_figures import RequestFigures
from core.results import Accepted, Done, Result, with_warnings
from core.texts import Text
from toolkit.http import HttpAnswer
from toolkit.json_answers import read_answer, result_of


class HttpService:
    """A service over HTTP. Usable from any thread. `ambiguous_wait` is in seconds, `clock` gives unix seconds."""

    def __init__(
        self,
        name: str,
        spec: HttpSpec,
        secrets: Mapping[str, SecretStr],
        ambiguous_wait: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._spec = spec
        self._client = ServiceClient(name, spec, secrets)
        self._wait = ambiguous_wait
        self._clock = clock

    def prepared(self, message: IncomingMessage) -> Callable[[], Result]:
        """Return the request, sent by a call that raises outcomes; Outage and Configuration are this service's alone.

        Raises PermanentError when the message has no value for the address.
        """
        return partial(self._run, self._address(message.task), message)

    def _run(self, url: str, message: IncomingMessage) -> Result:
        try:
            answer = self._client.call(self._spec.method, url, message.task, message.ensure_ours)
            return self._result(url, answer)
        except AmbiguousError as error:
            # Sent again with the same key, by which the service knows what it has done already.
            error.retry_after = error.retry_after or self._wait
            raise

    @property
    def figures(self) -> RequestFigures:
        """What became of the requests."""
        return self._client.figures

    def close(self) -> None:
        self._client.close()

    def _address(self, task: CamundaTask) -> str:
        inputs = Inputs(task)

        def value_of(name: str) -> Any:
            if name == "task_id":
                return task.task_id
            found = inputs.first(name)
            return found[1] if found else None

        return addresses.filled(self._spec.url, value_of)

    def _result(self, url: str, answer: HttpAnswer) -> Result:
        if not 200 <= answer.status < 300:
            raise refused(title(self._name), self._spec, answer)
        body = read_answer(answer).content or {}
        reading = read(body, self._spec.poll)
        if isinstance(reading, Failed):
            raise failure(title(self._name), reading.error)
        if isinstance(reading, Running) or (answer.status == 202 and not isinstance(reading, Finished)):
            return self._accepted(url, answer)  # of a job only the address counts
        body, notes = result_of(answer, title(self._name))
        return Done(response(self._name, reading.result if isinstance(reading, Finished) else body, notes=notes))

    def _accepted(self, url: str, answer: HttpAnswer) -> Accepted:
        location = answer.headers.get("Location")
        if not location:
            who = title(self._name)
            reason = Text(
                f"{who.en} has accepted the task (HTTP {answer.status}) without a Location header: nobody can ask for "
                "its result",
                f"{who.ru} принял задачу (HTTP {answer.status}), но без заголовка Location: о её результате негде "
                "спросить",
            )
            raise PermanentError(reason, code="no_status_address")
        status_url = addresses.resolved(location, url, self._spec.status_hosts)
        poll, now = self._spec.poll, self._clock()
        first = max(answer.retry_after or 0.0, poll.min)
        begins, expires = (math.ceil(now + seconds) for seconds in (min(first, poll.deadline), poll.deadline))
        job = Job(self._name, begins, expires, status_url)
        told = {"status_url": status_url, "not_before": job.begins, "deadline": job.expires}
        return Accepted(
            {"kind": "http", "service": self._name, "state": "accepted", **told}, external_id=job.external_id()
        )


def response(name: str, result: Any, kind: str = "http", notes: Sequence[Text] = ()) -> dict[str, Any]:
    """Return the `response_data` of a finished task; `notes` say how its answer was read."""
    return with_warnings({"kind": kind, "service": name, "state": "done", "result": result}, notes)
