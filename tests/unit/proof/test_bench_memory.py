"""The peak memory of a benchmark is that of its worker process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from local.settings import REPOSITORY
from proof.bench.memory import peak_mb

pytestmark = pytest.mark.unit


def test_peak_mb_does_not_count_memory_of_the_parent() -> None:
    assert len(bytearray(400 * 1024**2).replace(b"\0", b"\1")) > 0
    command = [sys.executable, "-c", "from proof.bench.memory import peak_mb; print(peak_mb())"]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert float(printed) < 200
    assert peak_mb() > 400
