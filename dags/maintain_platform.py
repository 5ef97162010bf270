"""Delete old operational data, so that logs, metadata and staging data do not grow without limit.

**Purpose**: delete logs of old runs from disk, details of files that were settled long ago from the warehouse, and
leftovers of dead workers. Entries of the ledger are kept, so that no file is loaded twice.

**Trigger**: every six hours, or manually; not when the platform starts for the first time. The settings RETENTION_*
define how long each kind of data is kept.

**Reads**: the ledger, `staging/`, spool folders, log folders.

**Writes**: deletes rows of `ops.rejected_rows`, `ops.quality_result`, `ops.file_event`, `ops.alert`, `ops.source_run`,
`ops.source_object`; staging tables, staging objects and spool folders that no file in progress owns; log files. Objects
of `processed/` and `failed/` are deleted only if the settings ask for it. MLflow, `raw.*` and the models are not
touched. Small files of the lakehouse are merged, snapshots older than LAKE_KEEP_DAYS deleted. Each task returns the
counts of what it deleted. Airflow's own database is cleaned by the service `airflow-cleanup`.

**On failure**: the warehouse or the bucket did not respond; the task's log gives the reason.

**How to rerun**: trigger the DAG, or wait six hours. It can be stopped and started at any time.
"""

from airflow.sdk import dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.defaults import background_args
from include.orchestration.lake import maintain_files
from include.orchestration.maintenance import (
    purge_expired,
    remove_leftovers,
    remove_old_logs,
    remove_old_objects,
)


@dag(
    # No start date: a new platform has nothing to clean, and Airflow must not start the run of a past interval.
    schedule="17 */6 * * *",
    catchup=False,
    max_active_runs=1,
    max_active_tasks=2,
    default_args=background_args(),
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["ingestion", "repair"],
)
def maintain_platform() -> None:
    """Run all clean-up tasks independently: a failed one does not stop the others."""
    purge_expired()
    remove_leftovers()
    remove_old_objects()
    remove_old_logs()
    maintain_files()


maintain_platform()
