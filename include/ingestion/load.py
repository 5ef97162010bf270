"""Stage 3: into the table. Copy to staging, audit there, and publish with the ledger's note in one transaction.

That one commit is the whole argument for exactly-once: before it, everything can be done again; after it, the
ledger knows.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import errors as pg

from include.errors import Code, PermanentError, Stage
from include.ingestion.audit import Auditor, judge
from include.ingestion.engine import engine
from include.ingestion.records import DuplicateContentError, FileEntry, Loaded, Processed, Validated
from include.ingestion.target import STAGING_SCHEMA, Target
from include.stores.warehouse import Connection, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.ledger import Ledger
    from include.settings import IngestSettings

_COPY_ROWS = 16_384


def load(
    contract: Contract,
    entry: FileEntry,
    validated: Validated,
    processed: Processed,
    ledger: Ledger,
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
    target = Target(contract, entry.file_id, entry.attempts, validated.extra_columns)
    connection = ledger.connection
    with warehouse_errors(Stage.LOAD):
        target.ensure(connection)
        with _staging(connection, target):
            _copy(processed, target, connection, folder, settings)
            processed.path.unlink(missing_ok=True)
            results = auditor.audit(contract, STAGING_SCHEMA, target.staging_name)
            ledger.quality(entry, results)
            judge(contract, results)
            return _publish(target, entry, processed, ledger, validated.sha256, settings)


@contextmanager
def _staging(connection: Connection, target: Target) -> Iterator[None]:
    """Whatever happens, this attempt's staging table is gone at the end, unless the connection is."""
    connection.execute(target.drop_staging())
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute(target.drop_staging())


def _copy(processed: Processed, target: Target, connection: Connection, folder: Path, settings: IngestSettings) -> None:
    """Fill a new staging table. Made and filled in one transaction, its rows are born frozen: no reader marks them."""
    with engine(folder, settings) as reader, connection.transaction():
        connection.execute(target.create_staging())
        with connection.cursor().copy(target.copy()) as copy:
            encoder: ArrowToPostgresBinaryEncoder | None = None
            for select in processed.selects:
                batches = reader.execute(select).to_arrow_reader(_COPY_ROWS)
                if encoder is None:
                    encoder = ArrowToPostgresBinaryEncoder(batches.schema)
                    copy.write(encoder.write_header())
                for batch in batches:
                    copy.write(encoder.write_batch(batch))
            if encoder is not None:
                copy.write(encoder.finish())


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
            merged = connection.execute(target.merge(sort=not processed.in_key_order)).rowcount
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
