"""Events as they come: nothing is missed, nothing repeated, and nobody who listens can hold up the API."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.app import make_app
from api.serving import STOPPING
from api.streams import ENDING, SLOW, Pace
from core.events.base import Event
from core.events.control import OperatorActed
from core.events.systems import SystemResumed
from journal.opening import open_store
from journal.settings import JournalSettings
from operation.desk import Desk
from sandbox.ports import free_port
from sandbox.process import ROOT, Process
from testbench.api_served import served
from testbench.harness import wait_until
from tests.api.streaming import STREAM, Heard, Sse, listening, silent_reader
from tests.api.support import OPERATOR, PASSWORD, TIMEOUT, TOKENS, VIEWER, Client, desk_in, journalled
from tests.journal.conftest import IN_POSTGRESQL
from tests.journal.support import NOON

QUICK = Pace(poll=0.02, keep_alive=0.2, buffered=200, last_word=0.2)
ROUNDS, TOGETHER, BEFORE = 60, 15, 450


@pytest.fixture
def app(desk: Desk) -> FastAPI:
    return make_app(desk, TOKENS, pace=QUICK)


@pytest.fixture
def client(app: FastAPI) -> Iterator[Client]:
    with served(app) as base:
        yield Client(base)


@pytest.fixture(params=["sqlite", IN_POSTGRESQL])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A desk with a journal of each kind."""
    more = {}
    if request.param == "postgresql":
        more["JOURNAL_URL"] = request.getfixturevalue("postgres").new_database()
    with desk_in(tmp_path / "stored", more) as desk:
        yield desk


def resumed(count: int, first: int = 0) -> list[Event]:
    return [SystemResumed(f"system-{first + number}") for number in range(count)]


def readers() -> int:
    return sum(thread.name == "event-streams" for thread in threading.enumerate())


def listed(client: Client) -> list[dict[str, object]]:
    """What GET /events lists, the first one first."""
    items: list[dict[str, object]] = client.get("/api/v1/events?limit=200")["items"]
    return items[::-1]


def test_a_stream_begins_now_and_tells_the_same_as_the_list(desk: Desk, client: Client) -> None:
    journalled(desk, resumed(3))
    with listening(Client(client.base, VIEWER)) as heard:
        journalled(desk, [*resumed(2, first=3), OperatorActed("ann@10.0.0.1", f"said {PASSWORD}", "1c", 3)])
        told = heard.take(3)
    assert [each.data for each in told] == listed(client)[3:]
    assert [(each.id, each.event) for each in told] == [(each.data["id"], each.data["code"]) for each in told]
    assert PASSWORD not in str(told)
    assert {heard.response.headers[name] for name in ("Cache-Control", "X-Accel-Buffering")} == {"no-store", "no"}


def test_a_stream_that_resumes_misses_nothing_and_repeats_nothing(stored: Desk) -> None:
    journalled(stored, resumed(BEFORE))

    def write() -> None:
        for number in range(ROUNDS):
            journalled(stored, resumed(TOGETHER, first=BEFORE + number * TOGETHER))

    writing = threading.Thread(target=write)
    heard: list[Sse] = []
    with served(make_app(stored, TOKENS, pace=QUICK)) as base:
        writing.start()
        while missing := BEFORE + ROUNDS * TOGETHER - len(heard):
            last = heard[-1].id if heard else "0"
            by_query = len(heard) % 2
            query = f"?last_event_id={last if by_query else 1}"  # of both the header counts
            with listening(Client(base), query, None if by_query else last) as stream:
                heard += stream.take(min(37, missing))
        writing.join()
    assert [each.data["system"] for each in heard] == [f"system-{number}" for number in range(len(heard))]
    ids = [int(each.id) for each in heard]
    assert ids == sorted(set(ids))


def test_a_code_chooses(desk: Desk, client: Client) -> None:
    journalled(desk, [*resumed(2), OperatorActed("ann", "missed", "1c", 3), *resumed(1)])
    with listening(client, "?code=operator.acted", last=1) as heard:
        [missed] = heard.take(1)
        journalled(desk, [*resumed(2), OperatorActed("ann", "live", "1c", 3)])
        [live] = heard.take(1)
    assert [each.data["fields"]["what"] for each in (missed, live)] == ["missed", "live"]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", str(2**63)])
def test_what_is_no_id_is_refused_and_nothing_begins(desk: Desk, client: Client, last: str) -> None:
    journalled(desk, resumed(1))
    for answer in (
        client.ask("GET", STREAM, headers={"Last-Event-ID": last}),
        client.ask("GET", STREAM, params={"last_event_id": last}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


def test_an_id_that_is_not_there_any_more_is_a_place_and_a_journal_that_was_begun_anew_is_told_whole(
    desk: Desk, client: Client
) -> None:
    journalled(desk, resumed(5))
    journalled(desk, resumed(1, first=5), start=NOON + 5000)
    store = open_store(desk.settings.for_system(JournalSettings))
    store.prune(int((NOON + 1000) * 1e6), None, 100)
    store.close()
    for last, expected in ((3, "system-5"), (4711, "system-5")):
        with listening(client, last=last) as heard:
            assert [each.data["system"] for each in heard.take(1)] == [expected]


def test_without_a_journal_there_is_a_problem_and_no_stream(client: Client) -> None:
    answer = client.ask("GET", STREAM)
    assert (answer.status_code, answer.json()["code"]) == (503, "no-journal")


def test_a_journal_that_breaks_is_told_once_and_the_stream_goes_on_when_it_is_back(desk: Desk, client: Client) -> None:
    journalled(desk, resumed(2))
    path = desk.settings.for_system(JournalSettings).file
    with listening(client, last=0) as heard, listening(client) as other:
        assert len(heard.take(2)) == 2
        aside = path.rename(path.with_name("aside"))
        for stream in (heard, other):
            [trouble] = stream.take(1)
            assert trouble.event == "journal-unusable"
            assert "unable to open" in trouble.data["reason"]["en"]
        aside.rename(path)
        journalled(desk, resumed(1, first=2))
        for stream in (heard, other):
            assert [each.data.get("system") for each in stream.take(1)] == ["system-2"]
        path.unlink()
        assert heard.take(1)[0].event == "journal-unusable"
        journalled(desk, resumed(2, first=7))  # another one, whose ids begin anew
        assert [each.data["system"] for each in heard.take(2)] == ["system-7", "system-8"]


def test_two_hundred_listeners_cost_one_reader_and_leave_room_for_everybody_else(desk: Desk) -> None:
    journalled(desk, resumed(1))
    pace = Pace(poll=QUICK.poll)
    app = make_app(desk, TOKENS, pace=pace)
    with served(app) as base, contextlib.ExitStack() as open_:
        streams = [open_.enter_context(listening(Client(base))) for _ in range(pace.streams)]
        client = Client(base)
        refused = client.ask("GET", STREAM)
        assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
        assert refused.headers["Retry-After"]
        client.get("/api/v1/events")
        journalled(desk, resumed(1, first=1))
        assert {stream.take(1)[0].data["system"] for stream in streams} == {"system-1"}
        assert readers() == 1
        open_.close()
        wait_until(lambda: not len(app.state.streams) and not readers(), TIMEOUT, "an end of reading")
        with listening(client, last=1) as heard:
            assert heard.take(1)[0].data["system"] == "system-1"


def test_a_quiet_stream_is_kept_alive(desk: Desk, client: Client) -> None:
    journalled(desk, resumed(1))
    with listening(client) as heard:
        wait_until(lambda: _is_kept_alive(heard), TIMEOUT, "a comment")


def _is_kept_alive(heard: Heard) -> bool:
    return any(b": keep-alive\n" in some for some in heard.response.iter_content(chunk_size=None))


def test_a_slow_reader_costs_no_memory_and_is_told_to_resume(desk: Desk, app: FastAPI, client: Client) -> None:
    journalled(desk, resumed(1))
    long, count = "x" * 20_000, 50
    with silent_reader(client.base, last=1, room=4096) as slow, listening(client, last=1) as quick:
        wait_until(lambda: len(app.state.streams) == 2, TIMEOUT, "both")
        written = 0
        while len(app.state.streams) == 2:
            journalled(desk, [SystemResumed(f"{long}-{written + number}") for number in range(count)])
            written += count
            assert len(quick.take(count)) == count, "others go on"
            assert written < 100_000, "it is let wait for ever"
        received = b""
        with contextlib.suppress(ConnectionError):  # cut, since it did not even take the last word
            while some := slow.recv(1 << 20):
                received += some
    _, _, chunks = received.partition(b"\r\n\r\n")
    ids = [int(line[4:]) for line in chunks.split(b"\n") if line.startswith(b"id: ") and line[4:].isdigit()]
    got = ids[:-1]  # the last one may be half
    assert len(got) < written
    with listening(client, last=got[-1] if got else 1) as heard:
        rest = [int(each.id) for each in heard.take(written - len(got))]
    assert [*got, *rest] == list(range(2, written + 2))


def test_a_reader_that_is_too_slow_and_wakes_in_time_hears_why(desk: Desk) -> None:
    journalled(desk, resumed(1))
    app = make_app(desk, TOKENS, pace=Pace(poll=0.02, buffered=5, last_word=TIMEOUT))
    with served(app) as base, listening(Client(base), last=1) as heard:
        told: list[Sse] = []
        while not told or told[-1].event != "stream-ended":  # what it reads before it hears with the others may be more
            journalled(desk, resumed(100, first=len(told)))  # more at once than may wait
            told += heard.take(100)
    *told, last = told
    assert (last.event, last.data["reason"]["en"]) == ("stream-ended", SLOW.en)
    assert [int(each.id) for each in told] == list(range(2, 2 + len(told)))


def test_the_api_ends_promptly_with_open_streams(tmp_path: Path) -> None:
    port = free_port()
    variables = {
        "STATE_DIR": str(tmp_path / "state"),
        "LOG_DIR": str(tmp_path / "logs"),
        "API_PORT": str(port),
        "API_TOKEN_OPERATOR": OPERATOR,
        "RABBITMQ_PORT": "1",
    }
    with desk_in(tmp_path) as desk:
        journalled(desk, [SystemResumed("x" * 20_000) for _ in range(1000)])
    with Process((sys.executable, str(ROOT / "main.py"), "api"), tmp_path, variables) as process:
        client = Client(f"http://127.0.0.1:{port}")
        wait_until(client.is_there, TIMEOUT, "the API")
        with (
            listening(client) as one,
            listening(client, last=999) as other,
            silent_reader(client.base, 0, 4096),  # takes neither what it has missed nor a last word
        ):
            other.take(1)
            process.send(signal.SIGTERM)
            for stream in (one, other):
                assert [(each.event, each.data["reason"]["en"]) for each in stream.rest()] == [
                    ("stream-ended", ENDING.en)
                ]
            assert process.wait(TIMEOUT) == 0
        assert "timeout graceful shutdown exceeded" not in process.output()
        assert Pace().last_word < STOPPING
