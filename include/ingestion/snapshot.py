"""Deletes the rows of the table that a snapshot lacks, in the transaction of its merge.

What belongs here: which rows are deleted, and how many at most. What does not: merging (`target`), and collecting the
keys of refused rows (`refused_keys`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
from psycopg import sql

from include.contracts.model import Deletes
from include.errors import Code, visible
from include.ingestion.binary_copy import BinaryCopy
from include.ingestion.earlier_files import newer_file
from include.ingestion.loaded_rows import parquet_rows
from include.ingestion.readers.vectorised import arrow_type
from include.ingestion.records import FileRefusedError
from include.ingestion.refused_keys import key_list

if TYPE_CHECKING:
    from include.ingestion.attempt import Attempt
    from include.ingestion.records import RefusedKeys
    from include.ingestion.target import Target

_REFUSED_KEYS = sql.Identifier("pg_temp", "refused_keys")


@dataclass(frozen=True)
class Deleted:
    """How many rows were deleted or marked, and how many stay because a refused row may be any of them."""

    rows: int = 0
    skipped: int = 0


def check_newest(attempt: Attempt) -> None:
    """Refuse a snapshot that was written before the file that was loaded last. The caller holds the dataset's lock.

    Files load in the order of writing. A file comes too late where it was refused and is reprocessed after a newer one.

    Raises:
        FileRefusedError: it was.
    """
    if (newer := newer_file(attempt.stores.connection, attempt.entry)) is not None:
        raise FileRefusedError.for_code(
            Code.OLDER_SNAPSHOT,
            own=newer.own_at,
            newer=newer.file_id,
            key=visible(newer.key),
            newest=newer.written_at,
        )


@dataclass(frozen=True)
class MissingRows:
    """The rows of the table that a snapshot lacks. `has_marks`: the table has the column `_deleted_at`."""

    attempt: Attempt
    target: Target
    has_marks: bool

    def delete(self, refused: RefusedKeys) -> Deleted:
        """Delete or mark the rows that are neither in the staging table nor refused. A marked row is no row any more.

        Raises:
            FileRefusedError: they are more than the contract allows. The caller's transaction must be rolled back.
        """
        contract, connection = self.target.contract, self.attempt.stores.connection
        if refused.paths:
            self._copy_keys(refused)
        condition = self._condition(with_refused=bool(refused.paths))
        if refused.unreadable:
            return Deleted(skipped=self._count(condition))
        statement = "DELETE FROM {table} AS t WHERE {condition}"
        if contract.deletes is Deletes.SOFT:
            statement = "UPDATE {table} AS t SET _deleted_at = now() WHERE {condition}"
        query = sql.SQL(statement).format(table=self.target.table, condition=condition)
        deleted = connection.execute(query).rowcount
        if deleted:
            live = deleted + self._count(self._is_live)
            if deleted > Decimal(str(contract.max_delete_share)) * live:
                raise FileRefusedError.for_code(
                    Code.TOO_MANY_DELETES,
                    deletes=deleted,
                    live=live,
                    dataset=contract.dataset,
                    share=contract.max_delete_share * 100,
                )
        return Deleted(deleted)

    @property
    def _is_live(self) -> sql.Composed:
        return sql.SQL("t._deleted_at IS NULL" if self.has_marks else "true").format()

    def _condition(self, *, with_refused: bool) -> sql.Composed:
        """A condition on a row `t` of the table: it is live, and its key is not in the file."""
        absent = [
            sql.SQL("NOT EXISTS (SELECT FROM {keys} AS s WHERE {same})").format(keys=keys, same=self.target.same_key())
            for keys in [self.target.staging, *([_REFUSED_KEYS] if with_refused else [])]
        ]
        return sql.SQL(" AND ").join([self._is_live, *absent])

    def _count(self, condition: sql.Composed) -> int:
        query = sql.SQL("SELECT count(*) FROM {table} AS t WHERE {condition}")
        row = self.attempt.stores.connection.execute(
            query.format(table=self.target.table, condition=condition)
        ).fetchone()
        return int(row[0]) if row else 0

    def _copy_keys(self, refused: RefusedKeys) -> None:
        """Create and fill a table of the refused rows' keys, which ends with the transaction."""
        contract = self.target.contract
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self.target.staged_key()
        )
        self.attempt.stores.connection.execute(
            sql.SQL("CREATE TEMP TABLE refused_keys ({}) ON COMMIT DROP").format(columns)
        )
        copy = BinaryCopy(
            sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(_REFUSED_KEYS),
            pa.schema([(column.name, arrow_type(column)) for column in contract.key_columns]),
        )
        names = key_list(contract)
        copy.run(self.attempt, [f"SELECT {names} FROM {parquet_rows(path)}" for path in refused.paths])
