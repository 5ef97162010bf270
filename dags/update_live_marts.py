"""Build the marts of the live sources: crypto prices, weather and GitHub events.

**Purpose**: build the dbt models with the tag `live`, one task per model, which also runs the model's tests.

**Trigger**: an event of `raw.crypto_prices`, `raw.weather` or `raw.github_events`, and at the earliest 5 minutes after
the start of the last run: until then a run lasts (`cool_down`). Events that arrive meanwhile start one run. A run also
starts every 5 minutes and ends after its first task (`find_new_live_rows`) if none of the three was loaded since the
last build started. Two runs never overlap.

**Reads**: `raw.crypto_prices`, `raw.weather`, `raw.github_events`, `ops.file_ingestion_log`, as the role `transform`.

**Writes**: `staging.stg_crypto_prices`, `stg_weather`, `stg_github_events`; `analytics.crypto_price_summary`,
`weather_analytics`, `developer_insights`, `repository_insights`, `activity_by_hour`; raw tables that are missing,
empty. Creates an event of the asset `analytics.live_marts`.

**On failure**: as `transform_warehouse`. The marts of a failed model keep their last state.

**How to rerun**: trigger this DAG. After a change of a model run `filegate dbt build --full-refresh --select tag:live`.
"""

from airflow.sdk import AssetAny, dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.defaults import START, background_args
from include.orchestration.scheduling import PAUSE, Cooldown, events_or_clock, rows_of
from include.orchestration.transform import (
    LIVE_DATASETS,
    LONGEST_TASK,
    announce_live_marts,
    build_live_marts,
    find_new_live_rows,
    prepare_live_tables,
)


@dag(
    schedule=events_or_clock(AssetAny(*map(rows_of, LIVE_DATASETS))),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    max_active_tasks=2,
    default_args=background_args() | {"execution_timeout": LONGEST_TASK},
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["transformation", "dbt", "live"],
)
def update_live_marts() -> None:
    """Find new rows, prepare the tables, build the marts, create the asset event, wait until 5 minutes are over."""
    models = build_live_marts()
    prepare_live_tables(find_new_live_rows()) >> models >> announce_live_marts()
    models >> Cooldown(task_id="cool_down", least_cycle=PAUSE)


update_live_marts()
