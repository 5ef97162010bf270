"""Results of table checks in ops.quality_result, one row per check, and in ops.drift_result, one row per column.

What belongs here: writing, reading and deleting them. What does not: results of files, which the load writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from include.contracts.model import Severity
from include.quality.drift import DriftStatus
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.quality.records import TableReport
    from include.stores.warehouse import Connection

# How far back the page of a table shows one check a day, and the drift of its columns.
HISTORY_DAYS, DRIFT_DAYS = 30, 90


@dataclass(frozen=True)
class CheckRun:
    """One check of one table: its time, and the number of its expectations by outcome."""

    dataset: str
    checked_at: datetime
    checks: int
    passed: int
    critical: int
    warnings: int

    @property
    def key(self) -> str:
        """Return the object key of the page of this check."""
        return page_key(self.dataset, self.checked_at)


@dataclass(frozen=True)
class PastResult:
    """A result of an earlier or of the last check."""

    checked_at: datetime
    expectation: str
    column: str | None
    severity: Severity
    success: bool
    observed: str


@dataclass(frozen=True)
class PastDrift:
    """The comparison of a column on a day. `psi` is None if there were too few rows."""

    column: str
    window_end: datetime
    reference_rows: int
    current_rows: int
    psi: float | None
    status: DriftStatus


@dataclass(frozen=True)
class TableHistory:
    """The past of a table, the oldest first.

    Attributes:
        dataset: the table.
        results: of the last checks, and of the last check of each day before.
        drifts: the last comparison of each column and day.
    """

    dataset: str
    results: Sequence[PastResult]
    drifts: Sequence[PastDrift]


def page_key(dataset: str, checked_at: datetime) -> str:
    """Return the object key of the page of a check. Keys of one table sort by time."""
    return f"{dataset}/{checked_at:%Y-%m-%dT%H-%M-%S-%f}.html"


def history_key(dataset: str) -> str:
    """Return the object key of the page with the past of a table."""
    return f"{dataset}/history.html"


def write_results(connection: Connection, report: TableReport) -> None:
    """Write a table's results in one transaction."""
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
    drifts = [
        {
            "checked_at": report.checked_at,
            "dataset": report.dataset,
            "column_name": drift.column,
            "kind": drift.kind.value,
            "window_end": drift.window_end,
            "reference_rows": drift.reference_rows,
            "current_rows": drift.current_rows,
            "psi": drift.psi,
            "status": drift.status.value,
        }
        for drift in report.drifts
    ]
    with warehouse_errors(), connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(statement("write_quality_result"), rows)
        cursor.executemany(statement("write_drift_result"), drifts)


def purge_results(connection: Connection, keep_days: int) -> int:
    """Delete results of tables that are older than `keep_days`. Results of files stay.

    Returns:
        How many results were deleted, of both tables.
    """
    deleted = 0
    with warehouse_errors():
        for name in ("purge_quality_results", "purge_drift_results"):
            row = connection.execute(statement(name), {"keep_days": keep_days}).fetchone()
            deleted += int(row[0]) if row else 0
    return deleted


def read_runs(connection: Connection, kept: int) -> Sequence[CheckRun]:
    """Return the last checks of each table, at most `kept` per table, the newest first."""
    with warehouse_errors():
        return [CheckRun(*row) for row in connection.execute(statement("quality_runs"), {"kept": kept}).fetchall()]


def read_history(connection: Connection, dataset: str, runs: Sequence[CheckRun]) -> TableHistory:
    """Return the past of a table: its drift, and the results of its last checks and of HISTORY_DAYS days before.

    Args:
        connection: of a role that may read the results.
        dataset: the table.
        runs: the last checks of all tables.
    """
    recent = [run.checked_at for run in runs if run.dataset == dataset]
    if not recent:
        return TableHistory(dataset, (), ())
    oldest = min(recent).astimezone(UTC)
    of_results = {
        "dataset": dataset, "recent": recent, "days": HISTORY_DAYS, "oldest": oldest,
        "midnight": oldest.replace(hour=0, minute=0, second=0, microsecond=0),
    }  # fmt: skip
    with warehouse_errors():
        results = connection.execute(statement("quality_history"), of_results).fetchall()
        of_drift = {"dataset": dataset, "days": DRIFT_DAYS}
        drifts = connection.execute(statement("drift_history"), of_drift).fetchall()
    return TableHistory(
        dataset,
        [PastResult(at, name, column, Severity(severity), success, observed or "")
         for at, name, column, severity, success, observed in results],
        [PastDrift(column, end, reference, current, psi, DriftStatus(status))
         for column, end, reference, current, psi, status in drifts],
    )  # fmt: skip
