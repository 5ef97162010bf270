"""Reconcile the lake with the warehouse: the number of rows of each table that both have.

What belongs here: which tables, and judging the counts. What does not: counting in the lake (`include.lake`).

An update of the lake leaves as many rows as the warehouse has, and stores the number with them. So the lake must have
that number until the next update, and every row of the warehouse that has not changed since must be among them. Rows
that were loaded or deleted after the last update explain any other difference.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.contracts.model import Severity
from include.errors import PipelineError
from include.lake.row_counts import LakeRows, count_rows, warehouse_rows
from include.lake.tables import LakeTable
from include.quality.marts import SCHEMA as MART_SCHEMA
from include.quality.plan import SCHEMA
from include.quality.records import CheckResult
from include.quality.table_stats import UnreadableTableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Contract
    from include.lake.config import LakeConfig
    from include.quality.marts import Mart
    from include.quality.records import TableReport
    from include.quality.table_stats import TableStats

log = logging.getLogger(__name__)

_CHECK = "lake_has_the_rows"
_REMEDY = 'Trigger the DAG update_lake with {"full": true}: it reads and compares all rows'


def tables_in_lake(contracts: Sequence[Contract], marts: Sequence[Mart]) -> list[LakeTable]:
    """The tables that are kept in the lake: those of contracts with `lake`, and all marts."""
    raw = [LakeTable(SCHEMA, one.dataset, one.key, one.lake.partition_by) for one in contracts if one.lake is not None]
    return raw + [LakeTable(MART_SCHEMA, mart.table, mart.key) for mart in marts]


def add_lake_results(
    reports: Sequence[TableReport], tables: Sequence[LakeTable], lake: LakeConfig, stats: TableStats
) -> None:
    """Add a result to the report of each table that is kept in the lake. A lake that does not answer is a result."""
    of_title = {table.title: table for table in tables}
    checked = {of_title[title]: report for report in reports if (title := _title(report)) in of_title}
    if not checked:
        return
    try:
        counted = count_rows(lake, list(checked))
    except PipelineError as error:
        for report in checked.values():
            report.results.append(_unreadable(str(error)))
        return
    for table, report in checked.items():
        report.results.append(_reconciled(table, counted[table.title], stats))


def _title(report: TableReport) -> str:
    return report.dataset if "." in report.dataset else f"{SCHEMA}.{report.dataset}"


def _reconciled(table: LakeTable, lake: LakeRows, stats: TableStats) -> CheckResult:
    if lake.last is None or lake.rows is None:
        return _result(success=True, observed="not in the lake yet")
    try:
        now = stats.lake_counts(warehouse_rows(table, lake.last))
    except UnreadableTableError as error:
        return _unreadable(str(error))
    return judge_rows(lake.rows, lake.last.rows, now) if now else _result(success=True, observed="not in the warehouse")


def judge_rows(in_lake: int, at_update: int, in_warehouse: tuple[int, int]) -> CheckResult:
    """Judge the difference between lake and warehouse.

    Args:
        in_lake: rows that the lake has.
        at_update: rows that its last update left.
        in_warehouse: rows of the warehouse, and how many of them changed after that update.
    """
    rows, changed = in_warehouse
    observed = f"{in_lake:,} rows in the lake, {rows:,} in the warehouse"
    if in_lake != rows or changed:
        observed += f", {changed:,} of them new or changed since the last update"
    if in_lake != at_update:
        observed += f", which left {at_update:,} rows in the lake"
    return _result(success=in_lake == at_update and rows - changed <= in_lake, observed=observed)


def _result(*, success: bool, observed: str) -> CheckResult:
    expected = "the rows of the warehouse, as of the last update"
    return CheckResult(_CHECK, None, Severity.CRITICAL, success, observed, expected, _REMEDY)


def _unreadable(reason: str) -> CheckResult:
    return CheckResult(
        "lake_is_readable",
        None,
        Severity.WARNING,
        success=False,
        observed=f"not compared: {reason}",
        expected="the lake's catalogue and bucket answer",
        remedy="See the last run of update_lake; the next check tries again",
    )
