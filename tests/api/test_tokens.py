"""Tokens come from files and settings, or one is made; nobody can leave the API open by mistake."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.settings import FILE, ApiSettings, is_loopback
from api.tokens import TokensError, tokens_of
from tests.support.commands import run

TOKEN = "0123456789abcdef"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_a_file_says_who_may_what(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(
        f"# ours\nann:operator:{digest('a' * 20)}\n\nbob.ro:viewer:{digest('b' * 20).upper()}  # he looks\n"
    )
    tokens, made = tokens_of(ApiSettings(state_dir=tmp_path, tokens_file=file))
    assert made is None
    ann, bob = (tokens.holder_of(each * 20) for each in (b"a", b"b"))
    assert ann is not None
    assert (ann.name, ann.may_act) == ("ann", True)
    assert bob is not None
    assert (bob.name, bob.may_act) == ("bob.ro", False)
    assert tokens.holder_of(b"c" * 20) is None
    assert tokens.holder_of("я".encode()) is None


@pytest.mark.parametrize("line", ["ann", "ann:boss:" + "0" * 64, "ann:viewer:" + "0" * 63, "a n:viewer:" + "0" * 64])
def test_a_line_that_means_nothing_is_named_and_not_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"ok:viewer:{'0' * 64}\n{line}\n")
    with pytest.raises(TokensError) as caught:
        tokens_of(ApiSettings(tokens_file=file))
    assert "2" in caught.value.text.en
    assert "2" in caught.value.text.ru
    assert line not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"# nobody\n", b"\xff\xfe"])
def test_a_file_without_tokens_opens_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokens"
    file.write_bytes(content)
    with pytest.raises(TokensError):
        tokens_of(ApiSettings(tokens_file=file))


def test_tokens_of_the_settings(tmp_path: Path) -> None:
    told = ApiSettings(state_dir=tmp_path, token_operator=SecretStr(TOKEN), token_viewer=SecretStr(TOKEN[::-1]))
    tokens, _ = tokens_of(told)
    operator, viewer = tokens.holder_of(TOKEN.encode()), tokens.holder_of(TOKEN[::-1].encode())
    assert operator is not None
    assert viewer is not None
    assert (operator.may_act, viewer.may_act) == (True, False)
    assert not (tmp_path / FILE).exists()


def test_without_any_one_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    told = ApiSettings(state_dir=tmp_path / "state")
    _, made = tokens_of(told)
    assert made == tmp_path / "state" / FILE
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    token = made.read_text().strip()
    tokens, again = tokens_of(told)
    assert again is None
    holder = tokens.holder_of(token.encode())
    assert holder is not None
    assert holder.may_act


@pytest.mark.parametrize(("language", "words"), [("C", "no token is configured"), ("ru_RU.UTF-8", "токены не заданы")])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "api.example.com"])
def test_other_machines_reach_no_api_without_a_token(tmp_path: Path, host: str, language: str, words: str) -> None:
    done = run("main.py", ["api"], {"API_HOST": host, "STATE_DIR": str(tmp_path), "LANG": language}, tmp_path)
    assert done.returncode == 78, done.stderr
    assert words in done.stderr
    assert "API_HOST" in done.stderr


def test_wrong_tokens_stop_the_start(tmp_path: Path) -> None:
    short = run("main.py", ["api"], {"API_TOKEN_OPERATOR": "short", "STATE_DIR": str(tmp_path)}, tmp_path)
    assert short.returncode == 78
    assert "short" not in short.stdout
    (tmp_path / "tokens").write_text("nonsense\n")
    given = {"API_TOKENS_FILE": str(tmp_path / "tokens"), "STATE_DIR": str(tmp_path), "LANG": "ru_RU.UTF-8"}
    wrong = run("main.py", ["api"], given, tmp_path)
    assert wrong.returncode == 78
    assert "строка 1" in wrong.stderr


@pytest.mark.parametrize(
    ("host", "is_so"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.9.9.9", True), ("0.0.0.0", False), ("h", False)],
)
def test_what_only_this_machine_reaches(host: str, is_so: bool) -> None:
    assert is_loopback(host) is is_so
