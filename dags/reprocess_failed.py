"""Requeue quarantined files.

**Purpose**: process files again after the cause of their failure is fixed (for example a corrected contract).

**Trigger**: manually, with the parameters dataset, stage and a pattern for the file name. The dataset must be chosen:
`all` selects the files of every dataset. An empty stage selects every stage.

**Reads**: `ops.file_ingestion_log`, `failed/`. **Writes**: `incoming/`; `ingest_<dataset>` then loads the files.

**On failure**: the bucket or the warehouse did not respond. Files that were already moved are loaded as usual.

**How to rerun**: trigger the DAG again: it moves the files that are still in quarantine. If several quarantined files
have the same name, each run moves the oldest of them, and only if no file of this name is waiting in `incoming/`. The
history stays in `ops.file_event`.
"""

from airflow.sdk import Param, dag

from include.orchestration.catalog import requeue_choices
from include.orchestration.defaults import START, default_args
from include.orchestration.file_moves import requeue_files

STAGES = [None, "validate", "process", "load"]


@dag(
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args(),
    doc_md=__doc__,
    tags=["ingestion", "repair"],
    params={
        # No value is chosen beforehand, and null is not valid: Airflow refuses a run without a dataset.
        "dataset": Param(None, type="string", enum=requeue_choices(), description="all: every dataset"),
        "stage": Param(None, type=["null", "string"], enum=STAGES, description="Empty: every stage"),
        "name": Param(
            "*", type="string", maxLength=1024, description="Pattern of the file name, for example sales_*.csv"
        ),
    },
)
def reprocess_failed() -> None:
    """Move files from failed/ back to incoming/."""
    requeue_files("{{ params.dataset }}", "{{ params.stage or '' }}", "{{ params.name }}")


reprocess_failed()
