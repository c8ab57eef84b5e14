"""The real daemon with faults that only its own process can have.

    python -m benchmarks.faults.daemon --kill created:5

Nothing of this is in the daemon's own code: before `main.run` a kill point is put around one of its functions
(benchmarks.faults.killpoints), a protection is taken out of it (benchmarks.faults.removals), its clock is made wrong
(benchmarks.faults.clock), names are kept from it (benchmarks.faults.dns), or its trackers ask about few tasks at once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import main
from benchmarks.faults import clock, killpoints, removals
from benchmarks.faults import dns as names
from consumers.bitrix import BitrixTaskTracker
from consumers.onec import OneCTracker
from consumers.openproject import OpenProjectTaskTracker


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.daemon", description=__doc__)
    parser.add_argument("--kill", metavar="POINT:N", help="SIGKILL when the point is reached for the N-th time")
    parser.add_argument("--system", metavar="NAME", default="bitrix24", help="whose kill points are meant")
    parser.add_argument("--without", metavar="PROTECTION", choices=sorted(removals.REMOVALS))
    parser.add_argument("--poison", metavar="WORD", help="the handler ends the process for a task with it in its title")
    parser.add_argument("--clock", metavar="FILE", type=Path, help="the wall clock is wrong by what the file says")
    parser.add_argument("--nameless", metavar="FILE", type=Path, help="no name can be resolved while the file exists")
    parser.add_argument("--chunk", metavar="N", type=int, help="a tracker asks about N tasks at once")
    chosen = parser.parse_args(arguments)
    if chosen.clock:
        clock.install(chosen.clock)
    if chosen.nameless:
        names.install(chosen.nameless)
    if chosen.without:
        removals.REMOVALS[chosen.without]()
    if chosen.kill:
        point, _, count = chosen.kill.partition(":")
        killpoints.install(point, int(count), chosen.system)
    if chosen.chunk:
        for tracker in (BitrixTaskTracker, OpenProjectTaskTracker, OneCTracker):
            tracker.chunk_size = chosen.chunk
    if chosen.poison:
        killpoints.install_poison(chosen.poison)
    return main.main(["run"])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
