"""Compare the distribution of a column in the last 7 days with that of the 28 days before.

What belongs here: the windows, the population stability index, and what it means. What does not: which columns are
compared (`include.contracts.drift`).

    PSI = sum over the bins of (a - r) ln(a / r)
          a, r: share of the current and of the reference rows in the bin, each at least 0.0001

With E = 00:00 UTC of the day of the check, the reference rows have a time in [E - 35 d, E - 7 d), the current rows in
[E - 7 d, E). Numbers are counted in the bins (c, next c], where the c are the reference's deciles 0.1 to 0.9
(percentile_cont), equal ones once. Each value of the reference is a category, and all values that it does not have are
one more. Nulls are a bin. The warehouse calculates all of it, in one statement for each column.

Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006): below 0.1 no change, from 0.25 on a change of the population.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from psycopg import sql

from include.contracts.model import Severity
from include.quality.records import CheckResult
from include.stores import sql_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from include.contracts.model import Column, Contract
    from include.quality.table_stats import TableStats

LEAST_ROWS = 100
WARNING_PSI, ERROR_PSI = 0.1, 0.25
_CURRENT, _REFERENCE = timedelta(days=7), timedelta(days=28)


class DriftKind(StrEnum):
    """How the values of a column are put into bins."""

    NUMBER = "number"
    CATEGORY = "category"


class DriftStatus(StrEnum):
    """What the index of a column means. With fewer than LEAST_ROWS rows in a window it is not calculated."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class ColumnDrift:
    """The comparison of one column: a row of ops.drift_result. `psi` is None if it is skipped."""

    column: str
    kind: DriftKind
    window_end: datetime
    reference_rows: int
    current_rows: int
    psi: float | None

    @property
    def status(self) -> DriftStatus:
        """Return what the index means."""
        if self.psi is None:
            return DriftStatus.SKIPPED
        if self.psi >= ERROR_PSI:
            return DriftStatus.ERROR
        return DriftStatus.WARNING if self.psi >= WARNING_PSI else DriftStatus.OK


def measure(
    contract: Contract, present: Collection[str], now: datetime, stats: TableStats, schema: str
) -> list[ColumnDrift]:
    """Compare each column that the contract names; columns that the table does not have yet are left out.

    Args:
        contract: its `drift` names the columns.
        present: columns of the table.
        now: time of the check, with time zone.
        stats: queries the warehouse.
        schema: schema of the table.

    Raises:
        UnreadableTableError: the table is locked, or the query takes too long.
    """
    drift = contract.drift
    if drift is None or drift.time not in present:
        return []
    end = window_end(now)
    columns = [contract.by_name[name] for name in drift.columns if name in present]
    table = sql.Identifier(schema, contract.dataset)
    found = []
    for column in columns:
        query = _query(table, column, drift.time)
        [(reference, current, psi)] = stats.rows(query, _bounds(contract.by_name[drift.time], end))
        enough = min(reference, current) >= LEAST_ROWS
        found.append(ColumnDrift(column.name, _kind(column), end, reference, current, psi if enough else None))
    return found


def window_end(now: datetime) -> datetime:
    """Return 00:00 UTC of the day: the end of the current window."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def judge_drift(contract: Contract, drifts: list[ColumnDrift], schema: str) -> Iterator[CheckResult]:
    """Judge each comparison: a warning from WARNING_PSI on, critical from ERROR_PSI on. A skipped one passes."""
    if contract.drift is None:
        return
    time = contract.by_name[contract.drift.time]
    table = sql_text.quoted(schema, contract.dataset)
    for drift in drifts:
        counts = f"{drift.current_rows:,} rows, {drift.reference_rows:,} before"
        severity = {DriftStatus.ERROR: Severity.CRITICAL, DriftStatus.SKIPPED: Severity.INFO}
        yield CheckResult(
            "distribution_is_stable",
            drift.column,
            severity.get(drift.status, Severity.WARNING),
            success=drift.status in {DriftStatus.OK, DriftStatus.SKIPPED},
            observed=counts if drift.psi is None else f"PSI {drift.psi:.3f}, {counts}",
            expected=f"PSI below {WARNING_PSI}; compared from {LEAST_ROWS} rows in each window on",
            remedy=_shown_shares(table, time, drift),
        )


def _kind(column: Column) -> DriftKind:
    return DriftKind.NUMBER if column.type.is_number else DriftKind.CATEGORY


def _bounds(time: Column, end: datetime) -> dict[str, date]:
    """The beginning of the reference, the beginning of the current window and its end, in the type of the column."""
    moments = {"first": end - _CURRENT - _REFERENCE, "middle": end - _CURRENT, "last": end}
    if time.type.has_zone:
        return dict(moments)
    if time.type.has_time:
        return {name: moment.replace(tzinfo=None) for name, moment in moments.items()}
    return {name: moment.date() for name, moment in moments.items()}


# Counts of a bin in both windows. A value v is in the bin numbered by the cuts that are less than v. width_bucket
# counts thresholds that are less than or equal to its operand, so it gets both with the other sign.
_NUMBERS = sql.SQL(
    """
WITH cuts AS (
    SELECT coalesce(array_agg(DISTINCT -cut ORDER BY -cut), '{{}}') AS negative
    FROM unnest((
        SELECT percentile_cont(ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
            WITHIN GROUP (ORDER BY {column}::double precision)
        FROM {table} WHERE {time} >= %(first)s AND {time} < %(middle)s
    )) AS quantile (cut)
),
bins AS (
    SELECT
        count(*) FILTER (WHERE {time} < %(middle)s) AS reference_rows,
        count(*) FILTER (WHERE {time} >= %(middle)s) AS current_rows
    FROM {table} CROSS JOIN cuts
    WHERE {time} >= %(first)s AND {time} < %(last)s
    GROUP BY width_bucket(-{column}::double precision, negative)
)
"""
)
_CATEGORIES = sql.SQL(
    """
WITH counted AS (
    SELECT
        {column} AS category,
        count(*) FILTER (WHERE {time} < %(middle)s) AS reference_rows,
        count(*) FILTER (WHERE {time} >= %(middle)s) AS current_rows
    FROM {table}
    WHERE {time} >= %(first)s AND {time} < %(last)s
    GROUP BY {column}
),
bins AS (
    SELECT sum(reference_rows) AS reference_rows, sum(current_rows) AS current_rows
    FROM counted
    GROUP BY category IS NOT NULL AND reference_rows = 0, CASE WHEN reference_rows > 0 THEN category END
)
"""
)
_PSI = sql.SQL(
    """
SELECT
    coalesce(sum(reference_rows), 0)::bigint,
    coalesce(sum(current_rows), 0)::bigint,
    coalesce(sum((current_share - reference_share) * ln(current_share / reference_share)), 0)
FROM (
    SELECT
        reference_rows,
        current_rows,
        greatest(reference_rows / nullif(sum(reference_rows) OVER (), 0)::double precision, 0.0001) AS reference_share,
        greatest(current_rows / nullif(sum(current_rows) OVER (), 0)::double precision, 0.0001) AS current_share
    FROM bins
) AS shares
"""
)


def _query(table: sql.Identifier, column: Column, time: str) -> sql.Composed:
    bins = _NUMBERS if _kind(column) is DriftKind.NUMBER else _CATEGORIES
    names = {"table": table, "column": sql.Identifier(column.name), "time": sql.Identifier(time)}
    return bins.format(**names) + _PSI


def _shown_shares(table: str, time_column: Column, drift: ColumnDrift) -> str:
    """A query for users that shows how the two windows differ."""
    time, column = sql_text.quoted(time_column.name), sql_text.quoted(drift.column)
    first, middle, last = _bounds(time_column, drift.window_end).values()
    rows = f"FROM {table} WHERE {time} >= '{first}' AND {time} < '{last}'"
    if drift.kind is DriftKind.NUMBER:
        numbers = f"count(*), min({column}), avg({column}), max({column})"
        return f"SELECT {time} >= '{middle}' AS is_current, {numbers} {rows} GROUP BY 1"
    counts = f"count(*) FILTER (WHERE {time} < '{middle}') AS reference, "
    counts += f"count(*) FILTER (WHERE {time} >= '{middle}') AS current"
    return f"SELECT {column}, {counts} {rows} GROUP BY 1 ORDER BY 3 DESC"
