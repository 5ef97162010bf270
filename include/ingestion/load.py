"""Stage 3: copy rows to a staging table, audit them there, and merge them into the dataset's table.

The merge and the ledger's note are one transaction, which makes loading exactly-once: before its commit everything can
be repeated, after it the ledger says that the file is loaded.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import errors as pg

from include.errors import Code, PermanentError, visible
from include.ingestion.added_columns import remember_headers
from include.ingestion.attempt import find_duplicate
from include.ingestion.audit import judge
from include.ingestion.binary_copy import BinaryCopy
from include.ingestion.dataset_lock import dataset_lock
from include.ingestion.deletes import Deleted, RowDeleter, check_newest
from include.ingestion.records import DuplicateContentError, FileRefusedError, Loaded, Processed, Validated
from include.ingestion.table_shape import refuse
from include.ingestion.target import STAGING_SCHEMA, Target
from include.ingestion.write_order import newer_rows
from include.stores.warehouse import Connection, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import sql

    from include.ingestion.attempt import Attempt

_ALTER_MILLISECONDS = 200
_ALTER_PAUSE_SECONDS = 0.5
# Another session, such as the owner's, may undo the first change.
_MOST_CHANGES = 2


def load(attempt: Attempt, validated: Validated, processed: Processed) -> Loaded:
    """Load the planned rows into the dataset's table.

    Raises:
        FileRefusedError: the table differs from the contract, a critical expectation failed, or the file is a snapshot
            that is older or deletes too many rows; nothing was published.
        DuplicateContentError: another session published the same content meanwhile.
        RetryableError: the warehouse is locked, full or unavailable, or an earlier file must be loaded first.
        PermanentError: the warehouse refuses; a retry does not help.
    """
    contract, entry, stores = attempt.contract, attempt.entry, attempt.stores
    target = Target(contract, entry.file_id, entry.attempts, validated.extra_columns)
    connection = stores.connection
    with warehouse_errors():
        remember_headers(connection, contract.dataset, validated.headers)
        _prepare_table(attempt, target)
        target.allow_deletes(connection)
        with _staging(connection, target):
            _copy(attempt, target, processed)
            processed.path.unlink(missing_ok=True)
            # A batch of deletes alone has no rows, which an expectation may demand.
            results = stores.auditor.audit(contract, STAGING_SCHEMA, target.staging_name) if validated.rows_read else []
            stores.ledger.quality(entry, results)
            judge(contract, results)
            return _publish(attempt, target, validated, processed)


def _prepare_table(attempt: Attempt, target: Target) -> None:
    """Create or change the table so that it fits the contract. A table that fits already is not locked.

    ALTER TABLE waits for every reader, and every later reader waits behind it. So each try waits a fifth of a second
    for its lock and is repeated half a second later, for as long as the lock timeout allows.

    Raises:
        FileRefusedError: the table differs from the contract, or PostgreSQL refuses to change it.
        PermanentError: it is incomplete after it was changed twice; the error names the columns.
    """
    connection, dataset = attempt.stores.connection, target.contract.dataset
    end: float | None = None
    changed = 0
    while not _is_complete(target, connection):
        if changed == _MOST_CHANGES:
            missing = ", ".join(target.shape(connection).missing)
            raise PermanentError(
                Code.INTERNAL,
                f"The table raw.{dataset} was changed for its contract and still lacks columns: {missing}.",
                dataset=dataset,
            )
        try:
            with dataset_lock(attempt):
                if not _is_complete(target, connection):
                    connection.execute(f"SET LOCAL lock_timeout = {_ALTER_MILLISECONDS}")
                    target.ensure(connection)
                    changed += 1
        except pg.LockNotAvailable:
            end = end or time.monotonic() + attempt.settings.lock_timeout_seconds
            if time.monotonic() > end:
                raise
            time.sleep(_ALTER_PAUSE_SECONDS)
        except pg.FeatureNotSupported as error:
            detail = visible(f"{error.diag.message_primary}: {error.diag.message_detail}")
            raise FileRefusedError.for_code(Code.TABLE_DIFFERS, "refused", dataset=dataset, detail=detail) from error


def _is_complete(target: Target, connection: Connection) -> bool:
    """Whether the table has all columns in their types.

    Raises:
        FileRefusedError: it differs from the contract in something that the pipeline does not change.
    """
    shape = target.shape(connection)
    refuse(target.contract.dataset, shape)
    return shape.is_complete


@contextmanager
def _staging(connection: Connection, target: Target) -> Iterator[None]:
    """Drop this attempt's staging table before and after the block; not after it if the connection is broken."""
    connection.execute(target.drop_staging())
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute(target.drop_staging())


def _copy(attempt: Attempt, target: Target, processed: Processed) -> None:
    """Create and fill the staging table in one transaction: COPY FREEZE needs that, and no reader marks the rows."""
    with attempt.stores.connection.transaction():
        attempt.stores.connection.execute(target.create_staging())
        BinaryCopy(target.copy(), target.arrow_schema).run(attempt, processed.selects)


def _publish(attempt: Attempt, target: Target, validated: Validated, processed: Processed) -> Loaded:
    connection, ledger, sha256 = attempt.stores.connection, attempt.stores.ledger, validated.sha256
    try:
        # One load per table at a time: merges of two files into the same keys would conflict.
        with dataset_lock(attempt):
            resend_no = _resend_no(attempt, sha256)
            connection.execute(
                f"SET LOCAL synchronous_commit = on; SET LOCAL work_mem = '{attempt.settings.merge_memory_mb}MB'"
            )
            # From here on no session can change the table's columns or the statistics of the staging table.
            connection.execute(target.lock())
            target.count_staged(processed.rows_kept, connection)
            shape = target.shape(connection)
            refuse(target.contract.dataset, shape)
            deleted, deleter = Deleted(), RowDeleter(attempt, target, shape.has_marks)
            if target.contract.is_snapshot:
                check_newest(attempt)
                if not validated.is_replay:  # a few rows of a snapshot are not the whole truth
                    deleted = deleter.delete_missing(validated.refused_keys)
            newer = newer_rows(attempt)
            target = replace(target, newer=newer)
            merge = target.merge(sort=not processed.in_key_order, has_marks=shape.has_marks)
            inserted, updated = _merge(target, merge, connection)
            if validated.deleted_keys is not None:
                deleted = deleter.delete_keys(validated.deleted_keys)
            loaded = Loaded(
                inserted,
                updated,
                processed.rows_kept - inserted - updated,
                deleted.rows,
                deleted.skipped,
                target.contract.deletes,
                validated.deleted_keys.ignored if validated.deleted_keys else None,
            )
            ledger.loaded(attempt.entry, loaded, resend_no, is_newest=newer.is_empty)
        return loaded
    except pg.UniqueViolation as error:
        if error.diag.constraint_name != "content_is_loaded_once":
            raise
        of = ledger.find_duplicate(attempt.entry, sha256)
        raise DuplicateContentError(of or 0) from error


def _resend_no(attempt: Attempt, sha256: str) -> int:
    """How often the content was loaded before, once all earlier files have an outcome.

    Where no column says which row is newer, the file that was written last must be loaded last: no file is loaded
    before an earlier one that waits, and the contents A, B, A are loaded three times.

    Raises:
        DuplicateContentError: the content was loaded before, and no other content since.
        RetryableError: an earlier file has no outcome yet.
    """
    if not attempt.loads_in_order:
        return 0
    if (of := find_duplicate(attempt, sha256)) is not None:
        raise DuplicateContentError(of)
    return attempt.stores.ledger.next_resend_no(attempt.entry, sha256)


def _merge(target: Target, merge: sql.Composed, connection: Connection) -> tuple[int, int]:
    """Merge the staging table; the rows inserted and updated."""
    table = f"raw.{target.contract.dataset}"
    before = _counters(connection, table)
    merged = connection.execute(merge).rowcount
    after = _counters(connection, table)
    inserted, updated = after[0] - before[0], after[1] - before[1]
    if inserted + updated != merged:
        raise PermanentError(
            Code.INTERNAL,
            "PostgreSQL's counters disagree with the merge (is track_counts on?).",
            merged=merged,
            inserted=inserted,
            updated=updated,
        )
    return inserted, updated


def _counters(connection: Connection, table: str) -> tuple[int, int]:
    """Rows inserted and updated by this session's transaction. The difference of two readings counts one statement.

    MERGE ... RETURNING counts too, but sends every row through a second plan node and takes half as long again. A
    partitioned table has no rows itself: the rows of its partitions are counted.
    """
    row = connection.execute(
        "SELECT sum(pg_stat_get_xact_tuples_inserted(part)), sum(pg_stat_get_xact_tuples_updated(part)) FROM ("
        "SELECT %(t)s::regclass AS part UNION SELECT relid FROM pg_partition_tree(%(t)s::regclass)) AS parts",
        {"t": table},
    ).fetchone()
    if row is None:
        raise PermanentError(Code.INTERNAL, "PostgreSQL keeps no counters.")
    return int(row[0]), int(row[1])
