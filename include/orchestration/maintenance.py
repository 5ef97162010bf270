"""The tasks of the DAG `maintain_platform`. Each returns the counts of what it deleted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import PokeReturnValue, Variable, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from include.errors import in_stage
from include.orchestration.airflow_database import RESULT
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import ingest_settings, retention_settings

log = logging.getLogger(__name__)

_STAGE = "retention"
# In seconds. The first cleaning of a large database takes minutes.
_POKE_INTERVAL, _TIMEOUT = 2, 3600


@task
def purge_expired() -> dict[str, int]:
    """Delete details of files that were settled long ago; their ledger entries stay."""
    from include.ingestion.upkeep.purge import purge_expired as purge
    from include.orchestration.stores import warehouse_ingest_config
    from include.stores.warehouse import connect

    with no_retry_of_permanent_errors(), in_stage(_STAGE), connect(warehouse_ingest_config()) as connection:
        return _logged_counts(purge(connection, retention_settings()))


@task
def remove_leftovers() -> dict[str, int]:
    """Remove staging tables, staging objects and spool folders of this machine that no file in progress owns."""
    from include.ingestion.upkeep.purge import remove_leftovers as remove
    from include.orchestration.stores import connected_stores

    with no_retry_of_permanent_errors(), in_stage(_STAGE), connected_stores() as stores:
        return _logged_counts(remove(stores.connection, stores.objects, ingest_settings(), retention_settings()))


@task
def remove_old_objects() -> dict[str, int]:
    """Delete old objects of processed/ and failed/, and old object versions, if the settings ask for it."""
    from include.ingestion.upkeep.purge import remove_old_objects as remove
    from include.orchestration.stores import s3_config
    from include.stores.object_store import ObjectStore
    from include.stores.object_versions import remove_old_versions

    config, bucket, settings = s3_config(), ingest_settings().landing_bucket, retention_settings()
    with no_retry_of_permanent_errors(), in_stage(_STAGE):
        deleted = remove(ObjectStore(config), bucket, settings)
        if settings.old_versions_days:
            before = datetime.now(UTC) - timedelta(days=settings.old_versions_days)
            deleted["object_versions"] = remove_old_versions(config, bucket, before)
        return _logged_counts(deleted)


@task
def remove_old_logs() -> dict[str, int]:
    """Remove the log files of old runs, if they are on a disk of this worker."""
    from airflow.sdk.configuration import conf

    from include.orchestration.task_logs import remove_log_files

    if not (days := retention_settings().log_files_days):
        return {}
    base = Path(conf.get_mandatory_value("logging", "base_log_folder")).expanduser()
    return _logged_counts(remove_log_files(base, timedelta(days=days)))


@task.sensor(poke_interval=_POKE_INTERVAL, timeout=_TIMEOUT, mode="poke")
def clean_airflow_database() -> PokeReturnValue:
    """Wait until the process next to the scheduler has cleaned Airflow's database, and return what it deleted."""
    context: Any = get_current_context()
    result = Variable.get(RESULT, default=None, deserialize_json=True)
    if not result or result["run_id"] != context["run_id"]:
        return PokeReturnValue(is_done=False)
    if result["error"]:
        raise AirflowFailException(f"Airflow's database was not cleaned; see the scheduler's log. {result['error']}")
    return PokeReturnValue(is_done=True, xcom_value=_logged_counts(result["deleted"]))


def _logged_counts(deleted: dict[str, int]) -> dict[str, int]:
    """Log the counts of deleted rows or files, and return them."""
    log.info("Deleted: %s", ", ".join(f"{count} {name}" for name, count in deleted.items()) or "nothing")
    return deleted
