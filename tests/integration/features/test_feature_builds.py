"""Builds of features.<view>: which times, incremental and full, parameters, ready views, and the command."""

from __future__ import annotations

import json
import statistics
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from project_world import T0, World
from typer.testing import CliRunner

from include.cli.features import app
from include.features.build import build, midnights, sample
from include.features.reader import read_shared, read_view
from include.features.tables import create_ready_view, fit
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from pathlib import Path

    from feature_warehouse import Warehouse

    from include.features.compiler import FeatureView

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
NOW = T0 + timedelta(hours=9)
VIEWS = ("users", "tasks", "projects", "teams")


def short(view: FeatureView, days: int = 6) -> FeatureView:
    return replace(view, file=view.file.model_copy(update={"history": days}))


def content(warehouse: Warehouse, view: FeatureView) -> list[dict[str, Any]]:
    """The table without created_timestamp."""
    rows = warehouse.rows(f"SELECT * FROM features.{view.name} ORDER BY event_timestamp, {view.key}")
    return [{name: value for name, value in row.items() if name != "created_timestamp"} for row in rows]


@pytest.mark.parametrize("name", VIEWS)
def test_table_has_the_features_of_each_midnight(
    warehouse: Warehouse, views: dict[str, FeatureView], name: str
) -> None:
    warehouse.load(World(1).rows)
    view = short(views[name])
    done = build(warehouse.transform, view, NOW)
    times = [T0 - DAY * back for back in (5, 4, 3, 2, 1, 0)]
    assert midnights(NOW, 6) == times == midnights(T0, 6)
    assert content(warehouse, view) == [row for at in times for row in sample(warehouse.transform, view, at)]
    assert (done.times, done.rows, done.parameters) == (6, len(content(warehouse, view)), 1)
    columns = list(warehouse.rows(f"SELECT * FROM features.{name} LIMIT 1")[0])
    assert columns == [view.key, "event_timestamp", *(one.name for one in view.features), "created_timestamp"]


@pytest.mark.parametrize("name", VIEWS)
def test_incremental_build_equals_a_full_one(warehouse: Warehouse, views: dict[str, FeatureView], name: str) -> None:
    rows, view = World(2).rows, short(views[name])
    late = [row for row in rows["activity"] if T0 - 3 * DAY <= row["occurred_at"] < T0]
    changed = next(row for row in rows["tasks"] if T0 - 4 * DAY < row["updated_at"] < T0 - 2 * DAY)
    warehouse.load(rows | {"activity": [row for row in rows["activity"] if row not in late]})
    warehouse.insert("tasks", [changed | {"status": "cancelled", "project_id": "project-0"}])
    build(warehouse.transform, view, NOW - 2 * DAY)
    assert build(warehouse.transform, view, NOW - 2 * DAY).times == 0, "nothing has changed"
    warehouse.insert("activity", late)
    warehouse.insert("tasks", [changed])
    done = build(warehouse.transform, view, NOW)
    incremental = content(warehouse, view)
    assert build(warehouse.transform, view, NOW, full=True).times == 6
    assert incremental == content(warehouse, view)
    first_day = changed["updated_at"].replace(hour=0, minute=0, second=0, microsecond=0)
    assert done.times == sum(at > first_day for at in midnights(NOW, 6)) < 6


def test_build_after_rows_were_deleted_or_moved_equals_a_full_one(
    warehouse: Warehouse, views: dict[str, FeatureView]
) -> None:
    rows, view = World(3).rows, short(views["users"])
    warehouse.load(rows)
    build(warehouse.transform, view, NOW)
    moved = [row for row in rows["activity"] if T0 - 3 * DAY <= row["occurred_at"] < T0 - DAY]
    warehouse.insert("activity", [row | {"occurred_at": T0 + 5 * DAY} for row in moved])
    assert 0 < build(warehouse.transform, view, NOW).times < 6
    incremental = content(warehouse, view)
    build(warehouse.transform, view, NOW, full=True)
    assert incremental == content(warehouse, view)


def test_same_rows_loaded_again_are_no_change(warehouse: Warehouse, views: dict[str, FeatureView]) -> None:
    rows, view = World(3).rows, short(views["teams"])
    warehouse.load(rows)
    build(warehouse.transform, view, NOW)
    warehouse.load(rows)
    assert build(warehouse.transform, view, NOW).times == 0


def test_other_formula_builds_every_row_again(warehouse: Warehouse, views: dict[str, FeatureView]) -> None:
    warehouse.load(World(1).rows)
    view = short(views["teams"])
    build(warehouse.transform, view, NOW)
    first, *others = view.file.features
    features = (first.model_copy(update={"sql": f"{first.sql} + 100"}), *others)
    other = replace(view, file=view.file.model_copy(update={"features": features}))
    assert build(warehouse.transform, other, NOW).times == 6
    assert all(row[first.name] >= 100 for row in content(warehouse, other))


def test_other_normalisation_replaces_the_ready_view_and_computes_no_row(
    warehouse: Warehouse, views: dict[str, FeatureView]
) -> None:
    warehouse.load(World(1).rows)
    view = short(views["teams"])
    build(warehouse.transform, view, NOW)
    first, *others = view.file.features
    features = (first.model_copy(update={"normalize": "none"}), *others)
    other = replace(view, file=view.file.model_copy(update={"features": features}))
    assert build(warehouse.transform, other, NOW).times == 0
    ready = warehouse.rows("SELECT team_id, event_timestamp, team_size FROM features.teams_ready ORDER BY 1, 2")
    assert ready == warehouse.rows("SELECT team_id, event_timestamp, team_size FROM features.teams ORDER BY 1, 2")


def test_parameters_are_of_28_days_and_stay_until_they_are_fitted_again(
    warehouse: Warehouse, views: dict[str, FeatureView]
) -> None:
    warehouse.load(World(1).rows)
    view = short(views["tasks"], 31)
    build(warehouse.transform, view, NOW)
    build(warehouse.transform, view, NOW + DAY)
    found = warehouse.rows("SELECT * FROM features.parameters WHERE view = 'tasks'")
    assert {(row["version"], row["fitted_from"], row["fitted_until"]) for row in found} == {(1, T0 - 28 * DAY, T0)}
    table = [row for row in content(warehouse, view) if T0 - 28 * DAY <= row["event_timestamp"] < T0]
    assert {row["feature"] for row in found} == {one.name for one in view.features}
    for row in found:
        values = [float(one[row["feature"]]) for one in table if one[row["feature"]] is not None]
        wanted = (
            len(values), statistics.fmean(values), statistics.pstdev(values), min(values), max(values),
            statistics.median(values),
        )  # fmt: skip
        names = ("rows", "mean", "stddev", "minimum", "maximum", "median")
        assert tuple(row[name] for name in names) == pytest.approx(wanted), row["feature"]
    assert fit(warehouse.transform, view, T0 - 10 * DAY) == 2


@pytest.mark.parametrize("name", VIEWS)
def test_ready_view_replaces_missing_values_and_normalises(
    warehouse: Warehouse, views: dict[str, FeatureView], name: str
) -> None:
    warehouse.load(World(4).rows)
    view = short(views[name])
    build(warehouse.transform, view, NOW)
    fit(warehouse.transform, view, T0 - DAY)
    create_ready_view(warehouse.transform, view)
    newest = {
        row["feature"]: row
        for row in warehouse.rows("SELECT * FROM features.parameters WHERE view = %s AND version = 2", name)
    }
    ready = warehouse.rows(f"SELECT * FROM features.{name}_ready ORDER BY event_timestamp, {view.key}")
    table = content(warehouse, view)
    assert len(ready) == len(table)
    for raw, row in zip(table, ready, strict=True):
        for one in view.features:
            wanted = expected_ready(one, raw[one.name], newest.get(one.name, {}))
            assert row[one.name] == (wanted if wanted is None or one.type == "text" else pytest.approx(wanted))


def expected_ready(feature: Any, value: Any, parameters: dict[str, Any]) -> Any:
    if value is None:
        constant = getattr(feature.missing, "constant", None)
        known = {"zero": 0, "mean": parameters.get("mean"), "median": parameters.get("median"), "keep": None}
        value = constant if constant is not None else known[feature.missing]
    if value is None or feature.normalize == "none":
        return value
    if not parameters["rows"]:
        return None
    if feature.normalize == "zscore":
        base, divisor = parameters["mean"], parameters["stddev"]
    else:
        base, divisor = parameters["minimum"], parameters["maximum"] - parameters["minimum"]
    return 0 if divisor == 0 else (value - base) / divisor


SHARED = """
datasets:
  users: {kind: history, key: user_id, time: updated_at}
  orders: {kind: events, key: order_id, time: ordered_at}
"""
SMALL = """
view: small
description: A small view.
owner: test
entity: user
joinKey: user_id
history: 3
rows:
  reads: [%s]
  sql: SELECT user_id, weekly_capacity_hours AS hours FROM %s
features:
  - {name: hours, type: double, description: d, source: s, sql: hours, missing: drop, normalize: minmax}
"""


def small(folder: Path, dataset: str) -> FeatureView:
    (folder / "shared.yaml").write_text(SHARED)
    (folder / "small.yaml").write_text(SMALL % (dataset, dataset))
    return read_view(folder / "small.yaml", read_shared(folder / "shared.yaml"))


def test_dropped_rows_and_equal_values_in_the_ready_view(warehouse: Warehouse, tmp_path: Path) -> None:
    state = {"updated_at": T0 - 9 * DAY, "is_active": True}
    warehouse.insert(
        "users",
        [
            {"user_id": user, "weekly_capacity_hours": hours, **state}
            for user, hours in {"a": 40, "b": None, "c": 40}.items()
        ],
    )
    build(warehouse.transform, small(tmp_path, "users"), T0)
    found = warehouse.rows("SELECT user_id, hours FROM features.small_ready WHERE event_timestamp = %s", T0)
    assert sorted((row["user_id"], row["hours"]) for row in found) == [("a", 0), ("c", 0)]
    assert len(warehouse.rows("SELECT FROM features.small WHERE event_timestamp = %s", T0)) == 3


def test_view_of_a_table_that_does_not_exist_is_not_built(warehouse: Warehouse, tmp_path: Path) -> None:
    assert build(warehouse.transform, small(tmp_path, "orders"), T0).missing == ("orders",)


def test_user_view_and_rights_on_the_table_stay_when_old_rows_change(
    warehouse: Warehouse, views: dict[str, FeatureView]
) -> None:
    rows, view = World(2).rows, short(views["teams"])
    warehouse.load(rows)
    build(warehouse.transform, view, NOW)
    for name in ("teams", "teams_ready"):
        warehouse.transform.execute(f"CREATE VIEW features.mine_{name} AS SELECT team_id FROM features.{name}".encode())
    warehouse.insert("activity", [rows["activity"][0] | {"occurred_at": T0 - 200 * DAY}])
    assert build(warehouse.transform, view, NOW).times == 6, "every time is computed again"
    assert build(warehouse.transform, view, NOW, full=True).times == 6
    for name in ("teams", "teams_ready"):
        found = warehouse.transform.execute(f"SELECT count(*) > 0 FROM features.mine_{name}".encode()).fetchall()
        assert found == [(True,)]


@pytest.fixture
def environment(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses and passwords that commands read."""
    for role in ("ingest", "transform", "reader"):
        config = warehouse.platform.warehouse_config(role)
        monkeypatch.setenv(f"WAREHOUSE_{role.upper()}_PASSWORD", config.password.get_secret_value())
        monkeypatch.setenv("WAREHOUSE_PORT", str(config.port))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "arguments",
    [
        ["build"],
        ["build", "small"],
        ["sample", "small", "--at", "2026-03-01"],
        ["fit", "small", "--until", "2026-03-01"],
    ],
    ids=" ".join,
)
def test_command_without_raw_tables_ends_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    small(tmp_path, "orders")
    monkeypatch.setattr("include.cli.features.FEATURES_DIR", tmp_path)
    ended = CliRunner().invoke(app, arguments)
    assert (ended.exit_code, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert "filegate " in line
    assert "Traceback" not in line


@pytest.mark.usefixtures("environment")
def test_commands(warehouse: Warehouse, views: dict[str, FeatureView]) -> None:
    warehouse.load(World(1).rows)
    wanted = sample(warehouse.transform, views["users"], T0)
    shown = CliRunner().invoke(app, ["sample", "users", "--at", "2026-03-01", "--json"])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert found == [row | {"event_timestamp": "2026-03-01T00:00:00+00:00"} for row in wanted]
    one = CliRunner().invoke(app, ["sample", "users", "--at", "2026-03-01", "--entity", found[1]["user_id"], "--json"])
    assert json.loads(one.stdout) == [found[1]]
    assert warehouse.rows("SELECT to_regclass('features.users') AS made") == [{"made": None}], "it writes nothing"
    built = CliRunner().invoke(app, ["build", "teams"])
    assert built.exit_code == 0, built.output
    assert built.stdout.startswith("teams: 90 times, ")
    fitted = CliRunner().invoke(app, ["fit", "teams", "--until", "2026-03-01"])
    assert fitted.stdout == "teams: parameters version 2\n"
    refused = CliRunner().invoke(app, ["sample", "user", "--at", "2026-03-01"])
    assert refused.exit_code == 1
    assert "there is no view 'user': views: projects, tasks, teams, users" in refused.stderr


def test_two_builds_and_two_fits_at_once_wait_for_each_other(
    warehouse: Warehouse, views: dict[str, FeatureView]
) -> None:
    warehouse.load(World(1).rows)
    view = short(views["users"])
    config = warehouse.platform.warehouse_config("transform")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with connect(config) as connection:
                build(connection, view, NOW, full=True)
                fit(connection, view, T0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    times = midnights(NOW, 6)
    assert content(warehouse, view) == [row for at in times for row in sample(warehouse.transform, view, at)]
    versions = warehouse.rows("SELECT DISTINCT version FROM features.parameters WHERE view = 'users' ORDER BY 1")
    assert [row["version"] for row in versions] == [1, 2, 3, 4, 5]
