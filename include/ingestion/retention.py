"""What is not kept for ever: details of files settled long ago, what dead workers left, and old objects if asked.

What belongs here: which of it may go, and the going. What does not: Airflow's own memory (`include.orchestration`).

Entries of the ledger stay: they are the memory of contents by which nothing is loaded twice. Everything here may be
stopped at any point and done again.
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
from include.ingestion.places import PROCESSED, QUARANTINED, STAGING
from include.ingestion.target import drop_staging, staging_left, staging_owner
from include.stores.object_moves import remove
from include.stores.warehouse import statement, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from include.settings import IngestSettings, RetentionSettings
    from include.stores.object_store import ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection

log = logging.getLogger(__name__)

STAGE = "retention"
# Each batch is a transaction of its own, which holds its locks for a moment only.
_BATCH_ROWS = 10_000
_BATCH_FILES = 100
_AT_ONCE = 8

_STAGING_OBJECT = re.compile(rf"{re.escape(STAGING)}[^/]+/(\d+)/")
_SPOOL_FOLDER = re.compile(r".+-(\d+)-[^-]+")
_SPILL_FOLDER = re.compile(r"spill-\d+")


def forget_details(connection: Connection, settings: RetentionSettings) -> dict[str, int]:
    """Delete what is told of files beside the ledger, where the files were settled long ago.

    Args:
        connection: as the role `ingest`.
        settings: how long each kind is kept.

    Returns:
        How many rows of each kind are gone.

    Raises:
        PipelineError: the warehouse does not answer, or refuses.
    """
    return {
        "rejected_rows": _delete(connection, "forget_rejected_rows", settings.rejected_rows_days, _BATCH_FILES),
        "file_results": _delete(connection, "forget_file_results", settings.file_results_days, _BATCH_ROWS),
        "file_events": _call(connection, "forget_file_events", settings.file_events_days, again=True),
        "alerts": _call(connection, "forget_alerts", settings.alerts_days, again=False),
    }


def _delete(connection: Connection, name: str, days: float, most: int) -> int:
    """Batch after batch, until one finds nothing."""
    gone = 0
    while days:
        with warehouse_errors(STAGE):
            deleted = connection.execute(statement(name), {"keep": timedelta(days=days), "most": most}).rowcount
        gone += deleted
        if not deleted:
            break
    return gone


def _call(connection: Connection, name: str, days: float, *, again: bool) -> int:
    """The same by a function of the warehouse: this role has no right to delete there."""
    gone = 0
    while days:
        with warehouse_errors(STAGE):
            values = {"keep": timedelta(days=days), "most": _BATCH_ROWS}
            row = connection.execute(statement(name), values).fetchone()
        gone += (deleted := int(row[0]) if row else 0)
        if not deleted or not again:
            break
    return gone


def remove_leftovers(
    connection: Connection, objects: ObjectStore, ingest: IngestSettings, settings: RetentionSettings
) -> dict[str, int]:
    """Remove staging tables, staging objects and spool folders that belong to no file under way.

    Each file's own are removed when it is settled. These are of entries that are gone (a restored backup), or of
    workers that lived on after their file was taken from them.

    Args:
        connection: as the role `ingest`, which owns the staging tables.
        objects: the store with the landing bucket.
        ingest: bucket and spool folder. Only this machine's spool folder is within reach.
        settings: how old objects and folders have to be.

    Returns:
        How many of each kind are gone.
    """
    before = datetime.now(UTC) - timedelta(hours=settings.leftover_hours)
    return {
        "staging_tables": _staging_tables(connection),
        "staging_objects": _staging_objects(connection, objects, ingest.landing_bucket, before),
        "spool_folders": _spool_folders(connection, ingest.spool_dir, before),
    }


def _staging_tables(connection: Connection) -> int:
    gone = 0
    with warehouse_errors(STAGE):
        owners = {name: owner for name in staging_left(connection) if (owner := staging_owner(name))}
    for name, (_, file_id) in owners.items():
        # One by one: a file that was put back meanwhile may have begun again, with a table of the same name.
        if _open_entries(connection, [file_id]):
            continue
        try:
            with warehouse_errors(STAGE):
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
    under_way = _open_entries(connection, old.values())
    return _remove(objects, bucket, [item for item, file_id in old.items() if file_id not in under_way])


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
    """When anything in the folder was written last."""
    newest = 0.0
    for path in (folder, *folder.rglob("*")):
        try:
            newest = max(newest, path.lstat().st_mtime)
        except FileNotFoundError:  # its worker lives
            return time.time()
    return newest


def remove_old_objects(objects: ObjectStore, bucket: str, settings: RetentionSettings) -> dict[str, int]:
    """Delete objects of processed/ and failed/ that lie there longer than they are kept; none unless it is set.

    Args:
        objects: the store.
        bucket: the landing bucket.
        settings: how long they are kept; 0 is for ever.

    Returns:
        How many of each kind are gone.
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
    """Delete these objects unless they were written again since they were listed; how many are gone."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(pool.map(lambda item: remove(objects, bucket, item), items))


def _open_entries(connection: Connection, file_ids: Iterable[int]) -> set[int]:
    with warehouse_errors(STAGE):
        rows = connection.execute(statement("open_entries"), {"file_ids": sorted(set(file_ids))})
        return {row[0] for row in rows}
