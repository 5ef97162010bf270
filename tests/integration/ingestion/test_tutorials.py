"""The tutorials of docs/tutorials/, run as they are written: each command prints what its page shows.

A thread does what the DAG of an active contract does. Contracts are in a folder of the test that looks like the
checkout; the bucket is the test's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from local import addresses
from local.settings import PORTS, REPOSITORY
from tests.tutorial_page import Command, Contract, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest_pipeline import Pipeline

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

PAGES = sorted((REPOSITORY / "docs" / "tutorials").glob("*.md"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder like the checkout, without contracts, and with the command `filegate`."""
    folder = tmp_path / "checkout"
    (folder / "contracts").mkdir(parents=True)
    (folder / "docs").symlink_to(REPOSITORY / "docs")
    command = folder / ".venv" / "bin" / "filegate"
    command.parent.mkdir(parents=True)
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


@pytest.mark.usefixtures("removed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_runs_as_written(page: Path, pipeline: Pipeline, checkout: Path, environment: dict[str, str]) -> None:
    done = 0
    with _ingesting(pipeline, checkout / "contracts"):
        for step in steps(page):
            if isinstance(step, Contract):
                (checkout / step.path).write_text(step.text, encoding="utf-8")
                continue
            output = _run(step, checkout, environment)
            assert step.fits(output), f"$ {step.line}\nshown:\n{step.shown}\n\nprinted:\n{output}"
            done += 1
    assert done >= 6


def _run(command: Command, checkout: Path, environment: dict[str, str]) -> str:
    """What a command prints. Its exit code is 0, but for a refusal that the page shows."""
    run = subprocess.run(
        ["bash", "-c", command.line], env=environment, cwd=checkout, stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
    is_refused = re.search(r"would be refused|_failed", command.shown) is not None
    assert (run.returncode == 0) != is_refused, f"$ {command.line}\n{run.stdout}"
    return run.stdout


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
