"""`main.py status`: one verdict, its exit code, and everything that a person should know first."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from cli import output
from core.texts import Language
from journal.states import State
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.proxy import TcpProxy
from testbench.harness import ERRORS, wait_until
from tests.cli.operator.support import QUEUE, SENT, Done, Place
from tests.daemon.test_journal import in_journal

BOTH: tuple[Language, ...] = ("en", "ru")


def wait_for_verdict(place: Place, verdict: str) -> Done:
    told: list[Done] = []

    def is_it() -> bool:
        told.append(place.run("status", "--json"))
        return bool(told[-1].data["verdict"] == verdict)

    wait_until(is_it, what=f"the verdict {verdict}")
    return told[-1]


def system_of(done: Done, system: str = "bitrix24") -> dict[str, object]:
    [found] = [each for each in done.data["systems"] if each["system"] == system]
    return dict(found)


def test_a_worker_at_work_is_ok(place: Place) -> None:
    with place.daemon() as daemon:
        done = wait_for_verdict(place, "ok")
        assert done.code == 0
        [worker] = done.data["workers"]
        assert (worker["pid"], worker["is_ready"]) == (daemon.pid, True)
        wait_until(lambda: place.run("status", "--json").data["remarks"] == [], what="the journal of a new worker")
        english, russian = (place.run("status", lang=lang) for lang in BOTH)
        assert (english.code, russian.code) == (0, 0)
        assert "everything works" in english.out
        assert "всё работает" in russian.out
        assert f"PID {daemon.pid}" in english.out


def test_without_a_worker_the_queues_are_told_and_the_code_says_so(place: Place) -> None:
    place.publish("task-1", "task-2")
    done = place.run("status", "--json")
    assert (done.code, done.data["verdict"]) == (75, "no_worker")
    assert system_of(done)["waiting"] == 2
    assert [each["en"] for each in done.data["remarks"]] == [
        f"no worker runs with STATE_DIR={place.folder}/state",
        "there is no journal: ages are not known",
    ]
    english, russian = (place.run("status", lang=lang) for lang in BOTH)
    assert (english.code, russian.code) == (75, 75)
    assert "NO WORKER RUNS" in english.out
    assert "ВОРКЕР НЕ ЗАПУЩЕН" in russian.out


def test_a_system_that_is_down_is_told_with_its_reason_and_the_next_probe(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon(PROBE_INTERVAL="3600"):
        wait_for_verdict(place, "ok")
        portal.go_down()
        place.publish("task-1")
        done = wait_for_verdict(place, "degraded")
        wait_until(lambda: system_of(place.run("status", "--json"))["state"] == "down", what="the outage")
        done = place.run("status", "--json")
        assert done.code == 4
        down = system_of(done)["down"]
        assert isinstance(down, dict)
        assert down["next_probe"] > done.data["at"] + 3000
        assert "Bitrix24" in down["reason"]["en"]
        assert system_of(done, "default")["state"] == "ok", "the others work"
        english, russian = place.run("status"), place.run("status", lang="ru")
        assert "bitrix24 is down for" in english.out
        assert "tried again in 59 min" in english.out
        assert "bitrix24 недоступна" in russian.out
        assert "следующая попытка через 59 мин" in russian.out
        portal.come_back()


def test_what_waits_for_a_person_makes_the_verdict_degraded(place: Place) -> None:
    with place.daemon():
        place.publish("task-1", topic="bitrix_no_such_topic")
        wait_until(lambda: place.broker.count(ERRORS) == 1, what="the error report")
        wait_until(lambda: in_journal(place.folder / "state/journal.sqlite", State.FAILED) == 1, what="the journal")
        done = place.run("status", "--json")
        assert (done.code, done.data["verdict"], done.data["errors_waiting"]) == (4, "degraded", 1)
        assert system_of(done)["errors"] == 1
        assert system_of(done)["oldest_error"] is not None
        assert "main.py errors list" in place.run("status").out


def test_a_person_s_pause_is_no_fault(place: Place) -> None:
    with place.daemon():
        wait_for_verdict(place, "ok")
        assert place.run("pause", "bitrix24", "--for", "1h", "-m", "обновление портала").code == 0
        done = place.run("status", "--json")
        assert (done.code, done.data["verdict"]) == (0, "paused")
        assert system_of(done)["state"] == "paused"
        assert "обновление портала" in place.run("status").out
        assert "на паузе" in place.run("status", lang="ru").out
        place.publish("task-1")
        assert place.run("status", "--json").data["verdict"] == "paused", "its messages wait, as they should"


def test_a_broker_that_cannot_be_reached_is_told_with_the_reason(place: Place) -> None:
    done = place.run("status", "--json", RABBITMQ_PORT="1")
    assert (done.code, done.data["verdict"]) == (3, "down")
    assert done.data["broker"]["is_reachable"] is False
    told = place.run("status", RABBITMQ_PORT="1")
    assert told.code == 3
    assert "DOES NOT WORK" in told.out
    assert "RabbitMQ: " in told.out
    assert "Traceback" not in told.out + told.err


def test_a_worker_that_has_lost_rabbitmq_does_not_work_although_we_reach_it(
    place: Place, vhost: BrokerAddress, proxy: TcpProxy
) -> None:
    with place.daemon(**vhost.through(proxy.port).environment()):
        wait_for_verdict(place, "ok")
        proxy.refuse()
        proxy.cut()
        done = wait_for_verdict(place, "down")
        assert done.code == 3
        assert done.data["broker"]["is_reachable"] is True
        proxy.restore()
        wait_for_verdict(place, "ok")


def test_a_worker_that_stands_still_is_no_missing_worker(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.client.Workers.__init__.__defaults__", (0.5,))
    with place.daemon() as daemon:
        wait_for_verdict(place, "ok")
        daemon.send(signal.SIGSTOP)
        done = place.run("status", "--json")
        assert (done.code, done.data["verdict"]) == (3, "down")
        assert "does not answer within" in done.data["remarks"][0]["en"]
        assert place.run("pause", "bitrix24").code == 75
        daemon.send(signal.SIGCONT)


def test_messages_that_nobody_takes_are_told_with_the_reason(place: Place) -> None:
    place.publish("task-1", queue="openproject.queue")
    with place.daemon():
        done = wait_for_verdict(place, "degraded")
        assert system_of(done, "openproject")["state"] == "unconfigured"
        told = place.run("status")
        assert "openproject: messages wait and nobody takes them (1): OPENPROJECT_URL is not set" in told.out
        assert "никто их не берёт (1): OPENPROJECT_URL не задана" in place.run("status", lang="ru").out


def test_a_tracker_that_does_not_get_through_is_told(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon():
        place.publish("task-1")
        place.broker.wait_for_count(SENT, 1)
        portal.go_down()
        done = wait_for_verdict(place, "degraded")
        assert system_of(done)["trouble"] is not None
        assert "tracking of bitrix24" in place.run("status").out
        assert "отслеживание bitrix24" in place.run("status", lang="ru").out
        portal.come_back()
        wait_for_verdict(place, "ok")


def test_without_a_journal_the_rest_is_told(place: Place) -> None:
    with place.daemon(JOURNAL_URL="off"):
        wait_until(lambda: place.run("status", "--json", JOURNAL_URL="off").data["verdict"] == "ok", what="the worker")
        told = place.run("status", lang="ru", JOURNAL_URL="off")
        assert told.code == 0
        assert "журнала сообщений нет: возраст неизвестен" in told.out


def test_a_damaged_journal_is_told_and_the_rest_as_well(place: Place) -> None:
    (place.folder / "state").mkdir()
    (place.folder / "state/journal.sqlite").write_bytes(b"no database" * 1000)
    done = place.run("status", "--json")
    assert done.code == 75
    assert "journal" in done.data["remarks"][-1]["en"]


def test_of_two_workers_both_are_shown_and_the_one_that_has_met_the_trouble_is_believed(
    place: Place, portal: BitrixSandbox
) -> None:
    with place.daemon("one") as one, place.daemon("other") as other:
        wait_until(lambda: len(place.run("status", "--json").data["workers"]) == 2, what="both workers")
        wait_for_verdict(place, "ok")
        portal.go_down()
        place.publish("task-1")  # taken by one of them, the other stands by
        wait_until(lambda: system_of(place.run("status", "--json"))["state"] == "down", what="the outage")
        told = place.run("status")
        assert f"PID {one.pid}" in told.out
        assert f"PID {other.pid}" in told.out
        portal.come_back()


def test_ages_of_what_is_open_are_told(place: Place) -> None:
    with place.daemon():
        place.publish("task-1", "task-2")
        place.broker.wait_for_count(SENT, 2)
        wait_until(lambda: system_of(place.run("status", "--json"))["open"] == 2, what="both in the journal")
        done = place.run("status", "--json")
        assert system_of(done)["open_by_age"] == [2, 0, 0, 0, 0]
        assert system_of(done)["oldest_open"] is not None
        assert "open tasks" in place.run("status").out


@pytest.mark.parametrize("lang", BOTH)
def test_the_tables_fit_into_eighty_columns(place: Place, monkeypatch: pytest.MonkeyPatch, lang: Language) -> None:
    monkeypatch.setattr(output, "WIDE", 80)
    with place.daemon():
        wait_for_verdict(place, "ok")
        place.publish("task-1")
        place.broker.wait_for_count(SENT, 1)
        told = place.run("status", "--all", lang=lang).out
    assert max(map(len, told.splitlines())) <= 80
    for system in ("bitrix24", "python-services", "default"):
        row = next(line for line in told.splitlines() if line.startswith(f"{system} "))
        assert len(row.split()) >= 8, "each system on a line of its own"


def test_the_queues_are_named_as_they_are(place: Place) -> None:
    place.publish("task-1")
    told = place.run("status").out
    assert any(line.split()[:2] == [QUEUE, "1"] for line in told.splitlines())
    assert "bitrix24.sent.queue" not in told
    assert "bitrix24.sent.queue" in place.run("status", "--all").out


def test_another_state_dir_has_other_workers(place: Place, tmp_path: Path) -> None:
    with place.daemon():
        wait_for_verdict(place, "ok")
        assert place.run("status", STATE_DIR=str(tmp_path / "other")).code == 75
