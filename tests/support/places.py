"""Where the tests' own files are; the project's folder is `sandbox.process.ROOT`."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"
