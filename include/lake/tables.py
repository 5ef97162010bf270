"""A table of the warehouse as the lake sees it: its state in one snapshot, its columns, and their types in DuckDB.

What belongs here: reading the warehouse's catalogue. What does not: the lake's own tables (`update`).

The queries run on DuckDB's connection to the warehouse. Within a transaction of DuckDB, that connection has one
snapshot (REPEATABLE READ) and holds a lock that keeps the table's columns as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.contracts.expressions import literal, quoted
from include.errors import Code, PermanentError
from include.lake.connect import WAREHOUSE
from include.lake.errors import LakeConflictError

if TYPE_CHECKING:
    from typing import Any

    import duckdb

_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_DECIMAL_DIGITS = 38  # the most that DuckDB has
# For sums and means, which have no precision in PostgreSQL: more decimals are rounded.
_UNBOUNDED = "DECIMAL(38,20)"
# PostgreSQL's types that reach DuckDB as they are.
_SAME = {
    "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "real": "FLOAT", "double precision": "DOUBLE",
    "boolean": "BOOLEAN", "text": "VARCHAR", "date": "DATE", "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE", "uuid": "UUID", "bytea": "BLOB",
}  # fmt: skip
_EXISTS = "SELECT count(*) > 0 FROM pg_class WHERE oid = to_regclass({relation}) AND relkind = 'r'"
# Names server, timeline and table.
SOURCE = """
    SELECT format('%s/%s/%s', system_identifier, timeline_id, '{relation}'::regclass::oid)
    FROM pg_control_system(), pg_control_checkpoint()"""
_STATE = """
    SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint, ({source}),
        c.relfilenode = pg_relation_filenode(c.oid), (SELECT count(*) FROM {relation})
    FROM pg_current_snapshot() AS s, pg_class AS c
    WHERE c.oid = '{relation}'::regclass"""
_COLUMNS = """
    SELECT a.attnum::int, a.attname::text, format_type(a.atttypid, a.atttypmod), a.atthasmissing
    FROM pg_attribute AS a WHERE a.attrelid = '{relation}'::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum"""


@dataclass(frozen=True)
class LakeTable:
    """A table to be kept in the lake: its key, and how its files are partitioned.

    `partition_by` are expressions such as `region` or `day(sold_at)`.
    """

    schema: str
    name: str
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()

    @property
    def relation(self) -> str:
        """The table in PostgreSQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def in_lake(self) -> str:
        """The table in the lake."""
        return f"lake.{self.relation}"

    @property
    def title(self) -> str:
        """Its name for messages."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class LakeColumn:
    """A column: its number and type in PostgreSQL. `has_default` if old rows got a value that changed none of them."""

    number: int
    name: str
    type_name: str
    has_default: bool = False

    @property
    def duckdb_type(self) -> str:
        """Its type in the lake. Values that DuckDB has no exact type for are texts."""
        if self.type_name in _SAME or self.type_name.startswith("character"):
            return _SAME.get(self.type_name, "VARCHAR")
        if self.type_name == "numeric":
            return _UNBOUNDED
        if (size := _NUMERIC.fullmatch(self.type_name)) and int(size[1]) <= _DECIMAL_DIGITS:
            return f"DECIMAL({size[1]},{size[2]})"
        return "JSON" if self.type_name in {"json", "jsonb"} or self.type_name.endswith("[]") else "VARCHAR"

    @property
    def select(self) -> str:
        """The expression that PostgreSQL evaluates."""
        name = f"t.{quoted(self.name)}"
        if self.type_name in _SAME or self.type_name.startswith("character"):
            return name
        # Numbers, too: the scanner would turn NaN into 0.
        return f"to_jsonb({name})::text AS {quoted(self.name)}" if self.type_name.endswith("[]") else f"{name}::text"

    @property
    def cast(self) -> str:
        """The expression that DuckDB evaluates over it."""
        return f"CAST({quoted(self.name)} AS {self.duckdb_type}) AS {quoted(self.name)}"

    @property
    def identity(self) -> list[object]:
        """What must stay the same for old rows to be right: number, name, type."""
        return [self.number, self.name, self.type_name]


@dataclass(frozen=True)
class TableState:
    """A table in one snapshot.

    Every transaction below `ended_before` had ended; none from `began_before` on had begun. `source` names server,
    timeline and table: transaction numbers are comparable within one of them.
    """

    ended_before: int
    began_before: int
    source: str
    rows: int
    columns: tuple[LakeColumn, ...]


def read_state(engine: duckdb.DuckDBPyConnection, table: LakeTable) -> TableState:
    """Read the state of a table, and lock its columns until the transaction ends.

    Raises:
        PermanentError: there is no such table, or the role may not read it.
        LakeConflictError: it was rewritten after the snapshot, which would show it as empty.
    """
    if not exists(engine, table):
        raise PermanentError(Code.WAREHOUSE_REFUSED, f"There is no table {table.title} in the warehouse.")
    source_of = SOURCE.format(relation=table.relation)
    ended, began, source, is_steady, rows = query(engine, _STATE.format(relation=table.relation, source=source_of))[0]
    if not is_steady:
        raise LakeConflictError(Code.TARGET_LOCKED, postgresql=f"{table.title} was rewritten meanwhile")
    columns = tuple(LakeColumn(*row) for row in query(engine, _COLUMNS.format(relation=table.relation)))
    return TableState(ended, began, source, rows, columns)


def exists(engine: duckdb.DuckDBPyConnection, table: LakeTable) -> bool:
    """Whether the warehouse has the table. A view is none: its rows have no transaction."""
    return bool(query(engine, _EXISTS.format(relation=literal(table.relation)))[0][0])


def changed_rows(table: LakeTable, state: TableState, ended_before: int) -> str:
    """The query, for DuckDB, of rows whose last change is of a transaction from `ended_before` on; 0: of all rows.

    A time of loading is no safe watermark: a load has the time at which it began, and may be committed after a later
    one that was read already. The number of a row's transaction (xmin) is, together with the oldest transaction that
    was still open at the last reading: whatever was not visible then has this number or a larger one. Rows that were
    visible may be read again; the merge finds them unchanged. Every update counts, also one that leaves `_loaded_at`
    as it is, such as a mark of a deleted row.

    A row holds the lower 32 bits of the number. The rest follows from the snapshot, for rows of the last 2^31
    transactions; older rows may be taken for new ones, never the other way.
    """
    columns = ", ".join(column.select for column in state.columns)
    condition = f" WHERE {changed_since(ended_before, str(state.began_before))}" if ended_before else ""
    rows = _in_warehouse(f"SELECT {columns} FROM {table.relation} AS t{condition}")
    return f"SELECT {', '.join(column.cast for column in state.columns)} FROM {rows}"


def changed_since(ended_before: int, began_before: str) -> str:
    """The condition, for PostgreSQL, on changed rows `t`: see `changed_rows`. `began_before` is an expression."""
    number = f"({began_before} - (({began_before} - t.xmin::text::bigint) & 4294967295))"
    return f"({number} >= {ended_before} AND t.xmin::text::bigint > 2)"


def all_keys(table: LakeTable, state: TableState) -> str:
    """The query, for DuckDB, of all keys of the table."""
    key = [column for column in state.columns if column.name in table.key]
    rows = _in_warehouse(f"SELECT {', '.join(column.select for column in key)} FROM {table.relation} AS t")
    return f"SELECT {', '.join(column.cast for column in key)} FROM {rows}"


def query(engine: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    """The rows of a query that the warehouse answers."""
    return engine.execute(f"FROM {_in_warehouse(sql)}").fetchall()


def _in_warehouse(sql: str) -> str:
    return f"postgres_query('{WAREHOUSE}', {literal(sql)})"
