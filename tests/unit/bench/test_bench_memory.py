"""The peak that the bench tells is the worker's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.memory import peak_mb
from local.settings import REPOSITORY

pytestmark = pytest.mark.unit


def test_what_the_parent_has_used_does_not_count() -> None:
    assert len(bytearray(400 * 1024**2).replace(b"\0", b"\1")) > 0
    command = [sys.executable, "-c", "from bench.memory import peak_mb; print(peak_mb())"]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert float(told) < 200
    assert peak_mb() > 400
