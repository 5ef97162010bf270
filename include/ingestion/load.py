"""Stage 3: into the table. Copy to staging, audit there, and publish with the ledger's note in one transaction.

That one commit is the whole argument for exactly-once: before it, everything can be done again; after it, the
ledger knows.
"""

from __future__ import annotations

from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING

import psycopg
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import errors as pg

from include.errors import Code, PermanentError, Stage
from include.ingestion.audit import Auditor, judge
from include.ingestion.engine import engine
from include.ingestion.records import DuplicateContentError, FileEntry, Loaded, Processed, Validated
from include.ingestion.target import STAGING_SCHEMA, Target
from include.stores.warehouse import Connection, connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from include.contracts.model import Contract
    from include.ingestion.ledger import Ledger
    from include.settings import IngestSettings, WarehouseConfig

COPY_ROWS = 32_768
# A second connection pays from about here on; below, opening it costs more than it saves.
_PARALLEL_FROM_ROWS = 200_000


def load(
    contract: Contract,
    entry: FileEntry,
    validated: Validated,
    processed: Processed,
    ledger: Ledger,
    warehouse: WarehouseConfig,
    auditor: Auditor,
    folder: Path,
    settings: IngestSettings,
) -> Loaded:
    """Bring the planned rows into the dataset's table.

    Raises:
        FileRefusedError: a critical expectation failed, and nothing was published.
        DuplicateContentError: another session published the same content meanwhile.
        RetryableError: the warehouse is locked, full or away.
        PermanentError: it refuses; a retry changes nothing.
    """
    target = Target(contract, validated.extra_columns)
    connection = ledger.connection
    with warehouse_errors(Stage.LOAD):
        target.ensure(connection)
        with _staging(connection, target, entry.file_id):
            _copy(processed, target, entry.file_id, connection, warehouse, folder, settings)
            processed.path.unlink(missing_ok=True)
            results = auditor.audit(contract, STAGING_SCHEMA, target.staging_name(entry.file_id))
            ledger.quality(entry, results)
            judge(contract, results)
            return _publish(target, entry, processed, ledger, validated.sha256, settings)


@contextmanager
def _staging(connection: Connection, target: Target, file_id: int) -> Iterator[None]:
    """A staging table of this file's own, gone at the end; one that a dead worker left is replaced."""
    drop = psycopg.sql.SQL("DROP TABLE IF EXISTS {}").format(target.staging(file_id))
    connection.execute(drop)
    connection.execute(target.create_staging(file_id))
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute(drop)


def _copy(
    processed: Processed,
    target: Target,
    file_id: int,
    connection: Connection,
    warehouse: WarehouseConfig,
    folder: Path,
    settings: IngestSettings,
) -> None:
    statement = target.copy(file_id)
    with engine(folder, settings) as reader:
        batches = reader.execute(processed.select).to_arrow_reader(COPY_ROWS)
        if processed.rows_kept < _PARALLEL_FROM_ROWS:
            _copy_batches(connection, statement, batches.schema, iter(batches))
            return
        # PostgreSQL types and writes rows on one core per connection; two of them keep two cores busy.
        with connect(warehouse) as second:
            _copy_parallel((connection, second), statement, batches)


def _copy_batches(
    connection: Connection, statement: psycopg.sql.Composed, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> None:
    encoder = ArrowToPostgresBinaryEncoder(schema)
    with connection.cursor().copy(statement) as copy:
        copy.write(encoder.write_header())
        for batch in batches:
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def _copy_parallel(
    connections: tuple[Connection, ...], statement: psycopg.sql.Composed, batches: pa.RecordBatchReader
) -> None:
    queue: Queue[pa.RecordBatch | None] = Queue(maxsize=2)
    failures: list[BaseException] = []

    def drain(connection: Connection) -> None:
        try:
            _copy_batches(connection, statement, batches.schema, iter(queue.get, None))
        except BaseException as error:
            failures.append(error)
            while queue.get() is not None:
                pass

    threads = [Thread(target=drain, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    try:
        for batch in batches:
            if failures:
                break
            queue.put(batch)
    finally:
        for _ in threads:
            queue.put(None)
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def _publish(
    target: Target, entry: FileEntry, processed: Processed, ledger: Ledger, sha256: str, settings: IngestSettings
) -> Loaded:
    connection = ledger.connection
    table = f"raw.{target.contract.dataset}"
    try:
        with connection.transaction():
            # One loader a table: merges of two files into the same keys would collide. Waiting for the turn is
            # no fault, so the lock timeout starts after it.
            connection.execute(
                "SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = 0; "
                f"SET LOCAL work_mem = '{settings.merge_memory_mb}MB'"
            )
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [table])
            connection.execute(f"SET LOCAL lock_timeout = '{settings.lock_timeout_seconds}s'")
            before = _counters(connection, table)
            merged = connection.execute(target.merge(entry.file_id)).rowcount
            after = _counters(connection, table)
            inserted, updated = after[0] - before[0], after[1] - before[1]
            if inserted + updated != merged:
                raise PermanentError(
                    Stage.LOAD,
                    Code.INTERNAL,
                    "PostgreSQL's counters disagree with the merge (is track_counts on?).",
                    merged=merged,
                    inserted=inserted,
                    updated=updated,
                )
            loaded = Loaded(inserted, updated, processed.rows_kept - merged)
            ledger.loaded(entry, loaded)
        return loaded
    except pg.UniqueViolation as error:
        if error.diag.constraint_name != "content_is_loaded_once":
            raise
        of = ledger.loaded_before(entry, sha256)
        raise DuplicateContentError(of or 0) from error


def _counters(connection: Connection, table: str) -> tuple[int, int]:
    """Rows inserted and updated by this session and not yet reported: their difference counts a statement's own.

    MERGE ... RETURNING counts too, but sends every row through a second plan node: half as long again.
    """
    row = connection.execute(
        "SELECT pg_stat_get_xact_tuples_inserted(%(t)s::regclass), pg_stat_get_xact_tuples_updated(%(t)s::regclass)",
        {"t": table},
    ).fetchone()
    if row is None:
        raise PermanentError(Stage.LOAD, Code.INTERNAL, "PostgreSQL keeps no counters.")
    return int(row[0]), int(row[1])
