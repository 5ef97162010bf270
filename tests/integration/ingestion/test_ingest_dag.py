"""The ingest DAG run by Airflow, with sensor, trigger and mapped tasks, during outages of bucket and table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from include.settings import CONTRACTS_DIR
from local.settings import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
RUNNER = Path(__file__).with_name("dag_runner.py")
DAG_FILE = """
from pathlib import Path
from airflow.sdk import DAG
from include.contracts.reader import read_contract
from include.orchestration.ingest import ingest_dag
ingest = ingest_dag(read_contract(Path({contract!r})))
"""


@pytest.fixture
def runs(pipeline: Pipeline, tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs the pipeline's DAG once and gives the states of the run and its tasks."""
    dags, home = tmp_path / "dags", tmp_path / "airflow"
    dags.mkdir()
    contract = dags / f"{pipeline.contract.dataset}.yaml"
    text = (CONTRACTS_DIR / "sales.yaml").read_text()
    named = text.replace("id: sales", f"id: {pipeline.contract.dataset}")
    contract.write_text(named.replace("- name: sales\n", f"- name: {pipeline.contract.dataset}\n"))
    (dags / "one_dag.py").write_text(DAG_FILE.format(contract=str(contract)))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "INGEST_", "ALERTS_"))},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "PYTHONPATH": str(ROOT),
        "INGEST_LANDING_BUCKET": pipeline.bucket,
        "INGEST_SPOOL_DIR": str(pipeline.settings.spool_dir),
        "INGEST_RETRIES": "0",
        "INGEST_POKE_SECONDS": "0.1",
        "INGEST_LOCK_TIMEOUT_SECONDS": "2",
        "AIRFLOW_CONN_LANDING_S3": store(pipeline, pipeline.s3.endpoint_url or ""),
        "AIRFLOW_CONN_WAREHOUSE_PG": json.dumps(
            {
                "conn_type": "postgres",
                "host": pipeline.warehouse.host,
                "port": pipeline.warehouse.port,
                "schema": pipeline.warehouse.database,
                "login": pipeline.warehouse.user,
                "password": pipeline.warehouse.password.get_secret_value(),
            }
        ),
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    with subprocess.Popen(
        [sys.executable, str(RUNNER), str(dags / "one_dag.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None

        def run(**wanted: Any) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(wanted) + "\n")
            process.stdin.flush()
            answer = next((line for line in process.stdout if line.startswith("RUN")), None)
            assert answer, "the process has ended"
            return json.loads(answer.removeprefix("RUN"))

        yield run
        process.stdin.close()
        process.wait(60)


def store(pipeline: Pipeline, endpoint: str) -> str:
    return json.dumps(
        {
            "conn_type": "aws",
            "login": pipeline.s3.access_key_id,
            "password": pipeline.s3.secret_access_key.get_secret_value(),
            "extra": {"endpoint_url": endpoint, "region_name": pipeline.s3.region},
        }
    )


def file(pipeline: Pipeline, name: str, start: int) -> str:
    return pipeline.put(name, pipeline.sample("sample.csv", 20, start=start).path.read_bytes())


@contextmanager
def locked_table(pipeline: Pipeline) -> Iterator[None]:
    with psycopg.connect(**pipeline.owner.info.get_parameters(), password=pipeline.owner.info.password) as other:
        other.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
            sql.Identifier("raw", pipeline.contract.dataset)))  # fmt: skip
        yield


def test_dag_waits_for_bucket_and_table_lock_without_a_failed_run(
    pipeline: Pipeline, runs: Callable[..., dict[str, Any]]
) -> None:
    """No operator acts: a file loads once the bucket is back, and another one once the table is not locked any more."""
    first = file(pipeline, "first.csv", 0)
    [port] = free_ports(1)
    target = urlsplit(pipeline.s3.endpoint_url or "").port
    away = {"AIRFLOW_CONN_LANDING_S3": store(pipeline, f"http://127.0.0.1:{port}")}

    done = runs(failed_looks=25, port=port, target=target, environment=away)

    assert done["failed_looks"] >= 25
    assert (done["state"], set(done["tasks"].values())) == ("success", {"success"})
    pipeline.assert_archived(pipeline.entries(first)[0], inserted=20)

    second = file(pipeline, "second.csv", 100)
    with locked_table(pipeline):
        done = runs()
    assert done["state"] == "success", "it does not count as a failed run"
    assert (done["tasks"]["ingest_batch"], done["tasks"]["settle"]) == ("skipped", "success")
    (entry,) = pipeline.entries(second)
    assert (entry["status"], entry["error_code"], entry["attempts"]) == ("claimed", "target-locked", 0)

    pipeline.sql("UPDATE ops.file_ingestion_log SET postponed_at = now() - interval '55 s' WHERE file_id = %s",
                 entry["file_id"])  # fmt: skip
    done = runs()  # the sensor waits until the back-off of a minute ends
    assert set(done["tasks"].values()) == {"success"}
    (entry,) = pipeline.entries(second)
    pipeline.assert_archived(entry, inserted=20)
