"""What happens to the machine: a clock that jumps, disks that are full, folders that cannot be used, no names,
no descriptors.

All of it works without privileges: /dev/full is a disk that is full, and the kernel lets a process take limits of
another one of the same user away and give them back (prlimit(2)).
"""

from __future__ import annotations

import errno
import os
import random
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.row import Row
from benchmarks.faults.rows.network import no_connection_was_lost
from benchmarks.faults.rows.worker import kill
from benchmarks.faults.stage import Stage

GROUP = "host"

HOUR = 3600.0
FULL_DISK = Path("/dev/full")
LOG_NAMES = ("worker.log", "worker_errors.log")
LARGEST_FILE = 4096  # bytes that a file may have on the "full" disk: the journal of starts needs more
FEW_DESCRIPTORS = 8  # all of them are in use
EVENT_TIMEOUT = 15.0  # seconds; the daemon tries a log file again every five


def rows() -> list[Row]:
    return [
        Row(
            "clock-jumps",
            GROUP,
            "the worker's wall clock goes one hour forward, two back, and one forward",
            strike=jump,
            check=showed_wrong_time_and_lost_no_connection,
            skewed=True,
        ),
        Row(
            "portal-clock-jumps",
            GROUP,
            "the portal's clock goes one hour forward or back while more tasks are open than one sweep looks at",
            strike=jump_at_the_portal,
            tasks=4800,
            people_after=20,
            patience=150,
            settings={"PREFETCH": "400"},
            short=False,
        ),
        Row("log-disk-full", GROUP, "no log file can be written (no space left on device)", strike=fill_log_disk),
        Row(
            "state-folder-unusable",
            GROUP,
            "STATE_DIR cannot be made, and the worker is killed",
            strike=kill,
            check=was_told_of_state_folder,
            settings={"STATE_DIR": "/dev/null/state"},
            may_answer_twice=True,
            short=False,
        ),
        Row(
            "disk-full",
            GROUP,
            f"no file can grow beyond {LARGEST_FILE} bytes when the worker starts and while it works",
            strike=start_on_full_disk,
            short=False,
        ),
        Row(
            "names-lost",
            GROUP,
            "every connection is lost, and for 3 s no name can be resolved: neither RabbitMQ's nor the portal's",
            strike=lose_names,
            check=was_told_of_names,
            nameless=True,
            may_answer_twice=True,
        ),
        Row(
            "descriptors-exhausted",
            GROUP,
            "every connection is closed, and the worker has no file descriptor for a new one",
            strike=take_descriptors,
            check=was_short_of_descriptors,
            may_answer_twice=True,
        ),
    ]


def jump(stage: Stage, _chance: random.Random) -> None:
    for error in (HOUR, -HOUR, 0.0):
        stage.set_clock_error(error)
        stage.feed(10, 0.3)
        stage.pause(0.7)


def showed_wrong_time_and_lost_no_connection(stage: Stage) -> Sequence[str]:
    hours = {line[:13] for line in stage.worker.output().splitlines() if line.startswith("20")}  # 2026-11-23 23
    seen = [] if len(hours) >= 3 else [f"the log shows the hours {sorted(hours)} only"]
    return [*seen, *no_connection_was_lost(stage)]


def jump_at_the_portal(stage: Stage, chance: random.Random) -> None:
    stage.portal.state.clock.offset = chance.choice((-HOUR, 0.0, HOUR))
    stage.pause(1)


def fill_log_disk(stage: Stage, _chance: random.Random) -> None:
    logs = [stage.worker.folder / "logs" / name for name in LOG_NAMES]
    failed, recovered = _count(stage, "log.file_failed"), _count(stage, "log.file_recovered")
    for log in logs:
        log.unlink(missing_ok=True)
        log.symlink_to(FULL_DISK)
    try:
        stage.feed(20, 0.5)
        _wait_for_event(stage, "log.file_failed", failed)
    finally:
        for log in logs:
            log.unlink()
    _wait_for_event(stage, "log.file_recovered", recovered)


def start_on_full_disk(stage: Stage, _chance: random.Random) -> None:
    stage.worker.terminate()
    # It has just been started and is far from its first file: nothing is written before the limit is there.
    with _limited(stage.worker.pid, resource.RLIMIT_FSIZE, LARGEST_FILE):
        before = stage.progress()
        stage.feed(20, 0.5)
        if not stage.wait_for(lambda: stage.progress() != before and stage.driver.is_idle, EVENT_TIMEOUT):
            raise TimeoutError("the worker does nothing on a full disk")
        stage.pause(1)
        if list((stage.worker.folder / "state").glob("*.starts")):
            raise TimeoutError("the worker has a journal of starts although the disk is full")


def was_told_of_state_folder(stage: Stage) -> Sequence[str]:
    told = _count(stage, "starts.unusable")
    return [] if told >= stage.worker.starts else [f"{stage.worker.starts} starts, {told} warnings"]


def lose_names(stage: Stage, _chance: random.Random) -> None:
    with stage.names_lost():
        stage.portal.go_down()
        stage.portal.come_back()  # its connections are gone
        stage.feed(20, 0.5)
        stage.pause(1)
        stage.node.close_all_connections()
        stage.pause(2)


def was_told_of_names(stage: Stage) -> Sequence[str]:
    output = stage.worker.output()
    told = ("its name cannot be resolved", "Temporary failure in name resolution")
    return [f"the log does not say: {text}" for text in told if text not in output]


def take_descriptors(stage: Stage, _chance: random.Random) -> None:
    with _limited(stage.worker.pid, resource.RLIMIT_NOFILE, FEW_DESCRIPTORS):
        stage.node.close_all_connections()
        stage.feed(20, 0.5)
        stage.pause(3)


def was_short_of_descriptors(stage: Stage) -> Sequence[str]:
    return [] if os.strerror(errno.EMFILE) in stage.worker.output() else ["the worker had descriptors enough"]


@contextmanager
def _limited(pid: int, limit: int, value: int) -> Iterator[None]:
    soft, hard = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (value, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, limit, (soft, hard))


def _count(stage: Stage, event: str) -> int:
    return stage.worker.output().count(event)


def _wait_for_event(stage: Stage, event: str, before: int) -> None:
    if not stage.wait_for(lambda: _count(stage, event) > before, EVENT_TIMEOUT):
        raise TimeoutError(f"the worker did not say {event}")
