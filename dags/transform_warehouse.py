"""Rows of the warehouse become models: staging, metrics, features.

**Purpose**: build the dbt project, one task a model, each with its tests.

**Trigger**: news of any raw table. News that come while a run is under way start one run after it, however many. A run
ends with a rest as long as its work, at most 10 minutes, so that files have the processors for half of the time; one
that was triggered by hand does not rest. Every 5 minutes the clock starts a run as well, which ends after its first
task (`find_new_rows`) if nothing was loaded since the last build began: Airflow keeps no event for a paused DAG, and
this run builds what came meanwhile.

**Reads**: `raw.*`, `ops.file_ingestion_log`, as the role `transform` (connection `warehouse_transform`).

**Writes**: `staging.*`, `analytics.*`; raw tables that no file has made yet are made, empty. Tells who waits for
`analytics.marts`, and for `analytics.ml_features` if commits came since that was told last or the run was triggered by
hand.

**When it fails**: a task is red because a test of its model found rows, and its log holds the query that shows them;
or because the warehouse did not answer, or somebody's open transaction kept a model locked for more than 30 seconds,
through all retries. What builds on the model is not built and keeps its last state.

**How to rerun**: mend the data at its source and drop it again, or mend the model; then trigger this DAG. After a
change of a staging model: `make dbt ARGS="build --full-refresh"`, or rows that are staged already stay as they were.
"""

from airflow.sdk import AssetAny, dag

from include.orchestration.alerts import tell_of_failed_run
from include.orchestration.assets import rows_of
from include.orchestration.catalog import sound_contracts
from include.orchestration.catch_up import events_or_clock
from include.orchestration.defaults import START, background_args
from include.orchestration.rest import RestAsLong
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
    on_failure_callback=tell_of_failed_run,
    doc_md=__doc__,
    tags=["transformation", "dbt"],
)
def transform_warehouse() -> None:
    """Look, prepare, build, announce, rest."""
    models, ml_features = build_models()
    prepare_tables(find_new_rows()) >> models >> announce_models()
    ml_features >> announce_features()
    models >> RestAsLong(task_id="rest")


transform_warehouse()
