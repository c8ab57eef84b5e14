"""Logs: one fact a line, no secrets, and no disk, terminal or message that can stop the work or forge a line."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import WorkerSettings
from core.repeats import REPEAT_INTERVAL
from core.secrets import Secrets
from core.texts import escape
from runtime.log_files import RETRY_INTERVAL, Failed, LogFile, Recovered
from runtime.log_format import FIELD_LIMIT, STATS_LIMIT, TRACEBACK_LIMIT, JsonFormatter, TextFormatter
from runtime.logs import LoggingHandle, WorkerLogHandler, setup_logging
from sandbox.process import ROOT

SECRET = "correct-horse-battery"
log = logging.getLogger("test.logs")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Logs:
    """The logging of a worker in a folder of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.console = io.StringIO()
        self.clock = Clock()
        self._settings = WorkerSettings(**{"log_dir": folder} | settings)
        self.handle: LoggingHandle | None = None

    def __enter__(self) -> Logs:
        self.handle = setup_logging(self._settings, Secrets([SECRET]), console=self.console, clock=self.clock)
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle:
            self.handle.close()

    def take(self, each: logging.LogRecord) -> None:
        """Hands over a record that pytest's own handler would choke on."""
        (handler,) = (known for known in logging.getLogger().handlers if isinstance(known, WorkerLogHandler))
        handler.handle(each)

    def lines(self, name: str = "worker.log") -> list[str]:
        path = self.folder / name
        return path.read_text("utf-8").splitlines() if path.exists() else []

    @property
    def on_console(self) -> list[str]:
        return self.console.getvalue().splitlines()


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    with Logs(tmp_path / "logs", log_level="DEBUG") as running:
        yield running


@pytest.fixture
def json_logs(tmp_path: Path) -> Iterator[Logs]:
    with Logs(tmp_path / "logs", log_format="json") as running:
        yield running


def record(text: object = "text", *args: object, **extra: Any) -> logging.LogRecord:
    known = {"name": "test", "levelno": logging.INFO, "levelname": "INFO", "msg": text, "args": args}
    return logging.makeLogRecord(known | extra)


class TestPlaces:
    def test_every_line_goes_to_the_console_and_to_worker_log(self, logs: Logs) -> None:
        log.info("one")
        log.error("two")
        assert logs.lines() == logs.on_console
        assert [line.endswith(text) for line, text in zip(logs.lines(), ("one", "two"), strict=True)] == [True, True]

    def test_worker_errors_log_holds_errors_alone(self, logs: Logs) -> None:
        log.warning("not here")
        log.error("here")
        log.critical("and here")
        assert [line.rsplit("  ", 1)[1] for line in logs.lines("worker_errors.log")] == ["here", "and here"]

    def test_the_level_of_the_settings_holds(self, tmp_path: Path) -> None:
        with Logs(tmp_path, log_level="WARNING") as running:
            log.info("too little")
            log.warning("enough")
        assert len(running.lines()) == 1

    def test_chatty_libraries_are_held_down(self, logs: Logs) -> None:
        logging.getLogger("urllib3.connectionpool").debug("POST /rest/1/code")
        logging.getLogger("urllib3.connectionpool").warning("retrying")
        logging.getLogger("pika.adapters").error("a traceback for a refused connection, which ours tell in a line")
        assert len(logs.lines()) == 1

    def test_closing_gives_everything_back(self, tmp_path: Path) -> None:
        root = logging.getLogger()
        before = (list(root.handlers), root.level, logging.getLogger("pika").level)
        with Logs(tmp_path, log_level="DEBUG") as running:
            log.info("inside")
        assert running.handle is not None
        running.handle.close()
        log.error("outside")
        assert (list(root.handlers), root.level, logging.getLogger("pika").level) == before
        assert len(running.lines()) == 1

    def test_threads_do_not_mix_their_lines(self, logs: Logs) -> None:
        def work(name: str) -> None:
            for number in range(50):
                log.info("%s-%s", name, number, extra={"task_id": name})

        threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = [re.fullmatch(r".* task=(t\d)  (t\d)-\d+", line) for line in logs.lines()]
        assert len(told) == 200
        assert all(match and match[1] == match[2] for match in told)


class TestText:
    def test_the_parts_of_a_line_stand_at_fixed_places(self, logs: Logs) -> None:
        whose = {
            "task_id": "8f6c1a52",
            "process_instance_id": "a91e0c",
            "system": "bitrix24",
            "queue": "bitrix24.queue",
        }
        extra = {**whose, "event": "task.created", "external_id": "48211", "attempt": 2, "duration_s": 0.61}
        log.info("Создана задача Bitrix24 №%s", 48211, extra=extra)
        (line,) = logs.lines()
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO  bitrix24 task\.created         "
            r"task=8f6c1a52 pi=a91e0c ext=48211 queue=bitrix24\.queue attempt=2 duration_s=0\.61  "
            r"Создана задача Bitrix24 №48211",
            line,
        )

    def test_a_line_without_fields_names_its_logger(self, logs: Logs) -> None:
        log.debug("hello")
        assert logs.lines()[0].endswith("DEBUG -        test.logs             hello")

    def test_a_value_cannot_pretend_to_be_another_field(self) -> None:
        line = TextFormatter(Secrets()).format(record(task_id='x" attempt=9 y', reason="", note="a=b"))
        assert r'task="x\" attempt=9 y" reason="" note="a=b"' in line


class TestJson:
    def test_a_line_is_one_flat_object(self, json_logs: Logs) -> None:
        whose = {"task_id": "8f6c1a52", "system": "bitrix24", "attempt": 2}
        extra = {**whose, "event": "task.created", "external_id": "48211", "duration_s": 0.61, "duplicate": False}
        log.info("Создана задача №%s", 48211, extra=extra)
        line = json.loads(json_logs.lines()[0])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
        assert line == {
            "level": "info",
            "event": "task.created",
            "msg": "Создана задача №48211",
            "logger": "test.logs",
            "system": "bitrix24",
            "task_id": "8f6c1a52",
            "attempt": 2,
            "external_id": "48211",
            "duration_s": 0.61,
            "duplicate": False,
        }

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, object(), b"\xff"])
    def test_a_value_that_json_has_not_becomes_text(self, value: object) -> None:
        line = json.loads(JsonFormatter(Secrets()).format(record(value=value)), parse_constant=pytest.fail)
        assert line["value"] == str(value)[: FIELD_LIMIT - 1] or line["value"] == str(value)

    def test_an_object_or_a_list_is_written_as_json_in_its_field(self) -> None:
        line = json.loads(JsonFormatter(Secrets()).format(record(own={"total": 1, "systems": ["Битрикс24"]})))
        assert line["own"] == '{"total": 1, "systems": ["Битрикс24"]}'

    def test_the_statistics_are_an_object_for_machines_and_a_line_for_people(self) -> None:
        stats = {"total": 1, "rate": 99.5, "systems": {"bitrix24": {"paused": None, "down": ["a", "b"], "ok": True}}}
        line = json.loads(JsonFormatter(Secrets()).format(record("total=1", stats=stats, event="heartbeat")))
        assert (line["stats"], line["msg"]) == (stats, "total=1")
        assert re.search(r"INFO  - +test +total=1$", TextFormatter(Secrets()).format(record("total=1", stats=stats)))
        assert TextFormatter(Secrets()).format(record("x", stats="a word of somebody's")).endswith('"  x')

    def test_whatever_a_handler_counts_is_masked_bounded_json(self) -> None:
        circle: dict[Any, Any] = {"nan": float("nan"), 7: object, "secret": {SECRET: [f"a {SECRET}"]}}
        circle["again"] = circle
        for stats in (circle, {"many": list(range(100_000))}, {"long": ["x" * FIELD_LIMIT] * 100}):
            line = JsonFormatter(Secrets([SECRET])).format(record(stats=stats))
            assert len(line) < 2 * STATS_LIMIT
            assert SECRET not in line
            json.loads(line, parse_constant=pytest.fail)

    def test_a_field_cannot_replace_what_the_line_itself_says(self) -> None:
        line = json.loads(JsonFormatter(Secrets()).format(record("real", ts="1970", level="debug", logger="other")))
        assert (line["msg"], line["level"], line["logger"]) == ("real", "info", "test")
        assert (line["ts_"], line["level_"], line["logger_"]) == ("1970", "debug", "other")


class TestOneLine:
    FORGED = "x\n2026-11-23 00:00:00.000 ERROR forged\r\x1b[31m\u2028\u202e\x85\x00\ud800"

    @given(text=st.text(), value=st.text(), name=st.sampled_from(["task_id", "event", "system", "anything"]))
    def test_whatever_is_logged_is_one_printable_line(self, text: str, value: str, name: str) -> None:
        for formatter in (TextFormatter(Secrets()), JsonFormatter(Secrets())):
            line = formatter.format(record(text, **{name: value}))
            assert len(line.splitlines()) == 1
            assert line == escape(line)
            line.encode()

    @given(text=st.text(max_size=200), value=st.text(max_size=200))
    def test_json_gives_the_data_back_unchanged(self, text: str, value: str) -> None:
        line = json.loads(JsonFormatter(Secrets()).format(record("%s", text, value=value)))
        assert (line["msg"], line["value"]) == (Secrets().mask(text), Secrets().mask(value))

    def test_a_message_cannot_forge_a_line(self, logs: Logs) -> None:
        log.warning("title: %s", self.FORGED, extra={"title": self.FORGED})
        try:
            raise ValueError(self.FORGED)
        except ValueError:
            log.exception("failed")
        assert len(logs.lines()) == 2
        for character in "\x1b\u2028\u202e\x85\x00":
            assert character not in logs.console.getvalue()

    def test_a_traceback_stays_on_the_line_and_ends_with_the_reason(self, logs: Logs) -> None:
        try:
            raise ValueError("the reason")
        except ValueError:
            log.exception("failed")
        (line,) = logs.lines("worker_errors.log")
        assert "  failed\\nTraceback (most recent call last):\\n" in line
        assert line.endswith("ValueError: the reason")

    def test_long_fields_are_cut_and_of_a_traceback_the_end_is_kept(self, json_logs: Logs) -> None:
        try:
            raise ValueError("x" * 100_000 + " the reason")
        except ValueError:
            log.exception("y" * 100_000, extra={"title": "z" * 100_000})
        line = json.loads(json_logs.lines()[0])
        assert len(line["msg"]) == len(line["title"]) == FIELD_LIMIT
        assert len(line["exc"]) == TRACEBACK_LIMIT
        assert line["exc"].endswith("the reason")

    def test_a_wrong_placeholder_loses_no_line(self, logs: Logs) -> None:
        logs.take(record("%d of %d tasks", "three"))
        assert logs.lines()[0].endswith("%d of %d tasks ('three',)")

    def test_a_value_that_cannot_be_printed_stops_nothing(self, logs: Logs) -> None:
        class Hostile:
            def __str__(self) -> str:
                raise RuntimeError(SECRET)

        logs.take(record("task %s", Hostile()))
        log.info("next")
        assert "a record of test" in logs.lines()[0]
        assert "error=RuntimeError" in logs.lines()[0]
        assert SECRET not in logs.console.getvalue()
        assert logs.lines()[1].endswith("next")


class TestSecretsInLogs:
    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_no_place_and_no_part_of_a_record_shows_a_secret(self, log_format: str, tmp_path: Path) -> None:
        with Logs(tmp_path, log_format=log_format) as running:
            log.info(
                "%s",
                SECRET,
                extra={
                    "context": f"c {SECRET}",
                    "url": f"https://portal/rest/1/{SECRET}/x",
                    "object": {"deep": [SECRET]},
                },
            )
            log.info(f"https://portal/rest/1/not-registered-{SECRET[::-1]}/x", stack_info=True)
            try:
                try:
                    raise KeyError(SECRET)
                except KeyError as error:
                    raise ConnectionError(f"amqp://user:{SECRET[::-1]}@host") from error
            except ConnectionError:
                log.exception("failed with %s", SECRET)
        written = running.console.getvalue() + "".join(path.read_text() for path in tmp_path.iterdir())
        assert len(running.lines()) == 3
        assert SECRET not in written
        assert SECRET[::-1] not in written

    @given(before=st.integers(FIELD_LIMIT - 40, FIELD_LIMIT + 5))
    def test_a_secret_is_masked_before_the_text_is_cut(self, before: int) -> None:
        line = JsonFormatter(Secrets([SECRET])).format(record("x" * before + SECRET))
        assert SECRET[:4] not in line


class TestRepeats:
    def test_a_repeated_error_is_told_once_a_minute_with_a_count(self, logs: Logs) -> None:
        for _ in range(500):
            log.error("no connection", extra={"throttle": "connect"})
        log.error("something else")
        log.error("other key", extra={"throttle": "other"})
        logs.clock.now += REPEAT_INTERVAL
        log.error("no connection", extra={"throttle": "connect"})
        log.error("no connection", extra={"throttle": "connect"})
        told = [line.split(" ERROR ")[1] for line in logs.lines()]
        assert [line.rsplit("  ", 1)[1] for line in told] == [
            "no connection",
            "something else",
            "other key",
            "no connection",
        ]
        assert "suppressed" not in told[0]
        assert "suppressed=499" in told[3]
        assert len(logs.lines("worker_errors.log")) == len(logs.on_console) == 4


class TestRotation:
    def test_files_stay_below_their_size_and_number_and_lose_no_line(self, tmp_path: Path) -> None:
        file = LogFile(tmp_path / "a.log", max_bytes=100, backups=20)
        lines = [f"line {number:03}" for number in range(120)]
        for line in lines:
            assert file.write(line) is None
        file.close()
        paths = sorted(tmp_path.iterdir(), key=lambda path: -int(path.suffix[1:]) if path.suffix != ".log" else 0)
        assert max(path.stat().st_size for path in paths) <= 100
        assert "".join(path.read_text() for path in paths).split("\n")[:-1] == lines

    @pytest.mark.parametrize("backups", [0, 1, 3])
    def test_no_more_backups_are_kept_than_asked_for(self, backups: int, tmp_path: Path) -> None:
        file = LogFile(tmp_path / "a.log", max_bytes=50, backups=backups)
        for number in range(100):
            file.write(f"line {number}")
        file.close()
        assert len(list(tmp_path.iterdir())) == backups + 1
        assert (tmp_path / "a.log").read_text().endswith("line 99\n")

    def test_a_line_longer_than_the_file_is_still_written(self, tmp_path: Path) -> None:
        file = LogFile(tmp_path / "a.log", max_bytes=10, backups=1)
        file.write("x" * 100)
        file.write("y" * 100)
        file.close()
        assert (tmp_path / "a.log").read_text() == "y" * 100 + "\n"

    def test_a_removed_or_moved_file_is_begun_anew(self, tmp_path: Path) -> None:
        file = LogFile(tmp_path / "logs" / "a.log", max_bytes=1000, backups=1)
        file.write("one")
        (tmp_path / "logs" / "a.log").rename(tmp_path / "moved")
        file.write("two")
        (tmp_path / "logs" / "a.log").unlink()
        (tmp_path / "logs").rmdir()
        file.write("three")
        file.close()
        assert (tmp_path / "moved").read_text() == "one\n"
        assert (tmp_path / "logs" / "a.log").read_text() == "three\n"

    def test_two_processes_may_write_into_one_file(self, tmp_path: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from runtime.log_files import LogFile\n"
            "file = LogFile(Path(sys.argv[1]), 10_000, 50)\n"
            "for number in range(1000): file.write(f'{sys.argv[2]} {number:04}')\n"
        )
        writers = [
            subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "a.log"), name], cwd=ROOT) for name in "ab"
        ]
        assert [writer.wait(60) for writer in writers] == [0, 0]
        lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
        assert sorted(lines) == [f"{name} {number:04}" for name in "ab" for number in range(1000)]


class TestDisk:
    def test_a_full_disk_costs_lines_says_so_once_and_heals(self, tmp_path: Path) -> None:
        # /dev/full answers every write with a real ENOSPC.
        (tmp_path / "worker.log").symlink_to("/dev/full")
        with Logs(tmp_path) as running:
            for number in range(100):
                log.info("line %s", number)
                running.clock.now += 1.0
            assert len([line for line in running.on_console if "log.file_failed" in line]) == 1
            assert "No space left on device" in running.console.getvalue()
            assert len([line for line in running.on_console if "line " in line]) == 100, "the console has every line"

            (tmp_path / "worker.log").unlink()
            running.clock.now += RETRY_INTERVAL
            log.info("healed")
            log.info("and well")
        healed, told, well = running.lines()
        assert healed.endswith("healed")
        assert "log.file_recovered" in told
        assert "dropped=100" in told
        assert well.endswith("and well")

    def test_a_folder_that_is_a_file_stops_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "logs").write_text("not a folder")
        with Logs(tmp_path / "logs") as running:
            log.error("line")
            log.error("line")
            assert len([line for line in running.on_console if "log.file_failed" in line]) == 2, "one for each file"
            (tmp_path / "logs").unlink()
            running.clock.now += RETRY_INTERVAL
            log.error("line")
        assert running.lines("worker_errors.log")[0].endswith("line")
        assert "dropped=2" in running.lines("worker_errors.log")[1]

    def test_a_quota_that_ends_within_a_line_tears_no_later_line(self, tmp_path: Path) -> None:
        # The limit on file size refuses a write in the middle, as a disk does, and can be lifted again.
        script = (
            "import resource, sys; from pathlib import Path; from runtime.log_files import LogFile\n"
            "now = 0.0\n"
            "file = LogFile(Path(sys.argv[1]), 10_000_000, 1, clock=lambda: now)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1005, resource.RLIM_INFINITY))\n"
            "news = [file.write(f'line {number:04}') for number in range(200)]\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
            "now = 60.0\n"
            "news += [file.write('healed'), file.write('well')]\n"
            "print([repr(each) for each in news if each])\n"
        )
        path = tmp_path / "a.log"
        command = [sys.executable, "-c", script, str(path)]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        lines = path.read_text().splitlines()
        assert lines[:100] == [f"line {number:04}" for number in range(100)]
        assert lines[100:] == ["line ", "healed", "well"]
        assert told.count("Failed(") == told.count("Recovered(") == 1
        assert "dropped=100" in told

    def test_a_torn_line_is_ended_before_the_next_begins(self, tmp_path: Path) -> None:
        (tmp_path / "a.log").write_text("torn by a power cu")
        file = LogFile(tmp_path / "a.log", 1000, 1)
        file.write("next")
        file.close()
        assert (tmp_path / "a.log").read_text() == "torn by a power cu\nnext\n"

    def test_a_refusing_file_is_not_tried_at_every_line(self, tmp_path: Path) -> None:
        clock, path = Clock(), tmp_path / "a.log"
        path.mkdir()
        file = LogFile(path, 1000, 1, clock=clock)
        assert isinstance(file.write("one"), Failed)
        path.rmdir()
        assert file.write("two") is None
        assert not path.exists()
        clock.now += RETRY_INTERVAL
        assert file.write("three") == Recovered(path, 2)
        file.close()

    def test_a_folder_without_rights_stops_nothing(self, tmp_path: Path) -> None:
        script = (
            "import os, sys; from pathlib import Path; from runtime.log_files import LogFile\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            "print(LogFile(Path(sys.argv[1]), 1000, 1).write('line'))\n"
        )
        tmp_path.chmod(0o500)
        command = [sys.executable, "-c", script, str(tmp_path / "logs" / "a.log")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "Failed(" in done.stdout
        assert "Permission denied" in done.stdout

    def test_a_closed_console_stops_nothing(self, logs: Logs) -> None:
        logs.console.close()
        log.info("one")
        assert logs.lines()[0].endswith("one")

    @pytest.mark.parametrize("where", ["/dev/full", "a broken pipe"])
    def test_a_process_without_a_working_console_still_ends_well(self, where: str, tmp_path: Path) -> None:
        script = (
            "import logging, sys; from pathlib import Path; from config import WorkerSettings\n"
            "from runtime.logs import setup_logging; from core.secrets import Secrets\n"
            "with setup_logging(WorkerSettings(log_dir=Path(sys.argv[1])), Secrets()):\n"
            "    for number in range(1000): logging.info('line %s', number)\n"
        )
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "wb") as full:
            stderr = full.fileno() if where == "/dev/full" else writer
            command = [sys.executable, "-c", script, str(tmp_path)]
            # As people have it: with PYTHONUNBUFFERED nothing would be left to fail at the end.
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
            done = subprocess.run(command, cwd=ROOT, stderr=stderr, env=environment, check=False)
        os.close(writer)
        assert done.returncode == 0
        assert len((tmp_path / "worker.log").read_text().splitlines()) == 1000
