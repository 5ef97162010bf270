"""Old rows are deleted from Airflow's metadata database. Runs in a separate process, against a real schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from local.settings import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

# Creates Airflow's tables, inserts old and new rows, cleans, and prints the remaining rows and the recorded result.
SCRIPT = """
import json, sys
from datetime import UTC, datetime, timedelta
from airflow import settings
settings.initialize()
from airflow.models.base import Base
from airflow.utils.db import import_all_models
import_all_models()
Base.metadata.create_all(settings.engine)
from airflow.models import Log, Variable
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
from sqlalchemy import select

now = datetime.now(UTC)
with create_session() as session:
    session.add(DagBundleModel(name="platform"))
    session.flush()
    for dag_id in ("busy", "rare", "stuck"):
        session.add(DagModel(dag_id=dag_id, bundle_name="platform", last_parsed_time=now - timedelta(days=400)))
    session.flush()
    for dag_id, run_id, days, state in (
        ("busy", "old", 40, "success"), ("busy", "young", 1, "success"), ("rare", "last", 40, "success"),
        ("busy", "since", 32, "success"), ("stuck", "before", 42, "success"), ("stuck", "running", 35, "running"),
    ):
        at = now - timedelta(days=days)
        session.add(DagRun(dag_id=dag_id, run_id=run_id, run_type=DagRunType.SCHEDULED, run_after=at, start_date=at,
                           logical_date=at, state=state))
    for name, days in (("old", 40), ("young", 1)):
        entry = Log(event=name)
        entry.dttm = now - timedelta(days=days)
        session.add(entry)
    session.add(AssetModel(name="a", uri="postgres://h/d/s/a", group="raw"))
    session.flush()
    for days in (40, 1):
        session.add(AssetEvent(asset_id=1, timestamp=now - timedelta(days=days)))
from include.orchestration.airflow_database import RESULT, clean
clean("run-1")
with create_session() as session:
    left = {
        "dag": sorted(session.scalars(select(DagModel.dag_id))),
        "dag_run": sorted(session.scalars(select(DagRun.run_id))),
        "log": sorted(session.scalars(select(Log.event))),
        "asset_event": len(session.scalars(select(AssetEvent.id)).all()),
        "archives": [t for t in __import__("sqlalchemy").inspect(settings.engine).get_table_names()
                     if t.startswith("_airflow_deleted")],
    }
print("LEFT" + json.dumps({"left": left, "result": Variable.get(RESULT, deserialize_json=True)}))
"""


def cleaned(platform: Platform, home: Path, database: str, **settings: str) -> dict[str, Any]:
    password, port = platform.credentials.airflow_db_password, platform.settings.postgres_port
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{port}/{database}",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": platform.credentials.airflow_fernet_key,
        "PYTHONPATH": str(REPOSITORY),
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, cwd=home, capture_output=True, text=True, timeout=150,
        check=False,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("LEFT")), None)
    assert line is not None, done.stderr[-3000:]
    return dict(json.loads(line.removeprefix("LEFT")))


def test_old_rows_are_deleted_except_the_last_run_of_a_dag(platform: Platform, tmp_path: Path) -> None:
    found = cleaned(platform, tmp_path, "airflow", RETENTION_AIRFLOW_DAYS="30")
    result = found["result"]
    assert (result["run_id"], result["error"]) == ("run-1", "")
    assert {name: result["deleted"][name] for name in ("dag_run", "log", "asset_event")} == {
        "dag_run": 2, "log": 1, "asset_event": 1,
    }  # fmt: skip
    assert found["left"] == {
        "dag": ["busy", "rare", "stuck"],
        "dag_run": ["last", "running", "since", "young"],
        "log": ["young"],
        "asset_event": 1,
        "archives": [],
    }
