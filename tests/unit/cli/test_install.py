"""The script `filegate` and the `.pth` file that the Makefile and the image write into a virtual environment."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the command, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("a folder") / "virtual environment"
    venv.create(folder, symlinks=True)
    install(folder, REPOSITORY)
    return folder


def install(environment: Path, checkout: Path) -> None:
    run(environment, "python", "-m", "include.cli.install", str(checkout), cwd=REPOSITORY)


def run(environment: Path, program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment, with the packages of this one but without this checkout on its path."""
    return subprocess.run(
        [environment / "bin" / program, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.defpath, "PYTHONPATH": sysconfig.get_path("purelib")},
    )  # fmt: skip


def test_command_runs_from_any_folder(environment: Path, tmp_path: Path) -> None:
    shown = run(environment, "filegate", "--help", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage: filegate " in shown.stdout
    assert "  files " in shown.stdout


def test_command_passes_its_arguments_and_its_exit_code_on(environment: Path, tmp_path: Path) -> None:
    shown = run(environment, "filegate", "two words $HOME", cwd=tmp_path)
    assert shown.returncode == 2
    assert "there is no command 'two words $HOME'" in shown.stderr


def test_command_uses_the_interpreter_of_its_environment(environment: Path) -> None:
    lines = (environment / "bin" / "filegate").read_text().splitlines()
    assert lines[:2] == ["#!/bin/sh", f"""'''exec' "{environment / "bin" / "python"}" "$0" "$@\""""]


def test_every_user_may_run_the_command(environment: Path) -> None:
    assert (environment / "bin" / "filegate").stat().st_mode & 0o777 == 0o755


def test_checkout_is_on_the_import_path_of_the_environment(environment: Path, tmp_path: Path) -> None:
    shown = run(environment, "python", "-c", "import include.cli; print(include.cli.__file__)", cwd=tmp_path)
    assert shown.stdout == f"{REPOSITORY / 'include' / 'cli' / '__init__.py'}\n"


def test_second_installation_replaces_the_first(environment: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "moved checkout"
    (checkout / "include").mkdir(parents=True)
    (checkout / "include" / "__init__.py").write_text("")
    try:
        install(environment, checkout)
        shown = run(environment, "python", "-c", "import include; print(include.__file__)", cwd=tmp_path)
        assert shown.stdout == f"{checkout / 'include' / '__init__.py'}\n"
        [path_file] = environment.glob("lib/*/site-packages/*.pth")
        assert path_file.read_text() == f"{checkout}\n"
    finally:
        install(environment, REPOSITORY)
