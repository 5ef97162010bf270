"""How far each table of the lake has read the warehouse: `lake.meta.progress`.

What belongs here: that table. It is written in the transaction that writes the rows, so that both are there or neither.
Each update adds a row: updates of different tables then never change the same row. The newest row of a table counts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from include.lake.tables import LakeColumn, LakeTable, TableState

_KEPT = 100  # rows of one table that the upkeep leaves


@dataclass(frozen=True)
class Progress:
    """The last update of a table. `ended_before` and `began_before` are those of its `TableState`."""

    update_no: int
    ended_before: int
    began_before: int
    source: str
    columns: list[list[object]]
    key: list[str]
    partition_by: list[str]
    rows: int

    def is_of(self, table: LakeTable, state: TableState) -> bool:
        """Whether the rows that it has read are still those of this table, so that only changes need be read."""
        return (
            self.source == state.source
            and self.began_before <= state.began_before  # else an older state of the server was restored
            and self.key == list(table.key)
        )

    def added_columns(self, columns: tuple[LakeColumn, ...]) -> tuple[LakeColumn, ...] | None:
        """The columns that are new; None if any other changed, or if rows got a value in one without being changed."""
        known, now = self.columns, [column.identity for column in columns]
        added = columns[len(known) :]
        return added if now[: len(known)] == known and not any(column.has_default for column in added) else None


def create_progress(engine: duckdb.DuckDBPyConnection) -> None:
    """Create the table if it does not exist, in a transaction of its own."""
    engine.execute("CREATE SCHEMA IF NOT EXISTS lake.meta")
    engine.execute(
        "CREATE TABLE IF NOT EXISTS lake.meta.progress (table_schema VARCHAR, table_name VARCHAR, update_no BIGINT, "
        "ended_before BIGINT, began_before BIGINT, source VARCHAR, columns JSON, key JSON, partition_by JSON, "
        "row_count BIGINT, run_id VARCHAR, updated_at TIMESTAMP WITH TIME ZONE)"
    )


def read_progress(engine: duckdb.DuckDBPyConnection, table: LakeTable) -> Progress | None:
    """The last update of a table; None before the first."""
    row = engine.execute(
        "SELECT update_no, ended_before, began_before, source, columns, key, partition_by, row_count "
        "FROM lake.meta.progress WHERE table_schema = ? AND table_name = ? ORDER BY update_no DESC LIMIT 1",
        [table.schema, table.name],
    ).fetchone()
    if row is None:
        return None
    update_no, ended_before, began_before, source, *lists, rows = row
    columns, key, partition_by = map(json.loads, lists)
    return Progress(update_no, ended_before, began_before, source, columns, key, partition_by, rows)


def write_progress(
    engine: duckdb.DuckDBPyConnection, table: LakeTable, state: TableState, last: Progress | None, run_id: str
) -> None:
    """Add the row of an update, within its transaction."""
    engine.execute(
        "INSERT INTO lake.meta.progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, now())",
        [
            table.schema, table.name, last.update_no + 1 if last else 1, state.ended_before, state.began_before,
            state.source, json.dumps([column.identity for column in state.columns]), json.dumps(table.key),
            json.dumps(table.partition_by), state.rows, run_id,
        ],
    )  # fmt: skip


def trim_progress(engine: duckdb.DuckDBPyConnection) -> None:
    """Delete the rows of old updates."""
    engine.execute(
        "DELETE FROM lake.meta.progress AS p WHERE update_no <= (SELECT max(update_no) FROM lake.meta.progress AS q "
        f"WHERE q.table_schema = p.table_schema AND q.table_name = p.table_name) - {_KEPT}"
    )
