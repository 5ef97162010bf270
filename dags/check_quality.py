"""Check the tables of the warehouse as they stand.

**Purpose**: find what no single file shows: rows changed by hand, a source that has gone quiet, a load of unusual size,
a ledger that does not add up. The checks come from the contracts.

**Trigger**: news of the asset `analytics.marts`, and every quarter of an hour (QUALITY_SCHEDULE_MINUTES). By hand with
the parameter `dataset` for one alone.

**Reads**: `raw.*`, `analytics.*`, the ledger. Each table is scanned a few times.

**Writes**: `ops.quality_result`, where results of tables are kept for QUALITY_KEEP_DAYS; pages in the bucket
QUALITY_DOCS_BUCKET, the first is `index.html`.

**When it fails**: a critical check failed: the log names it, with what was seen and a query that shows the rows.
Warnings do not fail it. Results and pages are written before. Or the warehouse or the bucket did not answer.

**How to rerun**: mend what the log names and trigger it again; the next run checks again anyway.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, Param, dag

from include.orchestration.assets import marts
from include.orchestration.catalog import sound_contracts
from include.orchestration.defaults import START, background_args
from include.orchestration.quality import check_tables
from include.settings import quality_settings

DATASETS = [None, *(contract.dataset for contract in sound_contracts())]


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=DeltaTriggerTimetable(timedelta(minutes=quality_settings().schedule_minutes)),
        assets=[marts()],
    ),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=background_args(),
    doc_md=__doc__,
    tags=["quality"],
    params={"dataset": Param(None, type=["null", "string"], enum=DATASETS, description="Empty: every table")},
)
def check_quality() -> None:
    """Check every table, publish the pages, fail on what is critical."""
    check_tables("{{ params.dataset or '' }}")


check_quality()
