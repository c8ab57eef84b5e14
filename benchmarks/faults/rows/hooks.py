"""What becomes of the webhooks by which the portal tells of finished tasks: lost, cut off, doubled, forged.

A hook is a hint and no more: whatever happens to it, each task is answered, and none that nobody has finished.
"""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlencode

from benchmarks.faults.row import Row
from benchmarks.faults.stage import Stage
from sandbox.ports import free_port
from testbench.api import Api

GROUP = "hooks"

FEW = 40  # tasks of a round
DOUBLES = 3  # how often each hook comes again
FORGED = "forged"
_LONGEST = 5.0  # seconds for one hook
_RARELY = {"HEARTBEAT_INTERVAL": "20"}  # sweeps: what is answered sooner has been told


def rows() -> list[Row]:
    return [
        Row(
            "hooks-lost",
            GROUP,
            "the portal sends webhooks and nobody is there to take one: the sweep answers everything",
            strike=lose_all,
            check=were_sent,
        ),
        Row(
            "hooks-api-killed",
            GROUP,
            "the API takes webhooks and is killed while they come",
            strike=kill_the_api,
            check=were_sent,
        ),
        Row(
            "hooks-doubled-and-forged",
            GROUP,
            "sweeps are rare; webhooks come again and again, also of open and unknown tasks, and forged ones",
            strike=double_and_forge,
            check=were_sent,
            settings=_RARELY,
        ),
    ]


def lose_all(stage: Stage, _chance: random.Random) -> None:
    stage.portal.webhooks.clear()
    stage.portal.tell(f"http://127.0.0.1:{free_port()}/hooks/bitrix24/nobody-is-there")
    stage.feed(FEW, 1.0)
    stage.pause(1.0)


def kill_the_api(stage: Stage, chance: random.Random) -> None:
    with _api(stage) as (api, _):
        stage.feed(FEW, 1.0)
        stage.pause(chance.uniform(0.2, 1.0))
        api.kill()
        stage.feed(FEW, 1.0)


def double_and_forge(stage: Stage, chance: random.Random) -> None:
    with _api(stage) as (_, url):
        [hook] = stage.portal.webhooks
        stage.feed(FEW, 1.0)
        numbers = [int(each["ID"]) for each in stage.portal.tasks]
        told = [*chance.sample(numbers, min(FEW, len(numbers))), *(10**9 + number for number in range(FEW))]
        for number in told * DOUBLES:
            for token in (hook.token, FORGED):
                _post(url, number, token)
        stage.pause(1.0)


def were_sent(stage: Stage) -> Sequence[str]:
    """Without webhooks the row has shown nothing."""
    return () if stage.portal.hooks_sent >= FEW else (f"only {stage.portal.hooks_sent} webhooks were sent",)


@contextmanager
def _api(stage: Stage) -> Iterator[tuple[Api, str]]:
    """The API beside the first worker, told by the portal, and the address of its hook."""
    api = Api(stage.folder.path / f"api-{stage.round}", stage.worker.variables)
    stage.portal.webhooks.clear()
    url = api.told_by(stage.portal)
    with api:
        api.wait_until_up()
        yield api, url


def _post(url: str, number: int, token: str) -> None:
    form = {"event": "ONTASKUPDATE", "data[FIELDS_AFTER][ID]": str(number), "auth[application_token]": token}
    # The address is the stage's own.
    with suppress(OSError), urllib.request.urlopen(url, urlencode(form).encode(), timeout=_LONGEST):  # noqa: S310
        pass
