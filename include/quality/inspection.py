"""Inspect the tables one by one: compare each with its contract and with the ledger.

What belongs here: the rules that are not expectations of the library, and the order of the checks. What does not:
arithmetic (`volume`), distributions (`drift`), queries (`table_stats`), the library (`evaluate`). A missing, empty or
locked table is a result, not an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from include.contracts.model import Contract, Severity
from include.quality.drift import judge_drift, measure
from include.quality.marts import SCHEMA as MART_SCHEMA
from include.quality.marts import Mart, plan_of_mart
from include.quality.plan import SCHEMA, pattern_of, plan
from include.quality.records import CheckResult, TableReport
from include.quality.table_stats import Loads, RowCounts, TableDefinition, TableStats, UnreadableTableError
from include.quality.volume import farthest
from include.stores import sql_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.quality.evaluate import Evaluator
    from include.quality.table_stats import LedgerTotals
    from include.settings import QualitySettings


# Data older than the contract's freshness is a warning; older than this multiple of it is critical.
CRITICAL_STALENESS = 3.0
# A run counts after it was inactive for this long (sql/statements/quality_loads.sql); the previous check left it out.
_QUIET = timedelta(minutes=5)
# The volume of a load is compared with this many earlier ones; with fewer than the least it is not judged.
HISTORY_LOADS, HISTORY_LEAST = 30, 5


@dataclass
class Inspector:
    """Inspects tables; `now` is the time of the whole check."""

    stats: TableStats
    evaluator: Evaluator
    settings: QualitySettings
    now: datetime

    @classmethod
    def starting(cls, stats: TableStats, evaluator: Evaluator, settings: QualitySettings) -> Inspector:
        """Return an inspector whose check starts now."""
        return cls(stats, evaluator, settings, datetime.now(UTC))

    def dataset(self, contract: Contract) -> TableReport:
        """Run all checks of a contract's table."""
        report = TableReport(contract.dataset, self.now)
        try:
            self._inspect_dataset(contract, report)
        except UnreadableTableError as error:
            report.results.append(_unreadable(SCHEMA, contract.dataset, error))
        return report

    def mart(self, mart: Mart) -> TableReport | None:
        """Run the checks of a table of analytics; None if the transformations had no rows to build it from yet."""
        report = TableReport(f"{MART_SCHEMA}.{mart.table}", self.now)
        try:
            shape = self.stats.shape(MART_SCHEMA, mart.table, mart.key)
            has_source = self.stats.has_rows(*mart.source)
            if shape is None:
                if not has_source or not self._transformed(mart):
                    return None
                report.results.append(_missing_mart(mart))
                return report
            if not has_source:
                report.results.append(_no_data(f"{'.'.join(mart.source)} has no rows yet"))
                return report
            report.evaluated = self.evaluator.evaluate(plan_of_mart(mart, shape.columns), MART_SCHEMA, mart.table)
            report.results.extend(result for result, _ in report.evaluated)
        except UnreadableTableError as error:
            report.results.append(_unreadable(MART_SCHEMA, mart.table, error))
        return report

    def _transformed(self, mart: Mart) -> bool:
        return mart.shows_a_transformation or self.stats.has_tables(MART_SCHEMA)

    def _inspect_dataset(self, contract: Contract, report: TableReport) -> None:
        name = contract.dataset
        shape, ledger = self.stats.shape(SCHEMA, name, contract.key), self.stats.ledger(name)
        if shape is None:
            report.results.append(_missing(name, ledger))
            return
        row_counts = self.stats.row_counts(SCHEMA, name, name)
        if not row_counts.rows and not ledger.remaining:
            report.results.append(_no_data("no data yet"))
            return
        report.results.extend(_shape_results(contract, shape))
        report.results.extend(_ledger_results(name, ledger, row_counts))
        report.results.extend(judge_freshness(contract, ledger.newest, self.now))
        since = self.now - timedelta(minutes=self.settings.schedule_minutes) - _QUIET
        loads = self.stats.loads(name, since, HISTORY_LOADS)
        report.results.append(judge_volume(loads, self.settings))
        wanted = {pattern for column in contract.columns if (pattern := pattern_of(column)) is not None}
        patterns = self.stats.usable_patterns(wanted)
        checks = plan(contract, shape.columns, key_is_enforced=shape.key_is_enforced, patterns=patterns)
        report.evaluated = self.evaluator.evaluate(checks, SCHEMA, name)
        report.results.extend(result for result, _ in report.evaluated)
        report.results.extend(_unusable(pattern) for pattern in sorted(wanted - patterns))
        report.drifts = measure(contract, shape.columns, self.now, self.stats, SCHEMA)
        report.results.extend(judge_drift(contract, report.drifts, SCHEMA))


def judge_volume(loads: Loads, settings: QualitySettings) -> CheckResult:
    """Judge whether the new loads have the usual size. With too little history the check passes."""
    name = "volume_is_usual"
    if not loads.new or len(loads.history) < HISTORY_LEAST:
        short_history = f"{len(loads.history)} earlier loads; judged from {HISTORY_LEAST} on"
        return CheckResult(name, None, Severity.INFO, success=True, observed=short_history, expected="a history")
    volume = farthest(loads.new, loads.history, settings.deviations)
    return CheckResult(
        name,
        None,
        Severity.WARNING,
        success=volume.is_usual(settings.deviations),
        observed=f"{volume.rows:,} rows, {volume.deviation:+.1f} robust deviations from the median {volume.usual:,}",
        expected=f"{volume.low:,} to {volume.high:,} rows, as the last {len(loads.history)} loads",
        remedy="SELECT * FROM ops.file_ingestion_log ORDER BY loaded_at DESC; ask the data provider what has changed",
    )


def judge_freshness(contract: Contract, newest: datetime | None, now: datetime) -> Iterator[CheckResult]:
    """Judge whether the dataset was delivered in time. A delivery that changes no row counts too.

    Args:
        contract: its `freshness_hours` is the limit; without it there is no result.
        newest: load time of the last delivery; None if the ledger has none.
        now: time of the check.
    """
    if contract.freshness_hours is None:
        return
    age = None if newest is None else max((now - newest) / timedelta(hours=1), 0.0)
    observed = "the ledger has none" if newest is None else f"{newest:%Y-%m-%d %H:%M:%S} UTC, {age:.1f} hours ago"
    for severity, factor in ((Severity.WARNING, 1.0), (Severity.CRITICAL, CRITICAL_STALENESS)):
        hours = contract.freshness_hours * factor
        yield CheckResult(
            "data_is_fresh",
            None,
            severity,
            success=age is not None and age <= hours,
            observed=observed,
            expected=f"a delivery within {hours:g} hours",
            remedy=f"Ask the provider of {contract.dataset}; check failed/, and whether the DAG is paused",
        )


def _shape_results(contract: Contract, shape: TableDefinition) -> Iterator[CheckResult]:
    table = f"{SCHEMA}.{contract.dataset}"
    lacking = [column.name for column in contract.columns if column.name not in shape.columns]
    yield CheckResult("table_is_there", None, Severity.CRITICAL, success=True, observed=table, expected=table)
    yield CheckResult(
        "columns_are_there",
        None,
        Severity.WARNING,
        success=not lacking,
        observed=f"lacks {', '.join(lacking)}" if lacking else f"{len(shape.columns)} columns",
        expected=f"the columns of the contract {contract.version}",
        remedy="The next load adds them; until then they are not checked",
    )
    if shape.key_is_enforced:
        key = ", ".join(contract.key)
        yield CheckResult(
            "key_is_unique",
            None,
            Severity.CRITICAL,
            success=True,
            observed=f"a unique index on ({key})",
            expected=f"({key}) names one row",
        )


def _ledger_results(dataset: str, ledger: LedgerTotals, row_counts: RowCounts) -> Iterator[CheckResult]:
    yield CheckResult(
        "ledger_balances",
        None,
        Severity.CRITICAL,
        success=ledger.unbalanced == 0,
        observed=f"{ledger.unbalanced} of {ledger.entries} loaded entries do not balance",
        expected="read = inserted + updated + unchanged + duplicate + rejected",
        remedy=f"SELECT * FROM ops.file_ingestion_log WHERE dataset = {sql_text.literal(dataset)} "
        "AND status IN ('loaded', 'archived') "
        "AND rows_read <> rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected",
    )
    yield CheckResult(
        "rows_are_accounted_for",
        None,
        Severity.WARNING,
        success=row_counts.rows == row_counts.remaining,
        observed=f"{row_counts.rows:,} rows in the table",
        expected=f"{row_counts.remaining:,} rows inserted and not deleted, by the ledger",
        remedy="Rows were written or deleted outside the pipeline: "
        f"SELECT _file_id, count(*) FROM {sql_text.quoted(SCHEMA, dataset)} GROUP BY _file_id shows the file of each",
    )


def _missing(dataset: str, ledger: LedgerTotals) -> CheckResult:
    if not ledger.remaining:
        return _no_data("no data yet")
    return CheckResult(
        "table_is_there",
        None,
        Severity.CRITICAL,
        success=False,
        observed="no such table",
        expected=f"{SCHEMA}.{dataset}, because the ledger has {ledger.remaining:,} rows in it",
        remedy="Restore it from a backup, or load its files again",
    )


def _missing_mart(mart: Mart) -> CheckResult:
    source = ".".join(mart.source)
    return CheckResult(
        "table_is_there",
        None,
        Severity.CRITICAL,
        success=False,
        observed="no such table",
        expected=f"{MART_SCHEMA}.{mart.table}, because {source} has rows",
        remedy=f"Run the DAG {mart.dag_id}",
    )


def _no_data(observed: str) -> CheckResult:
    return CheckResult(
        "has_data", None, Severity.INFO, success=True, observed=observed, expected="data, eventually", skipped=True
    )


def _unreadable(schema: str, table: str, error: UnreadableTableError) -> CheckResult:
    return CheckResult(
        "table_is_readable",
        None,
        Severity.WARNING,
        success=False,
        observed=f"not read completely: {error}",
        expected="no lock, and a scan within the statement timeout",
        remedy=f"SELECT * FROM pg_locks WHERE relation = {sql_text.literal(sql_text.quoted(schema, table))}::regclass; "
        "the next check tries again",
    )


def _unusable(pattern: str) -> CheckResult:
    return CheckResult(
        "pattern_is_usable",
        None,
        Severity.INFO,
        success=False,
        observed="PostgreSQL does not accept this pattern",
        expected=pattern[:300],
        remedy="Rows are still checked during loading. Use simpler regex syntax to check the table too",
    )
