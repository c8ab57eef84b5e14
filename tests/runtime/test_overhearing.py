"""A sink hears what is given to no stream, whatever the log leaves out, and nothing twice."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import pytest

from config import WorkerSettings
from core.events.base import Event, EventStream, Log, write
from core.events.files import FileRenewed, LogFileFailed
from core.events.messages import MessageFailed
from core.outcomes import Outcome
from core.secrets import Secrets
from runtime.logs import setup_logging
from runtime.overhearing import overheard_by
from tests.support.made_events import about

RENEWED = FileRenewed("BITRIX_ROLES_FILE")


def test_what_goes_past_the_stream_is_heard_and_what_goes_through_it_is_heard_once() -> None:
    heard: list[Event] = []
    stream = EventStream([Log(), heard.append])
    with overheard_by(heard.append):
        write(RENEWED)
        stream.emit(FileRenewed("SERVICES_FILE"))
    write(RENEWED)
    assert heard == [RENEWED, FileRenewed("SERVICES_FILE")]


@pytest.mark.parametrize(("level", "lines"), [("INFO", 2), ("ERROR", 0)])
def test_the_level_of_the_log_is_the_log_s_alone(level: Literal["INFO", "ERROR"], lines: int, tmp_path: Path) -> None:
    heard: list[Event] = []
    settings = WorkerSettings(log_dir=tmp_path, log_level=level)
    with setup_logging(settings, Secrets()), overheard_by(heard.append):
        write(RENEWED)
        EventStream([Log()]).emit(RENEWED)
    assert heard == [RENEWED]
    written = (tmp_path / "worker.log").read_text() if lines else ""
    assert written.count("file.renewed") == lines
    assert "happened" not in written, "the record's own field is none of the line"
    assert list(tmp_path.iterdir()) == ([tmp_path / "worker.log"] if lines else [])


def test_a_log_file_that_cannot_be_written_is_heard_of(tmp_path: Path) -> None:
    (tmp_path / "worker.log").symlink_to("/dev/full")
    heard: list[Event] = []
    with setup_logging(WorkerSettings(log_dir=tmp_path), Secrets()), overheard_by(heard.append):
        logging.getLogger("test").warning("a line that finds no room")
    [failed] = heard
    assert isinstance(failed, LogFileFailed)
    assert failed.error == "No space left on device"


def test_a_sink_is_given_what_it_wants() -> None:
    class Choosy:
        def __init__(self) -> None:
            self.heard: list[Event] = []

        def wants(self, kind: type[Event]) -> bool:
            return kind is not MessageFailed

        def __call__(self, event: Event) -> None:
            self.heard.append(event)

    sink = Choosy()
    with overheard_by(sink):
        write(MessageFailed(about("1c"), Outcome.OUTAGE))
        write(RENEWED)
    assert sink.heard == [RENEWED]


def test_a_sink_with_a_mistake_in_it_stops_nothing(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_event: Event) -> None:
        raise ZeroDivisionError

    caplog.set_level("INFO")
    with overheard_by(broken):
        write(RENEWED)
    assert [vars(record)["event"] for record in caplog.records] == ["file.renewed"]
    assert "ZeroDivisionError" in capsys.readouterr().err
