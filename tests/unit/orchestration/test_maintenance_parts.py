"""Maintenance without a platform: log files, retention of runs, start of the cleaning of Airflow's database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.orchestration.airflow_database import retention_period
from include.orchestration.task_logs import remove_log_files
from include.settings import IngestSettings, RetentionSettings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DAY = 86_400


def log_file(base: Path, name: str, days_old: float) -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x" * 1024)
    when = time.time() - days_old * DAY
    for each in (path, *path.parents):
        if each == base:
            break
        os.utime(each, (when, when))
    return path


def test_only_folders_of_runs_without_a_recent_file_are_removed(tmp_path: Path) -> None:
    old = log_file(tmp_path, "dag_id=a/run_id=old/task_id=t/attempt=1.log", 40)
    parsed = log_file(tmp_path, "dag_processor/2026-01-01/platform/dags/a.py.log", 40)
    waiting = log_file(tmp_path, "dag_id=a/run_id=waits/task_id=t/attempt=1.log", 40)
    log_file(tmp_path, "dag_id=a/run_id=waits/task_id=t/attempt=1.log.trigger.7.log", 1)
    young = log_file(tmp_path, "dag_id=b/run_id=young/task_id=t/attempt=1.log", 1)
    strange = log_file(tmp_path, "notes/run_id=mine/keep.txt", 400)
    (tmp_path / "dag_processor" / "latest").symlink_to(tmp_path / "notes")
    assert remove_log_files(tmp_path, timedelta(days=30)) == {"folders": 2, "megabytes": 0}
    there = [path.exists() for path in (old, parsed, waiting, young, strange)]
    assert there == [False, False, True, True, True]
    assert remove_log_files(tmp_path, timedelta(days=30))["folders"] == 0


def test_a_symlink_instead_of_a_run_folder_is_not_followed(tmp_path: Path) -> None:
    outside = log_file(tmp_path, "outside/keep.log", 400)
    base = tmp_path / "logs" / "dag_id=a"
    base.mkdir(parents=True)
    (base / "run_id=x").symlink_to(outside.parent)
    assert remove_log_files(tmp_path / "logs", timedelta(days=1))["folders"] == 0
    assert outside.exists()


def test_no_folder_of_logs_is_no_error(tmp_path: Path) -> None:
    assert remove_log_files(tmp_path / "none", timedelta(days=1)) == {"folders": 0, "megabytes": 0}


@pytest.mark.parametrize(
    ("days", "wait_hours", "expected"),
    [
        pytest.param(30.0, 24.0, timedelta(days=30), id="as the settings say"),
        pytest.param(0.01, 24.0, timedelta(days=2), id="never less than a waiting run lasts"),
    ],
)
def test_runs_are_kept_longer_than_any_run_waits(days: float, wait_hours: float, expected: timedelta) -> None:
    assert retention_period(RetentionSettings(airflow_days=days), IngestSettings(wait_hours=wait_hours)) == expected


# Runs in a separate process, since Airflow reads its configuration at import.
SCRIPT = """
import importlib.util, json, sys
from types import SimpleNamespace
from airflow.sdk.exceptions import AirflowFailException
from include.orchestration import maintenance

spec = importlib.util.spec_from_file_location("clean_database", sys.argv[1])
plugin = importlib.util.module_from_spec(spec)
sys.modules["clean_database"] = plugin
spec.loader.exec_module(plugin)
started = []

def popen(command, **_):
    started.append(command[1:])
    return SimpleNamespace(pid=1, wait=lambda: 0)

plugin.subprocess.Popen = popen
for dag_id, run_id in (("maintain_platform", "--help"), ("sweep_unmatched", "x")):
    plugin.on_dag_run_running(SimpleNamespace(dag_id=dag_id, run_id=run_id), "started")

def poke(result):
    maintenance.Variable.get = lambda *_, **__: result
    try:
        outcome = maintenance.clean_airflow_database.function()
    except AirflowFailException as error:
        return str(error)
    return [outcome.is_done, outcome.xcom_value]

maintenance.get_current_context = lambda: {"run_id": "mine"}
print("SEEN" + json.dumps({
    "started": started,
    "no result": poke(None),
    "of another run": poke({"run_id": "yesterday", "deleted": {"dag_run": 7}, "error": ""}),
    "of this run": poke({"run_id": "mine", "deleted": {"dag_run": 3}, "error": ""}),
    "failed": poke({"run_id": "mine", "deleted": {}, "error": "OperationalError: no room"}),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The processes that the plugin starts, and the outcome of the task for each result of the cleaning."""
    home = tmp_path_factory.mktemp("airflow")
    environment = os.environ | {"AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROOT / "plugins" / "clean_database.py")],
        env=environment, cwd=home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("SEEN")), None)
    assert line is not None, done.stderr[-3000:]
    return dict(json.loads(line.removeprefix("SEEN")))


def test_plugin_starts_the_cleaning_for_runs_of_maintain_platform_alone(seen: dict[str, Any]) -> None:
    assert seen["started"] == [["-m", "include.orchestration.airflow_database", "--", "--help"]]


@pytest.mark.parametrize(
    ("result", "outcome"),
    [("no result", [False, None]), ("of another run", [False, None]), ("of this run", [True, {"dag_run": 3}])],
)
def test_task_waits_for_the_result_of_its_own_run(seen: dict[str, Any], result: str, outcome: list[object]) -> None:
    assert seen[result] == outcome


def test_task_fails_with_the_error_of_the_cleaning(seen: dict[str, Any]) -> None:
    assert "no room" in seen["failed"]
