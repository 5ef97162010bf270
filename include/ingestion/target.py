"""The SQL statements for a contract's table: its shape, the staging table, and the merge."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from psycopg import sql

from include.contracts.model import Deletes
from include.ingestion.readers.vectorised import arrow_type
from include.ingestion.table_shape import DELETED_AT, TableShape, WantedColumn, compare
from include.ingestion.write_order import NOTHING_NEWER, NewerRows
from include.stores.sql_text import column_list

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.stores.warehouse import Connection

SCHEMA = "raw"
STAGING_SCHEMA = "load"
# Dataset, file_id and attempt. A dataset's name may itself end in digits: `a_8_9_1` belongs to `a_8`, not to `a`.
_STAGING_NAME = re.compile(r"(.+)_(\d+)_(\d+)")


@dataclass(frozen=True)
class Target:
    """A dataset's table, with the unknown columns that this file adds to it, and the staging table of one attempt.

    `newer` are the table's rows that the merge must not replace.
    """

    contract: Contract
    file_id: int
    attempt: int
    extra_columns: tuple[str, ...] = ()
    newer: NewerRows = NOTHING_NEWER

    @property
    def table(self) -> sql.Identifier:
        """The table in raw."""
        return sql.Identifier(SCHEMA, self.contract.dataset)

    @property
    def columns(self) -> list[WantedColumn]:
        """The columns that the table must have: the contract's, and those that the file adds."""
        columns = [WantedColumn(c.name, c.postgres_type, c.required) for c in self.contract.columns]
        if self.contract.deletes is Deletes.SOFT:
            columns.append(WantedColumn(DELETED_AT, "timestamptz"))
        return columns + [WantedColumn(name, "text") for name in self.extra_columns]

    def shape(self, connection: Connection) -> TableShape:
        """Compare the table with the columns and the key that it must have."""
        return compare(connection, self.contract.dataset, self.columns, self.contract.key)

    def ensure(self, connection: Connection) -> None:
        """Create the table, add the columns it lacks, widen types where no value changes. Nothing else is changed."""
        columns = json.dumps([asdict(column) for column in self.columns])
        connection.execute(
            "SELECT ops.ensure_dataset(%s, %s::jsonb, %s)", [self.contract.dataset, columns, list(self.contract.key)]
        )

    def allow_deletes(self, connection: Connection) -> None:
        """Get the right to delete rows from the table, if the contract deletes them and the role lacks it."""
        if self.contract.deletes is not Deletes.HARD:
            return
        name = f"{SCHEMA}.{self.contract.dataset}"
        row = connection.execute("SELECT has_table_privilege(%s, 'DELETE')", [name]).fetchone()
        if row is None or not row[0]:
            connection.execute("SELECT ops.allow_deletes(%s)", [self.contract.dataset])

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns of the staging table as Arrow types, in their order."""
        columns = [(column.name, arrow_type(column)) for column in self.contract.columns]
        added = [(name, pa.string()) for name in (*self.extra_columns, "_rescued")]
        return pa.schema([*columns, *added, ("_source_row", pa.int64())])

    @property
    def staging_name(self) -> str:
        """The staging table's name, without the schema. Each attempt has its own: a stale attempt may still run."""
        return f"{self.contract.dataset}_{self.file_id}_{self.attempt}"

    @property
    def staging(self) -> sql.Identifier:
        """The staging table."""
        return sql.Identifier(STAGING_SCHEMA, self.staging_name)

    def drop_staging(self) -> sql.Composed:
        """Drop the staging table if it exists."""
        return sql.SQL("DROP TABLE IF EXISTS {}").format(self.staging)

    def create_staging(self) -> sql.Composed:
        """An unlogged table with the columns in the order in which rows are copied.

        Autovacuum leaves it alone. After COPY FREEZE, all pages with rows are frozen: VACUUM skips them, reads only the
        empty pages that COPY left at the table's end, and notes that the table has no rows. The MERGE would then be
        planned as a nested loop over the whole target.
        """
        return sql.SQL("CREATE UNLOGGED TABLE {} ({}) WITH (autovacuum_enabled = false)").format(
            self.staging, self.staged_columns()
        )

    def staged_columns(self) -> sql.Composed:
        """The columns of the staging table with their types, as in a CREATE TABLE."""
        return sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self._staged()
        )

    def lock(self) -> sql.Composed:
        """Lock the table so that no session changes its columns, and the staging table so that none vacuums it.

        The rows of both stay readable.
        """
        return sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE; LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(
            self.table, self.staging
        )

    def count_staged(self, rows: int, connection: Connection) -> None:
        """Let PostgreSQL count the rows of the staging table if its statistics have less than half of them.

        Autovacuum leaves the table alone, but a VACUUM of the whole database by an operator does not. The count takes
        a tenth of the time of the load, so it is made only where the statistics are wrong.

        Args:
            rows: the rows that were copied.
            connection: in a transaction that holds the lock of the staging table.
        """
        query = "SELECT reltuples FROM pg_class WHERE oid = %s::regclass"
        row = connection.execute(query, [self.staging.as_string(connection)]).fetchone()
        if row is not None and 0 <= row[0] < rows / 2:  # -1: no statistics, then PostgreSQL estimates by the size
            connection.execute(sql.SQL("ANALYZE {}").format(self.staging))

    def copy(self) -> sql.Composed:
        """Copy binary rows into the staging table, in the transaction that creates it."""
        return sql.SQL("COPY {} FROM STDIN (FORMAT binary, FREEZE)").format(self.staging)

    def staged_key(self) -> list[tuple[str, str]]:
        """The key's columns, in the key's order, with their types in the staging table."""
        staged = dict(self._staged())
        return [(name, staged[name]) for name in self.contract.key]

    def same_key(self) -> sql.Composed:
        """A condition: the row `t` of the table and the row `s` have the same key. `s` may have types of staging."""
        by_name = self.contract.by_name
        parts = []
        for name, kind in self.staged_key():
            wanted = by_name[name].postgres_type
            same = sql.SQL("t.{0} = s.{0}::{1}" if wanted != kind else "t.{0} = s.{0}")
            parts.append(same.format(sql.Identifier(name), sql.SQL(wanted)))
        return sql.SQL(" AND ").join(parts)

    def merge(self, *, sort: bool, has_marks: bool = False) -> sql.Composed:
        """Insert rows with new keys, and update rows that are not newer than the staged row and differ from it.

        In key order, the index grows page by page and updates scan the table once. A staging table that was filled in
        key order is read in that order; any other one must be sorted (`sort`), which doubles the time.

        Rows that are appended have their file and its row as their key. Where rows may be marked as deleted
        (`has_marks`), a row that is sent again loses its mark, also where the table's values are newer.
        """
        contract, values = self.contract, self.values
        key = [column.name for column in contract.key_columns]
        on = column_list(key, "t.{0} = s.{0}", " AND ")
        order = sql.SQL(" ORDER BY {}").format(column_list(key or ["_source_row"]))
        if contract.appends:
            on = sql.SQL("t._file_id = {} AND t._source_row = s._source_row").format(sql.Literal(self.file_id))
        lineage = sql.SQL("_file_id = {}, _source_row = s._source_row, _loaded_at = now()").format(
            sql.Literal(self.file_id)
        )
        sets = column_list(values, "{0} = s.{0}")
        all_columns = [*key, *values, "_source_row"]
        return sql.SQL(
            "MERGE INTO {table} AS t USING (SELECT {staged} FROM {staging}{order}) AS s ON {on} "
            "WHEN MATCHED AND {differs} THEN UPDATE SET {sets}, {lineage}{unmark} {unmarked} "
            "WHEN NOT MATCHED THEN INSERT ({names}, _file_id, _loaded_at) VALUES ({row}, {file_id}, now())"
        ).format(
            table=self.table,
            staged=self.casts(),
            staging=self.staging,
            order=order if sort else sql.SQL(""),
            on=on,
            differs=self.replaces(values),
            sets=sets,
            lineage=lineage,
            unmark=sql.SQL(f", {DELETED_AT} = NULL" if has_marks else ""),
            unmarked=sql.SQL(
                f"WHEN MATCHED AND t.{DELETED_AT} IS NOT NULL THEN UPDATE SET {DELETED_AT} = NULL" if has_marks else ""
            ),
            names=column_list(all_columns),
            row=column_list(all_columns, "s.{0}"),
            file_id=sql.Literal(self.file_id),
        )

    @property
    def values(self) -> list[str]:
        """The columns that a merge updates: all of the contract but the key, those that the file adds, `_rescued`."""
        key = self.contract.key
        return [*(c.name for c in self.contract.columns if c.name not in key), *self.extra_columns, "_rescued"]

    def replaces(self, values: list[str]) -> sql.Composed:
        """A condition on rows of one key: the table's row `t` is not newer than `s` and differs from it in `values`."""
        differs = sql.SQL("({}) IS DISTINCT FROM ({})").format(
            column_list(values, "t.{0}"), column_list(values, "s.{0}")
        )
        if self.contract.newest_by:
            # A newer row differs in that column already; only equally new rows are compared in full.
            newest = sql.Identifier(self.contract.newest_by)
            differs = sql.SQL("(s.{0} > t.{0} OR t.{0} IS NULL OR (s.{0} = t.{0} AND {1}))").format(newest, differs)
        if not self.newer.is_empty:
            older = sql.SQL(
                "{} AND t._file_id <> ALL ({}) AND NOT (t._file_id = ANY ({}) AND t._source_row > s._source_row)"
            )
            differs = older.format(differs, _ids(self.newer.later), _ids(self.newer.same_file))
        return differs

    def _staged(self) -> list[tuple[str, str]]:
        """Columns and types of the staging table. Types without a binary form in Arrow are copied as text."""
        columns = [(c.name, "text" if c.type.is_carried_as_text else c.postgres_type) for c in self.contract.columns]
        return [
            *columns,
            *((name, "text") for name in self.extra_columns),
            ("_rescued", "text"),
            ("_source_row", "bigint"),
        ]

    def casts(self) -> sql.Composed:
        """The staged columns in the types of the table."""
        by_name = self.contract.by_name
        parts = []
        for name, kind in self._staged():
            wanted = "jsonb" if name == "_rescued" else by_name[name].postgres_type if name in by_name else kind
            cast = sql.SQL("{0}::{1} AS {0}" if wanted != kind else "{0}")
            parts.append(cast.format(sql.Identifier(name), sql.SQL(wanted)))
        return sql.SQL(", ").join(parts)


def _ids(file_ids: tuple[int, ...]) -> sql.Composed:
    return sql.SQL("{}::bigint[]").format(sql.Literal(list(file_ids)))


def staging_left(connection: Connection) -> list[str]:
    """All staging tables that exist: those of files in progress, and those that dead workers left."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
    return [name for (name,) in connection.execute(query, [STAGING_SCHEMA])]


def staging_owner(name: str) -> tuple[str, int] | None:
    """The dataset and the file_id that a staging table belongs to; None if the name is not that of a staging table.

    Names are never shortened: 50 characters of a dataset leave room for both numbers.
    """
    match = _STAGING_NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def drop_staging(connection: Connection, name: str) -> None:
    """Drop a staging table by its name."""
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(STAGING_SCHEMA, name)))
