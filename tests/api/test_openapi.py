"""The document of the API is what it promises; the worker pays nothing for it."""

from __future__ import annotations

import json
import subprocess
import sys

from sandbox.process import ROOT
from tools.documents import OPENAPI, openapi

DOCUMENT = json.loads((ROOT / OPENAPI).read_text(encoding="utf-8"))
OPERATIONS = [(path, method, each) for path, methods in DOCUMENT["paths"].items() for method, each in methods.items()]


def test_the_committed_document_is_that_of_the_program() -> None:
    assert (ROOT / OPENAPI).read_text(encoding="utf-8") == openapi(), "python -m tools.documents makes it"


def test_every_operation_has_a_name_a_description_and_its_problems() -> None:
    names = [each["operationId"] for *_, each in OPERATIONS]
    assert len(names) == len(set(names))
    for path, method, each in OPERATIONS:
        assert each["description"], (path, method)
        assert each["tags"], (path, method)
        for status, response in each["responses"].items():
            assert int(status) < 400 or "application/problem+json" in response["content"], (path, method, status)
        if path.startswith("/api/"):
            assert each["security"], (path, method)
            assert {"401", "422", "500"} <= each["responses"].keys()
        if path.startswith("/api/") and method != "get":
            assert {"403", "413", "429", "503"} <= each["responses"].keys()
    assert "HTTPValidationError" not in json.dumps(DOCUMENT)


def test_every_post_may_have_a_key() -> None:
    for path, method, each in OPERATIONS:
        if method == "post" and path.startswith("/api/"):  # a hook that is doubled is the same hint
            assert "Idempotency-Key" in {told["name"] for told in each["parameters"]}, path


def test_the_worker_loads_nothing_of_it() -> None:
    script = """
import sys
from pathlib import Path
import main, assembly.startup, assembly.worker
assembly.startup.read_configuration({}, Path("none"))
print([name for name in ("fastapi", "starlette", "uvicorn", "api.app") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
