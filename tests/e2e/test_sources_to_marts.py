"""From the stand-ins of three APIs by topics and raw tables to the live marts: no run is triggered manually."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from source_dags import collected, dag_runs, ledger, pause, unfinished

from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running_platform import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

SOURCES = ("crypto_prices", "weather", "github_events")
COLLECTING = [f"collect_{source}" for source in SOURCES]
CONSUMING = [f"consume_{source}" for source in SOURCES]
BUILDING, CHECKING = "update_live_marts", "check_live_sources"


def query(running: Running, statement: str) -> list[tuple[Any, ...]]:
    with connect(running.platform.warehouse_config("reader")) as connection:
        return connection.execute(statement.encode()).fetchall()


def count(running: Running, statement: str) -> int:
    [(found,)] = query(running, statement)
    return int(found or 0)


@pytest.fixture(scope="module")
def built(running: Running) -> Iterator[None]:
    """Unpause the DAGs, and wait until the marts have every row that was loaded; at the end the sources are paused."""
    try:
        for dag_id in (*COLLECTING, *CONSUMING, BUILDING, CHECKING):
            pause(running, dag_id, is_paused=False)
        for source in SOURCES:
            collected(running, source)
            ledger(running, "topic = %s", source)
        running.until(lambda: is_complete(running), "the marts have all rows", 600)
        yield
        running.until(lambda: not any(unfinished(running, one) for one in COLLECTING), "idle DAGs")
    finally:
        for dag_id in COLLECTING:
            pause(running, dag_id, is_paused=True)


def is_complete(running: Running) -> bool:
    marts = ("activity_by_hour", "crypto_price_summary", "repository_insights", "weather_analytics")
    made = "SELECT count(*) FROM pg_tables WHERE schemaname = 'analytics' AND tablename = ANY ('{%s}')"
    if count(running, made % ",".join(marts)) < len(marts):
        return False
    cities = [f"SELECT count(DISTINCT city) FROM {name}" for name in ("raw.weather", "analytics.weather_analytics")]
    if 0 in (found := [count(running, one) for one in cities]) or found[0] != found[1]:
        return False
    prices = "SELECT sum(points + missing_points) FROM analytics.crypto_price_summary WHERE window_size = 'day'"
    loaded = [count(running, f"SELECT count(*) FROM raw.{name}") for name in ("crypto_prices", "github_events")]
    return 0 not in loaded and loaded == [
        count(running, prices), count(running, "SELECT sum(events) FROM analytics.repository_insights")
    ]  # fmt: skip


def test_marts_are_built_from_every_loaded_row_without_manual_triggers(running: Running, built: None) -> None:
    for dag_id in (*COLLECTING, *CONSUMING, BUILDING, CHECKING):
        runs = dag_runs(running, dag_id)
        # A test of the sources triggers the first one, and says so.
        allowed = {"scheduled", "asset_triggered"} | ({"manual"} if dag_id == COLLECTING[0] else set())
        assert {run["run_type"] for run in runs} <= allowed, dag_id
        assert "failed" not in {run["state"] for run in runs}, dag_id
    assert "asset_triggered" in {run["run_type"] for run in dag_runs(running, BUILDING)}


def test_weather_is_that_of_the_hours_so_far(running: Running, built: None) -> None:
    hours: dict[Any, list[float]] = defaultdict(list)
    for city, day, temperature in query(
        running,
        "SELECT city, (observed_at AT TIME ZONE 'UTC')::date, temperature_c FROM raw.weather ORDER BY observed_at",
    ):
        hours[city, day].append(temperature)
    days = query(running, "SELECT city, day, readings, temperature_mean_c FROM analytics.weather_analytics")
    assert {city for city, *_ in days} == {"Berlin", "London", "Nairobi", "Tokyo"}
    for city, day, readings, mean in days:
        assert mean == pytest.approx(statistics.mean(hours[city, day][:readings]))
    [(forecasts,)] = query(running, "SELECT count(*) FROM analytics.weather_analytics WHERE day > now()::date")
    assert forecasts == 0


def test_events_of_the_marts_are_those_of_the_table(running: Running, built: None) -> None:
    loaded = dict(query(running, "SELECT repository, count(*) FROM raw.github_events GROUP BY repository"))
    insights = "SELECT repository, sum(events)::bigint FROM analytics.repository_insights GROUP BY repository"
    assert dict(query(running, insights)) == loaded
    assert count(running, "SELECT sum(events) FROM analytics.activity_by_hour") == sum(loaded.values())
    actors = "SELECT count(*) FROM raw.github_events WHERE actor_login IS NOT NULL"
    assert count(running, "SELECT sum(events) FROM analytics.developer_insights") == count(running, actors)
