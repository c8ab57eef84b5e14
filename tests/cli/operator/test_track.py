"""`main.py track`: the next look at a task, or one at once, and what it has shown."""

from __future__ import annotations

from sandbox.bitrix24 import BitrixSandbox, faults
from testbench.harness import RESPONSES, wait_until
from tests.cli.operator.support import SENT, Place

RARELY = {"HEARTBEAT_INTERVAL": "3600", "TRACKER_FULL_SWEEP_INTERVAL": "3600"}


def open_task(place: Place, task_id: str = "task-1") -> int:
    """The number of an open task in the portal."""
    place.publish(task_id)
    return int(place.wait_for_stage(task_id, "tracking")["message"]["external"])


def test_an_open_task_says_when_the_next_look_comes(place: Place) -> None:
    with place.daemon(**RARELY):
        open_task(place)
        wait_until(lambda: place.run("track", "task-1", "--json").data["next"][0]["at"] is not None, what="its time")
        done = place.run("track", "task-1")
        assert done.code == 4
        assert "the next sweep of the tracker in 59 min" in done.out
        assert "--now" in done.err
        assert "следующий проход трекера через 59 мин" in place.run("track", "task-1", lang="ru").out


def test_a_task_that_is_open_is_asked_about_at_once_and_stays_open(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon(**RARELY):
        number = open_task(place)
        portal.set_status(number, 3)
        done = place.run("track", "task-1", "--now", "--json")
        assert done.code == 4
        assert done.data["asked"] == {"has_been_asked": True, "held": [], "trouble": None}
        assert done.data["in_the_system"]["status"] == "3"
        assert "bitrix24 says: status 3" in place.run("track", "task-1", "--now").out


def test_a_task_that_was_finished_is_answered_at_once(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon(**RARELY):
        first, second = open_task(place), open_task(place, "task-2")
        portal.finish(first, answer="ДА")
        done = place.run("track", str(first), "--now", "--json")
        assert (done.code, done.data["stage"]) == (0, "done")
        assert place.broker.count(RESPONSES) == 1
        assert place.run("track", "task-1", "--now").code == 0, "there is nothing left to ask"
        portal.delete(second)
        for _ in range(3):  # it must be missing three times
            done = place.run("track", "task-2", "--now", "--json")
        assert (done.code, done.data["stage"]) == (1, "rejected")


def test_a_large_queue_is_asked_about_the_one_task(place: Place, portal: BitrixSandbox) -> None:
    # A chunk is 2,500 messages: with less the sweep asks about all of them.
    with place.daemon(**RARELY):
        number = open_task(place)
        place.publish(*(f"other-{each}" for each in range(2600)))
        place.broker.wait_for_count(SENT, 2601, timeout=120)
        assert place.run("track", "task-1", "--now", "--timeout", "2m").code == 4
        portal.finish(number)
        done = place.run("track", "task-1", "--now", "--timeout", "2m", "--json")
        assert (done.code, done.data["stage"]) == (0, "done")


def test_a_paused_tracker_asks_nothing_and_says_so(place: Place) -> None:
    with place.daemon(**RARELY):
        open_task(place)
        place.run("pause", "bitrix24", "--scope", "track")
        done = place.run("track", "task-1", "--now")
        assert done.code == 6
        assert "paused by a person, not asked: bitrix24" in done.err
        assert "на паузе, не спрошено: bitrix24" in place.run("track", "task-1", "--now", lang="ru").err


def test_a_system_that_is_down_is_told(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon(**RARELY):
        open_task(place)
        portal.go_down()
        done = place.run("track", "task-1", "--now")
        assert done.code == 4
        assert "the sweep did not get through" in done.err
        portal.come_back()


def test_a_sweep_that_takes_long_is_waited_for_no_longer_than_wanted(place: Place, portal: BitrixSandbox) -> None:
    with place.daemon(**RARELY):
        open_task(place)
        portal.inject(faults.delay(30), "*", count=None)
        done = place.run("track", "task-1", "--now", "--timeout", "1")
        assert done.code == 4
        assert "has not ended yet" in done.err
        portal.clear_faults()


def test_an_unknown_task_is_not_found(place: Place) -> None:
    with place.daemon(**RARELY):
        open_task(place)
        for arguments in (["track", "nix"], ["track", "nix", "--now"]):
            done = place.run(*arguments)
            assert done.code == 5
            assert "main.py trace" in done.err


def test_several_are_listed_and_none_is_asked_about(place: Place) -> None:
    with place.daemon(**RARELY):
        open_task(place, "task-1")
        open_task(place, "task-2")
        done = place.run("track", "task", "--now")
        assert done.code == 6
        assert "task-1" in done.out
        assert "name one" in done.err


def test_without_a_worker_the_journal_answers_and_nobody_can_ask(place: Place) -> None:
    with place.daemon(**RARELY) as daemon:
        open_task(place)
        assert daemon.stop() == 0
    assert place.run("track", "task-1").code == 4
    done = place.run("track", "task-1", "--now")
    assert done.code == 75
    assert "no worker runs" in done.err
