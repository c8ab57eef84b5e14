"""Sends requests to one service: authenticated, with the key of the task, and without secrets in what comes back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from pydantic import SecretStr

from consumers.python_services.registry import Auth, HttpSpec
from core import values
from core.errors import AmbiguousError, OutageError, PermanentError
from core.messages import CamundaTask
from core.request_figures import RequestFigures
from core.secrets import Secrets
from core.texts import Text
from settings.secret_files import watch
from toolkit.http import Guard, HttpAnswer, HttpClient

BODY_LIMIT = 1024 * 1024  # bytes


class ServiceClient:
    """A client of one service. Usable from any thread."""

    def __init__(self, name: str, spec: HttpSpec, secrets: Mapping[str, SecretStr]) -> None:
        self._title = title(name)
        self._auth = spec.auth
        self._secrets = {each: secrets[each] for each in spec.auth.variables}
        self._masked = Secrets(each.get_secret_value() for each in self._secrets.values())
        for each in self._secrets.values():
            watch(each, self._masked.add)
        self._http = HttpClient(
            self._title,
            connect_timeout=spec.timeout.connect,
            read_timeout=spec.timeout.read,
            max_body=BODY_LIMIT,
            verify=spec.ca_file or True,
            ca_setting=Text("ca_file of SERVICES_FILE", "ca_file файла SERVICES_FILE"),
            headers={**spec.headers, "Accept": "application/json"},
            redirects_are_answers=True,
        )

    def call(self, method: str, url: str, task: CamundaTask, guard: Guard) -> HttpAnswer:
        """Send a request.

        Raises what HttpClient.send and `guard` raise, PermanentError for an answer that is too large.
        """
        body = payload(task)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": values.header_string(task.task_id),
            **self._identified(task.task_id, body),
        }
        try:
            return self._clean(self._http.send(method, url, write=True, body=body, headers=headers, guard=guard))
        except AmbiguousError as error:
            if error.code == "body_too_large":
                reason = Text(f"{error}; it has been executed", f"{error.text.ru}; запрос выполнен")
                raise PermanentError(reason, code="result_too_large") from None
            raise

    def look(self, url: str, task_id: str) -> HttpAnswer:
        """GET an address. Raises OutageError or ConfigurationError, PermanentError for an answer that is too large."""
        try:
            return self._clean(self._http.send("GET", url, write=False, headers=self._identified(task_id, b"")))
        except OutageError as error:
            if error.code == "body_too_large":
                raise PermanentError(error.text, code="result_too_large") from None
            raise

    @property
    def figures(self) -> RequestFigures:
        """What became of the requests."""
        return self._http.figures

    def close(self) -> None:
        """Close the calling thread's connections."""
        self._http.close()

    def _identified(self, task_id: str, body: bytes) -> dict[str, str]:
        secrets = {name: secret.get_secret_value() for name, secret in self._secrets.items()}
        return {"X-Request-ID": plain_id(task_id), **credentials(self._auth, secrets, plain_id(task_id), body)}

    def _clean(self, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer without our secret.

        A service that repeats what it was sent must not bring it into queues and logs.
        """
        location = answer.headers.get("Location") or ""
        if self._masked.mask_registered(location) != location:
            reason = Text(
                f"{self._title.en} names a status address with our secret in it",
                f"{self._title.ru} указал адрес состояния, в котором стоит наш секрет",
            )
            raise PermanentError(reason, code="status_address")
        body = answer.body.decode("utf-8", "surrogateescape")
        masked = self._masked.mask_registered(body)
        return answer if masked == body else replace(answer, body=masked.encode("utf-8", "surrogateescape"))


def title(name: str) -> Text:
    """Return the service in texts for people."""
    return Text(f"Service {name}", f"Сервис {name}")


def payload(task: CamundaTask) -> bytes:
    """Return what a service and a callable are given; the same message gives the same bytes."""
    return json.dumps(request_body(task), ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def request_body(task: CamundaTask) -> dict[str, object]:
    business_key = task.fields.get("business_key", task.fields.get("businessKey"))
    return {
        "task_id": task.task_id,
        "topic": task.topic,
        "business_key": business_key,
        "process_instance_id": task.process_instance_id,
        "activity_id": task.activity_id,
        "variables": task.variables.as_told(),
        "metadata": dict(task.metadata),
    }


def plain_id(task_id: str) -> str:
    """Return the id as a header can carry it."""
    return task_id if task_id.isascii() else quote(task_id, safe="")


def credentials(auth: Auth, secrets: Mapping[str, str], message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers by which the service knows us.

    `hmac` is Standard Webhooks (standardwebhooks.com), scheme v1.
    """
    match auth.type:
        case "basic":
            pair = f"{auth.username}:{secrets[auth.password_env or '']}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        case "bearer":
            return {"Authorization": f"Bearer {secrets[auth.token_env or '']}"}
        case "header":
            return {str(auth.header): secrets[auth.value_env or ""]}
        case "hmac":
            stamp = str(int(time.time()))
            signature = signed(secrets[auth.secret_env or ""], message_id, stamp, body)
            return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}
    return {}


def signed(secret: str, message_id: str, stamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
