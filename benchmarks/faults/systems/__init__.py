"""The outside systems of the matrix, by the names that rows and `--system` use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.faults.stage_spec import StageSpec
from benchmarks.faults.systems.base import Target
from benchmarks.faults.systems.bitrix import Bitrix
from benchmarks.faults.systems.messages import Email, Telegram
from benchmarks.faults.systems.onec import OneC
from benchmarks.faults.systems.openproject import OpenProject
from benchmarks.faults.systems.services import Functions, Services, Webhook

SYSTEMS: Mapping[str, type[Target]] = {
    target.name: target for target in (Bitrix, OpenProject, OneC, Services, Functions, Email, Telegram, Webhook)
}


def make_target(spec: StageSpec, folder: Path) -> Target:
    return SYSTEMS[spec.system](spec, folder)
