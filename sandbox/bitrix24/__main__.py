"""`python -m sandbox.bitrix24`: a portal to play with, until Ctrl+C."""

from __future__ import annotations

import argparse
import signal
import threading

from sandbox.bitrix24 import ENTERPRISE_RATE, STANDARD_RATE, BitrixSandbox


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.bitrix24", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--secret", help="the webhook's secret (default: a random one)")
    parser.add_argument("--finish-after", type=float, metavar="SECONDS", help="let people finish every task")
    parser.add_argument("--rate", choices=("none", "standard", "enterprise"), default="none")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rate = {"none": None, "standard": STANDARD_RATE, "enterprise": ENTERPRISE_RATE}[options.rate]
    with BitrixSandbox(port=options.port, secret=options.secret, rate=rate) as portal:
        if options.finish_after is not None:
            portal.people(auto_finish_after=options.finish_after, answers=("ДА", "НЕТ"))
        print(portal.webhook_url, flush=True)  # noqa: T201  # the address is this command's output
        stop.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
