"""The same DAGs on two Celery workers. One is killed during a load: no row is missing and no row is duplicated."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from include.settings import CONTRACTS_DIR
from local.services import workers
from local.settings import temporary_settings
from local.supervisor import processes
from local.supervisor.platform import Platform
from tests.running_platform import SETTINGS, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

ROWS = 2_000
FILES = {"sales": 4, "inventory": 2}
SLOTS = 2  # of each worker: of three loads that wait at a lock, one is at the other worker
OTHERS = (
    "transform_warehouse", "check_quality", "train_commit_model", "update_live_marts", "check_live_sources",
    "update_lake", "build_features", "materialize_features", "train_task_delay",
)  # fmt: skip
COUNTS = ("rows_read", "rows_inserted", "rows_updated", "rows_unchanged", "rows_duplicate", "rows_rejected")


@pytest.fixture(scope="module")
def scaled() -> Iterator[Running]:
    """A platform with two workers, with the contracts of two datasets and no source that would deliver to others."""
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    contracts, samples, sources = home / "contracts", home / "samples", home / "sources"
    for folder in (contracts, samples, sources):
        folder.mkdir()
    for dataset in FILES:
        shutil.copy(CONTRACTS_DIR / f"{dataset}.yaml", contracts)
    before = dict(os.environ)
    # Loads wait for the lock that the test holds, each in a separate task.
    patient = {"INGEST_LOCK_TIMEOUT_SECONDS": "600", "INGEST_BATCH_MAX_FILES": "1"}
    folders = {"INGEST_CONTRACTS_DIR": str(contracts), "SOURCES_DIR": str(sources)}
    os.environ.update(SETTINGS | patient | folders)
    settings = temporary_settings(home / "home", airflow_executor="celery", celery_workers=2, celery_concurrency=SLOTS)
    platform = Platform(settings)
    try:
        platform.up()
        running = Running(platform, contracts, samples)
        for dag in OTHERS:
            running.until(lambda dag=dag: paused(running, dag), f"{dag} is paused")
        yield running
    finally:
        platform.down()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


def paused(running: Running, dag: str) -> bool:
    """Pause a DAG that would take task slots from the loads; False while the DAG does not exist yet."""
    try:
        running.airflow(f"dags/{dag}", {"is_paused": True}, "PATCH")
    except OSError:
        return False
    return True


def worker_tree(running: Running, name: str) -> list[psutil.Process]:
    """A worker and every process below it: its pool, the supervisors of its tasks, the tasks."""
    state = running.platform._supervisor.states()[name]
    assert state.pid
    worker = psutil.Process(state.pid)
    return [worker, *worker.children(recursive=True)]


def loads_of(running: Running, tree: list[psutil.Process]) -> set[int]:
    """The ids of the processes among these that load a file, according to Airflow's API.

    Their connections cannot be inspected: Airflow makes its workers undumpable, so other processes cannot inspect them.
    """
    found: set[int] = set()
    for dataset in FILES:
        tasks = running.airflow(f"dags/ingest_{dataset}/dagRuns/~/taskInstances?state=running")["task_instances"]
        found.update(task["pid"] for task in tasks if task["task_id"] == "ingest_batch")
    return found & {process.pid for process in tree}


def waiting_sessions(running: Running) -> int:
    """The number of warehouse sessions that wait for a lock: loads that have certainly started."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ((count,),) = running.query(query)
    return int(count)


def kill_tree(tree: list[psutil.Process]) -> None:
    """Kill a worker and all of its processes, as if its machine failed."""
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def test_worker_killed_during_a_load_loses_and_duplicates_nothing(scaled: Running) -> None:
    keys = []
    for dataset, count in FILES.items():
        for number in range(count):
            name = f"{dataset}_{number}.csv"
            scaled.sample(dataset, name, ROWS, seed=number, start=ROWS * number)
            keys.append(f"incoming/{dataset}/{name}")
    owner = scaled.platform.warehouse_config("owner")
    names = workers.names(scaled.platform.settings)
    with psycopg.connect(
        host=owner.host,
        port=owner.port,
        dbname=owner.database,
        user=owner.user,
        password=owner.password.get_secret_value(),
    ) as blocker:
        for dataset in FILES:
            scaled.drop(f"{dataset}_0.csv", f"incoming/{dataset}/{dataset}_0.csv")
        # The first file of a dataset creates its table.
        for dataset in FILES:
            scaled.settled(f"incoming/{dataset}/{dataset}_0.csv")
        blocker.execute("LOCK TABLE raw.sales, raw.inventory IN ACCESS EXCLUSIVE MODE")
        for key in keys:
            if not key.endswith("_0.csv"):
                scaled.drop(Path(key).name, key)

        def both_load() -> bool:
            loads = [loads_of(scaled, worker_tree(scaled, name)) for name in names]
            return all(loads) and waiting_sessions(scaled) >= sum(map(len, loads))

        scaled.until(both_load, "both workers load", 600)
        victim = worker_tree(scaled, names[1])
        assert loads_of(scaled, victim)
        kill_tree(victim)
    entries = {key: scaled.settled(key, 600) for key in keys}

    for key, entry in entries.items():
        assert (entry["status"], [entry[name] for name in COUNTS]) == ("archived", [ROWS, ROWS, 0, 0, 0, 0]), key
    assert any(entry["attempts"] > 1 for entry in entries.values()), "the kill hit no task"
    for dataset, count in FILES.items():
        rows = scaled.query(f"SELECT _file_id, count(*) FROM raw.{dataset} GROUP BY 1 ORDER BY 1")
        files = sorted(entry["file_id"] for entry in entries.values() if entry["dataset"] == dataset)
        assert rows == [(file_id, ROWS) for file_id in files]
        assert len(files) == count
    # Only these datasets: files from GitHub have no contract here.
    entered = "SELECT count(*) FROM ops.file_ingestion_log WHERE dataset = ANY(%s)"
    assert scaled.query(entered, [list(FILES)]) == [(len(keys),)]
    assert scaled.query("SELECT tablename FROM pg_tables WHERE schemaname = 'load'") == []
    keys_of_datasets = [key for key in scaled.keys("") if {*FILES} & {*key.split("/")}]
    assert keys_of_datasets == sorted(entry["settled_key"] for entry in entries.values())


def test_the_killed_worker_is_back_and_nothing_survives_the_end(scaled: Running) -> None:
    """The last test, because it ends the platform."""

    def unhealthy() -> list[str]:
        return [f"{status.name}: {status.complaint}" for status in scaled.platform.status() if not status.healthy]

    scaled.until(lambda: not unhealthy(), "every service is healthy")
    layout, session = scaled.platform.settings.layout, scaled.platform._session()
    assert processes.find(layout, session)
    scaled.platform.down()
    assert [" ".join(process.cmdline()) for process in processes.find(layout, session)] == []
