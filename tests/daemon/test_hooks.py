"""From a person's click to Camunda's response over a hook; and when all hooks are lost, by the sweep."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.openproject import OpenProjectSandbox
from testbench.api import Api
from testbench.daemon import Daemon
from testbench.harness import RESPONSES, camunda_message, wait_until
from tests.daemon.test_bitrix import QUEUE, SENT, ids, publish

NEVER = {"HEARTBEAT_INTERVAL": "3600"}  # no sweep comes by itself within a story
COUNT = 10


@contextmanager
def told_by(
    vhost: BrokerAddress, folder: Path, system: BitrixSandbox | OpenProjectSandbox
) -> Iterator[tuple[Api, str]]:
    """The API beside the worker of the folder, and the address of its hook."""
    api = Api(folder / "api", {**vhost.environment(), "STATE_DIR": str(folder / "state")})
    url = api.told_by(system)
    with api:
        api.wait_until_up()
        yield api, url


@pytest.fixture(autouse=True)
def _queues(broker: Broker) -> None:
    """They are there before the worker, which would make them in its own way."""
    for queue in (QUEUE, "openproject.queue"):
        broker.declare(queue)


def post(url: str, form: Mapping[str, str]) -> None:
    with suppress(OSError), urllib.request.urlopen(url, urlencode(form).encode(), timeout=30):
        pass


def test_a_click_is_answered_although_no_sweep_is_due(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
    with (
        BitrixSandbox() as portal,
        Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url, **NEVER}) as worker,
        told_by(vhost, tmp_path, portal),
    ):
        publish(broker, COUNT)
        broker.wait_for_count(SENT, COUNT)
        for task_id in ("task-3", "task-7"):
            portal.finish(portal.tasks_by_key()[task_id][0], answer="ДА")
        broker.wait_for_count(RESPONSES, 2)
        assert set(ids(broker, RESPONSES)) == {"task-3", "task-7"}
        assert worker.stop() == 0


def test_a_closed_work_package_is_answered_although_no_sweep_is_due(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    with OpenProjectSandbox() as server:
        variables = {
            "OPENPROJECT_URL": server.url,
            "OPENPROJECT_TOKEN": server.token,
            "OPENPROJECT_DEFAULT_PROJECT": "contracts",
        }
        with Daemon(vhost, tmp_path, {**variables, **NEVER}), told_by(vhost, tmp_path, server):
            asked = {"topic": "op_create_task", "system": "openproject", "variables": {}}
            for task_id in ("task-1", "task-2"):
                broker.publish("openproject.queue", camunda_message(task_id, **asked))
            broker.wait_for_count("openproject.sent.queue", 2)
            server.close(server.by_key()["task-2"][0])
            broker.wait_for_count(RESPONSES, 1)
            assert set(ids(broker, RESPONSES)) == {"task-2"}


def test_forged_doubled_and_foreign_hooks_finish_nothing_and_hold_up_nothing(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    with (
        BitrixSandbox() as portal,
        Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url, **NEVER}) as worker,
        told_by(vhost, tmp_path, portal) as (_, url),
    ):
        publish(broker, COUNT)
        broker.wait_for_count(SENT, COUNT)
        [token] = [hook.token for hook in portal.webhooks]
        known = portal.tasks_by_key()
        own = [portal.create_task("Своя задача") for _ in range(50)]
        with ThreadPoolExecutor(8) as pool:
            for each in (*own, 77777):
                for given in (token, "forged", token):
                    form = {"event": "ONTASKUPDATE", "data[FIELDS_AFTER][ID]": str(each)}
                    pool.submit(post, url, {**form, "auth[application_token]": given})
        for each in own:
            portal.finish(each)
        portal.finish(known["task-5"][0], answer="НЕТ")
        broker.wait_for_count(RESPONSES, 1)
        assert set(ids(broker, RESPONSES)) == {"task-5"}
        assert broker.count(SENT) == COUNT - 1
        assert worker.stop() == 0


@pytest.mark.parametrize("dead", ["api", "never there"])
def test_without_hooks_the_sweep_finishes_everything(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path, dead: str
) -> None:
    with BitrixSandbox() as portal, Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as worker:
        with told_by(vhost, tmp_path, portal) as (api, _):
            publish(broker, COUNT)
            broker.wait_for_count(SENT, COUNT)
            if dead == "api":
                api.kill()
            else:
                portal.webhooks.clear()
            for [task] in portal.tasks_by_key().values():
                portal.finish(task, answer="ДА")
            broker.wait_for_count(RESPONSES, COUNT)
        assert len(ids(broker, RESPONSES)) == COUNT
        assert worker.stop() == 0


def test_a_worker_that_comes_later_misses_nothing(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
    with BitrixSandbox() as portal, told_by(vhost, tmp_path, portal) as (api, _):
        variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, **NEVER}
        with Daemon(vhost, tmp_path, variables) as worker:
            publish(broker, COUNT)
            broker.wait_for_count(SENT, COUNT)
            worker.kill()
            for [task] in portal.tasks_by_key().values():
                portal.finish(task, answer="ДА")
            wait_until(lambda: "no worker hears of changed tasks" in api.output(), 60, "the line")
            worker.start()
            broker.wait_for_count(RESPONSES, COUNT)
            assert len(ids(broker, RESPONSES)) == COUNT
