"""The tutorials and the README's first file, run as they are written: each command prints what its page shows.

A thread does what the DAG of an active contract does. Contracts are in a folder of the test that looks like the
checkout; the bucket is the test's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tutorial_shell import TutorialShell

from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR
from local import addresses
from local.settings import PORTS, REPOSITORY
from tests.tutorial_page import Command, Contract, Fragment, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest_pipeline import Pipeline

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

README, DOCS = REPOSITORY / "README.md", REPOSITORY / "docs"
PAGES = sorted((DOCS / "tutorials").glob("*.md"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder like the checkout, without contracts, and with the command `filegate`."""
    folder = tmp_path / "checkout"
    (folder / "contracts").mkdir(parents=True)
    (folder / "docs").symlink_to(DOCS)
    command = folder / ".venv" / "bin" / "filegate"
    command.parent.mkdir(parents=True)
    (folder / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
    command.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -P -m include.cli "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.fixture
def environment(platform: Platform, pipeline: Pipeline, checkout: Path) -> dict[str, str]:
    """A user's shell, with the addresses of the tests' platform."""
    ports = {name.upper(): str(getattr(platform.settings, name)) for name in PORTS}
    own = {"INGEST_LANDING_BUCKET": pipeline.bucket, "INGEST_CONTRACTS_DIR": str(checkout / "contracts")}
    path = f"{checkout / '.venv' / 'bin'}:{os.environ['PATH']}"
    return os.environ | addresses.for_library(platform) | ports | own | {"PATH": path, "LC_ALL": "C.UTF-8"}


@pytest.fixture
def removed(platform: Platform, checkout: Path, environment: dict[str, str]) -> Iterator[None]:
    """Remove the datasets of a tutorial after it."""
    yield
    for path in checkout.glob("contracts/*.yaml"):
        path.unlink()
        command = ["filegate", "remove", path.stem, "--yes"]
        subprocess.run(command, env=environment, cwd=checkout, check=False, capture_output=True, timeout=120)


def test_there_are_three_tutorials() -> None:
    assert len(PAGES) == 3


@pytest.fixture
def shell(checkout: Path, environment: dict[str, str], tmp_path: Path) -> TutorialShell:
    """The shell in which a page's commands run."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return TutorialShell(checkout, scratch, environment)


@pytest.mark.usefixtures("removed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_runs_as_written(page: Path, pipeline: Pipeline, shell: TutorialShell) -> None:
    contracts, commands = 0, 0
    with _ingesting(pipeline, shell.checkout / "contracts"):
        for step in steps(page):
            if isinstance(step, Command):
                shell.run(step)
                commands += 1
            else:
                assert isinstance(step, Contract)
                (shell.checkout / step.path).write_text(step.text, encoding="utf-8")
                contracts += 1
    assert contracts >= 1
    assert commands >= 6


@pytest.mark.usefixtures("removed")
@pytest.mark.parametrize("page", [README, DOCS / "first-files.md"], ids=lambda page: page.stem)
def test_first_files_run_as_written(page: Path, pipeline: Pipeline, shell: TutorialShell) -> None:
    """The platform of the tests is the one that runs already, so `filegate up` is left out."""
    shutil.copy(CONTRACTS_DIR / "sales.yaml", shell.checkout / "contracts")
    commands = [step for step in steps(page) if isinstance(step, Command) and step.line != "filegate up"]
    with _ingesting(pipeline, shell.checkout / "contracts"):
        for command in commands:
            shell.run(command)
    assert len(commands) >= 5


@pytest.mark.usefixtures("removed")
def test_dataset_is_added_as_written(pipeline: Pipeline, shell: TutorialShell) -> None:
    """The page shows a part of the draft and what to make of it. All other guesses are right."""
    parts, drafted = [], shell.checkout / "contracts" / "members.yaml"
    with _ingesting(pipeline, shell.checkout / "contracts"):
        for step in steps(DOCS / "add-a-dataset.md"):
            if isinstance(step, Command):
                shell.run(step)
                continue
            assert isinstance(step, Fragment)
            parts.append(step.text)
            if len(parts) == 3:
                drafted.write_text(_reviewed(drafted.read_text(encoding="utf-8"), *parts), encoding="utf-8")
    assert len(parts) == 3
    assert pipeline.sql("SELECT count(*) AS n FROM raw.members WHERE newsletter") == [{"n": 3}]


def _reviewed(draft: str, shown: str, changed: str, rule: str) -> str:
    """The contract after the page's changes: a column replaced, a rule added, every mark removed."""
    assert shown in draft, f"the page shows another draft than:\n{draft}"
    text = draft.replace(shown, changed) + rule
    return re.sub(r" *# REVIEW.*", "", text).replace("TODO", "Reviewed")


@contextmanager
def _ingesting(pipeline: Pipeline, contracts: Path) -> Iterator[None]:
    """Ingest files of active contracts, as their DAGs do."""
    ended, errors = threading.Event(), []

    def ingest() -> None:
        while not ended.wait(0.2):
            for path in sorted(contracts.glob("*.yaml")):
                try:
                    contract = read_contract(path)
                except ContractError:
                    continue
                if not contract.is_draft:
                    pipeline.contract = contract
                    pipeline.run()

    def guarded() -> None:
        try:
            ingest()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert errors == []
