"""Jobs are asked when they are due, one request each; nothing is called finished, failed or lost by mistake."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.python_services.jobs import Job
from consumers.python_services.polling import Schedule
from consumers.python_services.registry import Poll
from consumers.python_services.tracker import SILENT_IN_A_ROW, TOO_MANY_TO_BE_LOST, PythonServicesTracker
from core.messages import TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from core.texts import Text
from sandbox.http_front import HttpRequest
from sandbox.python_services import ServicesSandbox, faults
from tests.systems.python_services.support import NOW, Clock, http, tracked, tracker_for

POLL = {"min": 10, "max": 40, "deadline": 86_400}


@pytest.fixture
def outside() -> Iterator[ServicesSandbox]:
    with ServicesSandbox() as outside:
        yield outside


def report(server: ServicesSandbox, **changes: Any) -> dict[str, Any]:
    return {"report": http(server, "/jobs/report", "report", **{"poll": POLL, **changes})}


def jobs(server: ServicesSandbox, count: int, **changes: Any) -> list[TrackedTask]:
    made = [server.put_job(f"task-{number}") for number in range(count)]
    return [tracked(server, job.task_id, job.number, **changes) for job in made]


def rejected(verdict: Verdict) -> tuple[str, str]:
    assert isinstance(verdict, Rejected), verdict
    return verdict.code, Text.of(verdict.reason).en


# -- verdicts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["status", "redirect"])
def test_a_finished_job_is_completed_with_its_result(style: str, outside: ServicesSandbox, tmp_path: Path) -> None:
    outside.style = style
    done, open_one = jobs(outside, 2)
    outside.finish(1, {"pages": 3})
    verdicts = tracker_for(tmp_path, report(outside), Clock()).check([done, open_one])
    wanted = {"kind": "http", "service": "report", "state": "done", "result": {"pages": 3}}
    assert verdicts == [Completed(wanted), Pending()]


@pytest.mark.parametrize(
    ("body", "is_done"),
    [
        ({"status": "succeeded"}, True),
        ({"status": "running"}, False),
        ({"status": "half way"}, False),
        ({"status": 7}, False),
        ({"pages": 3}, True),
        ([], False),
        (None, False),
    ],
)
def test_what_a_poll_calls_finished(body: Any, is_done: bool, outside: ServicesSandbox, tmp_path: Path) -> None:
    [task] = jobs(outside, 1)
    outside.inject(faults.told(200, body), "get *")
    [verdict] = tracker_for(tmp_path, report(outside), Clock()).check([task])
    assert isinstance(verdict, Completed) is is_done
    assert isinstance(verdict, Pending) is not is_done


def test_where_the_file_says_where_a_status_stands_an_answer_without_one_is_no_result(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    [task] = jobs(outside, 1)
    poll = {**POLL, "status": "$.job.state", "done": ["ok"], "result": "$.job.out"}
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside, poll=poll), clock)
    outside.inject(faults.told(200, {"pages": 3}), "get *")
    assert tracker.check([task]) == [Pending()]
    clock.now += 100
    outside.inject(faults.told(200, {"job": {"state": "OK", "out": 7}}), "get *")
    [verdict] = tracker.check([task])
    assert isinstance(verdict, Completed)
    assert verdict.response["result"] == 7


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "no_space", "message": "мало места"}, "no_space"),
        ({"message": "мало места", "retryable": True}, "service_failed"),
        ({"code": "no_space", "message": "мало места", "bpmn_error": "FULL"}, "FULL"),
    ],
)
def test_a_failed_job_is_rejected_with_its_code(
    error: Any, code: str, outside: ServicesSandbox, tmp_path: Path
) -> None:
    [task] = jobs(outside, 1)
    outside.fail(1, **error)
    [verdict] = tracker_for(tmp_path, report(outside), Clock()).check([task])
    assert rejected(verdict)[0] == code
    assert "мало места" in rejected(verdict)[1]


def test_a_status_that_stands_for_an_error_of_the_process_rejects_the_job(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    for status in (422, 404, 503):
        [task] = jobs(outside, 1)
        outside.inject(faults.refusal(status, message="нет"), "get *")
        entry = report(outside, bpmn_errors={status: "NO"})
        [verdict] = tracker_for(tmp_path, entry, Clock()).check([task])
        assert rejected(verdict) == ("NO", f"Service report answered HTTP {status}: нет")


def test_a_job_that_the_service_does_not_know_is_lost_when_that_was_seen_twice(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    task, other = jobs(outside, 2)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    outside.lose(1)
    assert tracker.check([task, other]) == [Pending(), Pending()]
    outside.lose(1, lost=False)
    clock.now += 100
    assert tracker.check([task, other]) == [Pending(), Pending()], "it was there in between"
    outside.lose(1)
    clock.now += 100
    assert tracker.check([task, other]) == [Pending(), Pending()]
    clock.now += 100
    lost, pending = tracker.check([task, other])
    assert rejected(lost)[0] == "job_lost"
    assert outside.status_url(1) in rejected(lost)[1]
    assert pending == Pending()


def test_a_service_that_knows_none_of_many_jobs_loses_none(outside: ServicesSandbox, tmp_path: Path) -> None:
    tasks = jobs(outside, TOO_MANY_TO_BE_LOST)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    for job in outside.jobs:
        outside.lose(job.number)
    for _ in range(4):
        assert tracker.check(tasks) == [Pending()] * len(tasks)
        assert tracker.get_stats()["down"] == ["report"]
        clock.now += 100
    outside.lose(1, lost=False)
    tracker.check(tasks)
    assert tracker.get_stats()["down"] == []


def test_a_service_that_has_forgotten_all_its_jobs_keeps_none_waiting_beyond_their_deadline(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    tasks = jobs(outside, TOO_MANY_TO_BE_LOST, expires=100)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    for job in outside.jobs:
        outside.lose(job.number)
    assert tracker.check(tasks) == [Pending()] * len(tasks)
    clock.now += 100
    for verdict in tracker.check(tasks):
        assert rejected(verdict)[0] == "deadline"
        assert "HTTP 404" in rejected(verdict)[1]


def test_a_job_that_does_not_finish_in_time_is_asked_once_more_and_given_up(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    slow, late = jobs(outside, 2, expires=100)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside, poll={"min": 10, "max": 100, "deadline": 100}), clock)
    for _ in range(12):
        assert tracker.check([slow, late]) == [Pending(), Pending()]
        clock.now += 8
    outside.finish(2)
    clock.now = NOW + 100.0
    verdict, completed = tracker.check([slow, late])
    code, reason = rejected(verdict)
    assert (code, isinstance(completed, Completed)) == ("deadline", True)
    assert reason == "Service report did not finish in 100 s, the last that it told was: running"


def test_an_outage_is_no_verdict_even_after_the_deadline(outside: ServicesSandbox, tmp_path: Path) -> None:
    [task] = jobs(outside, 1, expires=100)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    outside.go_down()
    for _ in range(5):
        clock.now += 100
        assert tracker.check([task]) == [Pending()]
    outside.finish(1)
    outside.come_back()
    clock.now += 100
    [verdict] = tracker.check([task])
    assert isinstance(verdict, Completed)


@pytest.mark.parametrize("status", [401, 403, 407, 429, 502, 503, 504])
def test_what_is_about_the_service_is_asked_a_few_times_and_says_nothing_about_its_jobs(
    status: int, outside: ServicesSandbox, tmp_path: Path
) -> None:
    tasks = jobs(outside, 20)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    outside.inject(faults.refusal(status, retry_after=60), "get *", count=None)
    assert tracker.check(tasks) == [Pending()] * 20
    assert outside.requests == SILENT_IN_A_ROW
    clock.now += 59
    tracker.check(tasks)
    assert outside.requests == SILENT_IN_A_ROW, "not before the moment that it told"
    outside.clear_faults()
    clock.now += 2
    for number in range(1, 21):
        outside.finish(number)
    assert all(isinstance(each, Completed) for each in tracker.check(tasks))


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_one_address_that_refuses_does_not_hold_up_the_others_and_ends_itself(
    status: int, outside: ServicesSandbox, tmp_path: Path
) -> None:
    tasks = jobs(outside, 6)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    outside.inject(faults.refusal(status), "get status/1", count=None)
    for number in range(2, 6):
        outside.finish(number)
    verdicts = tracker.check(tasks)
    assert [type(each) for each in verdicts] == [Pending, *[Completed] * 4, Pending]
    clock.now += POLL["deadline"] + 1
    outside.finish(6)
    first, last = tracker.check([tasks[0], tasks[5]])
    assert isinstance(last, Completed)
    if status in {401, 403}:
        assert rejected(first)[0] == "deadline"
    else:
        assert first == Pending(), "the service may have been down all the time"


def test_a_job_that_fails_its_own_address_for_ever_is_given_up_at_its_deadline(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    [task] = jobs(outside, 1)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    outside.inject(faults.refusal(500), "get *", count=None)
    assert tracker.check([task]) == [Pending()]
    clock.now += POLL["deadline"] + 1
    code, reason = rejected(tracker.check([task])[0])
    assert code == "deadline"
    assert "HTTP 500" in reason


@pytest.mark.parametrize("status", [400, 405, 500, 505, 302, 202, 204])
def test_any_other_answer_leaves_the_job_open_and_the_others_are_asked(
    status: int, outside: ServicesSandbox, tmp_path: Path
) -> None:
    tasks = jobs(outside, 3)
    outside.finish(2)
    outside.finish(3)
    outside.inject(faults.refusal(status), "get status/1", count=None)
    verdicts = tracker_for(tmp_path, report(outside), Clock()).check(tasks)
    assert [type(each) for each in verdicts] == [Pending, Completed, Completed]


def test_a_dead_service_does_not_hold_up_the_others(outside: ServicesSandbox, tmp_path: Path) -> None:
    with ServicesSandbox() as dead:
        services = {
            **report(outside),
            "dead": http(dead, "/jobs/dead", "dead", timeout={"connect": 0.5, "read": 0.5}, poll=POLL),
        }
        tasks = jobs(outside, 5)
        for number in range(1, 6):
            outside.finish(number)
        hanging = [tracked(dead, f"dead-{number}", dead.put_job("x").number, service="dead") for number in range(50)]
        dead.inject(faults.delay(600), "get *", count=None)
        tracker = tracker_for(tmp_path, services, Clock())
        verdicts = tracker.check([*hanging, *tasks])
        assert verdicts[:50] == [Pending()] * 50
        assert all(isinstance(each, Completed) for each in verdicts[50:])
        assert dead.requests <= 2, "one that hangs is not waited for fifty times"
        assert tracker.get_stats()["down"] == ["dead"]


def test_a_result_that_is_too_large_is_told_to_people(outside: ServicesSandbox, tmp_path: Path) -> None:
    [task] = jobs(outside, 1)
    outside.inject(faults.huge_body(), "get *")
    [verdict] = tracker_for(tmp_path, report(outside), Clock()).check([task])
    assert rejected(verdict)[0] == "result_too_large"


# -- addresses -----------------------------------------------------------------------------------------------------


def test_a_result_on_a_foreign_host_is_not_asked_for(outside: ServicesSandbox, tmp_path: Path) -> None:
    with ServicesSandbox() as other:
        [task] = jobs(outside, 1)
        outside.inject(faults.told(303, Location=f"{other.base_url}/result/1"), "get *")
        [verdict] = tracker_for(tmp_path, report(outside), Clock()).check([task])
        assert rejected(verdict)[0] == "status_host"
        assert str(other.port) in rejected(verdict)[1]
        assert other.requests == 0


def test_a_forged_address_in_the_sent_queue_gets_no_credentials(outside: ServicesSandbox, tmp_path: Path) -> None:
    with ServicesSandbox() as other:
        other.put_job("task-0")
        auth = {"type": "bearer", "token_env": "SVC_SECRET"}
        tracker = tracker_for(tmp_path, report(outside, auth=auth), Clock(), secrets={"SVC_SECRET": "t0ken-1234"})
        [verdict] = tracker.check([tracked(other, "task-0", 1)])
        assert rejected(verdict)[0] == "status_host"
        assert other.requests == 0


def test_a_poll_is_authenticated(tmp_path: Path) -> None:
    def authorized(request: HttpRequest) -> bool:
        return request.headers.get("authorization") == "Bearer t0ken-1234"

    auth = {"type": "bearer", "token_env": "SVC_SECRET"}
    with ServicesSandbox(authorized=authorized, style="redirect") as outside:
        [task] = jobs(outside, 1)
        outside.finish(1)
        tracker = tracker_for(tmp_path, report(outside, auth=auth), Clock(), secrets={"SVC_SECRET": "t0ken-1234"})
        [verdict] = tracker.check([task])
        assert isinstance(verdict, Completed)


@pytest.mark.parametrize("external_id", [None, "", "42", "report from x until y https://a/"])
def test_a_message_that_names_no_job_is_told_to_people(
    external_id: str | None, outside: ServicesSandbox, tmp_path: Path
) -> None:
    tracker = tracker_for(tmp_path, report(outside), Clock())
    [verdict] = tracker.check([TrackedTask("task-0", external_id)])
    assert rejected(verdict)[0] == "no_external_id"


def test_a_job_of_a_service_that_was_taken_out_of_the_file_waits_for_it_until_its_time_is_over(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside), clock)
    task = tracked(outside, "task-0", 1, service="gone", expires=100)
    assert tracker.check([task]) == [Pending()]
    clock.now += 101
    assert rejected(tracker.check([task])[0])[0] == "no_service"


# -- when ----------------------------------------------------------------------------------------------------------


def asked_at(
    tracker: PythonServicesTracker, server: ServicesSandbox, clock: Clock, task: TrackedTask, until: int
) -> Any:
    """The seconds at which the job was asked, when the tracker looks every second."""
    moments = []
    for second in range(until):
        clock.now = float(NOW + second)
        before = server.requests
        tracker.check([task])
        moments += [second] * (server.requests - before)
    return moments


def test_a_job_is_asked_less_and_less_often_and_never_before_its_time(outside: ServicesSandbox, tmp_path: Path) -> None:
    [task] = jobs(outside, 1, begins=7)
    clock = Clock()
    moments = asked_at(tracker_for(tmp_path, report(outside), clock), outside, clock, task, 150)
    assert moments == [7, 17, 32, 55, 89, 129]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert gaps == sorted(gaps)
    assert max(gaps) == POLL["max"]


def test_what_a_service_tells_wins_over_the_file(outside: ServicesSandbox, tmp_path: Path) -> None:
    outside.retry_after = 50
    [task] = jobs(outside, 1)
    clock = Clock()
    moments = asked_at(tracker_for(tmp_path, report(outside), clock), outside, clock, task, 120)
    assert moments == [0, 50, 100]


def test_the_deadline_is_a_moment_to_ask_whatever_the_interval(outside: ServicesSandbox, tmp_path: Path) -> None:
    outside.retry_after = 5000
    [task] = jobs(outside, 1, expires=100)
    clock = Clock()
    moments = asked_at(tracker_for(tmp_path, report(outside), clock), outside, clock, task, 101)
    assert moments == [0, 100]


def test_a_restart_forgets_nothing_that_matters(outside: ServicesSandbox, tmp_path: Path) -> None:
    tasks = jobs(outside, 3, begins=30)
    clock = Clock()
    for _ in range(3):
        assert tracker_for(tmp_path, report(outside), clock).check(tasks) == [Pending()] * 3
    assert outside.requests == 0, "not before the moment in the message"
    clock.now += 31
    for number in (1, 2, 3):
        outside.finish(number)
    assert all(isinstance(each, Completed) for each in tracker_for(tmp_path, report(outside), clock).check(tasks))


def test_ten_thousand_open_jobs_cost_what_the_setting_says_and_a_quiet_cycle_nothing(
    outside: ServicesSandbox, tmp_path: Path, ten_thousand: int
) -> None:
    tasks = jobs(outside, ten_thousand)
    clock = Clock()
    tracker = tracker_for(tmp_path, report(outside, poll={"min": 3000, "max": 3000, "deadline": 86_400}), clock)
    assert len(tasks) <= tracker.chunk_size, "one look"
    costs = []
    for _ in range(21):
        before = outside.requests
        assert tracker.check(tasks) == [Pending()] * ten_thousand
        costs.append(outside.requests - before)
        clock.now += 60
    assert costs == [500] * 20 + [0]
    asked = {each.path for each in outside.asked("GET")}
    assert len(asked) == ten_thousand, "each had its turn"


def test_a_service_with_many_jobs_leaves_turns_to_the_others(outside: ServicesSandbox, tmp_path: Path) -> None:
    with ServicesSandbox() as small:
        services = {**report(outside), "small": http(small, "/jobs/small", "small", poll=POLL)}
        many = jobs(outside, 300)
        few = [tracked(small, f"few-{number}", small.put_job("x").number, service="small") for number in range(3)]
        tracker = tracker_for(tmp_path, services, Clock(), polls_per_sweep=10)
        tracker.check([*many, *few])
        assert (outside.requests, small.requests) == (7, 3)


@given(
    st.dictionaries(st.text(min_size=1), st.tuples(st.sampled_from("abc"), st.integers(0, 100)), max_size=30),
    st.integers(1, 20),
)
def test_any_choice_is_due_within_its_limit_and_leaves_out_nobody_for_ever(
    given_jobs: dict[str, tuple[str, int]], limit: int
) -> None:
    polls = {name: Poll(min=10, max=10, deadline=1000) for name in "abc"}
    open_jobs = {key: Job(name, begins, 1000, "https://x/") for key, (name, begins) in given_jobs.items()}
    schedule, asked = Schedule(), set[str]()
    for now in range(100, 100 + 5 * len(open_jobs) + 5, 5):
        chosen = [key for keys in schedule.due(open_jobs, polls, now, limit).values() for key in keys]
        assert len(chosen) == len(set(chosen)) <= limit
        for key in chosen:
            assert open_jobs[key].begins <= now
            schedule.answered(key, polls["a"], now, None)
        asked |= set(chosen)
    assert asked == set(open_jobs)


def test_jobs_that_nobody_asks_about_any_more_are_forgotten() -> None:
    schedule, polls = Schedule(), {"a": Poll()}
    old = {f"task-{number}": Job("a", 0, 10, "https://x/") for number in range(5000)}
    schedule.due(old, polls, 100.0, 10)
    assert len(schedule) == 5000
    schedule.due({"new": Job("a", 0, 10**9, "https://x/")}, polls, 10.0 + 2 * 86_400, 10)
    assert len(schedule) == 1


def test_a_mistake_in_asking_is_reported_and_not_swallowed(
    outside: ServicesSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [task] = jobs(outside, 1)
    tracker = tracker_for(tmp_path, report(outside), Clock())
    monkeypatch.setattr(tracker, "_judge", lambda *_args, **_named: json.loads("{"))
    with pytest.raises(ValueError, match="Expecting"):
        tracker.check([task])
