"""What the warehouse knows of a table without Great Expectations: its shape, its loads, its ledger.

What belongs here: queries and their answers as records. What does not: any judgement.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import errors as pg
from psycopg import sql

from include.stores.warehouse import statement, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from include.stores.warehouse import Connection

_UNREADABLE = (
    pg.LockNotAvailable, pg.QueryCanceled, pg.UndefinedTable, pg.UndefinedColumn, pg.InsufficientPrivilege
)  # fmt: skip
# Loads between two checks that are looked at, at most.
_MOST_NEW_LOADS = 200


class UnreadableTableError(Exception):
    """A table cannot be read now: another session locks it, or reading takes too long."""


@dataclass(frozen=True)
class Shape:
    """A table's columns, and whether a unique index watches over its key."""

    columns: tuple[str, ...]
    key_is_enforced: bool


@dataclass(frozen=True)
class Ledger:
    """A dataset's loaded entries, how many do not add up, the rows they inserted, and when the newest came."""

    entries: int
    unbalanced: int
    inserted: int
    newest: datetime | None


@dataclass(frozen=True)
class Loads:
    """Rows that runs brought: those since the last look, and those before, the newest first."""

    new: tuple[int, ...]
    history: tuple[int, ...]


@dataclass(frozen=True)
class Stock:
    """Rows in the table, and rows that the ledger says were inserted, at the same moment."""

    rows: int
    inserted: int


class Facts:
    """Asks over one connection, as `transform`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def shape(self, schema: str, table: str, key: Sequence[str]) -> Shape | None:
        """The table's shape, or None where there is no such table."""
        with _readable():
            row = self._connection.execute(
                statement("quality_table"), {"name": sql.Identifier(schema, table).as_string(), "key": list(key)}
            ).fetchone()
        return Shape(tuple(row[0]), bool(row[1])) if row else None

    def ledger(self, dataset: str) -> Ledger:
        """What the ledger holds of a dataset."""
        with _readable():
            row = self._connection.execute(statement("quality_ledger"), {"dataset": dataset}).fetchone()
        return Ledger(*row) if row else Ledger(0, 0, 0, None)

    def loads(self, dataset: str, since: datetime, history: int) -> Loads:
        """The loads after `since`, or the newest one where there is none, and up to `history` before them.

        The newest run of a DAG may still be under way: it counts once a newer one has begun, or five minutes after it
        was heard of last.
        """
        with _readable():
            rows = self._connection.execute(
                statement("quality_loads"), {"dataset": dataset, "most": history + _MOST_NEW_LOADS}
            ).fetchall()
        fresh = max(sum(loaded_at > since for _, loaded_at in rows), 1)
        counts = [int(count) for count, _ in rows]
        return Loads(tuple(counts[:fresh]), tuple(counts[fresh : fresh + history]))

    def stock(self, schema: str, table: str, dataset: str) -> Stock:
        """Counts in one statement, for a merge and its note in the ledger become visible together."""
        query = sql.SQL(
            "SELECT (SELECT count(*) FROM {table}), (SELECT coalesce(sum(rows_inserted), 0)::bigint"
            " FROM ops.file_ingestion_log WHERE dataset = %(dataset)s AND status IN ('loaded', 'archived'))"
        ).format(table=sql.Identifier(schema, table))
        with _readable():
            row = self._connection.execute(query, {"dataset": dataset}).fetchone()
        return Stock(*row) if row else Stock(0, 0)

    def has_rows(self, schema: str, table: str) -> bool:
        """Whether there is such a table, and a row in it."""
        query = sql.SQL("SELECT EXISTS (SELECT FROM {table})").format(table=sql.Identifier(schema, table))
        with _readable():
            try:
                row = self._connection.execute(query).fetchone()
            except pg.UndefinedTable:
                return False
        return bool(row and row[0])

    def has_tables(self, schema: str) -> bool:
        """Whether there is any table or view in a schema."""
        with _readable():
            row = self._connection.execute(
                "SELECT EXISTS (SELECT FROM pg_class"
                " WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'v', 'm'))",
                [sql.Identifier(schema).as_string()],
            ).fetchone()
        return bool(row and row[0])

    def usable_patterns(self, patterns: Collection[str]) -> set[str]:
        """Those that the warehouse's regular expressions understand. Contracts are written for another engine's."""
        return {pattern for pattern in patterns if self._understands(pattern)}

    def _understands(self, pattern: str) -> bool:
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
