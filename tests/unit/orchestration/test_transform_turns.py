"""When features are announced, and how long a run rests; in a process of its own: Airflow reads settings at import."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from include.orchestration import transform
from include.orchestration.assets import build_started, features
from include.orchestration.rest import RestAsLong, length_of_rest

class Events(list):
    '''What Airflow gives for an inlet: the events of an asset, oldest first unless asked.'''
    def ascending(self, ascending=True):
        return self if ascending else Events(reversed(self))
    def limit(self, count):
        return Events(self[:count])

def announced(staged, told, by_news=True, by_clock=False):
    noted = {}
    context = {
        "dag_run": SimpleNamespace(run_type="scheduled" if by_clock else "asset_triggered" if by_news else "manual"),
        "inlet_events": {features(): Events(SimpleNamespace(extra=extra) for extra in told)},
        "outlet_events": {features(): SimpleNamespace(extra=noted)},
        "triggering_asset_events": {"raw.sales": []} if by_news else {},
    }
    transform.get_current_context = lambda: context
    transform.staged_commits = lambda config: staged
    from include.orchestration import stores
    stores.warehouse_transform_config = lambda: None
    try:
        transform.announce_features.function()
    except AirflowSkipException:
        return None
    return noted

def looked(loaded, noted, run_type):
    context = {
        "dag_run": SimpleNamespace(run_type=run_type),
        "inlet_events": {build_started(): Events(SimpleNamespace(extra=extra) for extra in noted)},
    }
    transform.get_current_context = lambda: context
    transform.loaded_files = lambda config: loaded
    from include.orchestration import stores
    stores.warehouse_transform_config = lambda: None
    return transform.find_new_rows.function()

def rested(minutes, by_news=True):
    now = datetime.now(UTC)
    run = SimpleNamespace(start_date=now - timedelta(minutes=minutes))
    try:
        RestAsLong(task_id="rest").execute(
            {"dag_run": run, "triggering_asset_events": {"raw.sales": []} if by_news else {}}
        )
    except AirflowSkipException:
        return "skipped"
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        return [path.rpartition(".")[2], arguments["end_from_trigger"], round((arguments["moment"] - now).seconds / 60)]

none = {"commits": 0, "newest": None, "version": "0"}
first = {"commits": 3, "newest": "2026-01-01", "version": "11"}
corrected = {"commits": 3, "newest": "2026-01-01", "version": "12"}
at = datetime(2026, 1, 1, tzinfo=UTC)
empty = {"loads": 0, "newest": None}
older = {"loads": 1, "newest": "2026-01-01"}
loads = {"loads": 2, "newest": "2026-01-01"}
print("TOLD" + json.dumps({
    "never told": announced(first, []),
    "told": announced(first, [corrected, first]),
    "told before that": announced(first, [first, corrected]),
    "told, by hand": announced(first, [first], by_news=False),
    "told, by the clock": announced(first, [first], by_news=False, by_clock=True),
    "other versions": announced(corrected, [first]),
    "no commits": announced(none, []),
    "told by somebody else": announced(first, [{"from_rest_api": True}]),
    "looked": {
        "nothing new, by the clock": looked(loads, [older, loads], "scheduled"),
        "something new, by the clock": looked(loads, [loads, older], "scheduled"),
        "first look, by the clock": looked(loads, [], "scheduled"),
        "nothing at all, by the clock": looked(empty, [], "scheduled"),
        "nothing new, by an event": looked(loads, [loads], "asset_triggered"),
        "nothing new, by hand": looked(loads, [loads], "manual"),
        "nothing at all, by hand": looked(empty, [], "manual"),
    },
    "rest": {
        "as long": rested(3), "longest": rested(90), "by hand": rested(3, by_news=False),
        "nobody knows": length_of_rest(None, at).seconds,
        "clock put back": length_of_rest(at + timedelta(hours=1), at).total_seconds(),
    },
}))
"""
FIRST = {"commits": 3, "newest": "2026-01-01", "version": "11"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(home), "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/x.db",
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True, text=True, env=environment, cwd=home, timeout=120, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    [line] = [line for line in answer.stdout.splitlines() if line.startswith("TOLD")]
    found: dict[str, Any] = json.loads(line.removeprefix("TOLD"))
    return found


@pytest.mark.parametrize(
    ("case", "noted"),
    [
        ("never told", FIRST),
        ("told", None),
        ("told before that", FIRST),
        ("told, by hand", FIRST),
        ("told, by the clock", None),
        ("other versions", FIRST | {"version": "12"}),
        ("no commits", None),
        ("told by somebody else", FIRST),
    ],
)
def test_features_are_announced_once_whatever_started_the_run(
    told: dict[str, Any], case: str, noted: dict[str, Any] | None
) -> None:
    assert told[case] == noted


@pytest.mark.parametrize(
    ("case", "goes_on"),
    [
        ("nothing new, by the clock", False),
        ("something new, by the clock", True),
        ("first look, by the clock", True),
        ("nothing at all, by the clock", False),
        ("nothing new, by an event", True),
        ("nothing new, by hand", True),
        ("nothing at all, by hand", True),
    ],
)
def test_the_clock_starts_a_build_only_if_something_was_loaded(told: dict[str, Any], case: str, goes_on: bool) -> None:
    """What came while the DAG was paused: Airflow keeps no event of it."""
    assert bool(told["looked"][case]) == goes_on


@pytest.mark.parametrize(
    ("case", "rest"),
    [
        ("as long", ["DateTimeTrigger", True, 3]),
        ("longest", ["DateTimeTrigger", True, 10]),
        ("by hand", "skipped"),
        ("nobody knows", 0),
        ("clock put back", 0),
    ],
)
def test_run_rests_as_long_as_it_worked_without_a_worker(told: dict[str, Any], case: str, rest: object) -> None:
    assert told["rest"][case] == rest
