"""What a process costs, as the kernel counts it: CPU time, memory, threads, file descriptors (Linux: /proc)."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024  # bytes

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_seconds` since the process began (user and system), memory in bytes, `peak_memory` since it began."""

    cpu_seconds: float
    memory: int
    peak_memory: int
    threads: int
    descriptors: int


def usage(pid: int) -> Usage:
    """Raises FileNotFoundError or ProcessLookupError when there is no such process."""
    folder = Path(f"/proc/{pid}")
    # The command's name may contain spaces and brackets; the fields that are wanted stand behind the last bracket.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Usage(
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        memory=_kilobytes(status, "VmRSS"),
        peak_memory=_kilobytes(status, "VmHWM"),
        threads=int(status["Threads"]),
        descriptors=sum(1 for _ in (folder / "fd").iterdir()),
    )


def family_usage(pid: int) -> Usage:
    """The process and all that descend from it, added up; shared memory counts for each that maps it."""
    usages = [usage(each) for each in _family(pid)]
    return Usage(
        cpu_seconds=sum(each.cpu_seconds for each in usages),
        memory=sum(each.memory for each in usages),
        peak_memory=sum(each.peak_memory for each in usages),
        threads=sum(each.threads for each in usages),
        descriptors=sum(each.descriptors for each in usages),
    )


def _family(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _family(int(child))


def machine(rabbitmq: str | None = None) -> dict[str, str]:
    """What a reader must know of the machine, and of the broker's version, to compare: no figure stands without it."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": f"{processor}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"Python {platform.python_version()}",
        **({"rabbitmq": f"RabbitMQ {rabbitmq}"} if rabbitmq else {}),
    }


def _kilobytes(status: Mapping[str, str], name: str) -> int:
    return int(status[name].split()[0]) * 1024
