"""A system tells of changed tasks: who is believed, what a hook can do, what a burst costs, and that none is needed."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.hook_inbox import AT_ONCE, HookInbox
from api.hook_metrics import TASKS, HookMetrics
from api.routes.hooks import MOST_SENT
from assembly.startup import read_configuration
from control.client import Workers
from control.protocol import folder_of
from control.server import Caller, Door
from core.events.base import EventStream
from operation.desk import Desk
from settings.errors import SettingsError
from testbench.harness import wait_until
from tests.api.support import TIMEOUT, Client, serving

NAME, TOKEN = "a-name-nobody-guesses", "51856fefc120afa4b628cc82d3935cce"
OP_NAME, OP_SECRET = "another-secret-name", "s3cret-of-openproject"
HOOKS = {
    "HOOK_BITRIX24_NAME": NAME,
    "HOOK_BITRIX24_TOKEN": TOKEN,
    "HOOK_OPENPROJECT_NAME": OP_NAME,
    "HOOK_OPENPROJECT_SECRET": OP_SECRET,
}
BITRIX24, OPENPROJECT = f"/hooks/bitrix24/{NAME}", f"/hooks/openproject/{OP_NAME}"


def bitrix_form(task: int | str = 7, event: str = "ONTASKUPDATE", token: str | None = TOKEN, **more: str) -> bytes:
    form = {
        "event": event,
        "data[FIELDS_BEFORE][ID]": str(task),
        "data[FIELDS_AFTER][ID]": str(task),
        "data[IS_ACCESSIBLE_BEFORE]": "undefined",
        "data[IS_ACCESSIBLE_AFTER]": "undefined",
        "ts": "1466439714",
        "auth[domain]": "some-domain.bitrix24.com",
        **({} if token is None else {"auth[application_token]": token}),
        **more,
    }
    return urlencode(form).encode()


def op_body(number: Any = 7, action: str = "work_package:updated") -> bytes:
    return json.dumps({"action": action, "work_package": {"id": number, "subject": "Договор"}}).encode()


def signed(body: bytes, secret: str = OP_SECRET, algorithm: str = "sha1") -> dict[str, str]:
    return {"X-OP-Signature": f"{algorithm}={hmac.new(secret.encode(), body, algorithm).hexdigest()}"}


class TellTale:
    """Stands for a worker behind its real door, and knows what it was told."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self.systems: set[str] = set()
        self.answering = threading.Event()
        self.answering.set()
        self.dropped = 0

    def changed(self, told: Mapping[str, Any], _caller: Caller) -> dict[str, Any]:
        self.told.append(told["external_ids"])
        self.systems.add(told["system"])
        assert self.answering.wait(TIMEOUT)
        return {"pid": 1, "is_tracked": True, "dropped": self.dropped}

    def metrics(self, _told: Mapping[str, Any], _caller: Caller) -> str:
        return "task_creator_ready 1.0\n"

    @property
    def ids(self) -> list[str]:
        return sorted(each for ids in self.told for each in ids)


@contextmanager
def door_of(worker: TellTale, state_dir: Path) -> Iterator[None]:
    door = Door(folder_of(state_dir), {"changed": worker.changed, "metrics": worker.metrics}, EventStream([]))
    door.start()
    try:
        yield
    finally:
        door.close()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@contextmanager
def api(state_dir: Path, variables: Mapping[str, str]) -> Iterator[Client]:
    environ = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "1", "STATE_DIR": str(state_dir), **variables}
    startup = read_configuration(environ, state_dir / ".env")
    desk = Desk(startup.settings, startup.secrets.mask)
    try:
        with serving(desk) as client:
            yield Client(client.base, None)
    finally:
        desk.close()


@pytest.fixture
def client(state_dir: Path) -> Iterator[Client]:
    with api(state_dir, HOOKS) as client:
        yield client


@pytest.fixture
def worker(state_dir: Path) -> Iterator[TellTale]:
    worker = TellTale()
    with door_of(worker, state_dir):
        yield worker


def counted(client: Client, metric: str = "task_creator_hook_requests", source: str = "bitrix24") -> dict[str, float]:
    """What was counted, by result; noughts left out."""
    families = {each.name: each for each in text_string_to_metric_families(client.ask("GET", "/metrics").text)}
    return {
        sample.labels["result"]: sample.value
        for sample in families[metric].samples
        if sample.labels["source"] == source and sample.value
    }


def test_the_task_of_a_genuine_hook_reaches_the_worker(client: Client, worker: TellTale) -> None:
    told = client.ask("POST", BITRIX24, data=bitrix_form(123))
    assert (told.status_code, told.json()) == (200, {"accepted": True})
    body = op_body(456)
    told = client.ask("POST", OPENPROJECT, data=body, headers=signed(body))
    assert (told.status_code, told.json()) == (200, {"accepted": True})
    wait_until(lambda: len(worker.told) == 2, TIMEOUT, "the ids")
    assert (worker.ids, worker.systems) == (["123", "456"], {"bitrix24", "openproject"})
    wait_until(
        lambda: counted(client, "task_creator_hook_tasks", "openproject") == {"handed": 1}, TIMEOUT, "the figures"
    )
    assert counted(client) == {"accepted": 1}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (BITRIX24, bitrix_form(token="wrong")),
        (BITRIX24, bitrix_form(token=TOKEN[:-1])),
        (BITRIX24, bitrix_form(token=TOKEN + "0")),
        (BITRIX24, bitrix_form(token="")),
        (BITRIX24, bitrix_form(token=None)),
        (BITRIX24, bitrix_form(token="тoken")),
        (f"{BITRIX24}x", bitrix_form()),
        ("/hooks/bitrix24/x", bitrix_form()),
        (f"/hooks/bitrix24/{OP_NAME}", bitrix_form()),
        (BITRIX24, b""),
        (BITRIX24, b"\xff\x00\xfe"),
        (BITRIX24, b"&".join([b"a=1"] * 10_000) + b"&" + bitrix_form()),
        (BITRIX24, json.dumps({"event": "ONTASKUPDATE", "auth": {"application_token": TOKEN}}).encode()),
    ],
)
def test_a_forged_hook_is_refused_whatever_it_says(client: Client, worker: TellTale, path: str, body: bytes) -> None:
    answer = client.ask("POST", path, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    told = {name: value for name, value in answer.json().items() if name not in ("instance", "request_id")}
    nowhere = client.ask("POST", "/hooks/bitrix24", data=body).json()
    assert answer.status_code == 404
    assert told == {name: value for name, value in nowhere.items() if name not in ("instance", "request_id")}
    assert counted(client) == {"refused": 1}
    assert worker.told == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-OP-Signature": ""},
        {"X-OP-Signature": "sha1="},
        signed(op_body(), "wrong"),
        signed(op_body(8)),
        signed(op_body(), algorithm="sha256"),
        {"X-OP-Signature": hmac.new(OP_SECRET.encode(), op_body(), hashlib.sha1).hexdigest()},
    ],
)
def test_a_hook_with_a_wrong_signature_is_refused(client: Client, worker: TellTale, headers: dict[str, str]) -> None:
    assert client.ask("POST", OPENPROJECT, data=op_body(), headers=headers).status_code == 404
    assert client.ask("POST", "/hooks/openproject/x", data=op_body(), headers=signed(op_body())).status_code == 404
    assert counted(client, source="openproject") == {"refused": 2}
    assert worker.told == []


def test_the_signature_is_of_the_bytes_and_not_of_what_they_mean(client: Client, worker: TellTale) -> None:
    body = op_body()
    assert client.ask("POST", OPENPROJECT, data=b" " + body, headers=signed(body)).status_code == 404
    assert client.ask("POST", OPENPROJECT, data=b" " + body, headers=signed(b" " + body)).status_code == 200


def test_what_is_not_configured_is_not_there(state_dir: Path) -> None:
    with api(state_dir, {}) as client:
        for path, body, headers in (
            (BITRIX24, bitrix_form(token=""), {}),
            ("/hooks/bitrix24/", bitrix_form(token=""), {}),
            (OPENPROJECT, op_body(), signed(op_body(), "")),
        ):
            assert client.ask("POST", path, data=body, headers=headers).status_code == 404


@pytest.mark.parametrize("event", ["ONTASKADD", "ONTASKDELETE", "ONTASKCOMMENTADD", "ONCRMDEALUPDATE"])
def test_an_event_of_no_interest_is_answered_and_counted(client: Client, worker: TellTale, event: str) -> None:
    told = client.ask("POST", BITRIX24, data=bitrix_form(event=event))
    assert (told.status_code, told.json()) == (200, {"accepted": False})
    for action in ("work_package:created", "work_package_comment:comment", "project:updated", "time_entry:created"):
        body = op_body(action=action)
        told = client.ask("POST", OPENPROJECT, data=body, headers=signed(body))
        assert (told.status_code, told.json()) == (200, {"accepted": False})
    assert (counted(client), counted(client, source="openproject")) == ({"ignored": 1}, {"ignored": 4})
    assert worker.told == []


@pytest.mark.parametrize("task", ["", "0", "-7", "7.5", "undefined", "٧", "7 ", "1" * 19, "../7"])
def test_a_genuine_hook_that_names_no_task_is_malformed(client: Client, worker: TellTale, task: str) -> None:
    assert client.ask("POST", BITRIX24, data=bitrix_form(task)).status_code == 400
    assert client.ask("POST", BITRIX24, data=bitrix_form(7, event="")).status_code == 400
    assert counted(client) == {"malformed": 2}
    assert worker.told == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'{"action": 1}', op_body(None), op_body(-1), op_body({"id": 7}), b"[" * 100_000),
        *(b'{"action": "work_package:updated", "work_package": 7}', b'{"action": "work_package:updated"}'),
    ],
)
def test_signed_nonsense_is_malformed(client: Client, worker: TellTale, body: bytes) -> None:
    assert client.ask("POST", OPENPROJECT, data=body, headers=signed(body)).status_code == 400
    assert counted(client, source="openproject") == {"malformed": 1}
    assert worker.told == []


def test_a_hook_that_is_too_large_is_refused_before_it_is_read(client: Client, worker: TellTale) -> None:
    answer = client.ask("POST", BITRIX24, data=bitrix_form(7, padding="x" * MOST_SENT))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    body = op_body() + b" " * MOST_SENT
    assert client.ask("POST", OPENPROJECT, data=body, headers=signed(body)).status_code == 413
    assert counted(client) == {"too_large": 1}
    assert worker.told == []


def test_a_burst_of_hooks_is_a_few_questions_and_each_task_is_in_one(client: Client, worker: TellTale) -> None:
    worker.answering.clear()  # it is busy
    client.ask("POST", BITRIX24, data=bitrix_form(1))
    wait_until(lambda: bool(worker.told), TIMEOUT, "the first question")
    with ThreadPoolExecutor(8) as pool:
        clients = [Client(client.base, None) for _ in range(8)]
        answers = list(
            pool.map(
                lambda number: (
                    clients[number % 8].ask("POST", BITRIX24, data=bitrix_form(2 + number % 100)).status_code
                ),
                range(1000),
            )
        )
    assert answers == [200] * 1000, "the hooks are answered while the worker is not"
    worker.answering.set()
    wait_until(lambda: len(worker.ids) == 101, TIMEOUT, "the ids")
    assert [len(each) for each in worker.told] == [1, 100]
    assert counted(client) == {"accepted": 1001}


def test_without_a_worker_hooks_are_answered_and_one_line_says_so(
    client: Client, state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lines(code: str) -> int:
        return sum(getattr(record, "event", None) == code for record in caplog.records)

    for number in range(1, 20):
        assert client.ask("POST", BITRIX24, data=bitrix_form(number)).status_code == 200
        wait_until(lambda: lines("hooks.unheard") == 1, TIMEOUT, "the line")
    worker = TellTale()
    caplog.set_level("INFO")
    with door_of(worker, state_dir):
        client.ask("POST", BITRIX24, data=bitrix_form(77))
        wait_until(lambda: lines("hooks.heard") == 1, TIMEOUT, "the other line")
        tasks = counted(client, "task_creator_hook_tasks")
    assert lines("hooks.unheard") == 1
    assert tasks["unheard"] + tasks["handed"] == 20
    assert "77" in worker.ids


def test_refused_hooks_do_not_fill_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(50):
        client.ask("POST", BITRIX24, data=b"forged")
    assert [record.getMessage() for record in caplog.records if getattr(record, "event", "") == "hooks.refused"] == [
        "1 webhooks at /hooks/bitrix24/ were refused: forged, or HOOK_* does not fit"
    ]
    assert NAME not in caplog.text


def test_what_waits_has_a_bound_and_what_does_not_fit_is_counted(state_dir: Path) -> None:
    metrics, worker = HookMetrics(), TellTale()
    inbox = HookInbox(Workers(state_dir), metrics, most=AT_ONCE + 500)
    for number in range(AT_ONCE + 700):
        inbox.put("bitrix24", str(number))
    inbox.put("bitrix24", "7")
    inbox.put("openproject", "7")
    with door_of(worker, state_dir):
        inbox.start()
        inbox.close()  # hands on what is there
    assert [len(each) for each in worker.told] == [AT_ONCE, 500, 1]

    counted = dict(metrics.series())[TASKS]
    assert (counted["bitrix24", "dropped"], counted["bitrix24", "handed"]) == (200, AT_ONCE + 500)
    assert counted["openproject", "handed"] == 1


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"HOOK_BITRIX24_NAME": "short", "HOOK_BITRIX24_TOKEN": TOKEN}, "HOOK_BITRIX24_NAME"),
        ({"HOOK_BITRIX24_NAME": "with/a/slash/and-long", "HOOK_BITRIX24_TOKEN": TOKEN}, "HOOK_BITRIX24_NAME"),
        ({"HOOK_BITRIX24_NAME": NAME}, "HOOK_BITRIX24_TOKEN"),
        ({"HOOK_BITRIX24_TOKEN": TOKEN}, "HOOK_BITRIX24_NAME"),
        ({"HOOK_OPENPROJECT_NAME": OP_NAME}, "HOOK_OPENPROJECT_SECRET"),
        ({"HOOK_OPENPROJECT_SECRET": OP_SECRET}, "HOOK_OPENPROJECT_NAME"),
    ],
)
def test_half_a_hook_is_refused_by_name_and_its_secret_is_not_repeated(
    tmp_path: Path, variables: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_configuration(variables, tmp_path / ".env")
    assert named in str(caught.value)
    assert not any(value in str(caught.value) for value in variables.values() if len(value) > 5)


def test_a_secret_in_a_file_is_used_and_masked(state_dir: Path, worker: TellTale) -> None:
    file = state_dir / "token"
    file.write_text("token-in-a-file-0001\n")
    variables = {"HOOK_BITRIX24_NAME": NAME, "HOOK_BITRIX24_TOKEN_FILE": str(file)}
    with api(state_dir, variables) as client:
        assert client.ask("POST", BITRIX24, data=bitrix_form(7, token="token-in-a-file-0001")).status_code == 200
        assert NAME not in client.ask("POST", BITRIX24, data=bitrix_form()).json()["detail"]
