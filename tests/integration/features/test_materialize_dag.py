"""The DAG `materialize_features` run by Airflow: without Feast, with it, and with nothing to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from feast_world import OnlineStore, world_of_today

from include.feature_store import environment
from include.settings import feast_settings
from include.stores.warehouse import connect
from local.services import airflow

if TYPE_CHECKING:
    from feature_warehouse import Warehouse

    from include.features.compiler import FeatureView

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
RUNNER = Path(__file__).with_name("feast_dag_runner.py")


def test_run_is_skipped_without_feast_and_without_new_rows(
    warehouse: Warehouse, views: dict[str, FeatureView], tmp_path: Path
) -> None:
    environment.make(print)
    warehouse.load(world_of_today(3))
    store = OnlineStore(warehouse, views)
    store.build()
    with connect(store.config.store) as connection:
        connection.execute("DROP TABLE IF EXISTS online.materialized_view")
    settings = warehouse.platform.settings
    home = tmp_path / "airflow"
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        **airflow.environment(settings, warehouse.platform.credentials),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "INGEST_RETRIES": "0",
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=variables, check=True, capture_output=True)
    folders = [tmp_path / "none", feast_settings().dir, feast_settings().dir]
    log = tmp_path / "runner.log"
    with log.open("w") as errors:
        done = subprocess.run(
            [sys.executable, str(RUNNER), str(ROOT / "dags" / "materialize_features.py")], env=variables, cwd=tmp_path,
            input="".join(f"{folder}\n" for folder in folders), stdout=subprocess.PIPE, stderr=errors, text=True,
            check=False,
        )  # fmt: skip
    found = [json.loads(line.removeprefix("RUN")) for line in done.stdout.splitlines() if line.startswith("RUN")]
    skipped = {"find_new_features": "skipped", "materialize": "skipped"}
    assert [one["tasks"] for one in found] == [skipped, dict.fromkeys(skipped, "success"), skipped], (
        done.stdout[-3000:] + log.read_text()[-3000:]
    )
    assert [one["state"] for one in found] == ["success"] * 3
    assert "run `filegate feast setup`" in done.stdout + log.read_text()
    assert store.changes().due == ()
    offline = store.offline("users")
    assert store.online("users", list(offline)) == [pytest.approx(row) for row in offline.values()]
    secret = warehouse.platform.credentials.warehouse_feast_password
    assert secret not in done.stdout + log.read_text()
