"""Check the tables of the live sources: crypto prices, weather and GitHub events, and the marts built on them.

**Purpose**: find a live source that delivers nothing any more, missing or invalid values, and marts that do not belong
to their tables. The checks are those of `check_quality`, for fewer tables: the last delivery is at most 6 hours old
(`slaProperties: freshness` of each contract), required values are present, values are in their ranges.

**Trigger**: every 15 minutes (QUALITY_SCHEDULE_MINUTES).

**Reads**: `raw.crypto_prices`, `raw.weather`, `raw.github_events`, the marts of `update_live_marts`, the ledger.

**Writes**: `ops.quality_result` and `ops.drift_result`. The log has the number of passed, skipped and failed checks of
each table. `check_quality` makes the pages.

**On failure**: as `check_quality`: a critical check failed; warnings do not fail the run. A delivery is late after 6
hours, which is a warning, and critical after 18. A source that has never delivered is skipped: it may be paused.

**How to rerun**: as `check_quality`. `filegate check --asset crypto`, `weather` or `github` prints the same checks.
"""

from datetime import timedelta

from airflow.sdk import DeltaTriggerTimetable, dag

from include.orchestration.defaults import START, background_args
from include.orchestration.quality import check_live_tables
from include.settings import quality_settings


@dag(
    schedule=DeltaTriggerTimetable(timedelta(minutes=quality_settings().schedule_minutes)),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=background_args(),
    doc_md=__doc__,
    tags=["quality", "live"],
)
def check_live_sources() -> None:
    """Check the tables and marts, fail if a critical check failed."""
    check_live_tables()


check_live_sources()
