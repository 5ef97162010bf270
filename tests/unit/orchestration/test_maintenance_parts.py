"""Upkeep without a platform: log files, how long runs are kept, and who starts the cleaning of Airflow's database."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from include.orchestration.airflow_database import kept
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
    for one in (path, *path.parents):
        if one == base:
            break
        os.utime(one, (when, when))
    return path


def test_only_folders_of_runs_without_a_young_file_go(tmp_path: Path) -> None:
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


def test_a_symlink_in_the_place_of_a_run_is_left_alone(tmp_path: Path) -> None:
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
def test_runs_are_kept_longer_than_any_waits(days: float, wait_hours: float, expected: timedelta) -> None:
    assert kept(RetentionSettings(airflow_days=days), IngestSettings(wait_hours=wait_hours)) == expected


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, list[list[str]]]:
    """The plugin as Airflow loads it, and the commands that it starts."""
    spec = importlib.util.spec_from_file_location("clean_database", ROOT / "plugins" / "clean_database.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "clean_database", module)
    spec.loader.exec_module(module)
    started: list[list[str]] = []

    def popen(command: list[str], **_: object) -> SimpleNamespace:
        started.append(command)
        return SimpleNamespace(pid=1, wait=lambda: 0)

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    return module, started


def test_plugin_starts_the_cleaning_for_a_run_of_maintain_platform(
    plugin: tuple[ModuleType, list[list[str]]],
) -> None:
    module, started = plugin
    module.on_dag_run_running(SimpleNamespace(dag_id="maintain_platform", run_id="--help"), "started")
    assert started == [[sys.executable, "-m", "include.orchestration.airflow_database", "--", "--help"]]


def test_plugin_leaves_other_dags_alone(plugin: tuple[ModuleType, list[list[str]]]) -> None:
    module, started = plugin
    module.on_dag_run_running(SimpleNamespace(dag_id="sweep_unmatched", run_id="x"), "started")
    assert started == []
