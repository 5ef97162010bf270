"""How many rows the lake's tables have, and how many of the warehouse's rows its updates have not read yet.

What belongs here: the counts. What does not: judging them (`include.quality.lake`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from include.contracts.expressions import literal
from include.lake.connect import open_lake
from include.lake.errors import NoLakeError, lake_errors
from include.lake.progress import read_progress
from include.lake.tables import SOURCE, changed_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.lake.config import LakeConfig
    from include.lake.progress import Progress
    from include.lake.tables import LakeTable

log = logging.getLogger(__name__)

# A subquery, which PostgreSQL evaluates once.
_BEGAN_BEFORE = "(SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint)"


@dataclass(frozen=True)
class LakeRows:
    """The rows of a table of the lake, and its last update; both None before the first one."""

    rows: int | None
    last: Progress | None


def count_rows(config: LakeConfig, tables: Sequence[LakeTable]) -> dict[str, LakeRows]:
    """Count the rows of each table in one snapshot of the lake. The keys are the tables' titles.

    Raises:
        RetryableError: the catalogue or the bucket does not answer.
        PermanentError: a login is refused.
    """
    try:
        with open_lake(config, read_only=True) as engine, lake_errors():
            engine.execute("BEGIN")  # a snapshot: an update between two queries is not seen
            if _has_progress(engine):
                return {table.title: _count(engine, table) for table in tables}
    except NoLakeError as error:
        log.info("%s", error)
    return {table.title: LakeRows(None, None) for table in tables}


def warehouse_rows(table: LakeTable, last: Progress) -> str:
    """The query, for PostgreSQL, of the rows of a table, and of those that changed after its last update.

    All rows have changed if the table was created again.
    """
    is_same = f"({SOURCE.format(relation=table.relation)}) = {literal(last.source)}"
    changed = changed_since(last.ended_before, _BEGAN_BEFORE)
    return f"SELECT count(*), count(*) FILTER (WHERE NOT ({is_same}) OR {changed}) FROM {table.relation} AS t"


def _has_progress(engine: duckdb.DuckDBPyConnection) -> bool:
    found = "FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'meta' AND table_name = 'progress'"
    return bool(engine.execute(found).fetchall())


def _count(engine: duckdb.DuckDBPyConnection, table: LakeTable) -> LakeRows:
    last = read_progress(engine, table)
    if last is None:
        return LakeRows(None, None)
    try:
        row = engine.execute(f"SELECT count(*) FROM {table.in_lake}").fetchone()
    except duckdb.CatalogException:  # it was dropped
        return LakeRows(0, last)
    return LakeRows(int(row[0]) if row else 0, last)
