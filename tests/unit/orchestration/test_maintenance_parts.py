"""Maintenance without a platform: log files."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.orchestration.task_logs import remove_log_files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

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
