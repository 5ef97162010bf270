"""Route or quarantine files in incoming/ that no ingest DAG picks up.

**Purpose**: move a file at the top level of `incoming/` to the folder of its dataset if the file pattern of a contract
matches its name; quarantine a file of no dataset with the code `unknown-dataset`.

**Trigger**: continuous; a sensor checks once a minute (INGEST_SWEEP_SECONDS) and waits without a worker slot. While
`incoming/` is empty, a sweep still runs every five minutes.

**Reads**: `incoming/`, the contracts.

**Writes**: `incoming/<dataset>/`, `failed/validation_failed/unknown/`, the ledger.

**On failure**: the bucket or the warehouse did not respond; the next run tries again.

**How to rerun**: no action is needed. If a dataset got its contract after its file was quarantined, trigger
`reprocess_failed`.
"""

from airflow.sdk import dag

from include.orchestration.defaults import START, default_args
from include.orchestration.file_moves import MAX_SWEEP_INTERVAL_SECONDS, sweep_incoming
from include.orchestration.file_sensor import WaitToSweep
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
    """Route or quarantine the files that no ingest DAG waits for."""
    wait = WaitToSweep(task_id="wait_to_sweep", poke_interval=PAUSE, timeout=max(PAUSE, MAX_SWEEP_INTERVAL_SECONDS))
    wait >> sweep_incoming()


sweep_unmatched()
