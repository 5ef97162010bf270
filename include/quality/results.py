"""What was seen, written down: one row per check in ops.quality_result.

What belongs here: writing, reading and forgetting there. What does not: files' own results, which the load writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.stores.warehouse import statement, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.quality.records import TableReport
    from include.stores.warehouse import Connection


@dataclass(frozen=True)
class Run:
    """One check of one table: when, and how many of its expectations went how."""

    dataset: str
    checked_at: datetime
    checks: int
    passed: int
    critical: int
    warnings: int

    @property
    def key(self) -> str:
        """Where the page of this check lies in the bucket."""
        return page_key(self.dataset, self.checked_at)


def page_key(dataset: str, checked_at: datetime) -> str:
    """Where the page of a check lies. Keys of one table are in the order of time."""
    return f"{dataset}/{checked_at:%Y-%m-%dT%H-%M-%S-%f}.html"


def write_results(connection: Connection, report: TableReport) -> None:
    """Write a table's results, all or none."""
    rows = [
        {
            "dataset": report.dataset,
            "expectation": result.expectation,
            "column_name": result.column,
            "severity": result.severity.value,
            "success": result.success,
            "observed": result.observed,
            "expected": result.expected,
            "checked_at": report.checked_at,
        }
        for result in report.results
    ]
    with warehouse_errors("quality"), connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(statement("write_quality_result"), rows)


def forget_results(connection: Connection, keep_days: int) -> int:
    """Delete results of tables that are older than so many days. Files keep theirs.

    Returns:
        How many results were deleted.
    """
    with warehouse_errors("quality"):
        row = connection.execute(statement("forget_quality_results"), {"keep_days": keep_days}).fetchone()
    return int(row[0]) if row else 0


def read_runs(connection: Connection, kept: int) -> Sequence[Run]:
    """The last checks of each table, up to `kept` of each, the newest first."""
    with warehouse_errors("quality"):
        return [Run(*row) for row in connection.execute(statement("quality_runs"), {"kept": kept}).fetchall()]
