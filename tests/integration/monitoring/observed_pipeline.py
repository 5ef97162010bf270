"""A dataset whose ledger has an entry for every metric, written by the pipeline where possible."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from include.contracts.catalog import Catalog
from include.contracts.reader import read_contract
from include.ingestion.attempt import open_stores
from include.ingestion.claim import claim
from include.ingestion.object_keys import incoming_prefix
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.ingestion.upkeep.sweep import sweep
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR, IngestSettings
from include.stores.object_store import ObjectStore
from local.services import bucket as local_bucket
from tests.source_runs import write_source_runs

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import WarehouseConfig
    from local.supervisor.platform import Platform

DATASET, BUCKET, TOPIC = "observed_sales", "observed", "observed-topic"
ROWS, TWICE_REJECTED, GONE = 40, 2, 1

# Changes that ingesting files does not make: a batch of messages, an unsettled entry, checks of a table and of a file,
# a row deleted from the table.
_DIRECT_CHANGES = f"""
INSERT INTO ops.file_ingestion_log (dataset, status, stage, topic, partition, first_offset, last_offset,
    rows_read, rows_inserted, rows_updated, rows_unchanged, rows_duplicate, rows_rejected, loaded_at, settled_at)
VALUES ('{DATASET}', 'archived', 'settle', '{TOPIC}', 0, 0, 9, 10, 0, 0, 7, 0, 3, now(), now());
INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key) VALUES ('{DATASET}', '{BUCKET}', 'unsettled');
INSERT INTO ops.quality_result (dataset, expectation, severity, success, checked_at) VALUES
    ('{DATASET}', 'old', 'critical', FALSE, now() - interval '1 day'),
    ('{DATASET}', 'unique', 'critical', TRUE, now()), ('{DATASET}', 'fresh', 'warning', FALSE, now());
INSERT INTO ops.quality_result (dataset, file_id, expectation, severity, success)
SELECT '{DATASET}', max(file_id), 'rows', 'critical', FALSE FROM ops.file_ingestion_log WHERE dataset = '{DATASET}';
DELETE FROM raw.{DATASET} WHERE _source_row <= {GONE};
"""


def fill(platform: Platform, folder: Path) -> None:
    """Ingest a good file and a bad file, leave a waiting file, change the database directly, run a source."""
    contract = replace(read_contract(CONTRACTS_DIR / "sales.yaml"), dataset=DATASET, expectations=())
    settings = IngestSettings(landing_bucket=BUCKET, spool_dir=folder / "spool")
    local_bucket.client(platform.s3_config).create_bucket(Bucket=BUCKET)
    objects, prefix = ObjectStore(platform.s3_config), incoming_prefix(DATASET)
    sample = write_sample(Sample(contract, ROWS), folder / "sample.csv").path.read_bytes()
    header, first, *_ = sample.splitlines()
    objects.put(BUCKET, f"{prefix}good.csv", sample)
    objects.put(BUCKET, f"{prefix}bad.csv", b"\n".join([header, *[first.rpartition(b",")[0]] * TWICE_REJECTED, b""]))
    run = AirflowRun("ingest_observed", "run-1")
    with open_stores(platform.s3_config, platform.warehouse_config()) as stores:
        for batch in claim(contract, stores, run, settings):
            ingest_batch(contract, batch, stores, settings)
        settle(contract, stores, settings)
        objects.put(BUCKET, f"{prefix}waits.csv", sample)
        sweep(lambda: Catalog({DATASET: contract}, ()), stores, run, settings)
    with connected(platform.warehouse_config("owner")) as connection:
        connection.execute(_DIRECT_CHANGES)
    write_source_runs(platform.warehouse_config(), DATASET)


def connected(config: WarehouseConfig) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to the warehouse as one of its roles, without the library."""
    return psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True, options="-c statement_timeout=60s",
    )  # fmt: skip
