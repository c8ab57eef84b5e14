"""Who is paused, since when, why, by whom and until which probe: told by one model, the same to everybody who asks."""

from __future__ import annotations

from pathlib import Path

from assembly.startup import read_configuration
from assembly.worker import Worker
from core.events.systems import ProbeFailed, SystemHeld, SystemReleased, SystemResumed
from core.holds import Hold
from core.pauses import Pauses
from core.stats import Statistics
from core.texts import Text
from tests.support.made_events import paused, swept

NOW = 5000.0  # of the clock that does not jump
WALL = 1795416000.0  # unix seconds at that moment: 2026-11-23 06:40 UTC


def a_model() -> Pauses:
    return Pauses(lambda: NOW, steady=60.0)


def test_a_pause_says_since_when_why_by_whom_and_when_it_is_probed() -> None:
    pauses = a_model()
    pauses.note(paused("1c", "connection refused"), 4000)
    pause = pauses.of("1c")
    assert pause is not None
    assert (pause.since, pause.reason.en, pause.next_probe) == (4000, "connection refused", 4015)
    assert pauses.of("bitrix24") is None
    pauses.note(ProbeFailed("1c", Text.of("503"), "outage", probe_in=60.0), 4015)
    pause = pauses.of("1c")
    assert pause is not None
    assert (pause.since, pause.reason.en, pause.next_probe) == (4000, "503", 4075)


def test_a_person_who_paused_a_system_is_named() -> None:
    pauses = a_model()
    hold = Hold("1c", "Ирина", since=1795158900.0, reason="moving house")
    pauses.note(SystemHeld(hold), 4000)
    assert pauses.hold_of("1c") == hold
    assert pauses.of("1c") is None, "a person's pause is taken for a system that is down"
    pauses.note(SystemReleased("1c", "Пётр"), 4100)
    assert pauses.hold_of("1c") is None


def test_what_is_over_is_no_pause_and_its_end_is_known() -> None:
    pauses = a_model()
    pauses.note(paused("1c", "down"), 4000)
    pauses.note(SystemResumed("1c"), 4100)
    assert pauses.of("1c") is None
    assert [(pause.since, pause.ended) for pause in pauses.latest()] == [(4000, 4100)]


def test_a_system_that_came_up_for_a_moment_only_was_not_back() -> None:
    pauses = a_model()
    pauses.note(paused("1c", "down"), 4000)
    pauses.note(SystemResumed("1c"), 4100)
    pauses.note(paused("1c", "down again"), 4159)
    [pause] = pauses.latest()
    assert (pause.since, pause.reason.en, pause.ended) == (4000, "down again", None)
    pauses.note(SystemResumed("1c"), 4200)
    pauses.note(paused("1c", "another outage"), 4260)
    [pause] = pauses.latest()
    assert pause.since == 4260


def test_events_about_nobody_who_is_paused_change_nothing() -> None:
    pauses = a_model()
    for event in (SystemResumed("1c"), ProbeFailed("1c", Text.of("503"), "outage", probe_in=1.0), swept("1c")):
        pauses(event)
    assert pauses.latest() == []


def test_the_statistics_read_it() -> None:
    pauses = a_model()
    statistics = Statistics(WALL, pauses)
    pauses.note(paused("1c", "down"), NOW - 600)
    figures = statistics.snapshot(WALL)["systems"]["1c"]
    assert figures["paused"] == "down"
    assert figures["paused_since"] == "2026-11-23T06:30:00+00:00"
    assert figures["paused_by"] == "worker"
    assert figures["next_probe"] == "2026-11-23T06:30:15+00:00"
    pauses.note(SystemResumed("1c"), NOW)
    assert statistics.snapshot(WALL)["systems"]["1c"]["paused"] is None


def test_the_heartbeat_holds_the_own_figures_of_handlers_and_trackers(tmp_path: Path) -> None:
    services = tmp_path / "services.toml"
    services.write_text('[services.echo]\nkind = "http"\ntopics = ["echo"]\nurl = "http://127.0.0.1:1/jobs"\n')
    environment = {
        "BITRIX_WEBHOOK_URL": "https://portal.example.ru/rest/1/code",
        "OPENPROJECT_URL": "https://project.example.ru",
        "OPENPROJECT_TOKEN": "0123456789abcdef",
        "ONEC_URL": "https://1c.example.ru/base",
        "ONEC_USERNAME": "robot",
        "ONEC_PASSWORD": "long-enough",
        "SERVICES_FILE": str(services),
        "STATE_DIR": str(tmp_path / "state"),
        "LOG_DIR": str(tmp_path / "logs"),
    }
    startup = read_configuration(environment, tmp_path / ".env")
    stats = Worker(startup.settings, startup.handlers, startup.trackers).get_stats()
    for system in ("bitrix24", "openproject", "1c"):
        assert "unseen" in stats["trackers"][system]["api"], system
    assert stats["trackers"]["python-services"]["api"]["down"] == []
    assert "requests" in stats["systems"]["bitrix24"]["api"]
