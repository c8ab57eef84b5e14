"""`main.py send`: a task as Camunda's side writes it, confirmed, and followed to its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.messages import TASK_ID_LIMIT
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.email import EmailSandbox
from sandbox.process import ROOT
from testbench.harness import RESPONSES, camunda_message, wait_until
from tests.cli.operator.support import QUEUE, SENT, Place
from tests.support.commands import environment


def only_message(place: Place, queue: str = QUEUE) -> tuple[Any, dict[str, Any]]:
    [(properties, body)] = place.broker.get_all(queue)
    return properties, json.loads(body)


def test_a_task_is_put_into_the_queue_and_its_id_is_told(place: Place) -> None:
    place.broker.declare(QUEUE)
    done = place.run("send", "bitrix24.queue", "--title", "Проверка", "--field", "projectId=7", "--field", "note=a=b")
    assert (done.code, done.err) == (0, "")
    task_id = done.out.strip()
    properties, message = only_message(place)
    assert message["task_id"] == task_id
    assert message["topic"] == "bitrix_create_task"
    assert message["system"] == "bitrix24"
    assert message["variables"] == {"title": "Проверка", "projectId": "7", "note": "a=b"}
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    assert properties.headers["task_id"] == task_id


def test_a_system_s_name_is_enough_and_a_topic_may_be_given(place: Place) -> None:
    place.broker.declare(QUEUE)
    assert place.run("send", "bitrix24", "--title", "x", "--topic", "bitrix_create_deal").code == 0
    assert only_message(place)[1]["topic"] == "bitrix_create_deal"


def test_many_have_an_id_each(place: Place) -> None:
    place.broker.declare(QUEUE)
    done = place.run("send", "bitrix24", "--title", "x", "--count", "50", "--json")
    assert done.data["task_ids"] == list(dict.fromkeys(done.data["task_ids"]))
    assert len(done.data["task_ids"]) == 50
    sent = [json.loads(body)["task_id"] for _, body in place.broker.get_all(QUEUE)]
    assert sent == done.data["task_ids"]


def test_a_file_is_sent_byte_for_byte(place: Place, tmp_path: Path) -> None:
    place.broker.declare(QUEUE)
    body = b'\xef\xbb\xbf{"task_id":   "task-1",\r\n "topic": "bitrix_create_task", "extra": 1.50, "variables": []}\n'
    (tmp_path / "message.json").write_bytes(body)
    done = place.run("send", QUEUE, "--file", str(tmp_path / "message.json"))
    assert (done.code, done.out) == (0, "task-1\n")
    assert [sent for _, sent in place.broker.get_all(QUEUE)] == [body]


def test_a_file_may_come_from_standard_input(place: Place, tmp_path: Path) -> None:
    place.broker.declare(QUEUE)
    body = camunda_message("task-1")
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "send", QUEUE, "--file", "-"],
        input=body,
        env=environment(place.environ),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"task-1\n"), done.stderr
    assert [sent for _, sent in place.broker.get_all(QUEUE)] == [body]


REFUSED = [
    pytest.param(b"{", "not JSON", id="no JSON"),
    pytest.param(b'{"topic": "x"}', "no task_id", id="no id"),
    pytest.param(b'{"task_id": "a", "task_id": "b", "topic": "x"}', "task_id", id="two ids"),
    pytest.param(json.dumps({"task_id": "x" * (TASK_ID_LIMIT + 1), "topic": "x"}).encode(), "bytes", id="long id"),
    pytest.param(b'{"task_id": "a", "topic": "x", "variables": "text"}', "variables", id="variables"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_what_the_worker_would_refuse_is_not_sent(place: Place, tmp_path: Path, body: bytes, words: str) -> None:
    place.broker.declare(QUEUE)
    (tmp_path / "message.json").write_bytes(body)
    done = place.run("send", QUEUE, "--file", str(tmp_path / "message.json"))
    assert done.code == 2
    assert "nothing was sent" in done.err
    assert words in done.err
    assert place.broker.count(QUEUE) == 0


def test_the_limits_are_the_worker_s(place: Place) -> None:
    place.broker.declare(QUEUE)
    done = place.run("send", QUEUE, "--title", "x" * 2000, MAX_MESSAGE_BYTES="1000")
    assert done.code == 2
    assert "MAX_MESSAGE_BYTES" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nix.queue", "--title", "x"], 5, "known are 1c.queue, bitrix24.queue"),
        (["bitrix24"], 2, "--title or --file"),
        (["default", "--title", "x"], 2, "needs --topic"),
        (["bitrix24", "--title", "x", "--field", "novalue"], 2, "name=value"),
        (["bitrix24", "--title", "x", "--field", "a=1", "--field", "a=2"], 2, "twice"),
        (["bitrix24", "--title", "x", "--count", "0"], 2, "1 to 10000"),
        (["bitrix24", "--title", "x", "--file", "y"], 2, "--file and --title"),
        (["bitrix24", "--field", "a=1", "--topic", "t", "--file", "y"], 2, "--file and --topic, --field"),
        (["bitrix24", "--file", "/no/such/file"], 2, "No such file"),
        (["email", "--title", "x"], 5, "RabbitMQ has no queue email.queue"),
    ],
)
def test_a_wrong_wish_is_refused_with_the_fix(place: Place, arguments: Sequence[str], code: int, words: str) -> None:
    place.broker.declare(QUEUE)
    done = place.run("send", *arguments)
    assert done.code == code
    assert words in done.err
    assert place.broker.count(QUEUE) == 0
    russian = place.run("send", *arguments, lang="ru")
    assert russian.code == code
    assert russian.err != done.err or words == "No such file"


def test_a_queue_that_is_full_does_not_confirm(place: Place) -> None:
    place.broker.declare(QUEUE, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    assert place.run("send", QUEUE, "--title", "x").code == 0
    done = place.run("send", QUEUE, "--title", "x")
    assert done.code == 3
    assert "takes nothing" in done.err


def test_without_rabbitmq_nothing_is_claimed(place: Place) -> None:
    done = place.run("send", QUEUE, "--title", "x", RABBITMQ_PORT="1")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("RabbitMQ: ")


# -- followed to the end ----------------------------------------------------------------------------------------------


def test_a_task_is_followed_to_camunda_s_answer(place: Place, portal: BitrixSandbox) -> None:
    portal.people(auto_finish_after=5.0)
    with place.daemon():
        wait_for_queue(place)
        done = place.run("send", "bitrix24", "--title", "Проверка", "--wait", "--timeout", "60")
        assert done.code == 0
        assert "tracked" in done.err
        assert "Camunda's side takes it" in done.out
        assert place.broker.count(RESPONSES) == 1


def wait_for_queue(place: Place, queue: str = QUEUE) -> None:
    def is_consumed() -> bool:
        told = place.run("status", "--json").data["queues"]
        return bool(next(each["consumers"] for each in told if each["queue"] == queue))

    wait_until(is_consumed, what=f"a consumer of {queue}")


def test_a_mail_is_at_its_end_at_once(vhost: BrokerAddress, tmp_path: Path) -> None:
    with EmailSandbox() as server:
        variables = {
            "EMAIL_SMTP_HOST": "127.0.0.1",
            "EMAIL_SMTP_PORT": str(server.port),
            "EMAIL_TLS": "none",
            "EMAIL_FROM": "camunda@example.com",
        }
        place = Place(vhost, tmp_path, variables=variables)
        with place.daemon():
            wait_for_queue(place, "email.queue")
            fields = ["--field", "to=duty@example.com", "--field", "body=Проверка"]
            done = place.run("send", "email", "--title", "Тема", *fields, "--wait", "--timeout", "60")
            assert done.code == 0
        assert len(server.mails()) == 1


def test_a_task_that_fails_ends_with_another_code_and_the_reason(place: Place) -> None:
    with place.daemon():
        wait_for_queue(place)
        done = place.run("send", "bitrix24", "--title", "x", "--topic", "bitrix_nix", "--wait", "--timeout", "60")
        assert done.code == 1
        assert "unknown_topic" in done.out


def test_of_many_each_end_is_counted(place: Place, portal: BitrixSandbox) -> None:
    portal.people(auto_finish_after=0.3)
    with place.daemon():
        wait_for_queue(place)
        done = place.run("send", "bitrix24", "--title", "x", "--count", "20", "--wait", "--timeout", "60", "--json")
        assert (done.code, len(done.data["messages"])) == (0, 20)
        assert {each["state"] for each in done.data["messages"]} == {"done"}


def test_what_people_have_not_finished_in_time_is_still_open(place: Place) -> None:
    with place.daemon():
        wait_for_queue(place)
        done = place.run("send", "bitrix24", "--title", "x", "--wait", "--timeout", "3", "--json")
        assert (done.code, done.data["exit_code"]) == (4, 4)
        [message] = done.data["messages"]
        assert message["state"] == "tracking"


def test_without_a_worker_it_is_said_where_the_message_waits(place: Place) -> None:
    place.broker.declare(QUEUE)
    done = place.run("send", "bitrix24", "--title", "x", "--wait")
    assert done.code == 75
    assert "no worker runs: the messages wait in bitrix24.queue" in done.err
    assert "воркер не запущен" in place.run("send", "bitrix24", "--title", "x", "--wait", lang="ru").err
    assert place.broker.count(QUEUE) == 2


def test_a_system_that_is_not_in_use_is_not_waited_for(place: Place) -> None:
    place.broker.declare("openproject.queue")
    with place.daemon():
        wait_for_queue(place)
        done = place.run("send", "openproject", "--title", "x", "--wait")
        assert done.code == 75
        assert "OPENPROJECT_URL is not set" in done.err


def test_a_paused_system_is_told_and_waited_for(place: Place, portal: BitrixSandbox) -> None:
    portal.people(auto_finish_after=0.3)
    with place.daemon():
        wait_for_queue(place)
        place.run("pause", "bitrix24", "--for", "3")
        done = place.run("send", "bitrix24", "--title", "x", "--wait", "--timeout", "60")
        assert "bitrix24 is paused by" in done.err
        assert done.code == 0


def test_without_a_journal_nothing_is_sent_that_should_be_followed(place: Place) -> None:
    place.broker.declare(QUEUE)
    done = place.run("send", "bitrix24", "--title", "x", "--wait", JOURNAL_URL="off")
    assert done.code == 6
    assert "JOURNAL_URL=off" in done.err
    assert place.broker.count(QUEUE) == 0
    assert place.run("send", "bitrix24", "--title", "x", JOURNAL_URL="off").code == 0


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_ctrl_c_ends_the_waiting_with_the_id_told(place: Place, tmp_path: Path, form: list[str]) -> None:
    with place.daemon(HEARTBEAT_INTERVAL="3600"):
        wait_for_queue(place)
        waiting = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), "send", "bitrix24", "--title", "x", "--wait", *form],
            env=environment(place.environ),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        place.broker.wait_for_count(SENT, 1)
        time.sleep(1.5)  # it is waiting by now
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=30)
        assert waiting.returncode == 130, err
        [(_, body)] = place.broker.peek(SENT)
        task_id = json.loads(body)["original_message"]["task_id"]
        assert task_id in out
        assert "Traceback" not in err
        if form:
            assert json.loads(out)["exit_code"] == 130


def test_who_has_sent_what_is_kept(place: Place) -> None:
    with place.daemon() as daemon:
        wait_for_queue(place)
        place.run("send", "bitrix24", "--title", "x", "--count", "3")
        wait_until(lambda: "send bitrix24.queue" in daemon.output(), what="a word about it")
