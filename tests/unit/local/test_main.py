"""The commands as a user meets them: exit codes and one clear line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from local.__main__ import app

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_status_before_the_first_start() -> None:
    result = run("status")
    assert result.exit_code == 3
    assert "make up" in result.output


def test_env_before_the_first_start() -> None:
    result = run("env")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "never started" in result.stderr


def test_down_and_clean_before_the_first_start() -> None:
    assert run("down").output == "Nothing was running.\n"
    assert run("clean").output.startswith("There is no ")


def test_a_bad_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_PORT", "ninety")
    result = run("status")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: a setting cannot be used: S3_PORT=ninety: ")
    assert result.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "file" / "home"))
    result = run("up")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Not a directory: ")


def test_a_missing_file_cannot_be_dropped(tmp_path: Path) -> None:
    result = run("drop", str(tmp_path / "none.csv"), "--dataset", "sales")
    assert result.exit_code == 1
    assert "is not a file" in result.stderr
