"""Build the dbt models: staging tables, metrics and features.

**Purpose**: build the dbt project, with one task per model that also runs the model's tests.

**Trigger**: an event of any raw table. All events that arrive during a run start one run after it. A run ends with a
cool-down (`cool_down`) as long as its work, at most 10 minutes, so that ingestion has the CPUs half of the time; a
manually triggered run has no cool-down. A run also starts every 5 minutes; it ends after its first task
(`find_new_rows`) if nothing was loaded since the last build started. Airflow keeps no asset events for a paused DAG;
these runs build what was loaded while it was paused.

**Reads**: `raw.*`, `ops.file_ingestion_log`, as the role `transform` (connection `warehouse_transform`).

**Writes**: `staging.*`, `analytics.*`; empty raw tables for contracts that have no table yet. Creates an event of the
asset `analytics.marts`, and one of `analytics.ml_features` if there are new commits since its last event or the run was
triggered manually.

**On failure**: a failed task means that a test of its model found rows (its log holds the query that shows them), that
the warehouse did not respond through all retries, or that an open transaction locked a model for more than 30 seconds.
Models that depend on the failed model are not built and keep their last state.

**How to rerun**: fix the data at its source and drop the file again, or fix the model; then trigger this DAG. After a
change of a staging model run `filegate dbt build --full-refresh`, otherwise rows that are already staged keep the
old definition.
"""

from airflow.sdk import AssetAny, dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.catalog import sound_contracts
from include.orchestration.defaults import START, background_args
from include.orchestration.scheduling import Cooldown, events_or_clock, rows_of
from include.orchestration.transform import (
    LONGEST_TASK,
    announce_features,
    announce_models,
    build_models,
    find_new_rows,
    prepare_tables,
)


@dag(
    schedule=events_or_clock(AssetAny(*(rows_of(contract.dataset) for contract in sound_contracts()))),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    max_active_tasks=2,
    default_args=background_args() | {"execution_timeout": LONGEST_TASK},
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["transformation", "dbt"],
)
def transform_warehouse() -> None:
    """Find new rows, prepare the tables, build the models, create the asset events, cool down."""
    models, ml_features = build_models()
    prepare_tables(find_new_rows()) >> models >> announce_models()
    ml_features >> announce_features()
    models >> Cooldown(task_id="cool_down")


transform_warehouse()
