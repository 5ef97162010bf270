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
from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.orchestration.lake import changed_by, stop_at_failed, updates_of
from include.quality.lake import tables_in_lake
from include.quality.marts import MARTS

contracts = [read_contract(Path(sys.argv[1]) / f"{name}.yaml") for name in ("sales", "commits", "inventory")]
def updated(*events):
    return sorted(table.title for table in tables_in_lake(*changed_by(set(events), contracts, MARTS)))
retryable = ("raw.a", RetryableError(Code.BUCKET_UNAVAILABLE, "no answer"))
permanent = ("raw.b", PermanentError(Code.WAREHOUSE_REFUSED, "no right"))
def stopped(*failed):
    try:
        stop_at_failed(dict(failed))
    except PipelineError as error:
        return [type(error).__name__, error.code, error.message]
stop_at_failed({})
print("RESULTS" + json.dumps({
    "no event": updated(),
    "rows": updated("raw.sales"),
    "rows of a table outside the lake": updated("raw.inventory"),
    "rows and live marts": updated("raw.commits", "analytics.live_marts"),
    "marts": updated("analytics.marts"),
    "failures": [stopped(retryable), stopped(retryable, permanent), stopped(permanent)],
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


def test_failures_of_all_tables_are_one_error(results: dict[str, Any]) -> None:
    [retryable, both, permanent] = results["failures"]
    assert retryable == ["RetryableError", "bucket-unavailable", "1 table was not updated. raw.a: no answer"]
    assert both[0] == "PermanentError"  # a retry does not help all of them
    assert both[2] == "2 tables were not updated. raw.a: no answer; raw.b: no right"
    assert permanent[:2] == ["PermanentError", "warehouse-refused"]
