"""Bring the lakehouse up to date: tables of the warehouse as Parquet files with snapshots.

**Purpose**: keep `lake.raw.*` and `lake.analytics.*` equal to their tables in the warehouse, with their history. Only
rows that changed are read and merged by key; rows that are gone are deleted; new columns are added. Each table's rows
and its progress are one commit, whose snapshot names the run and the files.

**Trigger**: new rows in a `raw` table whose contract has `lake`, events of the assets `analytics.marts` and
`analytics.live_marts`: the run updates their tables. Every hour, and if it is triggered manually, it updates all. It
starts at the earliest 2 minutes after the start of the last run: until then a run lasts (`cool_down`). To read and
compare all rows, trigger it manually with `full`.

**Reads**: `raw.*` of contracts with `lake`, the tables of `analytics`, as the role `transform`.

**Writes**: the catalogue (connection `lake_pg`), Parquet files in the bucket `lake`.

**On failure**: the task's log names each table that was not updated, and why. The others are up to date. A table is
left as it was before the run: no row is missing or there twice.

**How to rerun**: trigger the DAG again, or wait: the next run continues where each table is.
"""

from airflow.sdk import Param, dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.catalog import sound_contracts
from include.orchestration.defaults import START, background_args
from include.orchestration.lake import CYCLE, update_tables, updates_of
from include.orchestration.scheduling import Cooldown


@dag(
    schedule=updates_of(sound_contracts()),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=background_args(),
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["lakehouse"],
    params={"full": Param(default=False, type="boolean", description="Read and compare all rows.")},
)
def update_lake() -> None:
    """Update the tables, and end at the earliest when the next run may start."""
    update_tables(full="{{ params.full }}")
    Cooldown(task_id="cool_down", least_cycle=CYCLE)  # beside the update, so that it cannot hide that one's failure


update_lake()
