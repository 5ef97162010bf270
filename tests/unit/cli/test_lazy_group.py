"""`filegate`: what it lists, that every command can be imported, and what it does not import for its help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from include.cli.app import commands
from include.cli.lazy_group import _imported

pytestmark = pytest.mark.unit

HEAVY = (
    "airflow", "duckdb", "great_expectations", "pyarrow", "boto3", "mlflow", "pandas", "psycopg", "pydantic",
    "sqlalchemy",
)  # fmt: skip


def filegate(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "include.cli", *arguments]
    environment = os.environ | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name)
def test_command_of_the_table_can_be_imported_and_explains_itself(command) -> None:
    assert (_imported(command).help or "").strip()


def test_names_of_commands_are_there_once() -> None:
    names = [command.name for command in commands()]
    assert sorted(set(names)) == sorted(names)


def test_help_lists_every_command_within_80_columns() -> None:
    shown = filegate("--help")
    assert shown.returncode == 0
    for command in commands():
        assert f"  {command.name} " in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_help_imports_nothing_heavy_though_it_lists_the_commands_of_the_platform() -> None:
    code = (
        "import sys\nfrom include.cli.app import main\nsys.argv = ['filegate', '--help']\n"
        f"try: main()\nexcept SystemExit: pass\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.splitlines()[-1] == "[]"
    assert {"  up ", "  files "} <= {line[: line.find(" ", 2) + 1] for line in shown.stdout.splitlines()}


def test_unknown_command_names_the_nearest_ones() -> None:
    shown = filegate("fils")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "there is no command 'fils'. Did you mean files" in shown.stderr


def test_wrong_option_is_refused_without_a_traceback() -> None:
    shown = filegate("files", "--limit", "none")
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr


def completed(words: str) -> list[str]:
    """What a shell offers for the last word, which is empty after a blank."""
    state = {
        "_FILEGATE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    command = [sys.executable, "-m", "include.cli"]
    shown = subprocess.run(command, env=os.environ | state, capture_output=True, text=True, check=False, timeout=60)
    return shown.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        pytest.param("filegate sta", {"status"}, id="command"),
        pytest.param("filegate contract d", {"describe", "diff", "draft"}, id="command of a group"),
        pytest.param("filegate files --da", {"--dataset"}, id="option"),
        pytest.param("filegate reprocess --stage l", {"load"}, id="value"),
    ],
)
def test_shell_completes_commands_and_options(words: str, offered: set[str]) -> None:
    assert set(completed(words)) == offered


def test_completion_for_a_shell_can_be_printed() -> None:
    shown = filegate("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.returncode == 0
    assert "complete -o default -F _filegate_completion filegate" in shown.stdout


def test_every_command_is_in_the_reference() -> None:
    text = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")
    mentioned = {words.split()[0] for words in re.findall(r"`([a-z][^`]*)`", text)}
    assert {command.name for command in commands()} <= mentioned
