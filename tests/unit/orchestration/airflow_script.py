"""Runs a script with the real Airflow in a process of its own, where it finds no settings of the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
_MARK = "RESULTS"
_SECONDS = 300


def results_of(
    script: str, home: Path, *arguments: str, environment: Mapping[str, str] | None = None, secret: str = ""
) -> dict[str, Any]:
    """Run a script, which prints RESULTS and then a JSON object in one line; return the object.

    Args:
        script: Python.
        home: the home of Airflow, an empty folder.
        arguments: of the script.
        environment: further variables.
        secret: a text that the script must not print.
    """
    variables = {
        "PATH": "/usr/bin:/bin", "HOME": str(home), "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/x.db",
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, text=True, env=variables | dict(environment or {}), cwd=home, timeout=_SECONDS,
        check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert not secret or secret not in answer.stdout + answer.stderr
    [line] = [line for line in answer.stdout.splitlines() if line.startswith(_MARK)]
    found: dict[str, Any] = json.loads(line.removeprefix(_MARK))
    return found
