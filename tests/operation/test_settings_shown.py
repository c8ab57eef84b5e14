"""The settings as they count: every one, with where it comes from, and no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembly.startup import read_configuration
from core.secrets import MASK
from operation.settings_shown import ShownSetting, hint_of, shown_settings
from settings.names import variables_of

SECRET = "s3cret-of-forty-characters-0123456789abc"


def shown(environ: Mapping[str, str], folder: Path) -> dict[str, ShownSetting]:
    settings = read_configuration(environ, folder / ".env").settings
    return {each.variable: each for each in shown_settings(settings)}


def test_a_value_comes_from_the_environment_from_the_file_or_from_nowhere(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RETRY_ATTEMPTS=7\nHEARTBEAT_INTERVAL=5\nLOG_LEVEL=\n")
    found = shown({"HEARTBEAT_INTERVAL": "9", "STATE_DIR": "/var/lib/tc", "RETRY_DELAY": " "}, tmp_path)
    assert [
        (found[name].value, found[name].source) for name in ("RETRY_ATTEMPTS", "HEARTBEAT_INTERVAL", "STATE_DIR")
    ] == [
        ("7", "env_file"),
        ("9", "environment"),
        ("/var/lib/tc", "environment"),
    ]
    assert (found["LOG_LEVEL"].value, found["LOG_LEVEL"].source) == ("INFO", "default"), "an empty value is none"
    assert found["RETRY_DELAY"].source == "default"
    assert found["BITRIX_WEBHOOK_URL"].value is None


def test_every_setting_is_shown_once(tmp_path: Path) -> None:
    settings = read_configuration({}, tmp_path / ".env").settings
    variables = [each.variable for each in shown_settings(settings)]
    assert len(variables) == len(set(variables))
    parts = (settings.rabbitmq, settings.worker, *settings.systems.values())
    assert set(variables) == {variable for part in parts for variable in variables_of(type(part)).values()}


def test_which_file_was_read_is_known(tmp_path: Path) -> None:
    assert read_configuration({}, tmp_path / ".env").settings.origins.env_file is None
    (tmp_path / ".env").write_text("")
    assert read_configuration({}, tmp_path / ".env").settings.origins.env_file == tmp_path / ".env"


def test_a_secret_in_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    found = shown({"RABBITMQ_PASSWORD_FILE": str(tmp_path / "password")}, tmp_path)["RABBITMQ_PASSWORD"]
    assert found == ShownSetting("RABBITMQ_PASSWORD", "s3c***", "file", True, str(tmp_path / "password"))


def test_no_secret_is_in_what_is_shown(tmp_path: Path) -> None:
    services = tmp_path / "services.toml"
    services.write_text(
        '[services.one]\nkind = "http"\ntopics = ["a"]\nurl = "http://127.0.0.1/a"\n'
        'auth = {type = "bearer", token_env = "SERVICE_ONE_TOKEN"}\n'
    )
    environ = {
        "RABBITMQ_PASSWORD": SECRET,
        "BITRIX_WEBHOOK_URL": f"https://portal.example/rest/1/{SECRET}/",
        "OPENPROJECT_URL": "https://op.example",
        "OPENPROJECT_TOKEN": SECRET,
        "JOURNAL_URL": f"postgresql://worker:{SECRET}@db.example/journal",
        "TELEGRAM_BOT_TOKEN": f"110201543:{SECRET}",
        "SERVICES_FILE": str(services),
        "SERVICE_ONE_TOKEN": SECRET,
    }
    found = shown(environ, tmp_path)
    text = json.dumps([each.value for each in found.values()])
    assert SECRET not in text
    assert SECRET[:4] not in text
    assert found["BITRIX_WEBHOOK_URL"].value == "https://portal.example/rest/1/***", "which portal it is, is no secret"
    assert found["JOURNAL_URL"].value == "postgresql://worker:***@db.example/journal"
    assert found["OPENPROJECT_TOKEN"].value == "s3c***"
    assert found["SERVICE_ONE_TOKEN"] == ShownSetting("SERVICE_ONE_TOKEN", "s3c***", "environment", True)


@given(st.text(min_size=1))
def test_of_a_secret_three_characters_are_shown_at_most_and_never_more_than_a_quarter(secret: str) -> None:
    told = hint_of(secret)
    assert told.endswith(MASK)
    if "://" not in secret:
        assert len(told) - len(MASK) <= min(3, len(secret) / 4)


@pytest.mark.parametrize("variable", ["QUEUE_HANDLERS", "SENT_QUEUES", "TRACKER_CONFIG"])
def test_a_map_is_shown_as_it_counts_and_can_be_set_like_that(tmp_path: Path, variable: str) -> None:
    value = shown({}, tmp_path)[variable].value
    assert value is not None
    assert json.loads(value)
    again = shown({variable: value}, tmp_path)[variable]
    assert (json.loads(str(again.value)), again.source) == (json.loads(value), "environment")
