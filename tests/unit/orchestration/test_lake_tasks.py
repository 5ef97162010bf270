"""Which tables a run of update_lake updates.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

from typing import Any

import pytest

from tests.unit.orchestration.airflow_script import ROOT, results_of

pytestmark = pytest.mark.unit

SCRIPT = """
import json, sys
from pathlib import Path
from include.contracts.reader import read_contract
from include.orchestration.lake import changed_by, updates_of
from include.quality.lake import tables_in_lake
from include.quality.marts import MARTS

contracts = [read_contract(Path(sys.argv[1]) / f"{name}.yaml") for name in ("sales", "commits", "inventory")]
def updated(*events):
    return sorted(table.title for table in tables_in_lake(*changed_by(set(events), contracts, MARTS)))
print("RESULTS" + json.dumps({
    "no event": updated(),
    "rows": updated("raw.sales"),
    "rows of a table outside the lake": updated("raw.inventory"),
    "rows and live marts": updated("raw.commits", "analytics.live_marts"),
    "marts": updated("analytics.marts"),
    "waits": sorted(asset.name for asset in updates_of(contracts).asset_condition.objects),
}))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return results_of(SCRIPT, tmp_path_factory.mktemp("airflow"), str(ROOT / "contracts"))


LIVE = {"activity_by_hour", "crypto_price_summary", "developer_insights", "repository_insights", "weather_analytics"}


def test_run_updates_the_tables_of_its_events(results: dict[str, Any]) -> None:
    assert results["rows"] == ["raw.sales"]
    assert results["rows of a table outside the lake"] == []
    assert results["rows and live marts"] == sorted(["raw.commits", *(f"analytics.{name}" for name in LIVE)])
    assert "analytics.daily_sales" in results["marts"]
    assert not LIVE & {title.removeprefix("analytics.") for title in results["marts"]}


def test_run_without_an_event_updates_every_table(results: dict[str, Any]) -> None:
    live = {f"analytics.{name}" for name in LIVE}
    assert set(results["no event"]) == {"raw.sales", "raw.commits", *live, *results["marts"]}


def test_run_starts_at_events_of_these_tables(results: dict[str, Any]) -> None:
    assert results["waits"] == ["analytics.live_marts", "analytics.marts", "raw.commits", "raw.sales"]
