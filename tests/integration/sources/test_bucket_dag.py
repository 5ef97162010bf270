"""From a bucket of another store to the table, by the project's own DAG files and with real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.contracts.reader import read_contract
from include.samples.badness import SampleFormat
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR

if TYPE_CHECKING:
    from bucket_world import BucketWorld

    from include.settings import S3Config

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
SCRIPT = """
import importlib.util, json, sys
from pathlib import Path

def dag(file, dag_id):
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)[dag_id]

for file, dag_id in json.loads(sys.argv[1]):
    run = dag(file, dag_id).test()
    states = sorted((each.task_id, str(each.state), each.rendered_map_index) for each in run.get_task_instances())
    print("RUN" + json.dumps([str(run.state), states]), flush=True)
"""


def connection(config: S3Config, kind: str) -> str:
    address: dict[str, Any] = {"host": config.endpoint_url} if kind == "http" else {
        "extra": {"endpoint_url": config.endpoint_url, "region_name": config.region}
    }  # fmt: skip
    secret = config.secret_access_key.get_secret_value()
    return json.dumps({"conn_type": kind, "login": config.access_key_id, "password": secret} | address)


def run_dags(world: BucketWorld, tmp_path: Path, *dags: tuple[str, str]) -> list[Any]:
    """Run DAGs of the project's files one after the other; return the states of each run and its tasks."""
    name = world.name
    contracts, sources = tmp_path / "contracts", tmp_path / "sources"
    for folder in (contracts, sources):
        folder.mkdir()
    text = (CONTRACTS_DIR / "sales.yaml").read_text().replace("id: sales", f"id: {name}")
    (contracts / f"{name}.yaml").write_text(text.replace("- name: sales\n", f"- name: {name}\n"))
    definition = {
        "name": name, "kind": "bucket", "connection": "source_partner", "schedule": None, "dataset": name,
        "bucket": world.bucket, "prefix": "exports/", "pattern": "**/*.csv",
    }  # fmt: skip
    (sources / f"{name}.yaml").write_text(yaml.safe_dump(definition))
    warehouse = world.platform.warehouse_config()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "INGEST_", "ALERTS_"))},
        "AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"), "PYTHONPATH": str(ROOT),
        "INGEST_CONTRACTS_DIR": str(contracts), "SOURCES_DIR": str(sources), "INGEST_RETRIES": "0",
        "INGEST_LANDING_BUCKET": world.landing_bucket, "INGEST_SPOOL_DIR": str(tmp_path / "spool"),
        "INGEST_POKE_SECONDS": "0.1",
        "AIRFLOW_CONN_LANDING_S3": connection(world.platform.s3_config, "aws"),
        "AIRFLOW_CONN_SOURCE_PARTNER": connection(world.origin_config, "http"),
        "AIRFLOW_CONN_WAREHOUSE_PG": json.dumps(
            {
                "conn_type": "postgres", "host": warehouse.host, "port": warehouse.port, "schema": warehouse.database,
                "login": warehouse.user, "password": warehouse.password.get_secret_value(),
            }
        ),
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    wanted = json.dumps([(str(ROOT / "dags" / file), dag_id.format(name)) for file, dag_id in dags])
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, wanted], env=environment, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    secret = world.origin_config.secret_access_key.get_secret_value()
    assert secret not in answer.stdout + answer.stderr, "the logs of the tasks are there"
    lines = answer.stdout.splitlines()
    return [json.loads(line.removeprefix("RUN")) for line in lines if line.startswith("RUN")]


def test_objects_of_another_store_reach_the_table(bucket_world: BucketWorld, tmp_path: Path) -> None:
    world = bucket_world
    sales = read_contract(CONTRACTS_DIR / "sales.yaml")
    for month in (1, 2):
        sample = write_sample(Sample(sales, 20, start=100 * month), tmp_path / "sales.csv", SampleFormat.CSV)
        world.put(f"2026/0{month}/sales.csv", sample.path.read_bytes())
    world.put("empty.csv", b"")
    collected, ingested = run_dags(
        world, tmp_path, ("collect_sources.py", "collect_{}"), ("ingest_datasets.py", "ingest_{}")
    )
    assert collected == [
        "success",
        [["collect", "success", f"s3://{world.bucket}/exports/: 2 objects"], ["list_elements", "success", None]],
    ]
    assert ingested[0] == "success"
    rows = world.owner.execute(f'SELECT count(*) AS n FROM raw."{world.name}"'.encode()).fetchone()
    assert rows == {"n": 40}
    [run] = world.runs
    assert (run["dag_id"], run["status"], run["records_written"], run["records_skipped"]) == (
        f"collect_{world.name}", "success", 2, 1
    )  # fmt: skip
