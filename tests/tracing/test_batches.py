"""Of messages that are worked on together, each has the requests under it that are made for it alone."""

from __future__ import annotations

from dataclasses import replace

from core.messages import IncomingMessage
from core.traces import Span, TakenUp, within
from sandbox.bitrix24 import BitrixSandbox
from sandbox.openproject import OpenProjectSandbox
from tests.support.spans import Recorded, parent_of
from tests.systems.bitrix import support as bitrix
from tests.systems.openproject import support as openproject


def begun(recorded: Recorded, message: IncomingMessage) -> tuple[Span, IncomingMessage]:
    taken = TakenUp(message.queue, "", message.queue, f"{message.task.task_id}:task", None, None)
    span = recorded.tracing.tracer.begin("process", taken)
    return span, replace(message, trace=span.trace)


def test_openproject_creates_each_task_under_its_own_message() -> None:
    recorded = Recorded()
    with OpenProjectSandbox() as server:
        handler = openproject.handler_for(server)
        works = [begun(recorded, openproject.message()) for _ in range(3)]
        with within(*(span.trace for span, _ in works)):
            list(handler.handle_batch([message for _, message in works]))
        assert len(server.by_key()) == 3
    posts = [parent_of(span) for span in recorded.named("POST") if not span.links]
    assert posts == [span.trace.span_id for span, _ in works]
    assert any(len(span.links) == 3 for span in recorded.named("GET")), "one question about all three"


def test_bitrix_creates_tasks_of_several_messages_with_requests_that_link_to_each() -> None:
    recorded = Recorded()
    with BitrixSandbox() as portal:
        handler = bitrix.handler_for(portal)
        works = [begun(recorded, bitrix.message()) for _ in range(3)]
        with within(*(span.trace for span, _ in works)):
            list(handler.handle_batch([message for _, message in works]))
        assert len(portal.tasks) == 3
    assert {len(span.links) for span in recorded.named("POST")} == {3}
