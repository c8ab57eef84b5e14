"""Every operation is played with by its own document, with all the checks that schemathesis has.

But the stream of events: schemathesis reads an answer to its end, and that one has none; see tests/api/test_streams.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.process import ROOT
from sandbox.prometheus import Promtool
from testbench.daemon import Daemon
from testbench.harness import ERRORS, wait_until
from tests.api.support import OPERATOR, TIMEOUT, Client, journalled, serving
from tests.journal.support import LIFE
from tests.operation.support import desk_of, put, report

EXAMPLES = 20  # of each operation, beside those that schemathesis always tries


@pytest.fixture
def client(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> Iterator[Client]:
    with (
        BitrixSandbox() as portal,
        Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}),
        desk_of(vhost, tmp_path) as desk,
        serving(desk, unsafe_per_minute=1_000_000) as client,
    ):
        wait_until(lambda: client.ask("GET", "/readyz").status_code == 200, TIMEOUT, "the worker")
        journalled(desk, LIFE)
        broker.declare(ERRORS)
        put(broker, ERRORS, *(report(f"task-{number}") for number in range(5)))
        yield client


def test_no_operation_breaks_a_promise_of_the_document(client: Client, tmp_path: Path, foreign_programs: None) -> None:
    (tmp_path / "schemathesis.toml").write_text(f'[auth.openapi.bearer]\nbearer = "{OPERATOR}"\n')
    command = (
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{client.base}/openapi.json"),
        *("--checks", "all", "--max-examples", str(EXAMPLES)),
        *("--exclude-operation-id", "streamEvents"),
        *("--continue-on-failure", "--no-color", "--generation-database", "none", "--seed", "1"),
    )
    environ = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-30_000:] + done.stderr


def test_prometheus_reads_the_worker_s_metrics_and_the_api_s_here(client: Client, judge: Promtool) -> None:
    told = client.ask("GET", "/metrics")
    assert told.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(told.text)}
    assert [sample.value for sample in families["task_creator_ready"].samples] == [1.0]
    assert "task_creator_messages_received" in families
    assert [sample.value for sample in families["task_creator_worker_reachable"].samples] == [1.0]
    assert "task_creator_http_requests" in families
    assert [*families["task_creator_errors_waiting"].samples]
    names = re.findall(r"^# TYPE (\S+)", told.text, re.MULTILINE)
    assert len(names) == len(set(names)), "no family comes from both"
    judgement = judge.check_metrics(told.content)
    assert judgement.is_good, judgement.text
