"""The marts of the live sources, from files that the real pipeline loads, compared in every column with Python.

A build takes seconds, so the tests share three: of the first files, of late, corrected and moved rows at a later time,
and a full one of the same rows.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import live_marts as expected
import pytest

if TYPE_CHECKING:
    from dbt_project import Row, Warehouse

pytestmark = pytest.mark.integration

KEYS = {
    "crypto_price_summary": ("coin_id", "window_size", "window_start"),
    "weather_analytics": ("city", "day"),
    "developer_insights": ("day", "actor_login"),
    "repository_insights": ("day", "repository"),
    "activity_by_hour": ("weekday", "hour"),
}
SOURCES = {
    "crypto_prices": ("coin_id", "last_updated"), "weather": ("city", "observed_at"), "github_events": ("id",)
}  # fmt: skip
EMPTY_DAY = expected.MONDAY + 8 * expected.DAY
FIRST = {
    "crypto_prices": expected.prices(1, 400),
    "weather": expected.hours_of_weather(2, 0.97),
    # Two events of a day that has no other: they move away later.
    "github_events": expected.events(3, 500, 0) + [
        row | {"created_at": expected.text_of(EMPTY_DAY + timedelta(hours=5)), "actor_login": login}
        for row, login in zip(expected.events(4, 2, 900), ("ada", None), strict=True)
    ],
}  # fmt: skip
LATE = {
    "crypto_prices": expected.prices(5, 40)
    + [row | {"price_usd": 77.0, "market_cap": None} for row in FIRST["crypto_prices"][:9]],
    "weather": [row for row in expected.hours_of_weather(6, 0.5) if row["city"] != "Nairobi"][::17]
    + [row | {"temperature_c": 25.0} for row in FIRST["weather"][100:160]],
    "github_events": expected.events(7, 40, 1000)
    + [expected.moved(row, 20 * expected.DAY) for row in FIRST["github_events"][:12] + FIRST["github_events"][-2:]]
    + [row | {"repository": "p/new"} for row in FIRST["github_events"][50:60]],
}  # fmt: skip


def newest(dataset: str, *batches: dict[str, list[Row]]) -> list[Row]:
    """The rows of the table: of a key the last to arrive. No row of these batches is older than its predecessor."""
    rows = [row for batch in batches for row in batch[dataset]]
    return list({tuple(row[name] for name in SOURCES[dataset]): row for row in rows}.values())


def tables(warehouse: Warehouse) -> dict[str, list[Row]]:
    return {
        model: warehouse.sql(f"SELECT * FROM analytics.{model} ORDER BY {', '.join(keys)}")
        for model, keys in KEYS.items()
    }


def build(warehouse: Warehouse, started_at: datetime, *arguments: str) -> dict[str, list[Row]]:
    selected = [f"+{model}" for model in KEYS]
    results = warehouse.build(
        "--select", *selected, "--vars", json.dumps({"run_started_at": started_at.isoformat()}), *arguments
    )
    bad = {name: result["message"] for name, result in results.items() if result["status"] not in {"success", "pass"}}
    assert bad == {}
    return tables(warehouse)


@pytest.fixture(scope="module")
def first(warehouse: Warehouse) -> dict[str, list[Row]]:
    for dataset, rows in FIRST.items():
        warehouse.send(dataset, f"{dataset}{'-' if dataset == 'weather' else '_'}1.ndjson", rows)
    warehouse.make_tables()
    return build(warehouse, expected.FIRST_RUN)


@pytest.fixture(scope="module")
def incremental(warehouse: Warehouse, first: dict[str, list[Row]]) -> dict[str, list[Row]]:
    for dataset, rows in LATE.items():
        warehouse.send(dataset, f"{dataset}{'-' if dataset == 'weather' else '_'}2.ndjson", rows)
    return build(warehouse, expected.SECOND_RUN, "--exclude-resource-type", "unit_test")


def wanted(model: str, started_at: datetime, *batches: dict[str, list[Row]]) -> dict[tuple[Any, ...], Row]:
    match model:
        case "crypto_price_summary":
            return expected.price_summary(newest("crypto_prices", *batches))
        case "weather_analytics":
            return expected.weather_days(newest("weather", *batches), started_at)
        case "developer_insights":
            return expected.developers(newest("github_events", *batches))
        case "repository_insights":
            return expected.repositories(newest("github_events", *batches))
        case _:
            return expected.hours_of_week(newest("github_events", *batches))


def assert_equal(model: str, rows: list[Row], wanted: dict[tuple[Any, ...], Row]) -> None:
    found = {tuple(row[name] for name in KEYS[model]): row for row in rows}
    assert found.keys() == wanted.keys()
    for key, row in found.items():
        values = {name: value for name, value in row.items() if name not in {*KEYS[model], "rows_version"}}
        assert values.keys() == wanted[key].keys()
        for name, value in values.items():
            want = wanted[key][name]
            assert type(value) is type(want) or {type(value), type(want)} == {int, float}, (key, name, value, want)
            close = pytest.approx(want, rel=1e-9, abs=1e-9) if isinstance(want, float) else want
            assert value == close, (key, name)


@pytest.mark.parametrize("model", KEYS)
def test_full_build_has_what_python_computes(first: dict[str, list[Row]], model: str) -> None:
    assert_equal(model, first[model], wanted(model, expected.FIRST_RUN, FIRST))


@pytest.mark.parametrize("model", KEYS)
def test_incremental_build_has_what_python_computes(incremental: dict[str, list[Row]], model: str) -> None:
    assert_equal(model, incremental[model], wanted(model, expected.SECOND_RUN, FIRST, LATE))


def test_rows_hold_the_cases_that_they_are_made_for(
    first: dict[str, list[Row]], incremental: dict[str, list[Row]]
) -> None:
    days = incremental["weather_analytics"]
    assert {row["is_anomaly"] for row in days} == {None, True, False}
    assert {row["condition"] for row in days} >= {"clear", "rain", "snow", "thunderstorm"}
    assert any(row["temperature_anomaly_c"] is not None and row["temperature_anomaly_z"] is None for row in days)
    assert max(row["day"] for row in days) > max(row["day"] for row in first["weather_analytics"])
    assert {row["trend"] for row in incremental["crypto_price_summary"]} == {None, "up", "down", "flat"}
    before, after = ({row["day"] for row in built["developer_insights"]} for built in (first, incremental))
    assert before - after == {EMPTY_DAY.date()}
    assert any(row["rank_in_day"] is None for row in incremental["developer_insights"])


def test_incremental_build_writes_changed_windows_only(
    warehouse: Warehouse, first: dict[str, list[Row]], incremental: dict[str, list[Row]]
) -> None:
    def versions(model: str) -> dict[Any, str]:
        names = ", ".join(KEYS[model])
        rows = warehouse.sql(f"SELECT {names}, xmin::text AS version FROM analytics.{model}")
        return {tuple(row[name] for name in KEYS[model]): row["version"] for row in rows}

    before = {model: versions(model) for model in KEYS}
    warehouse.send("crypto_prices", "crypto_prices_3.ndjson", FIRST["crypto_prices"][20:21])  # loaded again, unchanged
    late = FIRST["crypto_prices"][20] | {"total_volume": 3.0}
    warehouse.send("crypto_prices", "crypto_prices_4.ndjson", [late])
    build(warehouse, expected.SECOND_RUN, "--exclude-resource-type", "unit_test")
    changed = {
        model: {key for key, version in versions(model).items() if before[model].get(key) != version}
        for model in ("crypto_price_summary", "weather_analytics", "developer_insights", "repository_insights")
    }
    assert {key[:2] for key in changed.pop("crypto_price_summary")} == {
        (late["coin_id"], "day"),
        (late["coin_id"], "week"),
    }
    last_days = {(expected.SECOND_RUN - back * expected.DAY).date() for back in (0, 1)}
    assert {day for _, day in changed.pop("weather_analytics")} == last_days
    assert changed == {"developer_insights": set(), "repository_insights": set()}


def test_full_build_of_the_same_rows_equals_the_incremental_one(
    warehouse: Warehouse, incremental: dict[str, list[Row]]
) -> None:
    before = tables(warehouse)
    assert build(warehouse, expected.SECOND_RUN, "--exclude-resource-type", "unit_test", "--full-refresh") == before
