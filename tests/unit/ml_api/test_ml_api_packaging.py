"""The service stands alone: its own pins, the same as the platform's, and settings of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ml_api.settings import MlApiSettings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", path.read_text(), flags=re.MULTILINE))


def test_the_service_runs_with_the_versions_that_are_tested() -> None:
    own, platform = pins(ROOT / "ml_api" / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert own
    assert own == {name: platform.get(name) for name in own}


def test_what_it_needs_is_pinned() -> None:
    wanted = re.findall(r"^([a-z0-9-]+)", (ROOT / "ml_api" / "requirements.in").read_text(), flags=re.MULTILINE)
    assert wanted
    assert set(wanted) <= set(pins(ROOT / "ml_api" / "requirements.txt"))


def test_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ML_API_HOST", raising=False)
    monkeypatch.delenv("ML_API_PORT", raising=False)
    assert (MlApiSettings().host, MlApiSettings().port) == ("127.0.0.1", 8100)
    monkeypatch.setenv("ML_API_HOST", "0.0.0.0")
    monkeypatch.setenv("ML_API_PORT", "9100")
    assert (MlApiSettings().host, MlApiSettings().port) == ("0.0.0.0", 9100)


def test_a_port_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ml_api"],
        env={"ML_API_PORT": "eighty", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ML_API_PORT=eighty: ")
    assert done.stderr.count("\n") == 1
