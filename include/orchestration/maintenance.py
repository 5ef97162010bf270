"""The tasks of the DAG `maintain_platform`. Each returns what it has deleted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import PokeReturnValue, Variable, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from include.orchestration.airflow_database import RESULT
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import ingest_settings, retention_settings

log = logging.getLogger(__name__)

# Seconds. The first cleaning of a large database takes minutes.
_LOOK_EVERY, _WAIT_AT_MOST = 2, 3600


@task
def forget_details() -> dict[str, int]:
    """Delete what is told of files beside the ledger, where they were settled long ago."""
    from include.ingestion.retention import forget_details as forget
    from include.orchestration.stores import warehouse_ingest_config
    from include.stores.warehouse import connect

    with no_retry_of_permanent_errors(), connect(warehouse_ingest_config()) as connection:
        return _told(forget(connection, retention_settings()))


@task
def remove_leftovers() -> dict[str, int]:
    """Remove staging tables, staging objects and this machine's spool folders that no file under way owns."""
    from include.ingestion.retention import remove_leftovers as remove
    from include.orchestration.stores import connected_stores

    with no_retry_of_permanent_errors(), connected_stores() as stores:
        return _told(remove(stores.ledger.connection, stores.objects, ingest_settings(), retention_settings()))


@task
def remove_old_objects() -> dict[str, int]:
    """Delete old objects of processed/ and failed/, if the settings ask for it, and versions replaced long ago."""
    from include.ingestion.retention import remove_old_objects as remove
    from include.orchestration.stores import s3_config
    from include.stores.object_store import ObjectStore
    from include.stores.object_versions import remove_old_versions

    config, bucket, settings = s3_config(), ingest_settings().landing_bucket, retention_settings()
    with no_retry_of_permanent_errors():
        deleted = remove(ObjectStore(config), bucket, settings)
        if settings.old_versions_days:
            before = datetime.now(UTC) - timedelta(days=settings.old_versions_days)
            deleted["object_versions"] = remove_old_versions(config, bucket, before)
        return _told(deleted)


@task
def remove_old_logs() -> dict[str, int]:
    """Remove the log files of old runs, where they lie on a disk that this task sees."""
    from airflow.sdk.configuration import conf

    from include.orchestration.task_logs import remove_log_files

    if not (days := retention_settings().log_files_days):
        return {}
    base = Path(conf.get_mandatory_value("logging", "base_log_folder")).expanduser()
    return _told(remove_log_files(base, timedelta(days=days)))


@task.sensor(poke_interval=_LOOK_EVERY, timeout=_WAIT_AT_MOST, mode="poke")
def clean_airflow_database() -> PokeReturnValue:
    """Wait until the process beside the scheduler has cleaned Airflow's database, and tell what it has deleted."""
    context: Any = get_current_context()
    told = Variable.get(RESULT, default=None, deserialize_json=True)
    if not told or told["run_id"] != context["run_id"]:
        return PokeReturnValue(is_done=False)
    if told["error"]:
        raise AirflowFailException(f"Airflow's database was not cleaned; see the scheduler's log. {told['error']}")
    return PokeReturnValue(is_done=True, xcom_value=_told(told["deleted"]))


def _told(deleted: dict[str, int]) -> dict[str, int]:
    log.info("Deleted: %s", ", ".join(f"{count} {name}" for name, count in deleted.items()) or "nothing")
    return deleted
