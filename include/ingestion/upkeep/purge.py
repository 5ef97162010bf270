"""Deletes expired data: details of old files and source runs, leftovers of dead workers, old objects if configured.

What belongs here: choosing and deleting such data. What does not: Airflow's own database (`include.orchestration`).

Entries of the ledger are kept: by their content hashes no content is loaded twice. Every function here can be stopped
at any point and repeated.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from include.errors import RetryableError
from include.ingestion.object_keys import PROCESSED, QUARANTINED, STAGING
from include.ingestion.target import drop_staging, staging_left, staging_owner
from include.stores.object_moves import remove
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from include.settings import IngestSettings, RetentionSettings
    from include.stores.object_store import ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection

log = logging.getLogger(__name__)

# Each batch is a separate transaction, which holds its locks for a short time only.
_BATCH_ROWS = 10_000
_BATCH_FILES = 100
_AT_ONCE = 8

_STAGING_OBJECT = re.compile(rf"{re.escape(STAGING)}[^/]+/(\d+)/")
_SPOOL_FOLDER = re.compile(r".+-(\d+)-[^-]+")
_SPILL_FOLDER = re.compile(r"spill-\d+")


def purge_expired(connection: Connection, settings: RetentionSettings) -> dict[str, int]:
    """Delete the details of files that were settled long ago (rejects, results, events), old alerts, old source runs.

    Args:
        connection: as the role `ingest`.
        settings: how long each kind is kept.

    Returns:
        The number of deleted rows of each kind.

    Raises:
        PipelineError: the warehouse does not answer, or refuses.
    """
    return {
        "rejected_rows": _delete(connection, "purge_rejected_rows", settings.rejected_rows_days, _BATCH_FILES),
        "file_results": _delete(connection, "purge_file_results", settings.file_results_days, _BATCH_ROWS),
        "file_events": _call(connection, "purge_file_events", settings.file_events_days, again=True),
        "alerts": _call(connection, "purge_alerts", settings.alerts_days, again=False),
        "source_runs": _call(connection, "purge_source_runs", settings.source_runs_days, again=True),
        "source_objects": _call(connection, "purge_source_objects", settings.source_objects_days, again=True),
    }


def _delete(connection: Connection, name: str, days: float, most: int) -> int:
    """Delete in batches until a batch finds nothing."""
    gone = 0
    while days:
        with warehouse_errors():
            deleted = connection.execute(statement(name), {"keep": timedelta(days=days), "most": most}).rowcount
        gone += deleted
        if not deleted:
            break
    return gone


def _call(connection: Connection, name: str, days: float, *, again: bool) -> int:
    """Delete through a function of the warehouse: the role `ingest` has no right to delete from these tables."""
    gone = 0
    while days:
        with warehouse_errors():
            values = {"keep": timedelta(days=days), "most": _BATCH_ROWS}
            row = connection.execute(statement(name), values).fetchone()
        gone += (deleted := int(row[0]) if row else 0)
        if not deleted or not again:
            break
    return gone


def remove_leftovers(
    connection: Connection, objects: ObjectStore, ingest: IngestSettings, settings: RetentionSettings
) -> dict[str, int]:
    """Remove staging tables, staging objects and spool folders that belong to no file in progress.

    Those of a file are removed when it is settled. What remains belongs to entries that do not exist any more (a
    restored backup), or to stale attempts that continued after another worker had begun their file.

    Args:
        connection: as the role `ingest`, which owns the staging tables.
        objects: the store with the landing bucket.
        ingest: bucket and spool folder. Only this machine's spool folder can be cleared.
        settings: how old objects and folders must be.

    Returns:
        The number of removed items of each kind.
    """
    before = datetime.now(UTC) - timedelta(hours=settings.leftover_hours)
    return {
        "staging_tables": _staging_tables(connection),
        "staging_objects": _staging_objects(connection, objects, ingest.landing_bucket, before),
        "spool_folders": _spool_folders(connection, ingest.spool_dir, before),
    }


def _staging_tables(connection: Connection) -> int:
    gone = 0
    with warehouse_errors():
        owners = {name: owner for name in staging_left(connection) if (owner := staging_owner(name))}
    for name, (_, file_id) in owners.items():
        # Checked one by one: a file that was requeued meanwhile may have begun again, with a table of the same name.
        if _open_entries(connection, [file_id]):
            continue
        try:
            with warehouse_errors():
                drop_staging(connection, name)
        except RetryableError as error:
            log.warning("The staging table %s is in use; the next run looks again. %s", name, error)
            continue
        log.info("Dropped the staging table %s.", name)
        gone += 1
    return gone


def _staging_objects(connection: Connection, objects: ObjectStore, bucket: str, before: datetime) -> int:
    old = {
        item: int(match[1])
        for item in objects.list(bucket, STAGING)
        if (match := _STAGING_OBJECT.match(item.key)) and item.modified_at is not None and item.modified_at < before
    }
    in_progress = _open_entries(connection, old.values())
    return _remove(objects, bucket, [item for item, file_id in old.items() if file_id not in in_progress])


def _spool_folders(connection: Connection, spool: Path, before: datetime) -> int:
    gone = 0
    for folder in sorted(spool.iterdir()) if spool.is_dir() else ():
        match = _SPOOL_FOLDER.fullmatch(folder.name)
        if not folder.is_dir() or folder.is_symlink() or not (match or _SPILL_FOLDER.fullmatch(folder.name)):
            continue
        if time.time() - _newest(folder) < datetime.now(UTC).timestamp() - before.timestamp():
            continue
        if match and _open_entries(connection, [int(match[1])]):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        log.info("Removed the spool folder %s.", folder.name)
        gone += 1
    return gone


def _newest(folder: Path) -> float:
    """The time of the last change in the folder, in seconds since 1970."""
    newest = 0.0
    for path in (folder, *folder.rglob("*")):
        try:
            newest = max(newest, path.lstat().st_mtime)
        except FileNotFoundError:  # its worker is alive
            return time.time()
    return newest


def remove_old_objects(objects: ObjectStore, bucket: str, settings: RetentionSettings) -> dict[str, int]:
    """Delete objects of processed/ and failed/ that are older than the settings allow; by default none.

    Args:
        objects: the store.
        bucket: the landing bucket.
        settings: how many days they are kept; 0 means without limit.

    Returns:
        The number of deleted objects of each kind.
    """
    return {
        "processed_objects": _older(objects, bucket, PROCESSED, settings.processed_days),
        "failed_objects": _older(objects, bucket, QUARANTINED, settings.failed_days),
    }


def _older(objects: ObjectStore, bucket: str, prefix: str, days: float) -> int:
    if not days:
        return 0
    before = datetime.now(UTC) - timedelta(days=days)
    old = (item for item in objects.list(bucket, prefix) if item.modified_at is not None and item.modified_at < before)
    return _remove(objects, bucket, list(old))


def _remove(objects: ObjectStore, bucket: str, items: list[ObjectInfo]) -> int:
    """Delete these objects unless they were overwritten since they were listed; how many were deleted."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(pool.map(lambda item: remove(objects, bucket, item), items))


def _open_entries(connection: Connection, file_ids: Iterable[int]) -> set[int]:
    with warehouse_errors():
        rows = connection.execute(statement("open_entries"), {"file_ids": sorted(set(file_ids))})
        return {row[0] for row in rows}
