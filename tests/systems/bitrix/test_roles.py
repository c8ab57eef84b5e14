"""The roles file: a wrong one is told by `config check`, a changed one is used at once, a broken one stops nobody."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config import load_settings
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.handler import BitrixTaskHandler
from consumers.bitrix.roles import RolesProblem, read_roles
from core.errors import ConfigurationError, PermanentError
from core.results import Accepted
from sandbox.bitrix24 import BitrixSandbox
from settings.changing_file import ChangingFile
from settings.errors import SettingsError
from testbench.harness import wait_until
from tests.systems.bitrix.support import handler_for, message

ADVICE = "mappings: {бухгалтер: 12}"


def responsible(portal: BitrixSandbox, handler: BitrixTaskHandler, role: str) -> int:
    accepted = handler.handle(message(extensions={"assigneeId": role}))
    assert isinstance(accepted, Accepted)
    return int(portal.task(str(accepted.external_id))["RESPONSIBLE_ID"])


def is_known(handler: BitrixTaskHandler, role: str) -> Callable[[], bool]:
    def known() -> bool:
        try:
            return isinstance(handler.handle(message(extensions={"assigneeId": role})), Accepted)
        except PermanentError:
            return False

    return known


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"accountant: 12", "нет раздела `mappings:`"),
        (b"", "нет раздела `mappings:`"),
        (b"mappings: [1]", "нет раздела `mappings:`"),
        (b"mappings: {boss: director}", "у роли boss не id пользователя, а 'director'"),
        (b"mappings: {boss: true}", "у роли boss не id пользователя, а True"),
        (b"mappings: {boss: 0}", "у роли boss не id пользователя, а 0"),
        (b"mappings: {boss: 1, boss: 2}", "boss стоит дважды"),
        (b"mappings: {no: 1}", "возьмите её в кавычки"),
        (b"mappings: [", "это не YAML"),
        (b"\xff\xfe\x00", "не в кодировке UTF-8"),
    ],
)
def test_a_wrong_roles_file_is_a_mistake_of_the_settings(tmp_path: Path, content: bytes, problem: str) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings({"BITRIX_ROLES_FILE": str(roles)}, None, [BitrixSettings])
    [mistake] = caught.value.mistakes
    assert mistake.variable == "BITRIX_ROLES_FILE"
    assert problem in mistake.problem.ru
    assert ADVICE in mistake.hint.ru


def test_roles_are_read_in_both_forms_and_from_json(tmp_path: Path) -> None:
    roles = tmp_path / "roles"
    roles.write_text("mappings:\n  бухгалтер: {bitrix_responsible_id: '2'}\n  7: 3\n  later: null\n", encoding="utf-8")
    assert read_roles(roles) == {"бухгалтер": 2, "7": 3}
    roles.write_text('{"mappings": {"boss": 5}}')
    assert read_roles(roles) == {"boss": 5}
    with pytest.raises(RolesProblem, match="cannot be read"):
        read_roles(tmp_path / "none")


def test_a_role_that_is_added_is_known_within_seconds(tmp_path: Path) -> None:
    """The manual's own repair for `unknown role`; it had no effect for BITRIX_ROLES_CACHE_TTL, an hour."""
    roles = tmp_path / "roles.yaml"
    roles.write_text("mappings: {boss: 2}")
    with BitrixSandbox() as portal:
        handler = handler_for(portal, roles_file=roles)
        assert responsible(portal, handler, "boss") == 2
        assert not is_known(handler, "accountant")()
        roles.write_text("mappings: {boss: 2, accountant: 3}")
        wait_until(is_known(handler, "accountant"), 10, "the new role")
        replacement = tmp_path / "next.yaml"
        replacement.write_text("mappings: {boss: 4}")
        os.replace(replacement, roles)  # how Kubernetes and careful editors do it
        wait_until(lambda: responsible(portal, handler, "boss") == 4, 10, "the new boss")


def test_a_roles_file_that_is_spoilt_while_the_worker_runs_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text("mappings: {boss: 2}")
    with BitrixSandbox() as portal:
        handler = handler_for(portal, roles_file=roles)
        assert responsible(portal, handler, "boss") == 2
        for spoil in (lambda: roles.write_text("boss: 3"), roles.unlink):
            caplog.clear()
            spoil()
            wait_until(lambda: responsible(portal, handler, "boss") == 2 and bool(caplog.messages), 10, "the complaint")
            assert "BITRIX_ROLES_FILE" in caplog.text
            handler.probe()
        roles.write_text("mappings: {boss: 4}")
        wait_until(lambda: responsible(portal, handler, "boss") == 4, 10, "the mended file")


def test_a_probe_tests_the_roles_that_paused_the_system(tmp_path: Path) -> None:
    """It asked the portal only: Bitrix24 was paused and resumed every 15 seconds for ever."""
    roles = tmp_path / "roles.yaml"
    roles.write_text("boss: 2")
    with BitrixSandbox() as portal:
        handler = handler_for(portal, roles_file=roles)
        with pytest.raises(ConfigurationError, match="mappings"):
            handler.handle(message(extensions={"assigneeId": "boss"}))
        with pytest.raises(ConfigurationError, match="mappings"):
            handler.probe()
        roles.write_text("mappings: {boss: 2}")
        handler.probe()
        assert responsible(portal, handler, "boss") == 2


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_file_is_looked_at_once_a_second_and_read_only_when_it_has_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock, reads = tmp_path / "file", Clock(), []

    def read(path: Path) -> str:
        reads.append(path)
        return path.read_text()

    caplog.set_level(logging.INFO)
    path.write_text("one")
    file = ChangingFile("A_FILE", path, read, max_age=60, clock=clock)
    assert [file.current() for _ in range(3)] == ["one"] * 3
    path.write_text("second")
    assert file.current() == "one", "not looked at within the second"
    clock.now += 1.1
    assert file.current() == "second"
    clock.now += 10
    assert (file.current(), len(reads)) == ("second", 2)
    clock.now += 60  # a network file system may tell nothing of a change
    assert (file.current(), len(reads)) == ("second", 3)
    assert [record.event for record in caplog.records] == ["file.renewed"]  # type: ignore[attr-defined]
