"""Secrets never leave the process, whoever prints them and however."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus, urlencode

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from core.secrets import MASK, MIN_LENGTH, Secrets

WEBHOOK = "https://portal.example.ru/rest/17/abc9def8ghi7jkl6/"
CODE = "abc9def8ghi7jkl6"

# Texts with "*" could be put together by the mask itself: "a" + "***" + "b".
secret_values = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=MIN_LENGTH, max_size=40)


@given(value=secret_values, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_registered_secret_is_never_left_in_a_text(value: str, before: str, after: str) -> None:
    assert value not in Secrets([value]).mask(f"{before}{value}{after}")


@given(values=st.lists(secret_values, min_size=2, max_size=5), before=st.text(max_size=5))
def test_secrets_that_touch_each_other_are_all_masked(values: list[str], before: str) -> None:
    masked = Secrets(values).mask(before + "".join(values))
    assert not [value for value in values if value in masked]


@given(value=secret_values)
def test_the_forms_in_which_libraries_print_a_secret_are_masked(value: str) -> None:
    secrets = Secrets([value])
    for form in (
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        quote(value, safe="").lower() if value.isascii() and value.islower() else quote(value),
        urlencode({"x": value}),
        json.dumps(value),
        json.dumps({"k": value}, ensure_ascii=False),
        repr(value),
        repr([value]) if "'" not in value else repr(value),
    ):
        masked = secrets.mask(f"<{form}>")
        assert MASK in masked, form
        assert form.strip("\"'") not in masked


@given(value=secret_values, neighbour=st.binary(max_size=4), tail=st.binary(max_size=4))
def test_a_secret_inside_a_longer_base64_text_is_masked(value: str, neighbour: bytes, tail: bytes) -> None:
    encoded = base64.b64encode(neighbour + value.encode() + tail).decode()
    assert encoded not in Secrets([value]).mask(f"sent {encoded} to the server")


def test_a_secret_that_begins_like_another_leaves_no_rest_of_it() -> None:
    assert Secrets(["battery", "battery-staple"]).mask("battery-staple") == MASK


def test_what_is_left_of_a_base64_text_does_not_give_the_secret_away() -> None:
    encoded = base64.b64encode(b"robot:correct horse battery").decode()
    left = Secrets(["correct horse battery"]).mask(encoded)
    decodable = left.replace(MASK, "")
    assert b"horse" not in base64.b64decode(decodable + "=" * (-len(decodable) % 4))
    assert len(decodable) < len(base64.b64encode(b"robot:")) + 4


def test_the_code_of_a_webhook_is_masked_without_its_url() -> None:
    secrets = Secrets([WEBHOOK])
    assert CODE not in secrets.mask(f"code {CODE} was refused")
    assert CODE not in secrets.mask(f"path /1/{CODE}/tasks.task.add")
    assert "portal.example.ru" in Secrets().mask(WEBHOOK), "the host helps the person on duty and is no secret"


@pytest.mark.parametrize(
    ("text", "leak"),
    [
        (f"POST {WEBHOOK}tasks.task.add", CODE),
        (f"url: /rest/17/{CODE}", CODE),
        (f"url=%2Frest%2F17%2F{CODE}%2Fbatch", CODE),
        (f"url=%252Frest%252F17%252F{CODE}%252Fbatch", CODE),
        (f'{{"url":"https:\\/\\/portal\\/rest\\/17\\/{CODE}\\/batch"}}', CODE),
        ("https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getMe", "AAHdqTcv"),
        ("https%3A//api.telegram.org/bot110201543%3AAAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "AAHdqTcv"),
        ("Authorization: Basic cm9ib3Q6cGFzcw==", "cm9ib3Q6"),
        ("{'Authorization': 'Bearer eyJhbGciOi.J9'}", "eyJhbGciOi"),
        ('{"Proxy-Authorization": "Digest username=\\"u\\", response=\\"6629fae4\\""}', "6629fae4"),
        ("b'authorization: apikey d3b07384d113'", "d3b07384d113"),
        ("password=s3cr3t&user=x", "s3cr3t"),
        ("password='two words'", "words"),
        ('"password": "two words"', "words"),
        ('{\\"password\\": \\"two words\\"}', "words"),
        ('{"password": "two words and no end', "words"),
        ("client_secret=d3b07384", "d3b07384"),
        ("access_token: d3b07384", "d3b07384"),
        ("Api-Key: d3b07384", "d3b07384"),
        ("?auth=d3b07384&x=1", "d3b07384"),
        ("пароль: секретик", "секретик"),
        ("amqp://robot:s3cr3t@rabbit:5672/%2F", "s3cr3t"),
        ("amqps://robot:s3c@r3t@rabbit:5672/", "s3c@r3t"),
        ("amqp://robot:s3c/r3t@rabbit:5672/", "r3t"),
        ("https://:s3cr3t@host/", "s3cr3t"),
    ],
)
def test_secrets_that_nobody_registered_are_known_by_their_form(text: str, leak: str) -> None:
    assert leak in text
    assert leak not in Secrets().mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "Создана задача Bitrix24 №48211",
        "GET https://portal.example.ru:8443/company/personal/user/1/tasks/task/view/48211/",
        "queue bitrix24.queue: 3 messages, 1 consumer",
        "the rest of the tasks: 17/20",
        "idempotency key UF_CAMUNDA_ID_EXTERNAL_TASK",
        "task 8f6c1a52-1111-2222-3333-444455556666 attempt 2",
        "robot 12: started",
    ],
)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert Secrets(["correct horse", WEBHOOK]).mask(text) == text


def test_the_exceptions_of_requests_lose_the_webhook() -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        requests.post(f"http://127.0.0.1:9/rest/17/{CODE}/tasks.task.add", json={}, timeout=5)
    assert CODE in str(caught.value), "otherwise this test proves nothing"
    assert CODE not in Secrets().mask(str(caught.value))
    assert CODE not in Secrets().mask(repr(caught.value))


def test_short_values_do_not_tear_ordinary_texts() -> None:
    assert Secrets(["task", ""]).mask("task 1") == "task 1"


HOSTILE = [
    "://a:", "/rest/1/", "/rest/1", "bot1:", "bot1", "password=", 'password="', "authorization", "authorization: ",
    "token'", "auth=\\", "\\", "%25", "%2525", "\\/", '\\"', "://", "://a", "'", "rest", "auth ", "1", " ",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_masking_a_hostile_text_costs_in_proportion_to_its_length(unit: str) -> None:
    def cpu_seconds(length: int) -> float:
        text = f"/rest/1/x auth= token bot1 {unit * (length // len(unit))}"
        started = time.process_time()
        Secrets().mask(text)
        return time.process_time() - started

    # Twenty times the text: linear is 20, quadratic 400. CPU time, so that a busy machine changes nothing; the
    # constant is the grain of the clock.
    assert cpu_seconds(200_000) < 100 * (min(cpu_seconds(10_000) for _ in range(3)) + 0.001)
