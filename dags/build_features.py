"""Build the tables of features from project data.

**Purpose**: bring `features.<view>` of each definition in features/ up to date: new midnights (UTC), and those that
late, changed or deleted rows concern.

**Trigger**: an event of a raw table that a view reads, and every hour. The hourly runs find a new midnight, and rows
that were loaded while the DAG was paused.

**Reads**: `raw.users`, `raw.tasks`, `raw.projects`, `raw.teams`, `raw.activity`, as the role `transform`.

**Writes**: `features.<view>`, `features.<view>_ready`; at the first build of a view `features.parameters`. Creates an
event of the asset `features.<view>` if rows were computed.

**On failure**: a definition cannot be used (the log has each problem and its remedy), or the warehouse did not respond
through all retries. The tables keep their last state: a build is one transaction.

**How to rerun**: correct the definition and trigger the DAG, or run `filegate features build VIEW`; with `--full` every
row is computed again, which is never needed after a changed definition.
"""

from datetime import timedelta

from airflow.sdk import AssetAny, AssetOrTimeSchedule, DeltaTriggerTimetable, dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.defaults import START, background_args
from include.orchestration.features import build_view, feature_datasets, feature_views
from include.orchestration.scheduling import feature_view, rows_of


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=DeltaTriggerTimetable(timedelta(hours=1)),
        assets=AssetAny(*(rows_of(dataset) for dataset in feature_datasets())),
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
def build_features() -> None:
    """Build each view."""
    for name in feature_views():
        build_view.override(task_id=f"build_{name}", outlets=[feature_view(name)])(name)


build_features()
