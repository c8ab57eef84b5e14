"""`main.py trace`: any message by any id, in each of its stages; and who was asked where the journal knows nothing."""

from __future__ import annotations

import json
import stat
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest

from broker.topology import ARCHIVE_QUEUE
from core.envelopes import encode_sent
from core.messages import Limits, decode_task
from core.results import Accepted
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox, faults
from sandbox.broker_view import Broker
from sandbox.onec import OneCSandbox
from sandbox.openproject import OpenProjectSandbox
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.cli.operator.support import QUEUE, SENT, Done, Place
from tests.daemon.test_bitrix import finish_all
from tests.operation.support import put, report

TITLE = "Согласовать договор поставки"


def trace(place: Place, *words: str) -> Done:
    return place.run("trace", *words, "--json")


def stages(told: dict[str, Any]) -> list[str]:
    return [each["stage"] for each in told["steps"]]


# -- one message, in its stages --------------------------------------------------------------------------------------


def test_a_task_is_followed_from_its_queue_to_camunda_s_answer(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon():
        place.publish("task-1", business_key="ORD-118", variables={"title": TITLE})
        told = place.wait_for_stage("task-1", "tracking")
        assert stages(told) == ["received", "processing", "created", "tracking"]
        assert told["ahead"] == ["completing", "done"]
        number = told["message"]["external"]
        assert told["address"] == f"http://{portal.address}/company/personal/user/0/tasks/task/view/{number}/"
        wait_until(lambda: trace(place, "task-1").data["next"][0]["at"] is not None, what="the next sweep is known")
        [next_] = trace(place, "task-1").data["next"]
        assert next_["said"]["en"] == "the next sweep of the tracker"
        english, russian = place.run("trace", "task-1"), place.run("trace", "task-1", lang="ru")
        assert f"task-1 «{TITLE}»" in english.out
        assert "NOW" in english.out
        assert "people are at work on it in bitrix24" in english.out
        assert "СЕЙЧАС" in russian.out
        assert "в bitrix24 над ней работают люди" in russian.out
        finish_all(portal)
        told = place.wait_for_stage("task-1", "done")
        assert stages(told)[-1] == "done"
        assert "task-1:response" in told["steps"][-1]["said"]["en"]
        assert told["ahead"] == []
        assert "Camunda's side takes it" in told["next"][0]["said"]["en"]
    assert place.broker.count(RESPONSES) == 1


def test_a_message_is_found_by_every_id_that_people_have(place: Place) -> None:
    task_id, process = str(uuid.uuid4()), str(uuid.uuid4())
    with place.daemon():
        place.publish(task_id, business_key="ORD-118", process_instance_id=process, variables={"title": TITLE})
        told = place.wait_for_stage(task_id, "tracking")
        words = [
            *(task_id, task_id.replace("-", ""), task_id[:13], process, "ORD-118", "ord-118"),
            *(told["message"]["external"], "договор", "согласовать поставки", TITLE),
        ]
        for each in words:
            found = trace(place, *each.split())
            assert found.code == 0, each
            assert found.data["message"]["name"] == task_id, each


def test_a_retry_says_why_and_when_the_next_attempt_is(place: Place, portal: BitrixSandbox) -> None:
    portal.inject(faults.error("INTERNAL_SERVER_ERROR", status=500), "tasks.task.add", count=1)
    with place.daemon(RETRY_DELAY="600"):
        place.publish("task-1")
        told = place.wait_for_stage("task-1", "retry_wait")
        assert told["message"]["due"] > time.time() + 200
        [next_] = told["next"]
        assert (next_["said"]["en"], next_["at"]) == ("attempt 2", told["message"]["due"])
        done = place.run("trace", "task-1")
        assert "waits for its next attempt" in done.out
        assert "attempt 2 in " in done.out


def test_an_outage_says_why_the_system_is_down_and_when_it_is_tried_again(place: Place, portal: BitrixSandbox) -> None:
    portal.go_down()
    with place.daemon(PROBE_INTERVAL="3600"):
        place.publish("task-1")
        wait_until(lambda: any(each["is_obstacle"] for each in trace(place, "task-1").data.get("next", ())), what="it")
        told = trace(place, "task-1").data
        assert told["now"]["en"] == "waits in bitrix24.queue"
        [obstacle] = told["next"]
        assert obstacle["said"]["en"].startswith("bitrix24 is down: ")
        assert obstacle["at"] > time.time() + 3000
        assert "tried again in 59 min" in place.run("trace", "task-1").out
        assert "проверка через 59 мин" in place.run("trace", "task-1", lang="ru").out
        portal.come_back()


def test_a_person_s_pause_is_what_keeps_a_task(place: Place) -> None:
    with place.daemon():
        place.publish("task-1")
        place.wait_for_stage("task-1", "tracking")
        place.run("pause", "bitrix24", "--for", "1h", "-m", "ремонт")
        [obstacle] = trace(place, "task-1").data["next"]
        assert obstacle["is_obstacle"]
        assert "ремонт" in obstacle["said"]["ru"]
        assert "59 min" in place.run("trace", "task-1").out


def test_what_is_in_the_error_queue_tells_the_reason_and_what_to_do(place: Place) -> None:
    with place.daemon():
        place.publish("task-1", topic="bitrix_no_such_topic")
        told = place.wait_for_stage("task-1", "failed")
        assert "unknown_topic" in told["now"]["en"]
        assert told["next"][0]["said"]["en"].endswith("main.py errors retry task-1")
        done = place.run("trace", "task-1", lang="ru")
        assert "нужен человек" in done.out
        assert "нет топика" in done.out


def test_a_task_that_somebody_has_deleted_is_rejected(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon():
        place.publish("task-1", "other")
        told = place.wait_for_stage("task-1", "tracking")
        portal.delete(int(told["message"]["external"]))
        told = place.wait_for_stage("task-1", "rejected")
        assert "task_deleted" in told["now"]["en"]


def test_without_a_worker_the_journal_is_read_and_nothing_is_promised(place: Place) -> None:
    with place.daemon() as daemon:
        place.publish("task-1")
        place.wait_for_stage("task-1", "tracking")
        assert daemon.stop() == 0
    told = trace(place, "task-1").data
    assert told["stage"] == "tracking"
    assert [each["said"]["en"] for each in told["next"]] == ["no worker runs: main.py starts one"]
    assert "воркер не запущен" in place.run("trace", "task-1", lang="ru").out


def test_without_rabbitmq_the_rest_is_told(place: Place) -> None:
    with place.daemon():
        place.publish("task-1")
        place.wait_for_stage("task-1", "tracking")
        done = place.run("trace", "task-1", RABBITMQ_PORT="1")
        assert done.code == 0
        assert "people are at work on it" in done.out
        assert "RabbitMQ: " in done.err


# -- several ---------------------------------------------------------------------------------------------------------


def test_several_hits_are_a_list_of_the_newest_and_data_has_all(place: Place) -> None:
    task_ids = [f"task-{number}" for number in range(25)]
    with place.daemon():
        place.publish(*task_ids, business_key="ORD-7", variables={"title": TITLE})
        place.broker.wait_for_count(SENT, 25)
        wait_until(lambda: len(trace(place, "ORD-7").data.get("messages", ())) == 25, what="all in the journal")
        done = place.run("trace", "договор")
        assert done.code == 0
        assert sum(each in done.out for each in task_ids) >= 20
        assert len([line for line in done.out.splitlines() if TITLE in line]) == 20
        assert "… and 5 older ones" in done.out
        assert "main.py trace ID shows one" in done.err
        assert "ещё 5 более ранних" in place.run("trace", "договор", lang="ru").out
        data = trace(place, "договор").data
        assert {each["name"] for each in data["messages"]} == set(task_ids)


def test_the_one_that_is_called_exactly_so_is_meant(place: Place) -> None:
    with place.daemon():
        place.publish("order", "order-1", "order-2")
        place.broker.wait_for_count(SENT, 3)
        place.wait_for_stage("order", "tracking")
        done = place.run("trace", "order")
        assert done.out.startswith("order")
        assert "others hold these words, too: 2" in done.err


# -- nobody knows ----------------------------------------------------------------------------------------------------


def place_of(told: Done, name: str) -> dict[str, Any]:
    return dict(next(each for each in told.data["places"] if each["name"] == name))


def test_what_nobody_knows_says_who_was_asked(place: Place) -> None:
    place.broker.declare(ERRORS)
    place.broker.declare(SENT)
    place.publish("waiting")
    put(place.broker, ERRORS, report("other"))
    done = place.run("trace", "nix", "--json")
    assert (done.code, done.data["kind"], done.data["is_found"]) == (5, "places", False)
    assert place_of(done, QUEUE)["was_asked"] is False
    assert place_of(done, QUEUE)["messages"] == 1
    assert place_of(done, ERRORS)["said"] == {"en": "1 looked at", "ru": "просмотрено 1"}
    assert place_of(done, SENT)["messages"] == 0
    assert place_of(done, "bitrix24")["said"] == {"en": "has no task of this id", "ru": "задачи с таким id нет"}
    told = place.run("trace", "nix", lang="ru")
    assert told.code == 5
    assert "ждут, просмотреть их нельзя" in told.out
    assert "никто этого не знает" in told.out


def test_a_young_journal_is_helped_by_the_queues_which_stay_as_they_are(place: Place) -> None:
    for queue in (ERRORS, ARCHIVE_QUEUE, SENT):
        place.broker.declare(queue)
    put(place.broker, ERRORS, *(report(f"bad-{number}") for number in range(5)))
    for number in range(5):
        task = decode_task(camunda_message(f"open-{number}", variables={"title": f"Договор {number}"}), Limits())
        put(place.broker, SENT, encode_sent(task, QUEUE, Accepted({}, str(48000 + number)), time.time()))
    before = {queue: [body for _, body in place.broker.peek(queue)] for queue in (ERRORS, SENT)}
    failed = place.run("trace", "bad-3", "--json")
    assert failed.code == 0
    [finding] = place_of(failed, ERRORS)["found"]
    assert (finding["task_id"], finding["said"]["en"]) == ("bad-3", "responsible_id: user 77 not found")
    for words in (["open-2"], ["48002"], ["Договор", "2"]):
        found = place.run("trace", *words, "--json")
        assert found.code == 0, words
        [finding] = place_of(found, SENT)["found"]
        assert (finding["task_id"], finding["external_id"]) == ("open-2", "48002")
    assert "journal rebuild" in place.run("trace", "open-2").err
    put(place.broker, ARCHIVE_QUEUE, report("dropped"))
    assert place_of(place.run("trace", "dropped", "--json"), ARCHIVE_QUEUE)["found"]
    assert {queue: [body for _, body in place.broker.peek(queue)] for queue in (ERRORS, SENT)} == before


def test_a_quorum_queue_is_not_looked_through(place: Place) -> None:
    for queue in (ERRORS, SENT):
        place.broker.declare(queue, arguments={"x-queue-type": "quorum", "x-delivery-limit": 3})
    put(place.broker, ERRORS, report("bad-1"))
    for _ in range(6):
        done = place.run("trace", "bad-1", "--json")
        assert place_of(done, ERRORS)["was_asked"] is False
    assert "counts each look as a delivery" in place.run("trace", "bad-1").out
    [(properties, _)] = place.broker.get_all(ERRORS)
    assert not (properties.headers or {}).get("x-delivery-count"), "nobody has taken it"


def test_the_systems_are_asked_by_our_key(vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> None:
    with OpenProjectSandbox() as server, OneCSandbox() as base:
        variables = {
            "OPENPROJECT_URL": server.url,
            "OPENPROJECT_TOKEN": server.token,
            "ONEC_URL": base.url,
            "ONEC_USERNAME": base.username,
            "ONEC_PASSWORD": base.password,
        }
        place = Place(vhost, tmp_path, portal, variables)
        number = portal.create_task(TITLE, UF_CAMUNDA_ID_EXTERNAL_TASK="task-1")
        done = place.run("trace", "task-1", "--json")
        assert done.code == 0
        [finding] = place_of(done, "bitrix24")["found"]
        assert finding["external_id"] == str(number)
        assert TITLE in finding["said"]["en"]
        for system in ("openproject", "1c"):
            assert place_of(done, system)["was_asked"] is True
            assert place_of(done, system)["found"] == []
        portal.go_down()
        server.go_down()
        done = place.run("trace", "task-1", "--json")
        assert done.code == 5
        assert place_of(done, "bitrix24")["was_asked"] is False
        assert place_of(done, "openproject")["was_asked"] is False


def test_without_rabbitmq_and_without_a_journal_the_systems_are_asked(place: Place, portal: BitrixSandbox) -> None:
    portal.create_task(TITLE, UF_CAMUNDA_ID_EXTERNAL_TASK="task-1")
    done = place.run("trace", "task-1", "--json", RABBITMQ_PORT="1")
    assert done.code == 0
    assert place_of(done, ERRORS)["was_asked"] is False


def test_a_damaged_journal_is_told_and_the_others_are_asked(place: Place, portal: BitrixSandbox) -> None:
    portal.create_task(TITLE, UF_CAMUNDA_ID_EXTERNAL_TASK="task-1")
    (place.folder / "state").mkdir()
    (place.folder / "state/journal.sqlite").write_bytes(b"no database" * 1000)
    done = place.run("trace", "task-1")
    assert done.code == 0
    assert "journal" in done.err
    assert TITLE in done.out


# -- the bundle -------------------------------------------------------------------------------------------------------


def test_a_bundle_holds_what_a_developer_needs_and_no_secret(
    place: Place, portal: BitrixSandbox, tmp_path: Path, broker: Broker
) -> None:
    file = tmp_path / "case.zip"
    with place.daemon(LOG_DIR=str(tmp_path / "logs")):
        place.publish("task-1", topic="bitrix_no_such_topic")
        place.wait_for_stage("task-1", "failed")
        assert place.run("trace", "task-1", "--bundle", str(file)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as packed:
        parts = {name: packed.read(name).decode() for name in packed.namelist()}
    assert parts.keys() == {"README.txt", "trace.txt", "trace.json", "log.txt", "set-up.json"}
    assert json.loads(parts["trace.json"])["stage"] == "failed"
    assert "unknown_topic" in parts["trace.txt"]
    assert "task.parked" in parts["log.txt"]
    set_up = json.loads(parts["set-up.json"])
    assert set_up["system"]["system"] == "bitrix24"
    assert any(each["variable"] == "BITRIX_WEBHOOK_URL" for each in set_up["settings"])
    for secret in (portal.webhook_token, broker.password):
        assert not any(secret in content for content in parts.values())


def test_a_bundle_overwrites_nothing_without_a_word(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "case.zip"
    file.write_text("mine")
    with place.daemon():
        place.publish("task-1")
        place.wait_for_stage("task-1", "tracking")
        refused = place.run("trace", "task-1", "--bundle", str(file))
        assert (refused.code, file.read_text()) == (6, "mine")
        assert "--force" in refused.err
        assert place.run("trace", "task-1", "--bundle", str(file), "--force").code == 0
        assert zipfile.is_zipfile(file)


@pytest.mark.parametrize("words", [["--json"], []])
def test_without_words_the_usage_is_shown(place: Place, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        place.run("trace", *words)
    assert ended.value.code == 2
