"""Bring a table of the lake to the state of its table in the warehouse.

What belongs here: one update, which is one transaction of DuckLake. What does not: which tables, and when.

An update reads the rows that changed since the last one and merges them by key. The lake then has at least the rows of
the warehouse: if it has more, the others were deleted in the warehouse and are deleted here. If it still differs, all
rows are read and compared; if that does not help (a row is there twice), the table is built again. Rows, deletes, new
columns and the progress are one commit: an update that ends anywhere leaves either everything or nothing, and the next
one continues. A table of appended rows has the key `_file_id, _source_row`; none of its rows is known to the lake
before, so they are only inserted.
"""

from __future__ import annotations

import json
import logging
import random
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from include.contracts.expressions import literal, quoted
from include.errors import Code, PermanentError
from include.lake.errors import LakeConflictError, lake_errors
from include.lake.progress import create_progress, read_progress, write_progress
from include.lake.tables import LakeTable, TableState, all_keys, changed_rows, exists, read_state
from include.stores.sql_text import statement
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from include.lake.progress import Progress
    from include.settings import WarehouseConfig

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
_MAX_FILE_IDS = 1000


class Reading(IntEnum):
    """What an update reads: the changed rows, or all rows, to compare them or to build the table again."""

    CHANGES = 0
    ALL = 1
    REBUILD = 2


@dataclass(frozen=True)
class TableUpdate:
    """What an update did. `rows` has the lake's table, and the warehouse's in the same snapshot."""

    table: str
    rows: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    is_full: bool = False
    is_rebuilt: bool = False


@dataclass(frozen=True)
class TableUpdater:
    """Updates tables, one process a table.

    Args:
        engine: DuckDB with the lake and the warehouse: `open_lake`.
        locks: the role of the warehouse that may lock rows of ops.work_lock.
        run_id: the Airflow run, for the snapshots' messages.
    """

    engine: duckdb.DuckDBPyConnection
    locks: WarehouseConfig
    run_id: str = ""

    def update(self, table: LakeTable, *, full: bool = False) -> TableUpdate:
        """Update a table. With `full`, all rows are read and compared.

        Raises:
            RetryableError: another process updates the table, a server does not answer, or conflicts do not end.
            PermanentError: the table does not exist, or the lake differs after the table was built again.
        """
        with connect(self.locks) as connection, warehouse_errors():
            lock = {"name": f"lake:{table.title}"}
            connection.execute(statement("add_work_lock"), lock)
            with connection.transaction():
                connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                connection.execute(statement("take_work_lock"), lock)
                return self._update(table, full=full)

    def existing(self, tables: Sequence[LakeTable]) -> list[LakeTable]:
        """The tables that the warehouse has: one appears with its first load, or with the first run of dbt."""
        return [table for table in tables if exists(self.engine, table)]

    def _update(self, table: LakeTable, *, full: bool) -> TableUpdate:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with lake_errors():
                    create_progress(self.engine)
                    self.engine.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted(table.schema)}")
                    for reading in Reading:
                        if reading >= full and (done := self._in_transaction(table, reading)):
                            return done
            except LakeConflictError as error:
                if attempt == _ATTEMPTS:
                    raise
                log.info("Update %s of %s is repeated: %s", attempt, table.title, error)
                time.sleep(_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - a pause
        raise AssertionError

    def _in_transaction(self, table: LakeTable, reading: Reading) -> TableUpdate | None:
        self.engine.execute("BEGIN")
        try:
            update = _Update(self.engine, table, self.run_id, reading)
            done = update.run()
            self.engine.execute("COMMIT" if done and update.has_written else "ROLLBACK")
        except BaseException:
            with lake_errors():
                _roll_back(self.engine)
            raise
        return done


def _roll_back(engine: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    try:
        engine.execute("ROLLBACK")
    except duckdb.TransactionException:
        log.debug("no transaction is open: the commit failed and ended it")


def _same_key(table: LakeTable) -> str:
    """A condition on rows `t` and `s`. Keys of the tables of analytics may have nulls."""
    return " AND ".join(f"t.{quoted(name)} IS NOT DISTINCT FROM s.{quoted(name)}" for name in table.key)


class _Update:
    """One try of an update, within a transaction."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, table: LakeTable, run_id: str, reading: Reading) -> None:
        self._engine, self._table, self._run_id = engine, table, run_id
        self._last: Progress | None = read_progress(engine, table)
        self._state: TableState = read_state(engine, table)
        self._is_continued = self._last is not None and self._last.is_of(table, self._state)
        self._reading, self._is_full = reading, reading >= Reading.ALL or not self._is_continued
        self.has_written = self._is_rebuilt = False

    def run(self) -> TableUpdate | None:
        """Bring the table up to date. None if it still differs: then more must be read.

        Raises:
            PermanentError: it differs although it was built again.
        """
        self._prepare_table()
        read, inserted, updated = self._merge()
        rows = self._count(self._table.in_lake)
        deleted = self._delete_vanished(rows) if rows > self._state.rows else 0
        if rows - deleted != self._state.rows:
            self._report_difference(rows - deleted)
            return None
        self.has_written |= bool(inserted or updated or deleted or not self._is_continued)
        if self._last and not self._is_full:  # rows that were read again need not be read a third time
            self.has_written |= bool(read and self._state.ended_before > self._last.ended_before)
        done = TableUpdate(
            self._table.title, self._state.rows, inserted, updated, deleted, self._is_full, self._is_rebuilt
        )
        if self.has_written:
            write_progress(self._engine, self._table, self._state, self._last, self._run_id)
            self._describe_snapshot(done)
        return done

    def _report_difference(self, rows: int) -> None:
        counts = f"the lake has {rows} rows of {self._table.title}, the warehouse {self._state.rows}"
        if self._is_rebuilt:
            raise PermanentError(Code.INTERNAL, error=f"all rows were inserted, and {counts}")
        log.warning("%s although %s rows were merged: more is read.", counts, "all" if self._is_full else "the changed")

    def _prepare_table(self) -> None:
        """Create the table, add new columns, or create it again where old rows may be wrong in any column."""
        added = self._last.added_columns(self._state.columns) if self._last else None
        if self._last is None or added is None or self._reading is Reading.REBUILD:
            # History of the table stays readable in its old form, by time travel.
            self._engine.execute(f"DROP TABLE IF EXISTS {self._table.in_lake}")
            columns = ", ".join(f"{quoted(column.name)} {column.duckdb_type}" for column in self._state.columns)
            self._engine.execute(f"CREATE TABLE {self._table.in_lake} ({columns})")
            self._is_full = self._is_rebuilt = self.has_written = True
        for column in added or ():
            self._engine.execute(
                f"ALTER TABLE {self._table.in_lake} ADD COLUMN {quoted(column.name)} {column.duckdb_type}"
            )
            self.has_written = True
        wanted = list(self._table.partition_by)
        if wanted != (self._last.partition_by if self._last and not self._is_rebuilt else []):
            parts = f"SET PARTITIONED BY ({', '.join(wanted)})" if wanted else "RESET PARTITIONED BY"
            self._engine.execute(f"ALTER TABLE {self._table.in_lake} {parts}")
            self.has_written = True

    def _merge(self) -> tuple[int, int, int]:
        """Merge the changed rows. Return how many were read, inserted and updated."""
        ended_before = 0 if self._is_full or self._last is None else self._last.ended_before
        changed, lake = changed_rows(self._table, self._state, ended_before), self._table.in_lake
        if self._is_rebuilt:
            self._engine.execute(f"INSERT INTO {lake} {changed}")
            return self._state.rows, self._state.rows, 0
        self._engine.execute(f"CREATE OR REPLACE TEMP TABLE changed AS {changed}")
        names = [quoted(column.name) for column in self._state.columns]
        same_key = _same_key(self._table)
        differs = f"({', '.join(f't.{n}' for n in names)}) IS DISTINCT FROM ({', '.join(f's.{n}' for n in names)})"
        known = "t._is_in_lake IS NOT NULL"
        self._engine.execute(
            f"CREATE OR REPLACE TEMP TABLE difference AS SELECT s.*, {known} AS _is_known "
            f"FROM changed AS s LEFT JOIN (SELECT *, true AS _is_in_lake FROM {lake}) AS t ON {same_key} "
            f"WHERE NOT ({known}) OR {differs}"
        )
        read, total = self._count("changed"), self._count("difference")
        updated = self._count("difference WHERE _is_known")
        if updated:
            values = ", ".join(f"{name} = s.{name}" for name in names)
            self._engine.execute(
                f"MERGE INTO {lake} AS t USING difference AS s ON {same_key} WHEN MATCHED THEN UPDATE SET {values} "
                f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f's.{n}' for n in names)})"
            )
        elif total:
            self._engine.execute(f"INSERT INTO {lake} ({', '.join(names)}) SELECT {', '.join(names)} FROM difference")
        return read, total - updated, updated

    def _delete_vanished(self, rows: int) -> int:
        """Delete the rows whose keys the warehouse does not have any more."""
        lake = self._table.in_lake
        self._engine.execute(f"CREATE OR REPLACE TEMP TABLE present AS {all_keys(self._table, self._state)}")
        same_key = _same_key(self._table)
        self._engine.execute(f"DELETE FROM {lake} AS t WHERE NOT EXISTS (SELECT 1 FROM present AS s WHERE {same_key})")
        return rows - self._count(lake)

    def _describe_snapshot(self, done: TableUpdate) -> None:
        """Name the run and the files in the snapshot: `FROM lake.snapshots()` shows them."""
        files = self._file_ids()
        details = {
            "run_id": self._run_id, "table": done.table, "inserted": done.inserted, "updated": done.updated,
            "deleted": done.deleted, "rows": done.rows, "files": len(files), "file_ids": files[:_MAX_FILE_IDS],
        }  # fmt: skip
        message = f"{done.table}: {done.inserted} inserted, {done.updated} updated, {done.deleted} deleted"
        extra = literal(json.dumps(details))
        self._engine.execute(f"CALL lake.set_commit_message('update_lake', {literal(message)}, extra_info => {extra})")

    def _file_ids(self) -> list[int]:
        if all(column.name != "_file_id" for column in self._state.columns):
            return []
        rows = self._table.in_lake if self._is_rebuilt else "difference"
        return [
            file_id
            for (file_id,) in self._engine.execute(f"SELECT DISTINCT _file_id FROM {rows} ORDER BY 1").fetchall()
        ]

    def _count(self, rows: str) -> int:
        row = self._engine.execute(f"SELECT count(*) FROM {rows}").fetchone()
        return int(row[0]) if row else 0
