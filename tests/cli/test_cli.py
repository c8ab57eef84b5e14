"""The commands of main.py beside the worker and the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.texts import TEXTS, language
from sandbox.bitrix24 import BARE_USER_FIELDS, BitrixSandbox, UserField
from sandbox.process import ROOT
from tests.support.commands import environment, run

INIT = ["bitrix", "init-fields"]


def test_init_fields_makes_a_bare_portal_usable_and_may_be_run_again(tmp_path: Path) -> None:
    with BitrixSandbox(user_fields=BARE_USER_FIELDS) as portal:
        (tmp_path / ".env").write_text(f"BITRIX_WEBHOOK_URL={portal.webhook_url}\n")
        first, second = (run("main.py", INIT, {}, tmp_path) for _ in range(2))
        names = {field.name for field in portal.state.user_fields}
    assert (first.returncode, second.returncode) == (0, 0)
    created = [line.split()[-1] for line in first.stdout.splitlines() if line.startswith("created")]
    assert "UF_CAMUNDA_ID_EXTERNAL_TASK" in created
    assert set(created) <= names
    assert [line.split()[-1] for line in second.stdout.splitlines() if line.startswith("present")] == created
    assert "created" not in second.stdout
    for done in (first, second):
        assert "BY HAND  UF_RESULT_ANSWER" in done.stdout, "a list of choices cannot be made over REST"


def test_init_fields_speaks_russian_where_the_locale_does(tmp_path: Path) -> None:
    with BitrixSandbox(user_fields=BARE_USER_FIELDS) as portal:
        variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "LANG": "ru_RU.UTF-8"}
        done = run("main.py", INIT, variables, tmp_path)
    assert done.returncode == 0
    assert "создано  UF_ELEMENT_ID" in done.stdout
    assert "ВРУЧНУЮ  UF_RESULT_ANSWER" in done.stdout


def test_a_field_of_another_type_fails_the_command(tmp_path: Path) -> None:
    with BitrixSandbox(user_fields=[UserField("UF_RESULT_EXPECTED", "string")]) as portal:
        done = run("main.py", INIT, {"BITRIX_WEBHOOK_URL": portal.webhook_url}, tmp_path)
    assert done.returncode == 3
    assert "WRONG    UF_RESULT_EXPECTED: it exists with another type than boolean" in done.stdout


def test_a_portal_that_refuses_is_told_without_its_secret(tmp_path: Path) -> None:
    with BitrixSandbox(user_fields=BARE_USER_FIELDS) as portal:
        portal.revoke_webhook()
        revoked = run("main.py", INIT, {"BITRIX_WEBHOOK_URL": portal.webhook_url}, tmp_path)
    unreachable = run("main.py", INIT, {"BITRIX_WEBHOOK_URL": portal.webhook_url}, tmp_path)
    assert "BITRIX_WEBHOOK_URL" in revoked.stderr, "the advice"
    for done in (revoked, unreachable):
        assert done.returncode == 3
        assert done.stderr.startswith("Bitrix24: ")
        assert portal.webhook_token not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "BITRIX_WEBHOOK_URL is not set"),
        ({"LANG": "ru_RU.UTF-8"}, "BITRIX_WEBHOOK_URL не задана"),
        ({"BITRIX_WEBHOOK_URL": "https://portal.example/"}, "is not the address of an inbound webhook"),
    ],
)
def test_init_fields_without_a_usable_webhook_is_a_mistake_in_the_settings(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    done = run("main.py", INIT, variables, tmp_path)
    assert done.returncode == 78
    assert words in done.stderr


CHECK = ["config", "check"]


def test_the_check_says_which_queues_would_be_worked_on_and_asks_nobody(tmp_path: Path) -> None:
    with BitrixSandbox() as portal:
        (tmp_path / ".env").write_text(f"BITRIX_WEBHOOK_URL={portal.webhook_url}\nTICKETS_URL=1\n")
        done = run("main.py", CHECK, {}, tmp_path)
        assert not portal.request_log
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "bitrix24.queue in use: BitrixTaskHandler; bitrix24.sent.queue, tracked by BitrixTaskTracker" in lines
    assert "openproject.queue not in use: OPENPROJECT_URL is not set" in lines
    assert "remark: TICKETS_URL – is not a known setting; it is ignored" in lines
    assert portal.webhook_token not in done.stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RETRY_ATTEMPTS": "three"}, "RETRY_ATTEMPTS=three"),
        (
            {"QUEUE_HANDLERS": '{"x.queue": {"module": "no.such", "handler_class": "X"}}'},
            "there is no module 'no.such'",
        ),
    ],
)
def test_the_check_tells_mistakes_as_the_worker_would(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    done = run("main.py", CHECK, variables, tmp_path)
    assert done.returncode == 78
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("lang", "words"), [("C", "show the closed loop"), ("ru_RU.UTF-8", "показать замкнутый цикл")])
def test_help_speaks_the_language_of_the_locale(tmp_path: Path, lang: str, words: str) -> None:
    done = run("main.py", ["--help"], {"LANG": lang}, tmp_path)
    assert done.returncode == 0
    assert words in done.stdout


def test_a_terminal_without_cyrillic_letters_gets_question_marks_and_no_traceback(tmp_path: Path) -> None:
    done = run("main.py", INIT, {"LANG": "ru_RU.UTF-8", "PYTHONIOENCODING": "ascii"}, tmp_path)
    assert done.returncode == 78
    assert "BITRIX_WEBHOOK_URL ??" in done.stderr


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": ""}, "ru"),
    ],
)
def test_the_language_is_that_of_the_locale(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == expected


def test_every_text_exists_in_both_languages() -> None:
    assert TEXTS["en"].keys() == TEXTS["ru"].keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dmeo"], ["'dmeo'", "did you mean demo?"]),
        (["config", "chek"], ["'chek'", "did you mean check?"]),
        (["demo", "--tasks", "3"], ["--tasks 3", "4 to 5000"]),
        (["demo", "--tasks", "0"], ["--tasks 0", "4 to 5000"]),
        (["demo", "--tasks", "50000"], ["--tasks 50000", "4 to 5000"]),
        (["demo", "--tasks", "x"], ["--tasks", "'x' is no number"]),
    ],
)
def test_a_mistyped_command_is_told_with_what_was_meant(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = run("main.py", arguments, {}, tmp_path)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("arguments", [["dmeo"], ["config"], ["--keep"], ["demo", "--tasks", "x"], ["demo", "--json"]])
def test_a_russian_shell_hears_of_mistakes_in_russian(tmp_path: Path, arguments: list[str]) -> None:
    done = run("main.py", arguments, {"LANG": "ru_RU.UTF-8"}, tmp_path)
    assert done.returncode == 2
    for english in ("usage", "error", "argument", "required", "invalid", "unrecognized", "expected", "number"):
        assert re.search(rf"\b{english}\b", done.stderr) is None


def test_help_is_a_command_too(tmp_path: Path) -> None:
    assert run("main.py", ["help"], {}, tmp_path).stdout == run("main.py", ["--help"], {}, tmp_path).stdout


def test_a_reader_who_stops_reading_sees_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} {ROOT / 'main.py'} config check | true"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment({}), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
