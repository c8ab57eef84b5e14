"""Imports point down – and the guard that says so is itself proved to see what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.process import ROOT
from tools.import_rules import Source, circles, read, violations

ALLOWED = [
    ("main.py", "from cli import demo\nimport sandbox.rabbitmq\nimport assembly.worker"),
    (
        "assembly/worker.py",
        "import message_processor\nfrom consumers.mail import client",
    ),
    ("message_processor.py", "import rabbitmq_publisher\nfrom processing import gate"),
    ("broker/taken_queue.py", "import pika\nfrom core.copies import carried"),
    (
        "rabbitmq_consumer.py",
        "import pika\nfrom broker import connection\nfrom core.errors import OutcomeError",
    ),
    ("runtime/loader.py", "import importlib\nimportlib.import_module(name)"),
    ("toolkit/http.py", "import requests\nfrom core import errors"),
    ("tracing/spans.py", "from opentelemetry import trace"),
    ("consumers/bitrix/handler.py", "from .client import Client\nfrom base_handler import BaseMessageHandler"),
    ("consumers/bitrix/client.py", "from toolkit.http import Session\nimport settings.base\nimport requests"),
    ("cli/bitrix.py", "from consumers.bitrix.client import Client"),
    ("core/policy.py", "import json\nfrom .errors import OutcomeError"),
    ("sandbox/rabbitmq.py", "import pika\nfrom sandbox import ports"),
    ("testbench/harness.py", "import message_processor\nimport sandbox.ports"),
    ("benchmarks/relay.py", "import testbench.harness"),
    ("tests/test_all.py", "import pika, sandbox, consumers.bitrix.handler, main, benchmarks.relay"),
]

# What a system could import, unnoticed, while the rule was a list of what is closed: as the modules are called today.
ONCE_OPEN = [
    "processing.settlement",
    "processing.confirmations",
    "processing.gate",
    "processing.in_flight",
    "processing.crash_journal",
    "broker.mailbox",
    "runtime.logs",
    "config",
    "runtime.alerting",
    "runtime.systemd",
]

FORBIDDEN = [
    pytest.param("core/policy.py", "import config", "imports point down", id="upward"),
    pytest.param("core/deep/er.py", "from ...toolkit import http", "imports point down", id="upward-relative"),
    pytest.param(
        "config.py", "def load():\n    import toolkit.http", "imports point down", id="upward-inside-a-function"
    ),
    pytest.param(
        "base_handler.py",
        "if TYPE_CHECKING:\n    from message_processor import MessageProcessor",
        "imports point down",
        id="upward-for-a-type",
    ),
    pytest.param(
        "toolkit/http.py", "try:\n    import main\nfinally:\n    pass", "imports point down", id="upward-tried"
    ),
    pytest.param("runtime/loader.py", "import rabbitmq_consumer", "imports point down", id="runtime-with-the-consumer"),
    pytest.param("broker/mailbox.py", "import processing.gate", "imports point down", id="broker-with-processing"),
    pytest.param("tracking/sweeper.py", "import processing.gate", "imports point down", id="tracking-with-processing"),
    pytest.param("base_tracker.py", "import base_handler", "imports point down", id="of-the-same-row"),
    pytest.param("benchmarks/relay.py", "import tests.daemon", "imports point down", id="benchmark-with-a-test"),
    pytest.param("sandbox/ports.py", "import testbench.harness", "imports point down", id="sandbox-with-the-testbench"),
    pytest.param("core/policy.py", "import requests", "standard library only", id="core-with-a-package"),
    pytest.param("core/policy.py", "from pika import spec", "standard library only", id="core-with-pika"),
    pytest.param("message_processor.py", "from pika.spec import Basic", "pika is for", id="processor-with-pika"),
    pytest.param("runtime/logs.py", "import pika", "pika is for", id="runtime-with-pika"),
    pytest.param("consumers/bitrix/client.py", "import pika", "pika is for", id="system-with-pika"),
    pytest.param(
        "assembly/worker.py",
        "def make():\n    from opentelemetry.sdk import trace",
        "OpenTelemetry is optional",
        id="worker-with-opentelemetry",
    ),
    pytest.param("consumers/bitrix/client.py", "import rabbitmq_publisher", "knows nothing", id="system-publishing"),
    pytest.param("consumers/bitrix/client.py", "from broker import connection", "knows nothing", id="system-with-amqp"),
    *(
        pytest.param("consumers/mail/headers.py", f"import {module}", "knows nothing else", id=f"system-with-{module}")
        for module in ONCE_OPEN
    ),
    pytest.param(
        "consumers/bitrix/client.py", "from consumers.mail import client", "no other system", id="other-system"
    ),
    pytest.param(
        "consumers/bitrix/client.py", "from ..mail import client", "no other system", id="other-system-relative"
    ),
    pytest.param(
        "message_processor.py", "from consumers.bitrix import handler", "loaded by name", id="system-imported"
    ),
    pytest.param(
        "runtime/loader.py",
        "import importlib\nimportlib.import_module('consumers.bitrix.handler')",
        "loaded by name",
        id="system-loaded-by-a-fixed-name",
    ),
    pytest.param("toolkit/http.py", "from sandbox import proxy", "demo and tests", id="sandbox-in-the-daemon"),
    pytest.param("sandbox/portal.py", "from consumers.bitrix import fields", "no code", id="sandbox-with-daemon-code"),
    pytest.param("cli/demo.py", "from tests import broker", "tests are for tests", id="test-helper-in-the-daemon"),
    pytest.param("helpers/text.py", "import json", "no layer yet", id="new-part-without-a-layer"),
]


def write(root: Path, path: str, source: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small project in which all is well."""
    for path in (
        *("broker/connection.py", "broker/mailbox.py", "consumers/mail/client.py", "consumers/bitrix/fields.py"),
        *("processing/gate.py", "runtime/lifecycle.py", "sandbox/ports.py", "tests/daemon.py", "settings/base.py"),
        *(f"{module.replace('.', '/')}.py" for module in ONCE_OPEN),
    ):
        write(tmp_path, path, "")
    for path, source in ALLOWED:
        write(tmp_path, path, source)
    return tmp_path


@pytest.fixture(scope="module")
def project() -> Source:
    return read(ROOT)


def test_this_project_keeps_the_rules(project: Source) -> None:
    assert violations(project) == []


def test_no_module_of_this_project_imports_itself_over_others(project: Source) -> None:
    assert circles(project) == []


def test_a_circle_is_found_also_when_it_is_for_types_only(tree: Path) -> None:
    assert circles(read(tree)) == []
    write(tree, "core/one.py", "import core.two")
    write(tree, "core/two.py", "from core import three")
    write(tree, "core/three.py", "if TYPE_CHECKING:\n    from core.one import One\nimport core.policy")
    assert circles(read(tree)) == ["core.one <-> core.two", "core.three <-> core.one", "core.two <-> core.three"]


def test_the_guard_reads_the_whole_project(project: Source) -> None:
    importers = {found.importer for found in project.imports}
    assert {"base_handler", "core.messages", "sandbox.rabbitmq", "tests.project.test_import_direction"} <= importers
    assert not any("site-packages" in importer for importer in importers)


def test_imports_that_point_down_are_allowed(tree: Path) -> None:
    assert violations(read(tree)) == []


@pytest.mark.parametrize(("path", "source", "rule"), FORBIDDEN)
def test_a_forbidden_import_is_found(tree: Path, path: str, source: str, rule: str) -> None:
    write(tree, path, source)
    found = violations(read(tree))
    assert found
    assert all(line.startswith(f"{path}:") for line in found)
    assert any(rule in line for line in found)
