"""The daily clean-up of Airflow's database: when it runs, how long rows are kept, and how a failure shows."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.settings import IngestSettings, RetentionSettings
from local.credentials import load_or_make
from local.services import airflow, airflow_cleanup
from local.services.airflow_cleanup import TABLES, complaint, next_start, repeat, retention_period
from local.settings import REPOSITORY, temporary_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

MINUTE, DAY = 60.0, 86_400.0
START = 1_000 * DAY


@pytest.mark.parametrize(
    ("days", "wait_hours", "expected"),
    [
        pytest.param(30.0, 24.0, timedelta(days=30), id="as the settings say"),
        pytest.param(0.01, 24.0, timedelta(days=2), id="never less than a waiting run lasts"),
    ],
)
def test_runs_are_kept_longer_than_any_run_waits(days: float, wait_hours: float, expected: timedelta) -> None:
    assert retention_period(RetentionSettings(airflow_days=days), IngestSettings(wait_hours=wait_hours)) == expected


def test_state_of_dags_and_triggers_is_never_deleted() -> None:
    assert {"dag", "trigger", "callback"}.isdisjoint(TABLES)


@pytest.mark.parametrize(
    ("ended", "error", "expected"),
    [
        pytest.param(0.0, "", START + 10 * MINUTE, id="never cleaned"),
        pytest.param(START - DAY / 2, "", START + DAY / 2, id="cleaned before the restart"),
        pytest.param(START - 9 * DAY, "", START + 10 * MINUTE, id="machine was off"),
        pytest.param(START - DAY / 2, "exit code 1", START + 10 * MINUTE, id="failed before the restart"),
        pytest.param(START + MINUTE, "exit code 1", START + MINUTE + DAY, id="failed since the start"),
        pytest.param(START + MINUTE, "", START + MINUTE + DAY, id="cleaned since the start"),
    ],
)
def test_database_is_cleaned_once_a_day_and_not_during_a_start(ended: float, error: str, expected: float) -> None:
    assert next_start(START, ended, error) == expected


class EndedError(BaseException):
    """Ends the endless loop."""


def test_failed_clean_up_shows_until_the_next_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, outcomes, seen = [START], ["exit code 1", ""], list[str | None]()

    def sleep(seconds: float) -> None:
        if now[0] > START + 2 * DAY:
            raise EndedError
        now[0] += seconds

    def run_once() -> str:
        seen.append(complaint(tmp_path))
        return outcomes.pop(0)

    monkeypatch.setattr(airflow_cleanup.time, "time", lambda: now[0])
    monkeypatch.setattr(airflow_cleanup.time, "sleep", sleep)
    monkeypatch.setattr(airflow_cleanup, "_run_once", run_once)
    with pytest.raises(EndedError):
        repeat(tmp_path)
    assert outcomes == [], "it was not repeated the next day"
    assert seen[0] is None
    assert seen[1] == "the clean-up at 1972-09-27 00:10 UTC failed (exit code 1); see its log"
    assert complaint(tmp_path) is None


def test_an_earlier_failure_does_not_hinder_a_start(tmp_path: Path) -> None:
    (tmp_path / "cleanup.json").write_text(json.dumps({"ended": START, "error": "exit code 1"}))
    assert complaint(tmp_path, since=START + 1) is None
    assert complaint(tmp_path)


@pytest.mark.parametrize(("error", "code"), [("", 0), ("exit code 1", 1)])
def test_health_check_of_a_container_reports_the_failure(tmp_path: Path, error: str, code: int) -> None:
    (tmp_path / "cleanup.json").write_text(json.dumps({"ended": START, "error": error}))
    done = subprocess.run(
        [sys.executable, "-m", airflow_cleanup.MODULE, "check"], cwd=tmp_path, capture_output=True, text=True,
        env={"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}, check=False,
    )  # fmt: skip
    assert (done.returncode, error in done.stderr) == (code, True)


def test_the_process_that_sleeps_imports_the_standard_library_alone() -> None:
    script = f"import sys, {airflow_cleanup.MODULE}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {"pydantic", "psycopg", "airflow", "include"}.isdisjoint(done.stdout.split())


def test_the_service_gets_no_other_secret_than_its_database(tmp_path: Path) -> None:
    settings, credentials = temporary_settings(tmp_path), load_or_make(tmp_path / "secrets.env")
    [service] = [one for one in airflow.services(settings, credentials) if one.name == airflow.CLEANUP]
    values = " ".join(service.environment.values())
    secrets = {name: value for name, value in vars(credentials).items() if name.endswith(("password", "key", "secret"))}
    assert [name for name, value in secrets.items() if value in values] == ["airflow_db_password"]
