"""Check the tables of the warehouse against their contracts and the ledger.

**Purpose**: find problems that no single file shows: rows that were changed manually, a source that delivers nothing
any more, a load of unusual size, a column with another distribution, a ledger that does not balance, rows that the
lakehouse lacks. The checks are derived from the contracts.

**Trigger**: an event of the asset `analytics.marts`, and every 15 minutes (QUALITY_SCHEDULE_MINUTES). To check one
dataset only, trigger it manually with the parameter `dataset`.

**Reads**: `raw.*`, `analytics.*`, the ledger, row counts of the lakehouse. Each table is scanned a few times.

**Writes**: `ops.quality_result` and `ops.drift_result`, where the results of tables are kept for QUALITY_KEEP_DAYS
days; HTML pages in the bucket QUALITY_DOCS_BUCKET, with `index.html` as the start page.

**On failure**: a critical check failed, or the warehouse or the bucket did not respond. The task log names each failed
check, the observed value and a query that shows the rows. Failed checks of severity warning do not fail the run. All
results and pages are written before the run fails.

**How to rerun**: fix what the log names and trigger the DAG again, or wait: the next scheduled run checks everything
again. `filegate check` runs the same checks and prints them.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, Param, dag

from include.orchestration.catalog import sound_contracts
from include.orchestration.defaults import START, background_args
from include.orchestration.quality import check_tables
from include.orchestration.scheduling import marts
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
    """Check every table, publish the pages, fail if a critical check failed."""
    check_tables("{{ params.dataset or '' }}")


check_quality()
