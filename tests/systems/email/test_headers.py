"""Address headers on the wire, written and read by every Python of this machine that the project accepts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from email import message_from_bytes
from email.policy import default
from email.utils import getaddresses
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.email.compose import Composer
from sandbox.process import ROOT
from tests.systems.email.support import settings_for, task
from tests.systems.email.test_compose import NOW

# CPython gh-80222 (mended in 2025): email.policy takes the quotes off when it folds. Seen with 3.11.7, 3.12.1, 3.13.0.
COMMAS = 'Department of Contracts, Supplies, and Other Important Papers of the Company, Ltd. "North-West"'
BACKSLASHES = 'C:\\temp\\ and quotes " and a comma, in a name that is by far too long for one line of seventy-eight'
LONG = [COMMAS, BACKSLASHES, "Doe, John " * 15 + "Jr.", "a@b.ru, " * 20 + "x", "Group: a, b; " * 10 + "x", "(" * 100]

# Without the package: the other Pythons have no dependencies of ours.
WRITER = """
import importlib.util, json, sys
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

spec = importlib.util.spec_from_file_location("headers", sys.argv[1])
headers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(headers)
written = []
for name in json.load(sys.stdin):
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit", refold_source="none"))
    for header in ("To", "Cc", "From", "Reply-To"):
        headers.set_addresses(mail, header, [Address(name, addr_spec="a@example.com"), Address(addr_spec="b@c.ru")])
    mail.set_content("x")
    written.append(mail.as_bytes(policy=SMTP.clone(cte_type="7bit", refold_source="none")).decode("ascii"))
json.dump(written, sys.stdout)
"""


@cache
def pythons() -> list[str]:
    """Every interpreter from 3.11 on, one of each version."""
    versions = range(11, 20)
    candidates = [sys.executable, *(path for minor in versions if (path := which(f"python3.{minor}")))]
    candidates += sorted(map(str, Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python3")))
    found: dict[str, str] = {}
    for path in candidates:
        done = subprocess.run(
            [path, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            found.setdefault(done.stdout.split()[0], path)
    return list(found.values())


@pytest.mark.parametrize("python", pythons())
def test_a_long_quoted_name_stays_one_recipient_in_every_header_and_python(python: str) -> None:
    command = [python, "-W", "error", "-c", WRITER, str(ROOT / "consumers/email/headers.py")]
    done = subprocess.run(command, input=json.dumps(LONG), capture_output=True, text=True, check=True)
    for name, written in zip(LONG, json.loads(done.stdout), strict=True):
        for header in ("To", "Cc", "From", "Reply-To"):
            assert read(written.encode(), header) == [(name, "a@example.com"), ("", "b@c.ru")]


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=200))
def test_any_ascii_name_arrives_as_it_was_written(name: str) -> None:
    name = name.strip()
    given_task = task(
        "task-1",
        to=written_by_a_person(name, "a@example.com"),
        cc=written_by_a_person(name, "c@example.com"),
        reply_to=written_by_a_person(name, "r@example.com"),
        subject="x",
        body="x",
    )
    composer = Composer(settings_for(None, Path("/nowhere"), from_name=name, reply_to="x@example.ru"))
    if "<" in name or ">" in name or re.search(r"=\?[^?]*\?[bqBQ]\?", name):
        return  # refused by name: see test_email_compose
    content = composer.letter(given_task, composer.recipients(given_task), NOW).content
    assert max(map(len, content.split(b"\r\n"))) <= 998, "RFC 5322 2.1.1"
    for header, address in (("To", "a"), ("Cc", "c"), ("Reply-To", "r")):
        assert read(content, header) == [(name, f"{address}@example.com")]
    assert read(content, "From") == [(name, "worker@example.ru")]


def written_by_a_person(name: str, address: str) -> str:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def read(content: bytes, header: str) -> list[tuple[str, str]]:
    """By both readers of the standard library, which must agree; encoded words are decoded by the newer one."""
    mail = message_from_bytes(content, policy=default)
    new: Any = mail[header]
    found = [(each.display_name, each.addr_spec) for each in new.addresses]
    raw = message_from_bytes(content)[header]
    old = [address for _, address in getaddresses([re.sub(r"\r?\n(?=[ \t])", "", raw)])]
    assert old == [address for _, address in found]
    return found
