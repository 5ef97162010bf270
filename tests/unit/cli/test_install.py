"""The console script and the `.pth` file, in a virtual environment of the test."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def test_command_and_checkout_are_found_from_everywhere_without_pythonpath(tmp_path: Path) -> None:
    home = tmp_path / "an environment with spaces"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: object) -> str:
        done = subprocess.run(
            [*map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(python, ROOT / "include" / "cli" / "install.py", ROOT)
    assert run(python, "-c", "import include; print(include.__file__)").strip() == str(ROOT / "include" / "__init__.py")

    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert run(home / "bin" / "filegate", "--help").startswith("Usage: filegate COMMAND")
    assert run(python, "-m", "pytest", "--version").startswith("pytest"), sys.path
