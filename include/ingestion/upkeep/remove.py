"""Removes a dataset: its table, its entries in the ledger, and its objects. Needs the role that owns the warehouse.

What belongs here: what a dataset consists of, and removing all of it. What does not: its contract, which is a file of
the user. The warehouse comes first, in one transaction; what a stopped call leaves in the bucket the next one removes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import errors as pg
from psycopg import sql

from include.errors import Code, PermanentError, RetryableError, visible
from include.errors.registry import message
from include.ingestion.object_keys import PROCESSED, QUARANTINED, STAGING, incoming_prefix
from include.ingestion.records import FileStatus
from include.ingestion.target import SCHEMA, drop_staging, staging_left, staging_owner
from include.stores.object_moves import remove_own
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from include.stores.object_store import ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection

_AT_ONCE = 8
# Of everything that names a dataset. An entry's events, rejected rows and check results go with the entry.
_TABLES = ("quality_result", "drift_result", "dataset_column", "incoming_files", "dataset_lock", "file_ingestion_log")


@dataclass(frozen=True)
class Holdings:
    """What there is of a dataset. `rows` is None if it has no table; entries `elsewhere` are of other buckets."""

    rows: int | None
    entries: int
    elsewhere: int
    objects: tuple[ObjectInfo, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return self.rows is None and not (self.entries or self.objects)


def holdings(dataset: str, bucket: str, objects: ObjectStore, connection: Connection) -> Holdings:
    """Count what there is of a dataset.

    Raises:
        PipelineError: the bucket or the warehouse does not answer or refuses.
    """
    with warehouse_errors():
        entries, elsewhere, _ = _entries(dataset, bucket, connection)
        rows = None
        if _has_table(dataset, connection):
            table = sql.Identifier(SCHEMA, dataset)
            counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
            rows = int(counted[0]) if counted else 0
    found = tuple(item for prefix in _prefixes(dataset) for item in objects.list(bucket, prefix, without_etag=True))
    return Holdings(rows, entries, elsewhere, found)


def remove_dataset(dataset: str, bucket: str, objects: ObjectStore, connection: Connection) -> None:
    """Remove the table, the ledger's entries and the objects of a dataset, and nothing of another one.

    Args:
        dataset: a name that a contract could have.
        bucket: the landing bucket.
        objects: its store.
        connection: as the owner of the warehouse.

    Raises:
        RetryableError: a load runs, or a session uses the table; nothing was removed. Or a store does not answer: the
            warehouse's part is removed as a whole or not at all.
        PermanentError: views depend on the table, or a store refuses.
    """
    with warehouse_errors(), connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        _lock(dataset, bucket, connection)
        _drop_table(dataset, connection)
        for name in staging_left(connection):
            if (owner := staging_owner(name)) and owner[0] == dataset:
                drop_staging(connection, name)
        for table in _TABLES:
            query = sql.SQL("DELETE FROM {} WHERE dataset = %s").format(sql.Identifier("ops", table))
            connection.execute(query, [dataset])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for prefix in _prefixes(dataset):
            found = objects.list(bucket, prefix, without_etag=True)
            list(pool.map(lambda item: remove_own(objects, bucket, item.key), found))


def _prefixes(dataset: str) -> list[str]:
    """The folders of a dataset in the bucket. Each ends with a slash: `sales` is not the beginning of `sales_2`."""
    failed = [f"{QUARANTINED}{status}/{dataset}/" for status in FileStatus if status.is_failure]
    return [incoming_prefix(dataset), f"{STAGING}{dataset}/", f"{PROCESSED}{dataset}/", *failed]


def _entries(dataset: str, bucket: str, connection: Connection) -> tuple[int, int, int | None]:
    row = connection.execute(statement("dataset_entries"), {"dataset": dataset, "bucket": bucket}).fetchone()
    return (row[0], row[1], row[2]) if row else (0, 0, None)


def _has_table(dataset: str, connection: Connection) -> bool:
    query = "SELECT FROM pg_class WHERE relnamespace = 'raw'::regnamespace AND relname = %s"
    return connection.execute(query, [dataset]).fetchone() is not None


def _lock(dataset: str, bucket: str, connection: Connection) -> None:
    """Take the dataset's lock, and check that no worker has one of its files."""
    connection.execute(statement("add_dataset_lock"), {"dataset": dataset})
    try:
        connection.execute(statement("lock_dataset_now"), {"dataset": dataset})
    except pg.LockNotAvailable as error:
        raise RetryableError(Code.TARGET_LOCKED, message(Code.TARGET_LOCKED, "load", dataset=dataset)) from error
    _, _, in_progress = _entries(dataset, bucket, connection)
    if in_progress is not None:
        text = message(Code.TARGET_LOCKED, "file", dataset=dataset, file_id=in_progress)
        raise RetryableError(Code.TARGET_LOCKED, text)


def _drop_table(dataset: str, connection: Connection) -> None:
    """Drop the table, unless views or other tables depend on it: they are not of the dataset."""
    try:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(SCHEMA, dataset)))
    except pg.DependentObjectsStillExist as error:
        detail = visible((error.diag.message_detail or "").replace("\n", "; "))
        text = message(Code.WAREHOUSE_REFUSED, "dependents", dataset=dataset, detail=detail)
        raise PermanentError(Code.WAREHOUSE_REFUSED, text) from error
