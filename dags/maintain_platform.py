"""What is not the data itself does not grow for ever.

**Purpose**: old runs leave Airflow's database, and their logs the disk; details of files settled long ago leave the
warehouse; what dead workers left goes. Entries of the ledger stay: by them nothing is loaded twice.

**Trigger**: every six hours, or by hand; not at a platform's very start. How long each kind is kept say the settings
RETENTION_*.

**Reads**: the ledger, `staging/`, spool folders, folders of logs.

**Writes**: deletes from `ops.rejected_rows`, `ops.quality_result`, `ops.file_event`, `ops.alert`; staging tables,
staging objects and spool folders that no file under way owns; log files; Airflow's runs, tasks, results, audit log and
asset events. Objects of `processed/` and `failed/` only if that is set. MLflow, `raw.*` and the models are left alone.
Each task returns what it has deleted.

**When it fails**: the warehouse or the bucket did not answer; or Airflow's database was not cleaned: a process beside
the scheduler does that (`plugins/clean_database.py`), and the scheduler's log says why it did not.

**How to rerun**: trigger it, or wait six hours. It may be stopped at any point and run at any time.
"""

from airflow.sdk import dag

from include.orchestration.alerts import tell_of_failed_run
from include.orchestration.defaults import background_args
from include.orchestration.maintenance import (
    clean_airflow_database,
    forget_details,
    remove_leftovers,
    remove_old_logs,
    remove_old_objects,
)


@dag(
    # Without a start date: a new platform has nothing to clean, and the first run is not owed since the day before.
    schedule="17 */6 * * *",
    catchup=False,
    max_active_runs=1,
    max_active_tasks=2,
    default_args=background_args(),
    on_failure_callback=tell_of_failed_run,
    doc_md=__doc__,
    tags=["ingestion", "repair"],
)
def maintain_platform() -> None:
    """None of them needs another one; what one cannot do keeps no other from its work."""
    clean_airflow_database()
    forget_details()
    remove_leftovers()
    remove_old_objects()
    remove_old_logs()


maintain_platform()
