"""A client that a program makes of the committed document drives one whole story."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from operation.desk import Desk
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.process import ROOT
from testbench.harness import ERRORS, RESPONSES, wait_until
from tests.api.support import OPERATOR, TIMEOUT, Client
from tests.cli.operator.test_errors import NEWCOMER, fail, hire
from tests.operation.support import INPUT, desk_of
from tools.documents import OPENAPI

# The generator knows no zip files; bytes are bytes.
CONFIG = "content_type_overrides:\n  application/zip: application/octet-stream\n"


@pytest.fixture
def desk(vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as desk:
        yield desk


class Generated:
    """The package that was made; `ask("messages.search", q="x")` returns what the operation answers."""

    def __init__(self, name: str, base: str) -> None:
        self._name = name
        package = importlib.import_module(name)
        self._client = package.AuthenticatedClient(base_url=base, token=OPERATOR, timeout=TIMEOUT)
        self.models: Any = importlib.import_module(f"{name}.models")

    def close(self) -> None:
        self._client.get_httpx_client().close()

    def ask(self, operation: str, *path: str, **told: Any) -> Any:
        module = importlib.import_module(f"{self._name}.api.{operation}")
        answer = module.sync(*path, client=self._client, **told)
        assert not isinstance(answer, self.models.ProblemAnswer), answer
        return answer


@pytest.fixture
def generated(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Generated]:
    name = f"client_{uuid.uuid4().hex}"
    (tmp_path / "config.yaml").write_text(CONFIG)
    programs = Path(sys.executable).parent
    done = subprocess.run(
        (
            *(str(programs / "openapi-python-client"), "generate", "--fail-on-warning", "--meta", "none"),
            *("--path", str(ROOT / OPENAPI), "--output-path", str(tmp_path / name)),
            *("--config", str(tmp_path / "config.yaml")),
        ),
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    made = Generated(name, client.base)
    yield made
    made.close()


def wait(what: str, is_so: Callable[[], bool]) -> None:
    wait_until(is_so, TIMEOUT, what)


@pytest.mark.usefixtures("worker", "foreign_programs")
def test_a_generated_client_drives_a_whole_story(broker: Broker, portal: BitrixSandbox, generated: Generated) -> None:
    ask, models = generated.ask, generated.models
    wait("the worker", lambda: bool(ask("status.get_status").verdict == "ok"))

    # A task is sent, found, finished by a person and answered.
    sent = ask("messages.send_message", body=models.Send(queue="bitrix24", title="Согласовать договор 118"))
    wait("the task", lambda: ask("messages.trace", q=sent.id, elsewhere=False).trace is not None)
    wait("a person", lambda: bool(ask("messages.get_message_trace", sent.id).stage == "tracking"))
    trace = ask("messages.get_message_trace", sent.id)
    assert [step.stage for step in trace.steps][-1] == "tracking"
    portal.finish(int(trace.message.external_id), answer="ДА")
    polled = ask("messages.poll_message", sent.id, body=models.Poll(seconds=60.0))
    assert (polled.was_asked, polled.message.state) == (True, "done")
    assert broker.count(RESPONSES) == 1

    # Others fail for one cause, which is mended, and the group is put back.
    fail(broker, "a", "b", "c")
    wait("the group", lambda: [each.count for each in ask("errors.list_error_groups").items] == [3])
    [group] = ask("errors.list_error_groups").items
    dry = ask("errors.start_retry", body=models.Retry(group=group.group, dry_run=True))
    assert (type(dry).__name__, dry.would_be_moved) == ("DryRun", 3)

    [failed] = ask("errors.get_message_failure", "a").items
    assert str(NEWCOMER) in failed.original
    hire(portal)
    key = uuid.uuid4().hex
    job = ask("errors.start_retry", body=models.Retry(group=group.group, expected_count=3), idempotency_key=key)
    again = ask("errors.start_retry", body=models.Retry(group=group.group, expected_count=3), idempotency_key=key)
    assert again.id == job.id
    wait("the job", lambda: ask("errors.get_retry", job.id).finished is not None)
    ended = ask("errors.get_retry", job.id)
    assert (ended.done_anew, ended.failed_again, ended.pending) == (3, 0, 0)
    assert broker.count(ERRORS) == 0

    # Pages, pauses, settings, files.
    first = ask("messages.list_messages", limit=2)
    second = ask("messages.list_messages", limit=2, before=first.next_before)
    assert len({each.id for each in (*first.items, *second.items)}) == 4
    ask("status.pause_system", "bitrix24", body=models.Pause(seconds=3600.0, reason="update"))
    assert ask("status.get_system", "bitrix24").hold.reason == "update"
    ask("status.resume_system", "bitrix24")
    assert ask("status.check_system", "bitrix24", body=models.Nothing()).is_usable
    assert any(each.variable == "BITRIX_WEBHOOK_URL" for each in ask("settings.get_config").settings)
    assert ask("messages.get_message_bundle", sent.id).payload.read(2) == b"PK"

    def acts() -> set[str]:
        events = ask("messages.list_events", code="operator.acted").items
        return {each.line.partition(":")[2].split()[0] for each in events}

    wait("what was done, in the journal", lambda: acts() == {"send", "track", "errors", "pause", "resume"})
    assert broker.count(INPUT) == 0
