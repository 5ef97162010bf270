"""Old rows are deleted from Airflow's metadata database. The service's own program runs against a real schema."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local.services import airflow, airflow_cleanup
from local.services.postgres import superuser_connection
from local.services.service import shared_environment

if TYPE_CHECKING:
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

# Creates Airflow's tables, and inserts old and new rows.
FILL = """
from datetime import UTC, datetime, timedelta
from airflow import settings
settings.initialize()
from airflow.models.base import Base
from airflow.utils.db import import_all_models
import_all_models()
Base.metadata.create_all(settings.engine)
from airflow.models import Log
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
from sqlalchemy import insert

now = datetime.now(UTC)
with create_session() as session:
    session.add(DagBundleModel(name="platform"))
    session.flush()
    for dag_id in ("busy", "rare", "stuck"):
        session.add(DagModel(dag_id=dag_id, bundle_name="platform", last_parsed_time=now - timedelta(days=400),
                             is_paused=dag_id == "rare"))
    session.flush()
    for dag_id, run_id, days, state in (
        ("busy", "old", 40, "success"), ("busy", "young", 1, "success"), ("rare", "last", 40, "success"),
        ("busy", "since", 32, "success"), ("stuck", "before", 42, "success"), ("stuck", "running", 35, "running"),
    ):
        at = now - timedelta(days=days)
        run = DagRun(dag_id=dag_id, run_id=run_id, run_type=DagRunType.SCHEDULED, run_after=at, start_date=at,
                     logical_date=at, state=state)
        session.add(run)
        session.flush()
        task = {"dag_id": dag_id, "run_id": run_id, "task_id": "t"}
        session.execute(insert(TaskInstance.__table__).values(**task, pool="default_pool", start_date=at, state=state))
        session.execute(insert(XComModel.__table__).values(**task, dag_run_id=run.id, key="return_value", timestamp=at))
    for name, days in (("old", 40), ("young", 1)):
        entry = Log(event=name)
        entry.dttm = now - timedelta(days=days)
        session.add(entry)
    session.add(Trigger(classpath="a.B", kwargs={}, created_date=now - timedelta(days=40)))
    session.add(AssetModel(name="a", uri="postgres://h/d/s/a", group="raw"))
    session.flush()
    for days in (40, 1):
        session.add(AssetEvent(asset_id=1, timestamp=now - timedelta(days=days)))
"""
ALL = ["before", "last", "old", "running", "since", "young"]


@pytest.fixture(scope="module")
def environment(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the service gets, with an AIRFLOW_HOME of its own; Airflow's database is filled."""
    service = next(
        one for one in airflow.services(platform.settings, platform.credentials) if one.name == airflow.CLEANUP
    )
    home = tmp_path_factory.mktemp("airflow")
    own = shared_environment(home) | dict(service.environment) | {"AIRFLOW_HOME": str(home)}
    subprocess.run([sys.executable, "-c", FILL], env=own, cwd=home, check=True, timeout=150)
    return own


def clean(environment: dict[str, str], **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", airflow_cleanup.MODULE, "once"]
    return subprocess.run(
        command, env=environment | settings, cwd=environment["AIRFLOW_HOME"], capture_output=True, text=True,
        timeout=150, check=False,
    )  # fmt: skip


def values(platform: Platform, query: str) -> list[object]:
    with superuser_connection(platform.settings, platform.credentials, "airflow") as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def test_zero_days_keep_everything(platform: Platform, environment: dict[str, str]) -> None:
    done = clean(environment, RETENTION_AIRFLOW_DAYS="0")
    assert (done.returncode, "nothing is deleted" in done.stdout) == (0, True), done.stderr
    assert values(platform, "SELECT run_id FROM dag_run ORDER BY 1") == ALL


def test_a_failed_cleaning_fails_and_deletes_nothing(platform: Platform, environment: dict[str, str]) -> None:
    wrong = environment[airflow_cleanup.DATABASE].replace("//airflow:", "//airflow:x")
    done = clean(environment, **{"RETENTION_AIRFLOW_DAYS": "30", airflow_cleanup.DATABASE: wrong})
    assert done.returncode == 1
    assert "password authentication failed" in done.stderr
    assert values(platform, "SELECT run_id FROM dag_run ORDER BY 1") == ALL


def test_old_rows_are_deleted_except_the_last_run_of_a_dag(platform: Platform, environment: dict[str, str]) -> None:
    done = clean(environment, RETENTION_AIRFLOW_DAYS="30")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "has not finished: rows since then are kept" in done.stdout
    assert values(platform, "SELECT run_id FROM dag_run ORDER BY 1") == ["last", "running", "since", "young"]
    assert values(platform, "SELECT run_id FROM task_instance ORDER BY 1") == ["running", "since", "young"]
    assert values(platform, "SELECT run_id FROM xcom ORDER BY 1") == ["running", "since", "young"]
    assert values(platform, "SELECT event FROM log WHERE event IN ('old', 'young')") == ["young"]
    assert values(platform, "SELECT count(*) FROM asset_event") == [1]
    assert values(platform, "SELECT count(*) FROM trigger") == [1], "a trigger takes its deferred task with it"
    assert values(platform, "SELECT dag_id FROM dag ORDER BY 1") == ["busy", "rare", "stuck"]
    assert values(platform, "SELECT dag_id FROM dag WHERE is_paused") == ["rare"]
    assert values(platform, "SELECT tablename FROM pg_tables WHERE tablename LIKE '\\_airflow\\_deleted%'") == []
