"""Each kind of fault once, on a platform of its own, in a process of its own: in the end everything is right."""

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
_SECONDS = 2100  # minutes on a machine that does nothing else
_STOP_SECONDS = 180


def tortured(folder: Path) -> tuple[int, str]:
    """Run it; exit code and what it printed. It is asked to end, and cleans up, where it takes too long."""
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


def test_each_kind_of_fault_loses_and_doubles_nothing(tmp_path: Path) -> None:
    code, output = tortured(tmp_path)

    assert code == 0, output[-8000:]
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["ok"]
    assert report["files"] >= 10
    assert report["messages"] > 0
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["kind"] for line in lines] == [fault.kind for fault in schedule(_SEED, _FAULTS)]
    # A second scheduler and a task process may fail to show up in time; the others are always there to be hit.
    missed = {line["kind"] for line in lines if not line["tried"]}
    assert missed <= {Kind.FILL_DISK, Kind.TWO_SCHEDULERS, Kind.KILL_TASK, Kind.KILL_ALL_TASKS, Kind.KILL_BACKEND}, (
        lines
    )
