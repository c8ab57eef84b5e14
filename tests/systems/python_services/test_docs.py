"""docs/python-services.md and the READMEs of the system: the examples really run, both languages say the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from config import load_settings
from consumers.python_services.config import ServicesSettings
from consumers.python_services.registry import HttpSpec, PythonSpec
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.ports import free_port
from sandbox.process import ROOT
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message
from tests.support import documents

GUIDE, README = "docs/python-services.md", "consumers/python_services/README.md"
PAIRS = [(name, name.replace(".md", ".ru.md")) for name in (GUIDE, README)]
SECRETS = {"YANDEX_SVC_TOKEN": "t0ken-of-yandex", "USERS_SIGNING_KEY": "whsec_a2V5LW9mLTI0LWJ5dGVzLTEyMw=="}
TOPICS = {
    *("python", "create_yandex_file", "yandex_disk", "create_user", "user_management"),
    *("file_processing", "data_processing"),
}


@pytest.mark.parametrize(("english", "russian"), PAIRS)
def test_both_languages_say_the_same(english: str, russian: str) -> None:
    assert documents.blocks(english) == documents.blocks(russian)
    spans = [set(documents.code_spans(documents.prose(name))) for name in (english, russian)]
    assert spans[0] ^ spans[1] == set()
    tables = [
        [line.count("|") for line in documents.read(name).splitlines() if line.startswith("|")]
        for name in (english, russian)
    ]
    assert tables[0] == tables[1]
    assert len(documents.headings(english)) == len(documents.headings(russian))


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_links_and_variables_are_real(name: str) -> None:
    for target in documents.links(name):
        if not target.startswith("https://"):
            assert ((ROOT / name).parent / target).is_file(), target
    named = set(re.findall(r"\bSERVICES_[A-Z_]+", documents.read(name)))
    assert named <= documents.example_variables().keys()


def test_the_table_of_keys_is_complete_and_has_no_other() -> None:
    rows = documents.table(GUIDE, "key", "default")
    told = {key for row in rows for key in documents.code_spans(row[0])}
    assert told == {*_keys(HttpSpec), *_keys(PythonSpec)}


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in field.annotation.model_fields)
        else:
            yield name


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, int]:
    """The file and the function of the guide, as they stand there; the port of the service is a free one."""
    port = free_port()
    path = tmp_path / "services.toml"
    path.write_text(documents.block_with(GUIDE, "toml", "[services.files]").replace("8090", str(port)))
    (tmp_path / "acme_reports.py").write_text(documents.block_with(GUIDE, "python", "def build"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return path, port


def test_the_file_of_the_guide_is_right_and_has_every_topic_that_is_a_service(example: tuple[Path, int]) -> None:
    settings = load_settings({"SERVICES_FILE": str(example[0]), **SECRETS}, None, [ServicesSettings])
    registry = settings.for_system(ServicesSettings).registry()
    assert {topic for topic in TOPICS if registry.service_of(topic) is None} == set()
    for topic in ("send_email", "send_telegram", "telegram_notify", "email_notify"):
        assert registry.service_of(topic) is None
        assert f"`{topic}`" in documents.read(GUIDE)


def test_the_service_and_the_function_of_the_guide_do_their_tasks(
    example: tuple[Path, int], vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    path, port = example
    script = tmp_path / "service.py"
    script.write_text(documents.block_with(GUIDE, "python", "class Files"))
    assert len(script.read_text().splitlines()) <= 25
    broker.declare("python-services.queue")
    inputs: list[tuple[str, dict[str, Any]]] = [
        ("file_processing", {"name": "contract"}),
        ("file_processing", {"name": "contract"}),
        ("data_processing", {"pages": 3}),
        ("python", {"pages": 0}),
    ]
    for number, (topic, variables) in enumerate(inputs):
        broker.publish("python-services.queue", camunda_message(f"task-{number}", topic=topic, variables=variables))
    environment = {"SERVICES_FILE": str(path), "SERVICES_OUTAGE_WAIT": "1", "PYTHONPATH": str(tmp_path), **SECRETS}
    service = subprocess.Popen([sys.executable, str(script), str(port)], env=os.environ, stderr=subprocess.DEVNULL)
    try:
        with Daemon(vhost, tmp_path, environment) as daemon:
            broker.wait_for_count(RESPONSES, 3, 60)
            broker.wait_for_count(ERRORS, 1, 60)
            assert daemon.stop() == 0
    finally:
        service.kill()
        service.wait()
    answers = {}
    for _, body in broker.get_all(RESPONSES):
        told = json.loads(body)
        answers[told["original_message"]["task_id"]] = told["response_data"]["result"]
    assert answers == {
        "task-0": {"file": "/files/contract.pdf"},
        "task-1": {"file": "/files/contract.pdf"},
        "task-2": {"report": "report-task-2.pdf", "pages": 3},
    }
    assert "pages: at least 1" in json.loads(broker.get_all(ERRORS)[0][1])["error"]
    assert "this line stands in the worker's log" in daemon.output()
    for secret in SECRETS.values():
        assert secret not in daemon.output()
