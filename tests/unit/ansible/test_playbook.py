"""Static checks of the playbook: syntax, style, and that each variable is explained, is used and has a default."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.unit

ANSIBLE = Path(__file__).parents[3] / "deploy" / "ansible"
PROGRAMS = Path(sys.executable).parent
EXPLAINED = ANSIBLE / "group_vars" / "all" / "main.yml"
SOURCES = [
    path for path in ANSIBLE.rglob("*") if path.suffix in {".yml", ".j2", ".sql"} and ".ansible" not in path.parts
]
ROLES = ("set_up", "start", "pipeline", "verify")


def run(program: str, *arguments: str, folder: Path = ANSIBLE) -> subprocess.CompletedProcess[str]:
    own = {"LC_ALL": "C.UTF-8", "VIRTUAL_ENV": sys.prefix, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [str(PROGRAMS / program), *arguments],
        cwd=folder,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )


def variables(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("inventory", ["localhost.yml", "remote.example.yml"])
def test_the_syntax_is_right(inventory: str) -> None:
    checked = run("ansible-playbook", "--syntax-check", "--inventory", f"inventories/{inventory}", "site.yml")
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_filegate_runs_the_playbook_with_the_arguments_from_any_folder(tmp_path: Path) -> None:
    arguments = ("--inventory", "inventories/remote.example.yml", "--list-tags")
    checked = subprocess.run(
        [sys.executable, "-m", "include.cli", "dev", "ansible", *arguments], cwd=tmp_path, stdin=subprocess.DEVNULL,
        env=os.environ | {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(ANSIBLE.parents[1])}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert "playbook: site.yml" in checked.stdout
    assert "TASK TAGS: [always, pipeline, set_up, start, verify]" in checked.stdout


def test_the_strictest_profile_of_the_linter_finds_nothing() -> None:
    checked = run("ansible-lint", "--strict", "--nocolor")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Profile 'production' was required, and it passed" in checked.stderr


def test_each_role_has_the_tag_of_its_name() -> None:
    [play] = yaml.safe_load((ANSIBLE / "site.yml").read_text())
    assert [(role["role"], role["tags"]) for role in play["roles"]] == [(name, [name]) for name in ROLES]


@pytest.mark.parametrize("name", sorted(variables(EXPLAINED)))
def test_each_variable_is_explained_and_used(name: str) -> None:
    head = EXPLAINED.read_text().split(f"\n{name}:", maxsplit=1)[0]
    block = head.rsplit("\n\n", maxsplit=1)[-1]
    assert block.startswith("#"), "the variable or its group has no comment"
    assert any(re.search(rf"\b{name}\b", path.read_text()) for path in SOURCES if path != EXPLAINED)


def test_no_variable_is_without_a_default() -> None:
    known = {*variables(EXPLAINED), *variables(EXPLAINED.with_name("commands.yml"))}
    used = {name for path in SOURCES for name in re.findall(r"\bfilegate_\w+", path.read_text())}
    assert used - known == set()


def test_only_builtin_modules_are_used() -> None:
    """No collection of Galaxy is used: a control host needs only ansible-core."""
    modules = {name for path in SOURCES for name in re.findall(r"^ +(\w+\.\w+\.\w+):", path.read_text(), re.MULTILINE)}
    assert modules
    assert {name for name in modules if not name.startswith("ansible.builtin.")} == set()


def test_the_unit_starts_and_stops_the_platform_as_its_user(tmp_path: Path) -> None:
    unit = tmp_path / "filegate.service"
    arguments = f"src=roles/start/templates/filegate.service.j2 dest={unit} mode=0644"
    variables_of_play = {
        "start_user": {"stdout": "filegate"},
        "filegate_path": "/opt/filegate",
        "ansible_python_interpreter": sys.executable,
    }
    rendered = run(
        "ansible",
        *("localhost", "--inventory", "inventories/localhost.yml", "--module-name", "template"),
        *("--args", arguments, "--extra-vars", json.dumps(variables_of_play)),
    )
    assert rendered.returncode == 0, rendered.stdout + rendered.stderr
    lines = unit.read_text().splitlines()
    for line in (
        "User=filegate",
        "WorkingDirectory=/opt/filegate",
        "Type=oneshot",
        "RemainAfterExit=yes",
        "ExecStart=/usr/bin/env make --no-print-directory up",
        "ExecStop=/usr/bin/env make --no-print-directory down",
        "TimeoutStartSec=900",
        "WantedBy=multi-user.target",
    ):
        assert line in lines
