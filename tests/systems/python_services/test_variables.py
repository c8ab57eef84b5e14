"""Variables of every type reach services, functions and the webhook as they are, or are refused by name."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from consumers.default.config import DefaultSettings
from consumers.default.handler import DefaultHandler
from consumers.python_services.handler import PythonServicesHandler
from core.errors import OutcomeError, PermanentError
from core.messages import CamundaTask, IncomingMessage
from core.results import Done, Result
from sandbox.python_services import ServicesSandbox
from tests.support import engine_variables
from tests.support.answering_server import AnsweringServer, http_answer
from tests.systems.python_services.support import handler_for, http, message, python

VARIABLES = st.dictionaries(st.sampled_from(["a", "folder", "attr_B"]), engine_variables.ANY, max_size=3)


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonServicesHandler]:
    with ServicesSandbox() as outside:
        services = {
            "echo": http(outside),
            "placed": http(outside, "/sync/{folder}", "placed"),
            "call": python("tests.support.services_callables:echo", "call", idempotent=True),
        }
        with handler_for(tmp_path_factory.mktemp("any"), services) as handler:
            yield handler


def handled(handler: PythonServicesHandler, one: IncomingMessage) -> Result | OutcomeError:
    try:
        return handler.handle(one)
    except OutcomeError as error:
        return error


@pytest.mark.parametrize("topic", ["echo", "placed", "call"])
@given(variables=VARIABLES)
def test_each_service_is_given_what_the_message_has(
    handler: PythonServicesHandler, topic: str, variables: dict[str, Any]
) -> None:
    found = handled(handler, message(topic, **variables))
    if isinstance(found, Done):
        got = found.response["result"]["got"]
        assert got.keys() == variables.keys()
        assert all(engine_variables.is_told(value, got[name]) for name, value in variables.items())
    else:
        assert topic == "placed", "only an address asks for a value"
        assert isinstance(found, PermanentError)
        assert "folder" in found.reason


@given(variables=VARIABLES)
def test_the_webhook_is_given_what_the_message_has(variables: dict[str, Any]) -> None:
    content = {"task_id": "k", "topic": "approve", "system": "default", "variables": variables}
    one = IncomingMessage(CamundaTask(json.dumps(content).encode(), content), "default.queue")
    with AnsweringServer() as server:
        server.answer = http_answer(200, b"{}")
        settings = DefaultSettings(webhook_url=SecretStr(server.address))
        assert DefaultHandler(settings, threading.Event()).handle(one) == Done({})
        sent = json.loads(server.latest.partition(b"\r\n\r\n")[2])["variables"]
    assert sent.keys() == variables.keys()
    assert all(engine_variables.is_told(value, sent[name]) for name, value in variables.items())
