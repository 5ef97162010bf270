"""When the asset event of the features is created, when a build starts, and how long a run cools down.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

from typing import Any

import pytest

from tests.unit.orchestration.airflow_script import results_of

pytestmark = pytest.mark.unit

SCRIPT = """
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from include.orchestration import transform
from include.orchestration.scheduling import Cooldown, build_started, cooldown_length, features, live_build_started

class Events(list):
    '''The events of an inlet asset as Airflow returns them, oldest first by default.'''
    def ascending(self, ascending=True):
        return self if ascending else Events(reversed(self))
    def limit(self, count):
        return Events(self[:count])

def announced(staged, previous, run_type="asset_triggered"):
    extra = {}
    context = {
        "dag_run": SimpleNamespace(run_type=run_type),
        "inlet_events": {features(): Events(SimpleNamespace(extra=each) for each in previous)},
        "outlet_events": {features(): SimpleNamespace(extra=extra)},
        "triggering_asset_events": {"raw.sales": []} if run_type == "asset_triggered" else {},
    }
    transform.get_current_context = lambda: context
    transform.staged_commits = lambda config: staged
    from include.orchestration import stores
    stores.warehouse_transform_config = lambda: None
    try:
        transform.announce_features.function()
    except AirflowSkipException:
        return None
    return extra

def new_live_rows(loaded, previous):
    context = {
        "dag_run": SimpleNamespace(run_type="scheduled"),
        "inlet_events": {live_build_started(): Events(SimpleNamespace(extra=each) for each in previous)},
    }
    asked = []
    transform.get_current_context = lambda: context
    transform.loaded_files = lambda config, datasets: asked.extend(datasets) or loaded
    from include.orchestration import stores
    stores.warehouse_transform_config = lambda: None
    return [asked, transform.find_new_live_rows.function()]

def new_rows(loaded, previous, run_type):
    context = {
        "dag_run": SimpleNamespace(run_type=run_type),
        "inlet_events": {build_started(): Events(SimpleNamespace(extra=each) for each in previous)},
    }
    transform.get_current_context = lambda: context
    transform.loaded_files = lambda config: loaded
    from include.orchestration import stores
    stores.warehouse_transform_config = lambda: None
    return transform.find_new_rows.function()

def cooled_down(minutes, by_event=True, run_type="asset_triggered", cycle=0):
    now = datetime.now(UTC)
    run = SimpleNamespace(start_date=now - timedelta(minutes=minutes), run_type=run_type)
    try:
        Cooldown(task_id="cool_down", least_cycle=timedelta(minutes=cycle)).execute(
            {"dag_run": run, "triggering_asset_events": {"raw.sales": []} if by_event else {}}
        )
    except AirflowSkipException:
        return "skipped"
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        return [path.rpartition(".")[2], arguments["end_from_trigger"], round((arguments["moment"] - now).seconds / 60)]

none = {"commits": 0, "newest": None, "version": "0"}
first = {"commits": 3, "newest": "2026-01-01", "version": "11"}
corrected = {"commits": 3, "newest": "2026-01-01", "version": "12"}
at, minute = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
empty = {"loads": 0, "newest": None}
older = {"loads": 1, "newest": "2026-01-01"}
loads = {"loads": 2, "newest": "2026-01-01"}
print("RESULTS" + json.dumps({
    "never announced": announced(first, []),
    "announced": announced(first, [corrected, first]),
    "announced before another version": announced(first, [first, corrected]),
    "announced, manual": announced(first, [first], "manual"),
    "announced, scheduled": announced(first, [first], "scheduled"),
    "other versions": announced(corrected, [first]),
    "no commits": announced(none, []),
    "event of another origin": announced(first, [{"from_rest_api": True}]),
    "new rows": {
        "nothing new, scheduled": new_rows(loads, [older, loads], "scheduled"),
        "something new, scheduled": new_rows(loads, [loads, older], "scheduled"),
        "first run, scheduled": new_rows(loads, [], "scheduled"),
        "no loads, scheduled": new_rows(empty, [], "scheduled"),
        "nothing new, by an event": new_rows(loads, [loads], "asset_triggered"),
        "nothing new, manual": new_rows(loads, [loads], "manual"),
        "no loads, manual": new_rows(empty, [], "manual"),
    },
    "new live rows": [new_live_rows(loads, [loads]), new_live_rows(loads, [older])],
    "cooldown": {
        "as long as the work": cooled_down(3), "longest": cooled_down(90), "manual": cooled_down(3, by_event=False),
        "unknown start": cooldown_length(None, at).seconds,
        "cycle": [cooldown_length(at - minute * each, at, minute * 5).seconds for each in (1, 3, 6)],
        "by clock": [cooled_down(1, False, "scheduled", each) for each in (0, 5)],
        "with a cycle, manual": cooled_down(1, False, "manual", 5),
        "clock set back": cooldown_length(at + timedelta(hours=1), at).total_seconds(),
    },
}))
"""
FIRST = {"commits": 3, "newest": "2026-01-01", "version": "11"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    return results_of(SCRIPT, home)


@pytest.mark.parametrize(
    ("case", "extra"),
    [
        ("never announced", FIRST),
        ("announced", None),
        ("announced before another version", FIRST),
        ("announced, manual", FIRST),
        ("announced, scheduled", None),
        ("other versions", FIRST | {"version": "12"}),
        ("no commits", None),
        ("event of another origin", FIRST),
    ],
)
def test_features_are_announced_once_for_every_run_type(
    results: dict[str, Any], case: str, extra: dict[str, Any] | None
) -> None:
    assert results[case] == extra


@pytest.mark.parametrize(
    ("case", "continues"),
    [
        ("nothing new, scheduled", False),
        ("something new, scheduled", True),
        ("first run, scheduled", True),
        ("no loads, scheduled", False),
        ("nothing new, by an event", True),
        ("nothing new, manual", True),
        ("no loads, manual", True),
    ],
)
def test_scheduled_run_builds_only_if_something_was_loaded(results: dict[str, Any], case: str, continues: bool) -> None:
    """It catches up on loads while the DAG was paused: Airflow keeps no events for a paused DAG."""
    assert bool(results["new rows"][case]) == continues


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("as long as the work", ["DateTimeTrigger", True, 3]),
        ("longest", ["DateTimeTrigger", True, 10]),
        ("manual", "skipped"),
        ("unknown start", 0),
        ("clock set back", 0),
        ("cycle", [240, 180, 360]),
        ("by clock", ["skipped", ["DateTimeTrigger", True, 4]]),
        ("with a cycle, manual", "skipped"),
    ],
)
def test_run_cools_down_as_long_as_it_worked_without_a_worker(
    results: dict[str, Any], case: str, expected: object
) -> None:
    assert results["cooldown"][case] == expected


def test_live_run_by_the_clock_looks_at_the_loads_of_live_datasets_only(results: dict[str, Any]) -> None:
    asked, found = zip(*results["new live rows"], strict=True)
    assert set(map(tuple, asked)) == {("crypto_prices", "weather", "github_events")}
    assert found == ({}, {"loads": 2, "newest": "2026-01-01"})
