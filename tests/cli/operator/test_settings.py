"""`main.py config show`: the settings as they count, and where they come from."""

from __future__ import annotations

from pathlib import Path

from sandbox.address import BrokerAddress
from tests.cli.operator.support import Place

SECRET = "s3cret-of-forty-characters-0123456789abc"
NOWHERE = BrokerAddress("127.0.0.1", 1, "guest", SECRET, "/")


def lines(told: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in told.splitlines() if line and line[0].isupper()}


def test_each_setting_has_a_line_with_its_source(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RETRY_ATTEMPTS=7\nTICKETS_URL=1\n")
    place = Place(NOWHERE, tmp_path)
    done = place.run("config", "show")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{tmp_path}/.env was read\n")
    found = lines(done.out)
    assert found["RETRY_ATTEMPTS"] == [".env", "7"]
    assert found["RABBITMQ_PORT"] == ["environment", "1"]
    assert found["RETRY_DELAY"] == ["default", "5"]
    assert found["RABBITMQ_PASSWORD"] == ["environment", "s3c***"]
    assert "TICKETS_URL – is not a known setting; it is ignored" in done.out
    assert SECRET not in done.out


def test_in_russian(tmp_path: Path) -> None:
    place = Place(NOWHERE, tmp_path)
    done = place.run("config", "show", lang="ru")
    assert done.out.startswith(".env не прочитан: его здесь нет\n")
    assert lines(done.out)["RETRY_DELAY"] == ["по", "умолчанию", "5"]


def test_what_is_set_alone(tmp_path: Path) -> None:
    place = Place(NOWHERE, tmp_path)
    found = lines(place.run("config", "show", "--set").out)
    assert set(found) == {name for name, value in place.environ.items() if value}


def test_as_data(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RETRY_ATTEMPTS=7\n")
    (tmp_path / "token").write_text(SECRET)
    variables = {"OPENPROJECT_URL": "https://op.example", "OPENPROJECT_TOKEN_FILE": str(tmp_path / "token")}
    done = Place(NOWHERE, tmp_path, variables=variables).run("config", "show", "--json")
    assert done.data.keys() == {"env_file", "settings", "remarks"}
    assert done.data["env_file"] == f"{tmp_path}/.env"
    found = {each["variable"]: each for each in done.data["settings"]}
    assert found["OPENPROJECT_TOKEN"] == {
        "variable": "OPENPROJECT_TOKEN",
        "value": "s3c***",
        "source": "file",
        "is_secret": True,
        "file": str(tmp_path / "token"),
    }
    assert found["RETRY_ATTEMPTS"]["source"] == "env_file"
    assert SECRET not in done.out


def test_wrong_settings_are_told_as_everywhere(tmp_path: Path) -> None:
    done = Place(NOWHERE, tmp_path, variables={"RETRY_ATTEMPTS": "three"}).run("config", "show")
    assert done.code == 78
    assert "RETRY_ATTEMPTS=three" in done.err
