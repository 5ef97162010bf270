"""The tasks of the DAG `maintain_platform`. Each returns the counts of what it deleted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import task

from include.errors import in_stage
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import ingest_settings, retention_settings

log = logging.getLogger(__name__)

_STAGE = "retention"


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


def _logged_counts(deleted: dict[str, int]) -> dict[str, int]:
    """Log the counts of deleted rows or files, and return them."""
    log.info("Deleted: %s", ", ".join(f"{count} {name}" for name, count in deleted.items()) or "nothing")
    return deleted
