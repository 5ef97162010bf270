"""One dataset whose ledger holds one of everything that is measured, brought there by the pipeline where it can."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from include.contracts.catalog import Catalog
from include.contracts.reader import read_contract
from include.ingestion.batch import ingest_batch
from include.ingestion.claim import Run, claim
from include.ingestion.places import incoming_prefix
from include.ingestion.road import open_stores
from include.ingestion.settle import settle
from include.ingestion.sweep import sweep
from include.samples.badness import SampleFormat
from include.samples.writer import write_sample
from include.settings import CONTRACTS_DIR, IngestSettings
from include.stores.object_store import ObjectStore
from local import bucket as local_bucket

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import WarehouseConfig
    from local.platform import Platform

DATASET, BUCKET, TOPIC = "observed_sales", "observed", "observed-topic"
ROWS, TWICE_REJECTED, GONE = 40, 2, 1

# What no file brings about: a batch of messages, an entry under way, checks of a table and of a file, a row that
# somebody deletes by hand.
_BY_HAND = f"""
INSERT INTO ops.file_ingestion_log (dataset, status, stage, topic, partition, first_offset, last_offset,
    rows_read, rows_inserted, rows_updated, rows_unchanged, rows_duplicate, rows_rejected, loaded_at, settled_at)
VALUES ('{DATASET}', 'archived', 'settle', '{TOPIC}', 0, 0, 9, 10, 0, 0, 7, 0, 3, now(), now());
INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key) VALUES ('{DATASET}', '{BUCKET}', 'under way');
INSERT INTO ops.quality_result (dataset, expectation, severity, success, checked_at) VALUES
    ('{DATASET}', 'old', 'critical', FALSE, now() - interval '1 day'),
    ('{DATASET}', 'unique', 'critical', TRUE, now()), ('{DATASET}', 'fresh', 'warning', FALSE, now());
INSERT INTO ops.quality_result (dataset, file_id, expectation, severity, success)
SELECT '{DATASET}', max(file_id), 'rows', 'critical', FALSE FROM ops.file_ingestion_log WHERE dataset = '{DATASET}';
DELETE FROM raw.{DATASET} WHERE _source_row <= {GONE};
"""


def fill(platform: Platform, folder: Path) -> None:
    """One good file, one refused file, one that waits; then what is done by hand."""
    contract = replace(read_contract(CONTRACTS_DIR / "sales.yaml"), dataset=DATASET, expectations=())
    settings = IngestSettings(landing_bucket=BUCKET, spool_dir=folder / "spool")
    local_bucket.client(platform.s3_config).create_bucket(Bucket=BUCKET)
    objects, place = ObjectStore(platform.s3_config), incoming_prefix(DATASET)
    sample = write_sample(contract, folder / "sample.csv", ROWS, SampleFormat.CSV).path.read_bytes()
    header, first, *_ = sample.splitlines()
    objects.put(BUCKET, f"{place}good.csv", sample)
    objects.put(BUCKET, f"{place}bad.csv", b"\n".join([header, *[first.rpartition(b",")[0]] * TWICE_REJECTED, b""]))
    run = Run("ingest_observed", "run-1")
    with open_stores(platform.s3_config, platform.warehouse_config()) as stores:
        for batch in claim(contract, stores.objects, stores.ledger, run, settings):
            ingest_batch(contract, batch, stores, settings)
        settle(contract, stores.objects, stores.ledger, settings)
        objects.put(BUCKET, f"{place}waits.csv", sample)
        sweep(lambda: Catalog({DATASET: contract}, ()), stores.objects, stores.ledger, run, settings)
    with connected(platform.warehouse_config("owner")) as connection:
        connection.execute(_BY_HAND)


def connected(config: WarehouseConfig) -> psycopg.Connection[tuple[object, ...]]:
    """The warehouse as one of its roles, as a stranger would connect."""
    return psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True, options="-c statement_timeout=60s",
    )  # fmt: skip
