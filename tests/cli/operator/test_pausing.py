"""`main.py pause` and `resume`: a system rests, its messages wait, the others go on, whatever happens meanwhile."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from assembly.holding import FILE
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.openproject import OpenProjectSandbox
from testbench.harness import ERRORS, RESPONSES, wait_until
from tests.cli.operator.support import QUEUE, SENT, Done, Place
from tests.daemon.test_bitrix import created_times, finish_all, ids

OTHER = "openproject.queue"


def state(place: Place, system: str = "bitrix24") -> str:
    told = place.run("status", "--json").data["systems"]
    return str(next(each["state"] for each in told if each["system"] == system))


def wait_for_worker(place: Place) -> None:
    wait_until(lambda: place.run("status", "--json").data["verdict"] in ("ok", "paused"), what="the worker")


def readers(place: Place, queue: str = QUEUE) -> int:
    told = place.run("status", "--json").data["queues"]
    return int(next(each["consumers"] or 0 for each in told if each["queue"] == queue))


def nothing_happens(place: Place, count: int) -> None:
    """The messages wait for longer than a worker would take to do them."""
    for _ in range(10):
        assert place.broker.count(QUEUE) == count
        assert place.broker.count(SENT) == 0
        time.sleep(0.1)


def test_a_paused_system_takes_nothing_and_the_others_go_on(
    vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path
) -> None:
    with OpenProjectSandbox() as server:
        variables = {
            "OPENPROJECT_URL": server.url,
            "OPENPROJECT_TOKEN": server.token,
            "OPENPROJECT_DEFAULT_PROJECT": "contracts",
        }
        place = Place(vhost, tmp_path, portal, variables)
        with place.daemon():
            wait_for_worker(place)
            assert place.run("pause", "bitrix24").code == 0
            wait_until(lambda: not readers(place), what="the end of the intake")
            place.publish("task-1", "task-2", "task-3")
            place.publish("other-1", "other-2", queue=OTHER, topic="op_create_task", variables={})
            wait_until(lambda: len(server.work_packages) == 2, what="the other system")
            nothing_happens(place, 3)
            assert place.run("resume", "bitrix24").code == 0
            place.broker.wait_for_count(SENT, 3)
    assert created_times(portal) == {1: 3}


def test_a_pause_survives_a_kill_and_a_restart_and_loses_nothing(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon() as daemon:
        wait_for_worker(place)
        place.run("pause", "bitrix24", "-m", "обновление")
        place.publish(*(f"task-{number}" for number in range(20)))
        daemon.kill()
    with place.daemon() as daemon:
        wait_until(lambda: place.run("status", "--json").data["verdict"] == "paused", what="the pause")
        assert "system.held" in daemon.output()
        nothing_happens(place, 20)
        assert not portal.tasks
        assert place.run("resume", "bitrix24").code == 0
        place.broker.wait_for_count(SENT, 20)
        assert daemon.stop() == 0
    with place.daemon():
        wait_until(lambda: place.run("status", "--json").data["verdict"] == "ok", what="no pause any more")
        finish_all(portal)
        place.broker.wait_for_count(RESPONSES, 20)
    assert ids(place.broker, RESPONSES) == Counter(f"task-{number}" for number in range(20))
    assert created_times(portal) == {1: 20}
    assert place.broker.count(ERRORS) == 0


def test_what_is_in_hand_when_a_pause_begins_is_finished_and_no_message_is_lost(
    place: Place, portal: BitrixSandbox
) -> None:
    task_ids = [f"task-{number}" for number in range(200)]
    with place.daemon(PREFETCH="20"):
        wait_for_worker(place)
        place.publish(*task_ids)
        wait_until(lambda: len(portal.tasks) > 10, what="the first tasks")
        for _ in range(5):
            place.run("pause", "bitrix24")
            place.run("resume", "bitrix24")
        place.broker.wait_for_count(SENT, 200)
    assert created_times(portal) == {1: 200}


def test_a_pause_with_a_time_ends_by_itself(place: Place) -> None:
    with place.daemon() as daemon:
        wait_for_worker(place)
        done = place.run("pause", "bitrix24", "--for", "2", "--json")
        assert done.data["until"] > time.time()
        assert state(place) == "paused"
        place.publish("task-1")
        place.broker.wait_for_count(SENT, 1)
        assert state(place) == "ok"
        wait_until(lambda: "because its time is over" in daemon.output(), what="a word about it")


@pytest.mark.parametrize(("scope", "creates", "tracks"), [("create", False, True), ("track", True, False)])
def test_a_scope_holds_one_part_of_the_work(
    place: Place, portal: BitrixSandbox, scope: str, *, creates: bool, tracks: bool
) -> None:
    with place.daemon():
        wait_for_worker(place)
        place.publish("before")
        place.broker.wait_for_count(SENT, 1)
        place.run("pause", "bitrix24", "--scope", scope)
        time.sleep(1.5)  # a sweep that has begun is finished
        finish_all(portal)
        place.publish("meanwhile")
        if tracks:
            place.broker.wait_for_count(RESPONSES, 1)
            assert place.broker.count(QUEUE) == 1
        if creates:
            place.broker.wait_for_count(SENT, 2)
            assert place.broker.count(RESPONSES) == 0
        place.run("resume", "bitrix24")
        wait_until(lambda: len(portal.tasks) == 2, what="both tasks")
        finish_all(portal)
        place.broker.wait_for_count(RESPONSES, 2)
    assert ids(place.broker, RESPONSES) == Counter(["before", "meanwhile"])


def test_a_system_that_is_down_and_paused_is_resumed_by_both(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon():
        wait_for_worker(place)
        portal.go_down()
        place.publish("task-1", "task-2")
        wait_until(lambda: state(place) == "down", what="the outage")
        place.run("pause", "bitrix24")
        assert state(place) == "paused"
        portal.come_back()
        nothing_is_down(place)
        nothing_happens(place, 2)
        assert place.run("resume", "bitrix24").err == ""
        place.broker.wait_for_count(SENT, 2)


def test_who_resumes_a_system_that_is_down_hears_of_it(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon():
        wait_for_worker(place)
        portal.go_down()
        place.publish("task-1", "task-2")
        wait_until(lambda: state(place) == "down", what="the outage")
        place.run("pause", "bitrix24")
        resumed = place.run("resume", "bitrix24")
        assert resumed.code == 0
        assert "bitrix24 itself is down" in resumed.err
        assert state(place) == "down"
        place.run("pause", "bitrix24")
        assert "недоступна" in place.run("resume", "bitrix24", lang="ru").err
        nothing_happens(place, 2)
        portal.come_back()
        place.broker.wait_for_count(SENT, 2)


def nothing_is_down(place: Place) -> None:
    def is_back() -> bool:
        told = place.run("status", "--json").data["systems"]
        return next(each["down"] for each in told if each["system"] == "bitrix24") is None

    wait_until(is_back, what="the end of the outage")


def test_two_workers_are_paused_by_one_word_and_so_is_the_one_that_takes_over(
    place: Place, portal: BitrixSandbox
) -> None:
    with place.daemon("one") as one, place.daemon("other") as other:
        wait_until(lambda: len(place.run("status", "--json").data["workers"]) == 2, what="both workers")
        done = place.run("pause", "bitrix24", "--json")
        assert len(done.data["workers"]) == 2
        place.publish("task-1")
        for daemon in (one, other):
            wait_until(lambda each=daemon: "system.held" in each.output(), what="both")  # type: ignore[misc]
        one.kill()
        nothing_happens(place, 1)
        place.run("resume", "bitrix24")
        place.broker.wait_for_count(SENT, 1)
        assert other.stop() == 0
    assert created_times(portal) == {1: 1}


def test_a_worker_that_cannot_write_its_folder_works_and_pauses_cannot_be_kept(place: Place) -> None:
    (place.folder / "state").write_text("a file where the folder should be")
    with place.daemon() as daemon:
        place.publish("task-1")
        place.broker.wait_for_count(SENT, 1)
        assert "control.unusable" in daemon.output()
        assert place.run("pause", "bitrix24").code == 75, "no command reaches it"
        assert daemon.stop() == 0


def test_damaged_pauses_are_told_by_the_worker_and_it_works(place: Place) -> None:
    (place.folder / "state").mkdir()
    (place.folder / "state" / FILE).write_text('[{"system": "bitrix24"')
    with place.daemon() as daemon:
        place.publish("task-1")
        place.broker.wait_for_count(SENT, 1)
        assert "holds.unreadable" in daemon.output()
        assert FILE in daemon.output()


def test_wrong_commands_are_refused_with_the_reason_and_the_code(place: Place) -> None:
    assert place.run("pause", "bitrix24").code == 75
    with place.daemon():
        wait_for_worker(place)
        unknown = place.run("pause", "bitrx24")
        assert unknown.code == 5
        assert "there are" in unknown.err
        assert "bitrix24" in unknown.err
        not_paused = place.run("resume", "bitrix24")
        assert not_paused.code == 6
        assert "paused by nobody" in not_paused.err
        assert "никем не приостановлена" in place.run("resume", "bitrix24", lang="ru").err
        too_long = place.run("pause", "bitrix24", "-m", "x" * 600)
        assert too_long.code == 3
        assert "500" in too_long.err
        assert state(place) == "ok"


def test_what_was_done_is_said_in_both_languages(place: Place) -> None:
    with place.daemon() as daemon:
        wait_for_worker(place)
        english, russian = place.run("pause", "bitrix24"), place.run("pause", "bitrix24", "--for", "1h", lang="ru")
        assert "is paused until main.py resume bitrix24" in english.out
        assert "на паузе до" in russian.out
        assert "сообщения ждут в своих очередях" in russian.out
        assert "works again" in place.run("resume", "bitrix24").out
        place.run("pause", "bitrix24")
        assert "снова в работе" in place.run("resume", "bitrix24", lang="ru").out
        wait_until(lambda: daemon.output().count("operator.acted") == 5, what="who has done it, in the log")


def test_a_pause_on_a_worker_that_stops_is_kept(place: Place) -> None:
    with place.daemon() as daemon:
        wait_for_worker(place)
        place.run("pause", "bitrix24")
        daemon.send(signal.SIGTERM)
        assert daemon.wait(30) == 0
    assert [each["system"] for each in json.loads((place.folder / "state" / FILE).read_text())] == ["bitrix24"]


def test_the_answer_as_data(place: Place) -> None:
    with place.daemon():
        wait_for_worker(place)
        paused: Done = place.run("pause", "bitrix24", "--scope", "track", "-m", "x", "--json")
        assert paused.data.keys() == {"system", "until", "scope", "workers"}
        [worker] = paused.data["workers"]
        assert worker["hold"].keys() == {"system", "by", "since", "until", "reason", "scope"}
        assert worker["warning"] is None
        resumed = place.run("resume", "bitrix24", "--json")
        assert resumed.data == {"system": "bitrix24", "workers": [{"warning": None, "down": None}]}
