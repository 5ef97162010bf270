"""Inspects one table after the other: what the contract asks, what the ledger says, what was seen.

What belongs here: the rules that are no expectation of the library, and the order of things. What does not: arithmetic
(`volume`), queries (`facts`), the library (`evaluate`). A table that is missing, empty or locked is a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from include.contracts.model import Contract, Severity
from include.quality import quoting
from include.quality.facts import Facts, Loads, Shape, Stock, UnreadableTableError
from include.quality.marts import SCHEMA as MART_SCHEMA
from include.quality.marts import Mart, plan_of_mart
from include.quality.plan import SCHEMA, pattern_of, plan
from include.quality.records import CheckResult, TableReport
from include.quality.volume import farthest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.quality.evaluate import Evaluator
    from include.quality.facts import Ledger
    from include.settings import QualitySettings


# Older than the contract's promise is a warning; so many times older, something has stopped.
CRITICAL_STALENESS = 3.0
# A run is judged when it has been quiet for so long (sql/statements/quality_loads.sql): the check before was too early.
_QUIET = timedelta(minutes=5)


@dataclass
class Inspector:
    """Inspects tables with what it was given; `now` is the moment of the whole check."""

    facts: Facts
    evaluator: Evaluator
    settings: QualitySettings
    now: datetime

    @classmethod
    def starting(cls, facts: Facts, evaluator: Evaluator, settings: QualitySettings) -> Inspector:
        """An inspector whose check begins now."""
        return cls(facts, evaluator, settings, datetime.now(UTC))

    def dataset(self, contract: Contract) -> TableReport:
        """All checks of a contract's table."""
        report = TableReport(contract.dataset, self.now)
        try:
            self._inspect_dataset(contract, report)
        except UnreadableTableError as error:
            report.results.append(_unreadable(SCHEMA, contract.dataset, error))
        return report

    def mart(self, mart: Mart) -> TableReport | None:
        """The checks of a table of analytics, or None where the transformations had nothing to make it of yet."""
        report = TableReport(f"{MART_SCHEMA}.{mart.table}", self.now)
        try:
            shape = self.facts.shape(MART_SCHEMA, mart.table, mart.key)
            has_source = self.facts.has_rows(*mart.source)
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
        return mart.shows_a_transformation or self.facts.has_tables(MART_SCHEMA)

    def _inspect_dataset(self, contract: Contract, report: TableReport) -> None:
        name = contract.dataset
        shape, ledger = self.facts.shape(SCHEMA, name, contract.key), self.facts.ledger(name)
        if shape is None:
            report.results.append(_missing(name, ledger))
            return
        stock = self.facts.stock(SCHEMA, name, name)
        if not stock.rows and not ledger.inserted:
            report.results.append(_no_data("no data yet"))
            return
        report.results.extend(_of_shape(contract, shape))
        report.results.extend(_of_ledger(name, ledger, stock))
        report.results.extend(judge_freshness(contract, ledger.newest, self.now))
        since = self.now - timedelta(minutes=self.settings.schedule_minutes) - _QUIET
        loads = self.facts.loads(name, since, self.settings.history_loads)
        report.results.append(judge_volume(loads, self.settings))
        wanted = {pattern for column in contract.columns if (pattern := pattern_of(column)) is not None}
        patterns = self.facts.usable_patterns(wanted)
        checks = plan(contract, shape.columns, key_is_enforced=shape.key_is_enforced, patterns=patterns)
        report.evaluated = self.evaluator.evaluate(checks, SCHEMA, name)
        report.results.extend(result for result, _ in report.evaluated)
        report.results.extend(_unusable(pattern) for pattern in sorted(wanted - patterns))


def judge_volume(loads: Loads, settings: QualitySettings) -> CheckResult:
    """Whether the new loads are as large as usual. With too little history there is nothing to say."""
    name = "volume_is_usual"
    if not loads.new or len(loads.history) < settings.history_least:
        few = f"{len(loads.history)} earlier loads; judged from {settings.history_least} on"
        return _rule(name, Severity.INFO, holds=True, observed=few, expected="a history")
    volume = farthest(loads.new, loads.history, settings.deviations)
    return _rule(
        name,
        Severity.WARNING,
        holds=volume.is_usual(settings.deviations),
        observed=f"{volume.rows:,} rows, {volume.deviation:+.1f} robust deviations from the median {volume.usual:,}",
        expected=f"{volume.low:,} to {volume.high:,} rows, as the last {len(loads.history)} loads",
        remedy="SELECT * FROM ops.file_ingestion_log ORDER BY loaded_at DESC; ask who delivers what has changed",
    )


def judge_freshness(contract: Contract, newest: datetime | None, now: datetime) -> Iterator[CheckResult]:
    """Whether the dataset was delivered in time. A delivery in which nothing is new is one, though no row changes.

    Args:
        contract: with the promise; without one there is nothing to judge.
        newest: when the last delivery was loaded, or None where the ledger knows of none.
        now: the moment of the check.
    """
    if contract.freshness_hours is None:
        return
    age = None if newest is None else max((now - newest) / timedelta(hours=1), 0.0)
    observed = "the ledger has none" if newest is None else f"{newest:%Y-%m-%d %H:%M:%S} UTC, {age:.1f} hours ago"
    for severity, factor in ((Severity.WARNING, 1.0), (Severity.CRITICAL, CRITICAL_STALENESS)):
        hours = contract.freshness_hours * factor
        yield _rule(
            "data_is_fresh",
            severity,
            holds=age is not None and age <= hours,
            observed=observed,
            expected=f"a delivery within {hours:g} hours",
            remedy=f"Ask who delivers {contract.dataset}, look into failed/, and whether its DAG is paused",
        )


def _rule(
    name: str, severity: Severity, *, holds: bool, observed: str, expected: str, remedy: str = ""
) -> CheckResult:  # fmt: skip
    return CheckResult(name, None, severity, holds, observed, expected, remedy)


def _of_shape(contract: Contract, shape: Shape) -> Iterator[CheckResult]:
    table = f"{SCHEMA}.{contract.dataset}"
    lacking = [column.name for column in contract.columns if column.name not in shape.columns]
    yield _rule("table_is_there", Severity.CRITICAL, holds=True, observed=table, expected=table)
    yield _rule(
        "columns_are_there",
        Severity.WARNING,
        holds=not lacking,
        observed=f"lacks {', '.join(lacking)}" if lacking else f"{len(shape.columns)} columns",
        expected=f"the columns of the contract {contract.version}",
        remedy="They come with the next load; until then they are not checked",
    )
    if shape.key_is_enforced:
        key = ", ".join(contract.key)
        yield _rule(
            "key_is_unique",
            Severity.CRITICAL,
            holds=True,
            observed=f"a unique index on ({key})",
            expected=f"({key}) names one row",
        )


def _of_ledger(dataset: str, ledger: Ledger, stock: Stock) -> Iterator[CheckResult]:
    yield _rule(
        "ledger_balances",
        Severity.CRITICAL,
        holds=ledger.unbalanced == 0,
        observed=f"{ledger.unbalanced} of {ledger.entries} loaded entries do not add up",
        expected="read = inserted + updated + unchanged + duplicate + rejected",
        remedy=f"SELECT * FROM ops.file_ingestion_log WHERE dataset = {quoting.text(dataset)} "
        "AND status IN ('loaded', 'archived') "
        "AND rows_read <> rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected",
    )
    yield _rule(
        "rows_are_accounted_for",
        Severity.WARNING,
        holds=stock.rows == stock.inserted,
        observed=f"{stock.rows:,} rows in the table",
        expected=f"{stock.inserted:,} rows inserted, by the ledger",
        remedy="Rows were written or deleted by hand: "
        f"SELECT _file_id, count(*) FROM {quoting.name(SCHEMA, dataset)} GROUP BY _file_id shows whose they are",
    )


def _missing(dataset: str, ledger: Ledger) -> CheckResult:
    if not ledger.inserted:
        return _no_data("no data yet")
    return _rule(
        "table_is_there",
        Severity.CRITICAL,
        holds=False,
        observed="no such table",
        expected=f"{SCHEMA}.{dataset}, for the ledger has {ledger.inserted:,} rows inserted into it",
        remedy="Restore it from a backup, or let its files be loaded again",
    )


def _missing_mart(mart: Mart) -> CheckResult:
    source = ".".join(mart.source)
    return _rule(
        "table_is_there",
        Severity.CRITICAL,
        holds=False,
        observed="no such table",
        expected=f"{MART_SCHEMA}.{mart.table}, for {source} has rows",
        remedy="Run the DAG transform_warehouse",
    )


def _no_data(observed: str) -> CheckResult:
    return _rule("has_data", Severity.INFO, holds=True, observed=observed, expected="data, one day")


def _unreadable(schema: str, table: str, error: UnreadableTableError) -> CheckResult:
    return _rule(
        "table_is_readable",
        Severity.WARNING,
        holds=False,
        observed=f"not read to its end: {error}",
        expected="no lock, and a scan within the statement timeout",
        remedy=f"SELECT * FROM pg_locks WHERE relation = {quoting.text(quoting.name(schema, table))}::regclass; "
        "the next check looks again",
    )


def _unusable(pattern: str) -> CheckResult:
    return _rule(
        "pattern_is_usable",
        Severity.INFO,
        holds=False,
        observed="the warehouse does not understand it",
        expected=pattern[:300],
        remedy="Rows are checked on their way in all the same. In plainer syntax the table is checked too",
    )
