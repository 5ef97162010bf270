"""The SQL that reads a table or query: its columns one by one, within a window, in a fixed order.

What belongs here: what both servers understand. What does not: quoting, literals and types of one of them (`postgres`,
`mysql`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pyarrow as pa

    from include.sources.database.columns import TableColumn
    from include.sources.database.definition import DatabaseSource
    from include.sources.database.window import Bounds, End

ALIAS = "t"
# A limit in seconds ends a window after the batch that reaches it. The server waits for this batch before it stops the
# statement, which loses all of it.
_SECONDS_OF_A_BATCH = 60


class Server(Protocol):
    """A database server, and how it writes SQL."""

    # Whether a read of a whole table needs an order, so that it gives the same rows in the same order again.
    orders_by_key: bool

    def close(self) -> None:
        """Close what is open."""

    def columns(self, source: DatabaseSource) -> list[TableColumn]:
        """The columns of the table or query, in its order."""

    def now(self, *, is_instant: bool) -> datetime | None:
        """The server's present time: an instant in UTC, or the wall clock of times without a zone.

        None: there are no rows by which to tell which of the two the cursor is.
        """

    def largest(self, source: DatabaseSource, column: TableColumn) -> int | None:
        """The largest number of a column; None without one."""

    def batches(self, sql: str, columns: Sequence[TableColumn]) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """The rows of a query in batches.

        Raises:
            WideRowsError: they need too much memory; the batches of the next call are smaller.
        """

    def quoted(self, name: str) -> str:
        """A name in SQL."""

    def literal(self, end: End) -> str:
        """An end of a window in SQL."""

    def relation(self, source: DatabaseSource) -> str:
        """The table with its schema in SQL, or the query in brackets."""


@dataclass(frozen=True)
class RowQuery:
    """What one run reads.

    Attributes:
        source: table or query.
        columns: all of them.
        cursor: the column of the window; None: all rows.
        window: its ends.
        order: names of the columns by which rows are ordered.
    """

    source: DatabaseSource
    columns: Sequence[TableColumn]
    cursor: TableColumn | None = None
    window: Bounds | None = None
    order: Sequence[str] = field(default_factory=tuple)

    def sql(self, server: Server, as_text: Collection[str] = ()) -> str:
        """The query.

        Args:
            server: whose SQL it is.
            as_text: names of columns whose values are read as text.
        """
        selected = [
            (column.text or column.select if column.name in as_text else column.select, column.name)
            for column in self.columns
        ]
        listed = ", ".join(f"{values} AS {server.quoted(name)}" for values, name in selected)
        parts = [f"SELECT {listed}", f"FROM {server.relation(self.source)} AS {ALIAS}"]
        if conditions := self._conditions(server):
            parts.append("WHERE " + " AND ".join(conditions))
        if self.order:
            # With the table's alias: a bare name would be the text of the same name in the list above.
            parts.append("ORDER BY " + ", ".join(f"{ALIAS}.{server.quoted(name)}" for name in self.order))
        return " ".join(parts)

    def _conditions(self, server: Server) -> list[str]:
        if self.cursor is None or self.window is None:
            return []
        name, window = f"{ALIAS}.{server.quoted(self.cursor.name)}", self.window
        conditions = []
        if window.lower is not None:
            conditions.append(f"{name} {'>=' if window.includes_lower else '>'} {server.literal(window.lower)}")
        if window.upper is not None:
            conditions.append(f"{name} <= {server.literal(window.upper)}")
        return conditions


def statement_seconds(limit: float) -> float:
    """The longest time of one statement for a limit of a run, both in seconds."""
    return limit + _SECONDS_OF_A_BATCH


def nested(query: str) -> str:
    """A query in brackets; a comment at its end does not hide them."""
    return f"(\n{query}\n)"
