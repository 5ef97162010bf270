"""The Makefile: every command has a line of help, and works as the first one in a clean clone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
TARGETS = dict(re.findall(r"^([a-z-]+):([^#\n]*)", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))


def test_every_command_has_a_line_of_help() -> None:
    shown = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([\w-]+) +\w", shown, flags=re.MULTILINE)) == set(TARGETS)


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"help"}))
def test_every_command_sets_up_the_virtualenv_first(target: str) -> None:
    assert TARGETS[target].split() == ["$(STAMP)"]


def test_parts_of_the_long_tests_contain_each_of_them_once() -> None:
    parts = re.findall(r"^LONG_(\d) := (.+)$", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE)
    assert [number for number, _ in parts] == ["1", "2", "3", "4"]
    modules = [str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "tests" / "long").glob("test_*.py")]
    assert sorted(path for _, paths in parts for path in paths.split()) == sorted([*modules, "tests/integration/proof"])


def test_every_dockerfile_is_checked() -> None:
    line = re.search(r"/hadolint --no-color (.+)", (REPOSITORY / "Makefile").read_text())
    assert line
    checked = {path for pattern in line[1].split() for path in REPOSITORY.glob(pattern)}
    found = {path for folder in REPOSITORY.glob("[!.]*/") for path in folder.rglob("Dockerfile*")}
    assert checked == found
