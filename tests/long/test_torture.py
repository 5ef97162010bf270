"""Injects each kind of fault once, on a separate platform in a separate process: all counts are right at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local.settings import REPOSITORY
from proof.torture.report import LOG, REPORT
from proof.torture.schedule import Kind, schedule

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

_FAULTS, _SEED = len(Kind), 1
_SECONDS = 2100  # long, for a busy machine; an idle one needs some minutes
_STOP_SECONDS = 180


def tortured(folder: Path) -> tuple[int, str]:
    """Run the torture; return its exit code and output. After a timeout it is terminated and cleans up."""
    command = [sys.executable, "-m", "proof.torture", "--faults", str(_FAULTS), "--seed", str(_SEED)]
    command += ["--large-rows", "100000", "--out", str(folder)]
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT)
        try:
            code = process.wait(_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(_STOP_SECONDS)
        output.seek(0)
        return code, output.read()


def test_each_kind_of_fault_loses_and_duplicates_nothing(tmp_path: Path) -> None:
    code, output = tortured(tmp_path)

    assert code == 0, output[-8000:]
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["ok"]
    assert report["files"] >= 10
    assert report["messages"] > 0
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["kind"] for line in lines] == [fault.kind for fault in schedule(_SEED, _FAULTS)]
    # A second scheduler or a task process may not start in time; targets of the other faults always exist.
    missed = {line["kind"] for line in lines if not line["tried"]}
    assert missed <= {Kind.FILL_DISK, Kind.TWO_SCHEDULERS, Kind.KILL_TASK, Kind.KILL_ALL_TASKS, Kind.KILL_BACKEND}, (
        lines
    )
