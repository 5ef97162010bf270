"""Deletes rows of the table in the transaction of a merge: those that a snapshot lacks, and those that messages delete.

What belongs here: which rows are deleted, and how many at most. What does not: merging (`target`), and collecting keys
(`refused_keys`, `deleted_keys`).
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
from include.ingestion.table_shape import DELETED_AT

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.attempt import Attempt
    from include.ingestion.records import DeletedKeys, RefusedKeys
    from include.ingestion.target import Target

_KEYS = sql.Identifier("pg_temp", "keys")
_AND = sql.SQL(" AND ")


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


def check_share(contract: Contract, deleted: int, live: int) -> None:
    """Check that a snapshot deletes no more of a table's live rows than its contract allows.

    Raises:
        FileRefusedError: it does.
    """
    if deleted > Decimal(str(contract.max_delete_share)) * live:
        raise FileRefusedError.for_code(
            Code.TOO_MANY_DELETES,
            deletes=deleted,
            live=live,
            dataset=contract.dataset,
            share=contract.max_delete_share * 100,
        )


@dataclass(frozen=True)
class RowDeleter:
    """Deletes or marks rows of the table. `has_marks`: it has the column `_deleted_at`. Marked rows are not live.

    It works within the caller's transaction, which holds the dataset's lock, and is used once in it.
    """

    attempt: Attempt
    target: Target
    has_marks: bool

    def delete_keys(self, deleted: DeletedKeys) -> Deleted:
        """Delete the rows with these keys."""
        self._copy_keys((deleted.path,))
        return Deleted(self._delete(_AND.join([self._is_live, self._has_key("EXISTS", _KEYS)])))

    def delete_missing(self, refused: RefusedKeys) -> Deleted:
        """Delete the rows that are neither in the staging table nor refused.

        Raises:
            FileRefusedError: they are more than the contract allows. The caller's transaction must be rolled back.
        """
        contract = self.target.contract
        conditions = [self._is_live, self._has_key("NOT EXISTS", self.target.staging)]
        if refused.paths:
            self._copy_keys(refused.paths)
            conditions.append(self._has_key("NOT EXISTS", _KEYS))
        if refused.unreadable:
            return Deleted(skipped=self._count(_AND.join(conditions)))
        deleted = self._delete(_AND.join(conditions))
        if deleted:
            check_share(contract, deleted, deleted + self._count(self._is_live))
        return Deleted(deleted)

    @property
    def _is_live(self) -> sql.Composed:
        return sql.SQL(f"t.{DELETED_AT} IS NULL" if self.has_marks else "true").format()

    def _has_key(self, exists: str, keys: sql.Identifier) -> sql.Composed:
        """A condition on a row `t` of the table: a table of keys has its key, or has it not."""
        same = self.target.same_key()
        return sql.SQL(exists + " (SELECT FROM {keys} AS s WHERE {same})").format(keys=keys, same=same)

    def _delete(self, condition: sql.Composed) -> int:
        statement = "DELETE FROM {table} AS t WHERE {condition}"
        if self.target.contract.deletes is Deletes.SOFT:
            statement = f"UPDATE {{table}} AS t SET {DELETED_AT} = now() WHERE {{condition}}"
        query = sql.SQL(statement).format(table=self.target.table, condition=condition)
        return self.attempt.stores.connection.execute(query).rowcount

    def _count(self, condition: sql.Composed) -> int:
        query = sql.SQL("SELECT count(*) FROM {table} AS t WHERE {condition}")
        row = self.attempt.stores.connection.execute(
            query.format(table=self.target.table, condition=condition)
        ).fetchone()
        return int(row[0]) if row else 0

    def _copy_keys(self, paths: tuple[Path, ...]) -> None:
        """Create and fill a table of keys, which ends with the transaction."""
        contract = self.target.contract
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self.target.staged_key()
        )
        self.attempt.stores.connection.execute(sql.SQL("CREATE TEMP TABLE keys ({}) ON COMMIT DROP").format(columns))
        copy = BinaryCopy(
            sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(_KEYS),
            pa.schema([(column.name, arrow_type(column)) for column in contract.key_columns]),
        )
        names = key_list(contract)
        copy.run(self.attempt, [f"SELECT {names} FROM {parquet_rows(path)}" for path in paths])
