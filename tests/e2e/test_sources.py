"""Sources by definition on a running platform: from an API through a topic, or through a file, into a table.

The stand-ins answer instead of the APIs. Nothing is triggered: an unpaused DAG starts by its schedule.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running_platform import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PRICES, WEATHER, SAVED = "crypto_prices", "weather_now", "weather_elsewhere"
COLLECTING = (f"collect_{PRICES}", f"collect_{WEATHER}")
LOADING = (f"consume_{PRICES}", f"ingest_{WEATHER}")
CITIES = ("Berlin", "London", "Nairobi", "Tokyo")
# Rows of a city that no shipped definition names.
DEFINITION = """\
name: weather_elsewhere
description: Present weather of one more city.
kind: rest
connection: source_weather_now
schedule: '*/30 * * * *'
dataset: weather_now
deliver: file
limits: {pages: 4, records: 100, seconds: 300, bytes: 1000000}
requests:
  - path: /data/2.5/weather
    params: {q: '{city}', units: metric}
    forEach: {city: [Sydney]}
pagination: {type: single_page}
auth: {type: api_key, in: query, name: appid}
"""


@pytest.fixture(scope="module")
def collecting(running: Running) -> Iterator[None]:
    """Save one more definition, and unpause the DAGs; at the end they are idle and paused again."""
    assert running.definitions is not None
    saved = running.definitions / f"{SAVED}.yaml"
    saved.write_text(DEFINITION, encoding="utf-8")
    created = [f"collect_{SAVED}"]
    try:
        for dag_id in COLLECTING:
            assert running.airflow(f"dags/{dag_id}")["is_paused"], "a DAG that collects from an API is paused at first"
        for dag_id in (*COLLECTING, *LOADING):
            pause(running, dag_id, is_paused=False)
        yield
        created = [dag_id for dag_id in created if is_known(running, dag_id)]
        running.until(lambda: not any(unfinished(running, dag_id) for dag_id in (*COLLECTING, *created)), "idle DAGs")
    finally:
        saved.unlink()
        # The DAGs that load wait for files and messages, as those of all datasets do.
        for dag_id in (*COLLECTING, *(dag_id for dag_id in created if is_known(running, dag_id))):
            pause(running, dag_id, is_paused=True)


def pause(running: Running, dag_id: str, *, is_paused: bool) -> None:
    running.airflow(f"dags/{dag_id}", {"is_paused": is_paused}, method="PATCH")


def is_known(running: Running, dag_id: str) -> bool:
    return dag_id in {dag["dag_id"] for dag in running.airflow("dags?limit=100&dag_id_pattern=collect")["dags"]}


def dag_runs(running: Running, dag_id: str) -> list[dict[str, Any]]:
    """The latest runs of a DAG, the newest first."""
    runs: list[dict[str, Any]] = running.airflow(f"dags/{dag_id}/dagRuns?order_by=-run_after&limit=20")["dag_runs"]
    return runs


def unfinished(running: Running, dag_id: str) -> list[str]:
    return [run["dag_run_id"] for run in dag_runs(running, dag_id) if run["state"] in {"queued", "running"}]


def source_runs(running: Running, source: str) -> list[dict[str, Any]]:
    """The rows of ops.source_run, the oldest first."""
    rows = running.query(
        "SELECT to_jsonb(r) FROM ops.source_run AS r WHERE source = %s ORDER BY source_run_id", [source]
    )
    return [row for (row,) in rows]


def collected(running: Running, source: str) -> list[dict[str, Any]]:
    """Wait until the first scheduled run has read every element, and return its rows of ops.source_run.

    At the half and the full hour another run may start meanwhile.
    """

    def first() -> list[str]:
        runs = dag_runs(running, f"collect_{source}")
        return [run["dag_run_id"] for run in runs if (run["run_type"], run["state"]) == ("scheduled", "success")][-1:]

    [run_id] = running.until(first, f"a scheduled run of collect_{source} has succeeded")
    return [row for row in source_runs(running, source) if row["run_id"] == run_id]


def answers(running: Running, source: str) -> dict[str, Any]:
    """The raw copies of a source's answers, by their key."""
    keys = [item.key for item in running.objects.list("raw-data", source.replace("_", "-") + "/")]
    return {key: json.loads(b"".join(running.objects.read("raw-data", key)[1])) for key in keys}


def prices_of_answers(running: Running) -> set[tuple[Any, ...]]:
    """What the table must contain: one row a coin and update."""
    return {
        (
            coin["id"],
            "usd",
            datetime.fromisoformat(coin["last_updated"]),
            coin["current_price"],
            coin["market_cap_rank"],
        )
        for answer in answers(running, PRICES).values()
        for coin in answer
    }


def ledger(running: Running, condition: str, value: object) -> list[dict[str, Any]]:
    """The entries of a topic or of a file, once all that exist are settled. Before that, the table may be missing."""
    query = f"SELECT to_jsonb(l) FROM ops.file_ingestion_log AS l WHERE {condition} ORDER BY file_id"

    def settled() -> list[dict[str, Any]]:
        entries = [entry for (entry,) in running.query(query, [value])]
        return entries if entries and all(entry["settled_at"] for entry in entries) else []

    return list(running.until(settled, f"settled entries of {value}"))


def prices(running: Running) -> list[tuple[Any, ...]]:
    return running.query("SELECT coin_id, currency, updated_at, price, market_cap_rank FROM raw.crypto_prices")


def assert_complete_prices(running: Running) -> None:
    """Wait until all messages are settled, and check that the ledger counts each message and each row once."""

    def settled() -> list[dict[str, Any]]:
        entries = ledger(running, "topic = %s", PRICES)
        written = sum(run["records_written"] for run in source_runs(running, PRICES))
        return entries if sum(entry["rows_read"] for entry in entries) == written else []

    running.until(settled, "all messages are settled")
    running.until(lambda: set(prices(running)) == prices_of_answers(running), "the rows are those of the answers")
    entries, rows = settled(), prices(running)
    assert len(rows) == len(set(rows)) == sum(entry["rows_inserted"] for entry in entries)
    assert {(entry["status"], entry["rows_rejected"]) for entry in entries} == {("archived", 0)}


def test_records_of_an_api_become_messages_and_then_rows(running: Running, collecting: None) -> None:
    [run] = collected(running, PRICES)
    assert (run["element"], run["status"], run["stand_in"]) == (
        "/api/v3/coins/markets?currency=usd", "success", True,
    )  # fmt: skip
    assert (run["records_read"], run["records_written"], run["records_failed"]) == (100, 100, 0)
    assert (run["object_key"], run["dag_id"]) == (None, f"collect_{PRICES}")
    found = answers(running, PRICES)
    assert [len(answer) for answer in found.values()] == [100] * len(found)
    assert all(re.fullmatch(r"crypto-prices/20\d\d-\d\d-\d\d/\d\d-\d\d-\d\d\.json", key) for key in found)
    assert_complete_prices(running)
    assert_started_by_schedule(running, f"consume_{PRICES}")


def test_records_of_an_api_become_files_and_then_rows(running: Running, collecting: None) -> None:
    runs = collected(running, WEATHER)
    assert sorted(run["element"] for run in runs) == [f"/data/2.5/weather?city={city}" for city in CITIES]
    assert {(run["status"], run["stand_in"], run["records_written"]) for run in runs} == {("success", True, 1)}
    for run in runs:
        assert run["object_key"].startswith(f"incoming/{WEATHER}/{WEATHER}/data-2.5-weather-city-")
        [entry] = ledger(running, "object_key = %s", run["object_key"])
        assert (entry["status"], entry["rows_read"], entry["rows_inserted"]) == ("archived", 1, 1)
        assert entry["rows_rejected"] == 0
    found = answers(running, WEATHER)
    assert {city_of(key) for key in found} == set(CITIES)
    running.until(lambda: rows_of_weather(running) == measured(running), "the rows are those of the answers")
    assert_started_by_schedule(running, f"ingest_{WEATHER}")


def rows_of_weather(running: Running) -> set[tuple[Any, ...]]:
    query = "SELECT city, measured_at, temperature::float FROM raw.weather_now WHERE city = ANY(%s)"
    return set(running.query(query, [list(CITIES)]))


def measured(running: Running) -> set[tuple[Any, ...]]:
    """What the table must contain: one row a city and measurement."""
    return {
        (city_of(key), datetime.fromtimestamp(answer["dt"], UTC), answer["main"]["temp"])
        for key, answer in answers(running, WEATHER).items()
    }


def city_of(key: str) -> str:
    return key.rpartition("-")[2].removesuffix(".json")


def assert_started_by_schedule(running: Running, dag_id: str) -> None:
    assert {run["run_type"] for run in dag_runs(running, dag_id)} == {"scheduled"}
    assert "failed" not in {run["state"] for run in dag_runs(running, dag_id)}


def test_saved_definition_becomes_a_dag_whose_records_become_rows(running: Running, collecting: None) -> None:
    dag_id = f"collect_{SAVED}"
    running.until(lambda: is_known(running, dag_id), "the definition has a DAG")
    assert running.airflow(f"dags/{dag_id}")["is_paused"]
    pause(running, dag_id, is_paused=False)
    [run] = collected(running, SAVED)
    assert (run["status"], run["stand_in"], run["records_written"]) == ("success", True, 1)
    [entry] = ledger(running, "object_key = %s", run["object_key"])
    assert (entry["status"], entry["rows_read"], entry["rows_inserted"]) == ("archived", 1, 1)
    assert running.query("SELECT DISTINCT city FROM raw.weather_now WHERE _file_id = %s", [entry["file_id"]]) == [
        ("Sydney",)
    ]


def test_second_run_of_a_source_doubles_no_row(running: Running, collecting: None) -> None:
    """Prices change every minute: until then the API answers 304, afterwards with new rows."""
    collected(running, PRICES)
    started = running.airflow(f"dags/collect_{PRICES}/dagRuns", {"logical_date": None})
    running.until(
        lambda: {run["dag_run_id"]: run["state"] for run in dag_runs(running, f"collect_{PRICES}")}.get(
            started["dag_run_id"]
        ) == "success",
        "the second run",
    )  # fmt: skip
    [again] = [run for run in source_runs(running, PRICES) if run["run_id"] == started["dag_run_id"]]
    assert (again["status"], again["requests"]) == ("success", 1)
    assert again["records_written"] in {0, 100}
    assert_complete_prices(running)
