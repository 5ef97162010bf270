"""Judging freshness, and marts that exist, are empty or are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.model import Contract, Severity
from include.quality.inspection import Inspector, judge_freshness
from include.quality.marts import LIVE_MARTS, MARTS, STAGING_SCHEMA
from include.quality.records import CheckResult
from include.quality.table_stats import TableDefinition
from include.settings import QualitySettings

if TYPE_CHECKING:
    from include.quality.records import TableCheck

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ORDERS = Contract(
    dataset="orders", version="1.0.0", description="", columns=(), key=(), newest_by=None, path=Path("orders.yaml"),
    freshness_hours=6.0,
)  # fmt: skip
MODELS = Path(__file__).parents[3] / "dbt" / "models" / "marts"
BY_NAME = {mart.table: mart for mart in MARTS}
ROWS = "expect_table_row_count_to_be_between"


@pytest.mark.parametrize(
    ("hours", "failed"),
    [
        pytest.param(-0.1, [], id="loaded while the check began"),
        pytest.param(6, [], id="just in time"),
        pytest.param(6.1, [Severity.WARNING], id="later than promised"),
        pytest.param(18, [Severity.WARNING], id="three times the promise"),
        pytest.param(18.1, [Severity.WARNING, Severity.CRITICAL], id="beyond that"),
    ],
)
def test_freshness_is_a_warning_beyond_the_limit_and_critical_beyond_three_times_the_limit(
    hours: float, failed: list[Severity]
) -> None:
    results = list(judge_freshness(ORDERS, NOW - timedelta(hours=hours), NOW))
    assert [result.severity for result in results] == [Severity.WARNING, Severity.CRITICAL]
    assert [result.severity for result in results if not result.success] == failed


def test_freshness_shows_the_time_of_the_last_delivery() -> None:
    result, _ = judge_freshness(ORDERS, NOW - timedelta(hours=7), NOW)
    assert result.observed == "2026-03-02 05:00:00 UTC, 7.0 hours ago"
    assert result.expected == "a delivery within 6 hours"


def test_rows_without_a_delivery_are_not_fresh() -> None:
    assert not any(result.success for result in judge_freshness(ORDERS, None, NOW))


def test_contract_without_freshness_has_no_freshness_check() -> None:
    assert list(judge_freshness(replace(ORDERS, freshness_hours=None), None, NOW)) == []


@dataclass
class Known:
    """A stub of the warehouse, in which a mart and its source exist or not."""

    mart: bool
    source: bool
    others: bool = False

    def shape(self, *_: object) -> TableDefinition | None:
        return TableDefinition(("any",), key_is_enforced=False) if self.mart else None

    def has_rows(self, *_: object) -> bool:
        return self.source

    def has_tables(self, schema: str) -> bool:
        return schema == "analytics" and self.others

    def evaluate(self, checks: list[TableCheck], *_: object) -> list[Any]:
        """Return a failed result for each check; the test only compares names."""
        return [(failing(check), None) for check in checks]


def failing(check: TableCheck) -> CheckResult:
    return CheckResult(check.expectation, None, check.severity, success=False, observed="", expected="")


@pytest.mark.parametrize(
    ("mart", "known", "expected"),
    [
        pytest.param("daily_sales", Known(mart=True, source=True), (ROWS, False), id="there: judged"),
        pytest.param("daily_sales", Known(mart=True, source=False), ("has_data", True), id="empty like its source"),
        pytest.param("daily_sales", Known(mart=False, source=True), ("table_is_there", False), id="gone"),
        pytest.param("daily_sales", Known(mart=False, source=False), None, id="no source rows yet"),
        pytest.param("ingestion_health", Known(mart=True, source=False), ("has_data", True), id="an empty ledger"),
        pytest.param("ingestion_health", Known(mart=True, source=True), (ROWS, False), id="a ledger: judged"),
        pytest.param("ingestion_health", Known(mart=False, source=True), None, id="files, no transformation yet"),
        pytest.param(
            "ingestion_health", Known(mart=False, source=True, others=True), ("table_is_there", False), id="gone too"
        ),
    ],
)  # fmt: skip
def test_mart_is_judged_by_the_table_it_is_built_on(mart: str, known: Known, expected: tuple[str, bool] | None) -> None:
    inspector = Inspector(known, known, QualitySettings(), NOW)  # type: ignore[arg-type]
    report = inspector.mart(BY_NAME[mart])
    first = report.results[0] if report else None
    assert (first and (first.expectation, first.success)) == expected
    if first and report:
        assert report.counts["skipped"] == (1 if first.expectation == "has_data" else 0)
        assert first.expectation != "table_is_there" or first.remedy == "Run the DAG transform_warehouse"


def test_missing_mart_names_the_dag_that_builds_it() -> None:
    known = Known(mart=False, source=True)
    report = Inspector(known, known, QualitySettings(), NOW).mart(BY_NAME["weather_analytics"])  # type: ignore[arg-type]
    assert report
    assert [result.remedy for result in report.results] == ["Run the DAG update_live_marts"]


def test_live_marts_are_those_of_the_live_datasets() -> None:
    assert {mart.dataset for mart in LIVE_MARTS} == {"crypto_prices", "weather", "github_events"}


@pytest.mark.parametrize("mart", MARTS, ids=[mart.table for mart in MARTS])
def test_mart_names_the_source_of_its_model(mart: Any) -> None:
    schema, table = mart.source
    used = f'ref("{table}")' if schema == STAGING_SCHEMA else f'source("{schema}", "{table}")'
    [model] = MODELS.rglob(f"{mart.table}.sql")
    assert used in model.read_text()
    assert mart.dag_id == ("update_live_marts" if model.parent.name == "live" else "transform_warehouse")
