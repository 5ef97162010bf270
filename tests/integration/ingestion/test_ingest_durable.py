"""PostgreSQL is killed right after a sweep or an outcome: the ledger still has the file_id of each moved object."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from ingest_pipeline import direct
from own_platform import own_platform

from include.contracts.catalog import read_catalog
from include.contracts.reserved import UNKNOWN
from include.ingestion.attempt import open_stores
from include.ingestion.ledger import Ledger
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.sweep import sweep
from include.settings import CONTRACTS_DIR, IngestSettings
from include.stores.object_store import ObjectStore
from local.services import bucket, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ingest_pipeline import Pipeline

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

BUCKET = "durable"


@pytest.fixture
def fragile() -> Iterator[Platform]:
    """A platform whose PostgreSQL flushes only those commits to disk that wait for it."""
    with own_platform() as platform:
        with postgres.superuser_connection(platform.settings, platform.credentials) as superuser:
            superuser.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            superuser.execute("SELECT pg_reload_conf()")
        bucket.client(platform.s3_config).create_bucket(Bucket=BUCKET)
        yield platform


def kill_postgres(platform: Platform) -> None:
    """Kill the postmaster and all its children with SIGKILL, and wait until the supervisor has restarted it."""
    postmaster = psutil.Process(platform._supervisor.states()["postgres"].pid or 0)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):  # a child may have ended by itself
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)
    end = time.monotonic() + 120
    while True:
        try:
            direct(platform.warehouse_config()).close()
        except psycopg.OperationalError:
            assert time.monotonic() < end, "PostgreSQL does not come back"
            time.sleep(0.2)
        else:
            return


def drop_and_sweep(platform: Platform, name: str) -> None:
    ObjectStore(platform.s3_config).put(BUCKET, f"incoming/{name}", name.encode())
    settings = IngestSettings(landing_bucket=BUCKET)
    with open_stores(platform.s3_config, platform.warehouse_config()) as stores:
        sweep(
            lambda: read_catalog(CONTRACTS_DIR),
            stores,
            AirflowRun("sweep_unmatched", "run-1"),
            settings,
        )


def test_ledger_knows_a_swept_file_after_postgres_was_killed_and_gives_no_number_twice(fragile: Platform) -> None:
    drop_and_sweep(fragile, "first.dat")
    kill_postgres(fragile)
    drop_and_sweep(fragile, "second.dat")

    with direct(fragile.warehouse_config()) as connection:
        entries = connection.execute("SELECT * FROM ops.file_ingestion_log ORDER BY file_id").fetchall()
    assert [entry["object_key"] for entry in entries] == ["incoming/first.dat", "incoming/second.dat"]
    assert {(entry["dataset"], entry["error_code"]) for entry in entries} == {(UNKNOWN, "unknown-dataset")}
    kept = [item.key for item in ObjectStore(fragile.s3_config).list(BUCKET, "") if item.key.endswith(".dat")]
    assert sorted(kept) == sorted(entry["settled_key"] for entry in entries)


@pytest.mark.parametrize("verdict", ["loaded", "refused", "duplicate"])
def test_outcome_is_on_disk_before_anything_is_moved(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    body = b"sale_id\nS1\n" if verdict == "refused" else pipeline.sample("s.csv", 10).path.read_bytes()
    if verdict == "duplicate":
        pipeline.send("before.csv", body)
    original, durable = Ledger._advance, dict[str, str]()

    def advance(ledger: Ledger, name: str, *what: Any) -> None:
        row = ledger._connection.execute("SHOW synchronous_commit").fetchone()
        durable[name] = row[0] if row else ""
        original(ledger, name, *what)

    monkeypatch.setattr(Ledger, "_advance", advance)
    pipeline.send("sales.csv", body)

    assert durable["mark_loaded" if verdict == "loaded" else "mark_failed"] == "on"
