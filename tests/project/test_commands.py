"""`./run` and `./test` on machines that lack something, and on one that is ready."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pip
import pytest

from sandbox.process import ROOT

TOOLS = ("sh", "dirname", "cat", "cksum")

Machine = tuple[Path, Path]  # (the project in a folder with a space, the only folder on PATH)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    project, path = tmp_path / "a project", tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(str(shutil.which(tool)))
    (project / "tools").mkdir(parents=True)
    for file in ("run", "tools/prepare.sh", "requirements.lock"):
        shutil.copy(ROOT / file, project / file)
    return project, path


def run(machine: Machine, *arguments: str, language: str = "C") -> subprocess.CompletedProcess[str]:
    project, path = machine
    environment = {"PATH": str(path), "LANG": language}
    command = [str(project / "run"), *arguments]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)


def make_ready(project: Path) -> None:
    """A `.venv` whose dependencies are installed, and a main.py that tells how it was called."""
    venv.create(project / ".venv", symlinks=True)
    [libraries] = (project / ".venv/lib").glob("python*/site-packages")
    (libraries / "pip.pth").write_text(str(Path(pip.__file__).parent.parent))  # to install one takes seconds
    with (project / "requirements.lock").open() as lock:
        sum_ = subprocess.run(["cksum"], stdin=lock, capture_output=True, text=True, check=True).stdout
    (project / ".venv/installed-requirements.lock").write_text(sum_)
    (project / "main.py").write_text("import os, sys\nprint(sys.argv[1:], os.getcwd())\nsys.exit(7)\n")


@pytest.mark.parametrize(("language", "words"), [("C", "Python 3.11 or newer"), ("ru_RU.UTF-8", "Нужен Python 3.11")])
def test_without_python_the_package_to_install_is_named(machine: Machine, language: str, words: str) -> None:
    done = run(machine, language=language)
    assert done.returncode == 1
    assert words in done.stderr
    assert "apt install python3" in done.stderr


def test_an_old_python_does_not_count(machine: Machine) -> None:
    old = machine[1] / "python3"
    old.write_text("#!/bin/sh\necho AssertionError >&2; exit 1\n")  # what `assert sys.version_info >= ...` does there
    old.chmod(0o755)
    assert "Python 3.11 or newer" in run(machine).stderr


def test_a_python_that_cannot_make_environments_names_its_own_package(machine: Machine) -> None:
    bare = machine[1] / "python3.11"
    bare.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    bare.chmod(0o755)
    done = run(machine)
    assert done.returncode == 1
    assert "sudo apt install python3.11-venv" in done.stderr
    assert not (machine[0] / ".venv").exists()


def test_a_ready_machine_starts_the_demo_at_once_from_any_folder(machine: Machine) -> None:
    project, _ = machine
    make_ready(project)
    done = run(machine, "--keep", "two words")
    assert done.stdout.strip() == f"{['demo', '--keep', 'two words']} {project}"
    assert done.stderr == ""
    assert done.returncode == 7


def test_with_settings_the_worker_is_run_instead(machine: Machine) -> None:
    project, _ = machine
    make_ready(project)
    (project / ".env").touch()
    assert run(machine).stdout.strip() == f"[] {project}"


@pytest.mark.parametrize("settings", [True, False])
@pytest.mark.parametrize("command", [["demo", "--keep"], ["config", "check"], ["bitrix", "init-fields"], ["run"]])
def test_a_command_is_a_command_with_settings_and_without(
    machine: Machine, command: list[str], *, settings: bool
) -> None:
    project, _ = machine
    make_ready(project)
    if settings:
        (project / ".env").touch()
    assert run(machine, *command).stdout.strip() == f"{command} {project}"


@pytest.mark.parametrize("settings", [True, False])
@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"], ["dmeo"]])
def test_what_is_no_option_of_the_demo_is_main_s_own_matter(
    machine: Machine, arguments: list[str], *, settings: bool
) -> None:
    project, _ = machine
    make_ready(project)
    if settings:
        (project / ".env").touch()
    assert run(machine, *arguments).stdout.strip() == f"{arguments} {project}"


def test_a_changed_lock_file_is_installed_once(machine: Machine) -> None:
    project, _ = machine
    make_ready(project)
    (project / "requirements.lock").write_text("# nothing is needed any more\n")
    assert "Making sure of the dependencies" in run(machine).stderr
    assert "Making sure of the dependencies" not in run(machine).stderr
