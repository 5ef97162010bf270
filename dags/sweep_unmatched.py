"""Nothing is left lying in incoming/.

**Purpose**: a file at the top of `incoming/` goes to its dataset's folder if a contract's file pattern names it; a
file of no dataset is quarantined as `unknown-dataset`.

**Trigger**: every half minute (INGEST_SWEEP_SECONDS).

**Reads**: `incoming/`, the contracts.

**Writes**: `incoming/<dataset>/`, `failed/validation_failed/unknown/`, the ledger.

**When it fails**: the bucket or the warehouse did not answer; the next run looks again.

**How to rerun**: nothing to do. A file of a dataset that got its contract later: trigger `reprocess_failed`.
"""

from datetime import timedelta

from airflow.sdk import dag

from include.orchestration.defaults import START, default_args
from include.orchestration.upkeep import sweep_incoming
from include.settings import ingest_settings


@dag(
    schedule=timedelta(seconds=ingest_settings().sweep_seconds),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args() | {"retries": 0},  # the next run is the retry
    doc_md=__doc__,
    tags=["ingestion", "repair"],
)
def sweep_unmatched() -> None:
    """Route or quarantine what no ingest DAG waits for."""
    sweep_incoming()


sweep_unmatched()
