"""Which tables `filegate check --asset NAME` checks, by the contracts of the checkout."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.cli.check import _lines, _selected
from include.contracts.catalog import read_catalog
from include.contracts.model import Severity
from include.quality.records import CheckResult, TableReport
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CATALOG = read_catalog(CONTRACTS_DIR)
OF_EVENTS = ["developer_insights", "repository_insights", "activity_by_hour"]


@pytest.mark.parametrize(
    ("name", "datasets", "marts"),
    [
        pytest.param("crypto", ["crypto_candles", "crypto_prices"], ["crypto_price_summary"], id="first-word"),
        pytest.param("weather", ["weather"], ["weather_analytics"], id="dataset-with-its-marts"),
        pytest.param("github", ["github_events"], OF_EVENTS, id="first-word-of-a-dataset-with-marts"),
        pytest.param("weather_analytics", [], ["weather_analytics"], id="mart"),
        pytest.param("analytics.daily_sales", [], ["daily_sales"], id="mart-with-its-schema"),
        pytest.param("inventory", ["inventory"], [], id="dataset-without-marts"),
    ],
)
def test_tables_of_a_name(name: str, datasets: list[str], marts: list[str]) -> None:
    contracts, chosen, broken = _selected(CATALOG, name)
    assert sorted(contract.dataset for contract in contracts) == datasets
    assert [mart.table for mart in chosen] == marts
    assert broken == []


def test_every_table_is_checked_without_a_name() -> None:
    contracts, marts, _ = _selected(CATALOG, None)
    assert len(contracts) == len(CATALOG.contracts)
    assert len(marts) == len({mart.table for mart in marts}) > len(OF_EVENTS)


def test_check_of_nothing_is_shown_as_skipped() -> None:
    result = CheckResult(
        "has_data", None, Severity.INFO, success=True, observed="no data yet", expected="", skipped=True
    )
    lines = list(_lines([TableReport("weather", NOW, [result])]))
    assert lines == [
        "weather: 1 check, 0 passed, 1 skipped",
        "  skipped   has_data: no data yet",
        "1 table: 1 check, 0 passed, 1 skipped",
    ]
