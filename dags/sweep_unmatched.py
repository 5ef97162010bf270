"""Nothing is left lying in incoming/.

**Purpose**: a file at the top of `incoming/` goes to its dataset's folder if a contract's file pattern names it; a
file of no dataset is quarantined as `unknown-dataset`.

**Trigger**: continuous; a sensor looks once a minute (INGEST_SWEEP_SECONDS) and waits without a worker slot. While
`incoming/` is empty a sweep runs every five minutes.

**Reads**: `incoming/`, the contracts.

**Writes**: `incoming/<dataset>/`, `failed/validation_failed/unknown/`, the ledger.

**When it fails**: the bucket or the warehouse did not answer; the next run looks again.

**How to rerun**: nothing to do. A file of a dataset that got its contract later: trigger `reprocess_failed`.
"""

from airflow.sdk import dag

from include.orchestration.defaults import START, default_args
from include.orchestration.file_sensor import WaitToSweep
from include.orchestration.upkeep import SWEEP_AT_LATEST, sweep_incoming
from include.settings import ingest_settings

PAUSE = ingest_settings().sweep_seconds


@dag(
    schedule="@continuous",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args() | {"retries": 0},  # the next run is the retry
    doc_md=__doc__,
    tags=["ingestion", "repair"],
)
def sweep_unmatched() -> None:
    """Route or quarantine what no ingest DAG waits for."""
    wait = WaitToSweep(task_id="wait_to_sweep", poke_interval=PAUSE, timeout=max(PAUSE, SWEEP_AT_LATEST))
    wait >> sweep_incoming()


sweep_unmatched()
