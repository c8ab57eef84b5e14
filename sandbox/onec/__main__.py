"""`python -m sandbox.onec`: an infobase to play with, until Ctrl+C."""

from __future__ import annotations

import argparse
import signal
import threading

from sandbox.onec import OneCSandbox


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.onec", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--finish-after", type=float, metavar="SECONDS", help="let people finish every task")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with OneCSandbox(port=options.port) as base:
        if options.finish_after is not None:
            base.people(auto_finish_after=options.finish_after)
        lines = (f"ONEC_URL={base.url}", f"ONEC_USERNAME={base.username}", f"ONEC_PASSWORD={base.password}")
        print(*lines, sep="\n", flush=True)  # noqa: T201  # the address is this command's output
        stop.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
