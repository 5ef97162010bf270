"""The DAG `ingest_<dataset>` of a contract: wait for files, claim them, load each batch, settle the files."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.describe import describe
from include.errors import RetryableError, Stage, in_stage
from include.ingestion.object_keys import incoming_prefix
from include.orchestration.alerts import notify_quarantined_files, notify_waiting_files
from include.orchestration.defaults import START, default_args, no_retry_of_permanent_errors, skip_on_outage
from include.orchestration.file_sensor import WaitForFiles
from include.orchestration.scheduling import rows_of
from include.settings import ingest_settings

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.contracts.model import Contract

RUNBOOK = """
**Purpose**: load every file dropped into `{bucket}/{prefix}` into `raw.{dataset}`.

**Trigger**: continuous; a sensor polls every few seconds and waits without a worker slot. A manually triggered run
starts after the run that is waiting, and loads the files that are left.

**Reads**: `s3://{bucket}/{prefix}`. **Writes**: `raw.{dataset}`, `ops.file_ingestion_log`, `processed/`, `failed/`.

**On failure**: a bad file does not fail the run; it is moved to `failed/<stage>_failed/` with a report. An outage
(bucket, warehouse, lock, disk, service) does not fail the run either: the task is skipped after its last retry, the
files wait with the reason in the ledger, and are tried again once a minute. A failed run means that a store refused the
credentials or a permission, or that there is a defect.

**How to rerun**: no action is needed. For quarantined files trigger `reprocess_failed`.
"""


def ingest_dag(contract: Contract) -> DAG:
    """Return the DAG `ingest_<dataset>` of a contract."""
    settings = ingest_settings()
    prefix = incoming_prefix(contract.dataset)
    runbook = RUNBOOK.format(bucket=settings.landing_bucket, prefix=prefix, dataset=contract.dataset)

    @dag(
        dag_id=f"ingest_{contract.dataset}",
        description=f"Files dropped into {prefix} become rows of raw.{contract.dataset}",
        doc_md=runbook + "\n" + describe(contract),
        schedule="@continuous",
        start_date=START,
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=settings.max_consecutive_failures,
        default_args=default_args(contract.owner or "platform"),
        tags=["ingestion", contract.dataset],
    )
    def ingest() -> None:
        wait_for_files = WaitForFiles(
            task_id="wait_for_files",
            dataset=contract.dataset,
            poke_interval=settings.poke_seconds,
            timeout=timedelta(hours=settings.wait_hours).total_seconds(),
        )

        @task
        def claim_files() -> list[list[int]]:
            """Add new files to the ledger, take over unfinished files of earlier runs, return batches of file ids."""
            from include.ingestion.claim import claim
            from include.ingestion.records import AirflowRun
            from include.orchestration.stores import connected_stores

            context = get_current_context()
            run = AirflowRun(context["dag"].dag_id, context["run_id"])
            with no_retry_of_permanent_errors(), skip_on_outage(), in_stage(Stage.CLAIM), connected_stores() as stores:
                return claim(contract, stores, run, settings)

        @task(map_index_template="{{ batch_label }}")
        def ingest_batch(file_ids: list[int]) -> dict[str, int]:
            """Validate, process and load each file of the batch. In an outage, skip the task: the files wait."""
            from include.ingestion.pipeline import ingest_batch as run_batch
            from include.orchestration.stores import connected_stores

            context: Any = get_current_context()
            context["batch_label"] = _label(file_ids)
            with no_retry_of_permanent_errors(), skip_on_outage(), in_stage("ingest"), connected_stores() as stores:
                result = run_batch(contract, file_ids, stores, settings)
            context["batch_label"] = f"{_label(file_ids)}: {result}"
            return {**result.files, "rows": result.rows}

        @task(trigger_rule="all_done")
        def settle() -> dict[str, int]:
            """Settle each file: move it to processed/ or failed/, write its report; send an alert for failed files."""
            from include.ingestion.settle import settle_dataset
            from include.orchestration.stores import connected_stores

            try:
                with (
                    no_retry_of_permanent_errors(),
                    skip_on_outage(),
                    in_stage(Stage.SETTLE),
                    connected_stores() as stores,
                ):
                    settled = settle_dataset(contract, stores, settings)
                    # The next run moves files that the store did not move this time. Other errors fail this run.
                    settled.failures = [one for one in settled.failures if not isinstance(one, RetryableError)]
                    settled.raise_first()
                    return settled.counts
            finally:
                # A file that cannot be moved must not suppress the alert for the others.
                notify_quarantined_files(contract.dataset)
                notify_waiting_files(contract.dataset)

        @task(outlets=[rows_of(contract.dataset)])
        def announce_rows(settled: dict[str, int]) -> None:
            """Create the asset event of this table if files were loaded."""
            if not settled.get("archived"):
                raise AirflowSkipException("No file was loaded.")

        claimed = claim_files()
        settled = settle()
        wait_for_files >> claimed
        ingest_batch.expand(file_ids=claimed) >> settled
        announce_rows(settled)  # type: ignore[arg-type]

    return ingest()


def _label(file_ids: list[int]) -> str:
    return f"file {file_ids[0]}" if len(file_ids) == 1 else f"files {file_ids[0]} to {file_ids[-1]}"
