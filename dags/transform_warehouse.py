"""Rows of the warehouse become models: staging, metrics, features.

**Purpose**: build the dbt project, one task a model, each with its tests.

**Trigger**: news of any raw table. News that come while a run is under way start one run after it, however many.

**Reads**: `raw.*`, `ops.file_ingestion_log`, as the role `transform` (connection `warehouse_transform`).

**Writes**: `staging.*`, `analytics.*`; raw tables that no file has made yet are made, empty. Tells who waits for
`analytics.marts`, and for `analytics.ml_features` if commits came or the run was triggered by hand.

**When it fails**: a task is red because a test of its model found rows, and its log holds the query that shows them;
or because the warehouse did not answer through all retries. What builds on the model is not built and keeps its last
state.

**How to rerun**: mend the data at its source and drop it again, or mend the model; then trigger this DAG. A staging
model that has to be filled anew from its raw table: `dbt build --full-refresh`, as dbt/README.md shows.
"""

from airflow.sdk import AssetAny, dag

from include.orchestration.assets import rows_of
from include.orchestration.catalog import sound_contracts
from include.orchestration.defaults import START, background_args
from include.orchestration.transform import announce_features, announce_models, build_models, prepare_tables


@dag(
    schedule=AssetAny(*(rows_of(contract.dataset) for contract in sound_contracts())),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    max_active_tasks=2,
    default_args=background_args(),
    doc_md=__doc__,
    tags=["transformation", "dbt"],
)
def transform_warehouse() -> None:
    """Prepare, build, tell."""
    models, ml_features = build_models()
    prepare_tables() >> models >> announce_models()
    ml_features >> announce_features()


transform_warehouse()
