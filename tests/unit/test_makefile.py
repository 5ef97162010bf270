"""The Makefile: its twelve commands, and the targets of before, each of which prints and runs a `filegate` command."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.filegate_command import problem_of

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
TARGETS = dict(re.findall(r"^([a-z-]+): ?(\$\(STAMP\)|)", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
KEPT = {
    "demo", "up", "down", "test", "test-long", "lint", "format", "bench", "lock", "setup", "clean", "help",
}  # fmt: skip
ALIASES = {
    "status": ("", "status"),
    "env": ("OWNER=1 AWS=1 SERVICES=1", "env --owner --aws --services"),
    "drop": ("FILE='my file.csv' DATASET=sales NAME=a.csv", "drop --dataset sales --name a.csv -- 'my file.csv'"),
    "backup": ("YES=1 TO=folder", "backup --yes -- folder"),
    "restore": ("FORCE=1 FROM=folder", "restore --force -- folder"),
    "rotate-secrets": ("", "rotate-secrets"),
    "ansible": ("ARGS='-i hosts.yml --tags verify'", "dev ansible -- -i hosts.yml --tags verify"),
    "contract": ("FILE=a.csv NAME=members", "contract draft --dataset members --write -- a.csv"),
    "generate": (
        "DATASET=sales ROWS=5 FORMAT=json BAD=bad-date:2,not-in-list SEED=3 OUT=a.json",
        "generate --rows 5 --format json --bad bad-date:2,not-in-list --seed 3 --out a.json -- sales",
    ),
    "schema": ("DATASET=sales ACTION=register TOPIC=t", "schema register --topic t -- sales"),
    "produce": (
        "TOPIC=t FILE=a.csv ROWS=5 RATE=1 SEED=3 DATASET=sales",
        "produce --topic t --file a.csv --rows 5 --rate 1 --seed 3 --dataset sales",
    ),
    "replay-dlq": ("TOPIC=t LIMIT=5", "replay-dlq --topic t --limit 5"),
    "ingest-github": ("FULL=1", "run collect_github_commits --conf '{\"full\": true}'"),
    "dbt": ("ARGS='build --full-refresh'", "dbt build --full-refresh"),
    "dbt-docs": ("", "dbt docs generate --static"),
    "check-quality": ("", "run check_quality"),
    "report": ("OUT=a.html", "report --out a.html"),
    "train": ("", "run train_commit_model"),
    "schedules": ("", "schedules"),
    "env-file": ("PROFILES=ml,bi", "dev env-file --profiles ml,bi"),
    "compose-check": ("", "dev compose-check"),
    "torture": ("FAULTS=5 SEED=3", "dev torture --faults 5 --seed 3"),
    "soak": ("MINUTES=5 IDLE=1", "dev soak --minutes 5 --idle"),
    "mutation": ("ONLY=a.py MUTANTS=5", "dev mutation --only a.py --mutants 5"),
}


def test_help_lists_the_commands_that_stay() -> None:
    shown = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([\w-]+) +\w", shown, flags=re.MULTILINE)) == KEPT


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"help"}))
def test_every_command_sets_up_the_virtualenv_first(target: str) -> None:
    assert TARGETS[target] == "$(STAMP)"


def test_every_other_target_is_an_alias() -> None:
    assert set(TARGETS) - KEPT == set(ALIASES)


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program in the place of `filegate` that prints its arguments, one a line."""
    program = tmp_path_factory.mktemp("bin") / "filegate"
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    return program


def make(target: str, arguments: str, recorder: Path) -> subprocess.CompletedProcess[str]:
    """Run an alias without its set-up."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    command = ["make", "--old-file=.venv/.requirements.stamp", target, f"FILEGATE={recorder}", *shlex.split(arguments)]
    return subprocess.run(command, cwd=REPOSITORY, env=plain, capture_output=True, text=True, check=True, timeout=60)


@pytest.mark.parametrize("target", ALIASES)
def test_alias_prints_the_new_command_and_only_runs_it(target: str, recorder: Path) -> None:
    arguments, expected = ALIASES[target]
    done = make(target, arguments, recorder)
    start = f"make {target} is now: .venv/bin/filegate "
    assert done.stderr.startswith(start)
    assert shlex.split(done.stderr.removeprefix(start)) == shlex.split(expected)
    assert done.stdout.splitlines() == shlex.split(expected)


@pytest.mark.parametrize("target", ALIASES)
def test_command_that_an_alias_prints_exists(target: str) -> None:
    """Its name is in the table, and each option is one of the command."""
    assert problem_of(shlex.split(ALIASES[target][1])) == ""


def test_dbt_without_arguments_runs_the_dag(recorder: Path) -> None:
    assert make("dbt", "", recorder).stdout.split() == ["run", "transform_warehouse"]


def test_name_of_the_host_is_no_name_of_a_file(recorder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some shells set NAME to the host's name: only a value on the command line is used."""
    monkeypatch.setenv("NAME", "host-7")
    assert "host-7" not in make("drop", "FILE=a.csv", recorder).stdout


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
