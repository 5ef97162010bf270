"""Put quarantined files back on the normal road.

**Purpose**: after a file's cause of failure is gone (a contract changed, a table unlocked), try it again.

**Trigger**: by hand, with parameters: dataset, stage, and a pattern for the file's name. Empty means all.

**Reads**: `ops.file_ingestion_log`, `failed/`. **Writes**: `incoming/`; `ingest_<dataset>` does the rest.

**When it fails**: the bucket or the warehouse did not answer; files that were moved already take the normal road.

**How to rerun**: trigger it again: it moves what is still in quarantine. Of several files of one name each run takes
one, that which lies there longest, and only once nothing of that name waits in `incoming/`. History stays in
`ops.file_event`.
"""

from airflow.sdk import Param, dag

from include.orchestration.catalog import sound_contracts
from include.orchestration.defaults import START, default_args
from include.orchestration.upkeep import put_back_files

DATASETS = [None, *(contract.dataset for contract in sound_contracts()), "unknown"]
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
        "dataset": Param(None, type=["null", "string"], enum=DATASETS, description="Empty: every dataset"),
        "stage": Param(None, type=["null", "string"], enum=STAGES, description="Empty: every stage"),
        "name": Param("*", type="string", maxLength=1024, description="Pattern of the file's name, as in sales_*.csv"),
    },
)
def reprocess_failed() -> None:
    """Move files from failed/ back to incoming/."""
    put_back_files("{{ params.dataset or '' }}", "{{ params.stage or '' }}", "{{ params.name }}")


reprocess_failed()
