"""Imports point down – and the guard that says so is itself proved to see what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.import_rules import imports, violations

PROJECT = Path(__file__).resolve().parent.parent

ALLOWED = [
    ("main.py", "from cli import demo\nimport sandbox.rabbitmq\nimport message_processor"),
    ("message_processor.py", "import rabbitmq_publisher\nfrom runtime import loader"),
    ("rabbitmq_consumer.py", "import pika.exceptions\nfrom runtime import amqp\nfrom core.errors import OutcomeError"),
    ("runtime/http.py", "import requests\nfrom core import errors"),
    ("runtime/loader.py", "import importlib\nimportlib.import_module(name)"),
    ("consumers/bitrix/handler.py", "from .client import Client\nfrom base_handler import BaseMessageHandler"),
    ("consumers/bitrix/client.py", "from runtime.http import Session\nimport config"),
    ("cli/bitrix.py", "from consumers.bitrix.client import Client"),
    ("core/policy.py", "import json\nfrom .errors import OutcomeError"),
    ("sandbox/rabbitmq.py", "import pika\nfrom sandbox import ports"),
    ("tests/test_all.py", "import pika, sandbox, consumers.bitrix.handler, main"),
]

FORBIDDEN = [
    pytest.param("core/policy.py", "import config", "imports point down", id="upward"),
    pytest.param("core/deep/er.py", "from ...runtime import http", "imports point down", id="upward-relative"),
    pytest.param(
        "config.py", "def load():\n    import runtime.http", "imports point down", id="upward-inside-a-function"
    ),
    pytest.param(
        "base_handler.py",
        "if TYPE_CHECKING:\n    from message_processor import MessageProcessor",
        "imports point down",
        id="upward-for-a-type",
    ),
    pytest.param(
        "runtime/http.py", "try:\n    import main\nfinally:\n    pass", "imports point down", id="upward-tried"
    ),
    pytest.param("core/policy.py", "import requests", "standard library only", id="core-with-a-package"),
    pytest.param("core/policy.py", "from pika import spec", "standard library only", id="core-with-pika"),
    pytest.param("message_processor.py", "from pika.spec import Basic", "pika is for", id="processor-with-pika"),
    pytest.param("runtime/logs.py", "import pika", "pika is for", id="runtime-with-pika"),
    pytest.param("consumers/bitrix/client.py", "import pika", "pika is for", id="system-with-pika"),
    pytest.param("consumers/bitrix/client.py", "import rabbitmq_publisher", "knows nothing", id="system-publishing"),
    pytest.param("consumers/bitrix/client.py", "from runtime import amqp", "knows nothing", id="system-with-amqp"),
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
    pytest.param("runtime/http.py", "from sandbox import proxy", "demo and tests", id="sandbox-in-the-daemon"),
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
    for path in ("runtime/amqp.py", "consumers/mail/client.py", "sandbox/ports.py", "consumers/bitrix/fields.py"):
        write(tmp_path, path, "")
    for path, source in ALLOWED:
        write(tmp_path, path, source)
    return tmp_path


def test_this_project_keeps_the_rules() -> None:
    assert violations(PROJECT) == []


def test_the_guard_reads_the_whole_project() -> None:
    importers = {found.importer for found in imports(PROJECT)}
    assert {"base_handler", "core.messages", "sandbox.rabbitmq", "tests.test_import_direction"} <= importers
    assert not any("site-packages" in importer for importer in importers)


def test_imports_that_point_down_are_allowed(tree: Path) -> None:
    assert violations(tree) == []


@pytest.mark.parametrize(("path", "source", "rule"), FORBIDDEN)
def test_a_forbidden_import_is_found(tree: Path, path: str, source: str, rule: str) -> None:
    write(tree, path, source)
    found = violations(tree)
    assert found
    assert all(line.startswith(f"{path}:") for line in found)
    assert any(rule in line for line in found)
