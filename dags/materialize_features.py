"""Write new features into the online store, from which the ML service reads them.

**Purpose**: bring the online store of Feast up to date with `features.<view>`: for each entity the values of its newest
row, as they are in the table. A row older than 2 days does not count.

**Trigger**: an event of a table of features, and every hour. The hourly runs find rows that were built while the DAG
was paused, and entities whose last row is too old.

**Reads**: `features.<view>`, as the role `feast`, which may read no other table of the warehouse.

**Writes**: the database `feast`: the registry, and the schema `online`. Creates an event of the asset
`features.online`.

**On failure**: the database did not respond through all retries, or Feast refused; the log has its output. The online
store keeps its earlier values. A skipped run is not a failure: there is no new row, or Feast is not installed; the log
has the command.

**How to rerun**: trigger the DAG, or run `filegate feast materialize`.
"""

from datetime import timedelta

from airflow.sdk import AssetAny, AssetOrTimeSchedule, DeltaTriggerTimetable, dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.defaults import START, background_args
from include.orchestration.feature_store import find_new_features, materialize
from include.orchestration.features import feature_views
from include.orchestration.scheduling import feature_view


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=DeltaTriggerTimetable(timedelta(hours=1)),
        assets=AssetAny(*(feature_view(name) for name in feature_views())),
    ),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,
    default_args=background_args(),
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["features"],
)
def materialize_features() -> None:
    """Find views with new rows, then write them."""
    materialize(find_new_features())  # type: ignore[arg-type]


materialize_features()
