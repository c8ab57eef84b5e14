"""The default queue: a message finds its own queue, a webhook, or people; nothing is made up and nothing goes round."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties
from pydantic import SecretStr, ValidationError

from base_handler import BaseMessageHandler
from consumers.default.config import DefaultSettings
from consumers.default.handler import DefaultHandler
from consumers.default.routes import SYSTEMS, TOPICS, Routes
from core.envelopes import Failure, encode_failed_task, encode_sent
from core.errors import AmbiguousError, OutcomeError, PartialOutageError, PermanentError, TransientError
from core.messages import HEADER_HOPS, CamundaTask, IncomingMessage
from core.results import Done, Rerouted
from tests.support.answering_server import AnsweringServer
from tests.support.any_json import ANY, objects, written

ELEVEN = {
    "python": "python-services.queue",
    "send_email": "email.queue",
    "send_telegram": "telegram.queue",
    "telegram_notify": "telegram.queue",
    "email_notify": "email.queue",
    "create_yandex_file": "python-services.queue",
    "yandex_disk": "python-services.queue",
    "create_user": "python-services.queue",
    "user_management": "python-services.queue",
    "file_processing": "python-services.queue",
    "data_processing": "python-services.queue",
}


def message(topic: str, system: str | None = "python-services", *, hops: int = 0, **fields: Any) -> IncomingMessage:
    content = {"task_id": "задача-1", "topic": topic, "system": system, **fields}
    properties = BasicProperties(headers={HEADER_HOPS: hops} if hops else None)
    return IncomingMessage(CamundaTask(json.dumps(content).encode(), content), "default.queue", properties=properties)


def handler(**settings: Any) -> BaseMessageHandler:
    return DefaultHandler.from_settings(DefaultSettings(**settings), threading.Event())


class TestRoutes:
    @pytest.mark.parametrize(("topic", "queue"), ELEVEN.items())
    def test_all_topics_of_python_services_find_their_queue(self, topic: str, queue: str) -> None:
        assert handler().handle(message(topic)) == Rerouted(queue)

    @pytest.mark.parametrize(
        ("system", "topic", "queue"),
        [
            ("1c", "1c.create.document", "1c.queue"),
            ("bitrix24", "bitrix.create.task", "bitrix24.queue"),
            ("openproject", "op.create", "openproject.queue"),
            ("python-services", "something_else", "python-services.queue"),
            ("python-services", "email_digest", "email.queue"),
            ("default", "email_digest", "email.queue"),
            ("", "send_email", "email.queue"),
            ("bitrix24", "user_sync.v2", "bitrix24.queue"),
            ("1c", "data_exchange.orders", "1c.queue"),
            ("openproject", "email_report.weekly", "openproject.queue"),
        ],
    )
    def test_a_system_with_a_queue_of_its_own_gets_its_messages_and_for_others_the_topic_tells(
        self, system: str, topic: str, queue: str
    ) -> None:
        assert handler().handle(message(topic, system)) == Rerouted(queue)

    def test_exact_wins_over_longer_wins_over_shorter_and_rules_of_the_operator_over_the_built_in_ones(self) -> None:
        routes = Routes(
            {
                "send_*": "any.queue",
                "send_s*": "s.queue",
                "send_sms": "sms.queue",
                "crm/send_sms": "crm.queue",
                "send_email": "own-mail.queue",
            }
        )
        assert routes.find("x", "send_sms") == "sms.queue"
        assert routes.find("crm", "send_sms") == "crm.queue"
        assert routes.find("x", "send_smoke") == "s.queue"
        assert routes.find("x", "send_other") == "any.queue"
        assert routes.find("x", "send_email") == "own-mail.queue"
        assert routes.find("x", "send_telegram") == "telegram.queue"

    @given(st.text(), st.text())
    def test_any_system_and_topic_has_one_answer(self, system: str, topic: str) -> None:
        assert Routes({}).find(system, topic) in {None, *SYSTEMS.values(), *TOPICS.values()}

    @pytest.mark.parametrize(
        "queue", ["default.queue", "errors.camunda_tasks.queue", "camunda.responses.queue", "bitrix24.sent.queue", " "]
    )
    def test_a_rule_cannot_lead_into_a_queue_that_is_no_input(self, queue: str) -> None:
        with pytest.raises(ValidationError):
            DefaultSettings(routes={"x": queue})

    def test_what_came_back_is_not_sent_round_again(self) -> None:
        with pytest.raises(PermanentError, match="has come back") as caught:
            handler().handle(message("send_email", hops=1))
        assert caught.value.code == "came_back"

    def test_an_unknown_topic_is_told_and_never_made_a_success(self) -> None:
        with pytest.raises(
            PermanentError, match="no handler for topic 'aprove_contract' of system 'default'"
        ) as caught:
            handler().handle(message("aprove_contract", "default"))
        assert caught.value.code == "no_handler"


class TestWebhook:
    @pytest.fixture
    def server(self) -> Iterator[AnsweringServer]:
        with AnsweringServer() as server:
            yield server

    def deliver(self, server: AnsweringServer, **settings: Any) -> Any:
        url = SecretStr(f"{server.address}/{server.secret}")
        return handler(webhook_url=url, webhook_token=SecretStr("token-token"), **settings).handle(
            message("aprove", "default", variables={"n": {"value": 1, "type": "Integer"}})
        )

    def answer(self, status: int, body: bytes = b"{}", further: str = "") -> bytes:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{further}\r\n"
        return head.encode() + body

    def test_its_answer_is_the_result(self, server: AnsweringServer) -> None:
        server.answer = self.answer(200, b'{"ticket": 7}')
        assert self.deliver(server) == Done({"ticket": 7})
        request = server.latest.decode()
        assert '\r\nIdempotency-Key: "%D0%B7%D0%B0%D0%B4%D0%B0%D1%87%D0%B0-1"\r\n' in request
        assert "\r\nAuthorization: Bearer token-token\r\n" in request
        body = json.loads(request.partition("\r\n\r\n")[2])
        assert (body["task_id"], body["topic"], body["variables"]) == ("задача-1", "aprove", {"n": 1})

    def test_no_content_is_an_empty_result(self, server: AnsweringServer) -> None:
        server.answer = self.answer(204, b"")
        assert self.deliver(server) == Done({})

    def test_rules_come_first(self, server: AnsweringServer) -> None:
        url = SecretStr(server.address)
        assert handler(webhook_url=url).handle(message("send_email")) == Rerouted("email.queue")
        server.answer = self.answer(200)
        assert handler(webhook_url=url).handle(message("send_email", hops=1)) == Done({})
        assert server.requests == 1

    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (200, b"<html>", AmbiguousError),
            (200, b"[]", PermanentError),
            *((status, b'{"message": "so"}', PermanentError) for status in (400, 410, 413, 415, 422, 501)),
            *((status, b"{}", TransientError) for status in (408, 409, 423, 425)),
            *((status, b"{}", PartialOutageError) for status in (302, 401, 403, 404, 405, 407, 429, 502, 503, 504)),
            (500, b"{}", AmbiguousError),
        ],
    )
    def test_each_answer_has_an_outcome_that_stops_no_other_message(
        self, server: AnsweringServer, status: int, body: bytes, outcome: type[OutcomeError]
    ) -> None:
        server.answer = self.answer(status, body, "Location: http://127.0.0.1:1/\r\n" if status == 302 else "")
        with pytest.raises(outcome) as caught:
            self.deliver(server)
        assert type(caught.value) is outcome
        assert server.secret not in str(caught.value)
        if body == b'{"message": "so"}':
            assert ": so" in str(caught.value)

    def test_a_lost_answer_comes_again_and_an_unreachable_one_spends_nothing(self, server: AnsweringServer) -> None:
        server.answer = None
        with pytest.raises(AmbiguousError) as lost:
            self.deliver(server, webhook_wait=7)
        assert lost.value.retry_after == 7
        down = handler(webhook_url=SecretStr("http://127.0.0.1:1/x"), webhook_wait=7)
        with pytest.raises(PartialOutageError) as unreachable:
            down.handle(message("aprove", "default"))
        assert unreachable.value.retry_after == 7

    @pytest.mark.parametrize(
        ("body", "media_type", "result"),
        [
            (b'{"a": "x\ny"}', "application/json", {"a": "x\ny"}),
            (b'"{\\"a\\": 1}"', "text/plain", {"a": 1}),
            ('{"a": "да"}'.encode("cp1251"), "application/json; charset=windows-1251", {"a": "да"}),
            (b"null", "application/json", {}),
        ],
    )
    def test_what_has_one_reading_is_the_result_and_told(
        self, server: AnsweringServer, body: bytes, media_type: str, result: dict[str, Any]
    ) -> None:
        server.answer = self.answer(200, body, f"Content-Type: {media_type}\r\n")
        done = self.deliver(server)
        assert isinstance(done, Done)
        told = dict(done.response)
        assert len(told.pop("warnings")) == len(told.pop("warnings_ru")) == 1
        assert told == result

    @pytest.mark.parametrize("own", [{"warnings"}, {"warnings_ru"}, {"warnings", "warnings_ru"}])
    def test_a_result_with_warnings_of_its_own_keeps_them(self, server: AnsweringServer, own: set[str]) -> None:
        """In whichever language: ours then stand elsewhere in both, or the two would tell of different things."""
        theirs = dict.fromkeys(own, "a\tb")
        server.answer = self.answer(200, json.dumps(theirs).replace("\\t", "\t").encode())
        done = self.deliver(server)
        assert isinstance(done, Done)
        told = dict(done.response)
        [english], [russian] = told.pop("task_creator_warnings"), told.pop("task_creator_warnings_ru")
        assert "control characters" in english
        assert "управляющие символы" in russian
        assert told == theirs

    @pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": 1]', b'"done"', b"7"])
    def test_what_is_done_and_cannot_be_used_is_not_sent_again(self, server: AnsweringServer, body: bytes) -> None:
        server.answer = self.answer(200, body, "Content-Type: application/json\r\n")
        with pytest.raises(PermanentError, match="its work is done"):
            self.deliver(server)

    def test_a_line_break_in_a_refusal_is_told(self, server: AnsweringServer) -> None:
        server.answer = self.answer(422, b'{"message": "two\nlines"}')
        with pytest.raises(PermanentError, match="two\nlines"):
            self.deliver(server)

    @given(content=ANY | objects("message", "error", "detail", "warnings"), status=st.integers(200, 599))
    def test_any_answer_has_an_outcome_that_can_be_stored(self, content: Any, status: int) -> None:
        with AnsweringServer() as server:
            server.answer = self.answer(status, b"" if status in (204, 304) else written(content))
            try:
                done = self.deliver(server)
            except OutcomeError as error:
                failure = Failure(error, "default.queue", "default", attempts=1, first_seen=0.0, failed_at=0.0)
                encode_failed_task(message("x").task, failure)
            else:
                encode_sent(message("x").task, "default.queue", done, 0.0)

    def test_a_body_without_end_is_cut(self, server: AnsweringServer) -> None:
        server.answer = self.answer(200, b'"' + b"x" * (1024 * 1024 + 1) + b'"')
        with pytest.raises(AmbiguousError, match="more than"):
            self.deliver(server)
