"""The real mail servers of the tests start for everybody, hand on what they take, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.debian import UnpackError
from sandbox.email import EmailSandbox
from sandbox.email.servers import Exim, MailServerError, OpenSmtpd, Postfix, RealServer, mail_servers
from sandbox.jail import command, environment
from sandbox.process import ROOT
from testbench.harness import wait_until
from tests.support.email_worlds import servers_tree

pytestmark = pytest.mark.usefixtures("mail_programs")

NOBODY = 65534
KINDS: list[type[RealServer]] = [Postfix, Exim, OpenSmtpd]
MAIL = "Subject: x\r\nX-Camunda-Task-Id: task-1\r\n\r\nx\r\n"
SCRIPT = f"""
import pathlib, smtplib, sys, time
from sandbox.email import EmailSandbox
from sandbox.email.servers import Exim, OpenSmtpd, Postfix

for kind in (Postfix, Exim, OpenSmtpd):
    with EmailSandbox() as sink, kind(pathlib.Path(sys.argv[1]), sink.port) as server:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=60) as client:
            client.sendmail("worker@example.ru", "a@example.com", {MAIL!r})
        deadline = time.monotonic() + 60
        while not sink.mails() and time.monotonic() < deadline:
            time.sleep(0.05)
        print(server.name, len(sink.by_task()["task-1"]))
"""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_a_server_hands_on_what_it_takes_and_its_end_leaves_nothing(kind: type[RealServer]) -> None:
    with EmailSandbox() as sink, kind(servers_tree(), sink.port) as server:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=60) as client:
            client.sendmail("worker@example.ru", "a@example.com", MAIL)
        wait_until(lambda: len(sink.mails()) == 1, 60, "the mail at the sink")
        folder, processes = server.folder, server.processes()
        assert len(processes) > 1
    assert not folder.exists()
    assert not list(Path("/tmp").glob(f"proot*-{min(processes)}-*"))
    wait_until(lambda: not any(map(_lives, processes)), 30, "the end of every process of the server")


def _lives(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Where another user can read."""
    folder = Path(tempfile.mkdtemp(prefix="tc-mail-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="this user is an ordinary one: all other tests say the same")
def test_an_ordinary_user_runs_the_servers_as_root_does(public_folder: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None or subprocess.run([python, "-c", "import tomllib"], check=False, capture_output=True).returncode:
        pytest.skip("an ordinary user needs a Python 3.11 outside of root's home")
    tree = public_folder / "tree"
    shutil.copytree(servers_tree(), tree, symlinks=True)
    shutil.copytree(ROOT / "sandbox", public_folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [python, "-B", "-c", SCRIPT, str(tree)],
        cwd=public_folder,
        env={"PATH": os.defpath, "HOME": "/nonexistent"},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("Postfix 1\nExim 1\nOpenSMTPD 1\n", 0), done.stderr


def test_a_program_in_there_believes_to_be_root_and_has_no_right_of_root() -> None:
    code = 'print "$<\\n"; chown 0, 0, "/tmp" or print "no\\n"; open F, "/proc/self/status"; print grep /CapEff/, <F>'
    ran = subprocess.run(
        command(servers_tree(), {}, ["/usr/bin/perl", "-e", code]),
        env={**environment(servers_tree()), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == ["0", "CapEff:\t0000000000000000"]


def test_a_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(MailServerError, match=r"OpenSMTPD does not start:[\s\S]*smtpd.conf:\d+: syntax error"),
        OpenSmtpd(servers_tree(), 1, match="nonsense"),
    ):
        pass


def test_without_apt_the_servers_cannot_be_had_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnpackError, match="no apt-get here"):
        mail_servers(tmp_path)
