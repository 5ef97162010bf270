"""Statistics of a table that need no Great Expectations: its columns, its row counts, its loads, its ledger.

What belongs here: queries and their results as records. What does not: judging them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import errors as pg
from psycopg import sql

from include.stores.sql_text import quoted, statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from include.stores.warehouse import Connection

_UNREADABLE = (
    pg.LockNotAvailable, pg.QueryCanceled, pg.UndefinedTable, pg.UndefinedColumn, pg.InsufficientPrivilege
)  # fmt: skip
# Maximum number of loads between two checks that are read.
_MOST_NEW_LOADS = 200


class UnreadableTableError(Exception):
    """The table cannot be read now: another session locks it, or the query takes too long."""


@dataclass(frozen=True)
class TableDefinition:
    """A table's columns, and whether its key has a unique index."""

    columns: tuple[str, ...]
    key_is_enforced: bool


@dataclass(frozen=True)
class LedgerTotals:
    """A dataset's loaded entries, how many do not balance, the rows that remain of them, and the time of the newest.

    Rows remain that were inserted and not deleted. Rows that are marked as deleted remain.
    """

    entries: int
    unbalanced: int
    remaining: int
    newest: datetime | None


@dataclass(frozen=True)
class Loads:
    """Rows loaded by each run: runs since the last check, and runs before it, the newest first."""

    new: tuple[int, ...]
    history: tuple[int, ...]


@dataclass(frozen=True)
class RowCounts:
    """Rows in the table, and rows inserted and not deleted according to the ledger, at the same time."""

    rows: int
    remaining: int


class TableStats:
    """Queries the warehouse over one connection, with the role `transform`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def shape(self, schema: str, table: str, key: Sequence[str]) -> TableDefinition | None:
        """Return the table's shape, or None if the table does not exist."""
        with _readable():
            row = self._connection.execute(
                statement("quality_table"), {"name": quoted(schema, table), "key": list(key)}
            ).fetchone()
        return TableDefinition(tuple(row[0]), bool(row[1])) if row else None

    def ledger(self, dataset: str) -> LedgerTotals:
        """Return the totals of a dataset's ledger entries."""
        with _readable():
            row = self._connection.execute(statement("quality_ledger"), {"dataset": dataset}).fetchone()
        return LedgerTotals(*row) if row else LedgerTotals(0, 0, 0, None)

    def loads(self, dataset: str, since: datetime, history: int) -> Loads:
        """Return the loads after `since`, or else the newest load, and up to `history` loads before them.

        The newest run of a DAG may not have finished: it counts after a newer one has started, or five minutes after
        its last ledger event.
        """
        with _readable():
            rows = self._connection.execute(
                statement("quality_loads"), {"dataset": dataset, "most": history + _MOST_NEW_LOADS}
            ).fetchall()
        fresh = max(sum(loaded_at > since for _, loaded_at in rows), 1)
        counts = [int(count) for count, _ in rows]
        return Loads(tuple(counts[:fresh]), tuple(counts[fresh : fresh + history]))

    def row_counts(self, schema: str, table: str, dataset: str) -> RowCounts:
        """Count rows in one statement, because a merge and its ledger entry become visible together."""
        query = sql.SQL(
            "SELECT (SELECT count(*) FROM {table}), (SELECT (coalesce(sum(rows_inserted), 0)"
            " - coalesce(sum(rows_deleted) FILTER (WHERE deletes = 'hard'), 0))::bigint"
            " FROM ops.file_ingestion_log WHERE dataset = %(dataset)s AND status IN ('loaded', 'archived'))"
        ).format(table=sql.Identifier(schema, table))
        with _readable():
            row = self._connection.execute(query, {"dataset": dataset}).fetchone()
        return RowCounts(*row) if row else RowCounts(0, 0)

    def has_rows(self, schema: str, table: str) -> bool:
        """Return whether the table exists and has a row."""
        query = sql.SQL("SELECT EXISTS (SELECT FROM {table})").format(table=sql.Identifier(schema, table))
        with _readable():
            try:
                row = self._connection.execute(query).fetchone()
            except pg.UndefinedTable:
                return False
        return bool(row and row[0])

    def has_tables(self, schema: str) -> bool:
        """Return whether the schema has a table or view."""
        with _readable():
            row = self._connection.execute(
                "SELECT EXISTS (SELECT FROM pg_class"
                " WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'v', 'm'))",
                [quoted(schema)],
            ).fetchone()
        return bool(row and row[0])

    def rows(self, query: sql.Composed, values: Mapping[str, object]) -> list[Any]:
        """Return the rows of a query about one table."""
        with _readable():
            return self._connection.execute(query, values).fetchall()

    def lake_counts(self, query: str) -> tuple[int, int] | None:
        """Return the two counts of `include.lake.row_counts.warehouse_rows`; None if there is no such table."""
        with _readable():
            try:
                row = self._connection.execute(query.encode()).fetchone()
            except pg.UndefinedTable:
                return None
        return (row[0], row[1]) if row else None

    def usable_patterns(self, patterns: Collection[str]) -> set[str]:
        """Return the patterns that are valid in PostgreSQL. Contracts are written for another regex dialect."""
        return {pattern for pattern in patterns if self._is_valid(pattern)}

    def _is_valid(self, pattern: str) -> bool:
        with _readable():
            try:
                self._connection.execute("SELECT '' ~ %s", [pattern])
            except pg.InvalidRegularExpression:
                return False
        return True


@contextmanager
def _readable() -> Iterator[None]:
    with warehouse_errors():
        try:
            yield
        except _UNREADABLE as error:
            raise UnreadableTableError(str(error).strip().partition("\n")[0]) from error
