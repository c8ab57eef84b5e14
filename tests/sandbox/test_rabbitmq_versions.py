"""The RabbitMQ that was asked for is the one that runs, from signed packages only, whatever else the machine has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults import commands
from sandbox.debian import UnpackError
from sandbox.process import ROOT
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_foreign import foreign_server
from sandbox.rabbitmq_install import NoServerError, find_server
from sandbox.rabbitmq_server import LocalServer, Server
from sandbox.rabbitmq_versions import DEBIAN_RELEASES, VARIABLE, VersionError, chosen_version

TIMEOUT = 600.0  # seconds; never waited out when things work
STEPS = ["index", "download", "unpack", "check"]

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="the packages are Debian's")

UNPACKER = """
import sys
from pathlib import Path
from sandbox.rabbitmq_foreign import foreign_server

foreign_server("4.0", Path(sys.argv[1]), lambda step: print(step, flush=True), keyrings=[])
"""


class StepTakenError(Exception):
    """The unpacking has begun; the message is its step."""


def stop_at_first_step(step: str) -> None:
    raise StepTakenError(step)


def test_a_version_that_nobody_brings_is_refused_with_its_name_and_the_choices() -> None:
    with pytest.raises(VersionError, match=r"RABBITMQ_VERSION='4\.1': the choices are 3\.10, 4\.0, 4\.3"):
        chosen_version({VARIABLE: "4.1"})


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}, {VARIABLE: " "}])
def test_without_a_version_whichever_is_at_hand_is_taken(environ: dict[str, str]) -> None:
    assert chosen_version(environ) is None


@pytest.mark.parametrize("version", DEBIAN_RELEASES)
def test_each_version_can_be_chosen(version: str) -> None:
    assert chosen_version({VARIABLE: f" {version} "}) == version


def test_the_node_is_of_the_version_that_was_asked_for(
    node: RabbitNode, rabbitmq_version: tuple[int, ...], wanted_version: str | None
) -> None:
    assert node.version == ".".join(map(str, rabbitmq_version))
    if wanted_version:
        assert node.version.startswith(f"{wanted_version}.")


def test_an_installed_server_never_answers_for_a_version_that_was_asked_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(server, LocalServer):
        pytest.skip("only Docker on this machine")
    erl = tmp_path / "erl"
    erl.write_text("#!/bin/sh\n")
    erl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # an Erlang, and nothing to get another server with
    installed = [str(server.home)]
    assert find_server(None, installed=installed) == LocalServer(server.home)
    with pytest.raises(NoServerError, match=r"No RabbitMQ 4\.3 found") as none:
        find_server("4.3", installed=installed, cache=tmp_path)
    assert "install" not in none.value.choices


@pytest.mark.parametrize("given", [["--rabbitmq", "5"], []])
def test_a_benchmark_refuses_a_wrong_version(
    given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not given:
        monkeypatch.setenv(VARIABLE, "5")
    with pytest.raises(SystemExit):
        commands.main([*given, "--list"])
    assert "'5': the choices are 3.10, 4.0, 4.3" in capsys.readouterr().err


@needs_apt
@pytest.mark.usefixtures("server")
def test_an_unsigned_mirror_is_refused_even_where_this_system_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout
    suite = tmp_path / "mirror/dists/trixie"
    packages = suite / f"main/binary-{architecture.strip()}"
    packages.mkdir(parents=True)
    (packages / "Packages").touch()
    (suite / "Release").write_text(
        "Origin: Debian\nSuite: stable\nCodename: trixie\nComponents: main\n"
        f"Architectures: {architecture}Date: Sat, 28 Nov 2026 00:00:00 UTC\n"
        f"SHA256:\n {'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'} 0 "
        f"main/binary-{architecture.strip()}/Packages\n"
    )
    careless = tmp_path / "apt.conf"
    careless.write_text('Acquire::AllowInsecureRepositories "1";\nAPT::Get::AllowUnauthenticated "1";\n')
    monkeypatch.setenv("APT_CONFIG", str(careless))

    with pytest.raises(UnpackError, match="not signed"):
        foreign_server("4.0", tmp_path / "cache", mirror=f"file:{tmp_path}/mirror")
    assert list((tmp_path / "cache").iterdir()) == [tmp_path / "cache/lock"]


@needs_apt
@pytest.mark.usefixtures("server")
def test_another_release_is_unpacked_whole_or_not_at_all_with_keys_that_this_system_vouches_for(tmp_path: Path) -> None:
    cache = tmp_path / "a cache"  # the space is part of the test; so is having none of Debian's keys at hand

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", UNPACKER, str(cache)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    first = start()
    assert first.stdout is not None
    with first, first.stdout:
        while first.stdout.readline().strip() != "check":
            assert first.poll() is None
        second = start()  # waits for the first
        first.kill()  # the tree stands, but nobody has tried it

    said, _ = second.communicate(timeout=TIMEOUT)
    assert said.split() == STEPS
    kept = foreign_server("4.0", cache, lambda step: pytest.fail(f"{step} once more"))
    with RabbitNode(kept) as node:
        assert node.version.startswith("4.0.")

    moved = cache.rename(tmp_path / "moved")
    with pytest.raises(StepTakenError, match="index"):  # the old folder's name is written into its programs
        foreign_server("4.0", moved, stop_at_first_step)
