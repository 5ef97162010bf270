"""Sources by definition on a running platform: from an API, a database or a bucket, by topic or file, into a table.

The stand-ins answer instead of the APIs. First runs are not triggered: an unpaused DAG starts by its schedule.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from secret_search import SecretSearch
from source_dags import (
    collected,
    dag_runs,
    is_known,
    ledger,
    pause,
    source_runs,
    succeeded,
    task_states,
    trigger,
    unfinished,
)
from source_systems import ORDERS, USERS, Partner, Shop, added, running_partner, running_shop

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
def shop() -> Iterator[Shop]:
    with running_shop() as shop:
        yield shop


@pytest.fixture(scope="module")
def partner() -> Iterator[Partner]:
    with running_partner() as partner:
        yield partner


@pytest.fixture(scope="module")
def collecting(running: Running, shop: Shop, partner: Partner) -> Iterator[None]:
    """Save more definitions, and unpause the DAGs that are known; at the end all are idle and paused again."""
    assert running.definitions is not None
    saved = running.definitions / f"{SAVED}.yaml"
    created = [f"collect_{source}" for source in (SAVED, USERS, ORDERS)]
    try:
        with added(running, shop, partner):
            saved.write_text(DEFINITION, encoding="utf-8")
            for dag_id in COLLECTING:
                assert running.airflow(f"dags/{dag_id}")["is_paused"], "a DAG that collects from an API is paused first"
            for dag_id in (*COLLECTING, *LOADING):
                pause(running, dag_id, is_paused=False)
            yield
            created = [dag_id for dag_id in created if is_known(running, dag_id)]
            running.until(lambda: not any(unfinished(running, one) for one in (*COLLECTING, *created)), "idle DAGs")
    finally:
        saved.unlink(missing_ok=True)
        # The DAGs that load wait for files and messages, as those of all datasets do.
        for dag_id in (*COLLECTING, *(dag_id for dag_id in created if is_known(running, dag_id))):
            pause(running, dag_id, is_paused=True)


@pytest.fixture(scope="module")
def unpaused(running: Running, collecting: None) -> None:
    """Unpause the DAGs of the database and the bucket, both before a test waits for one."""
    for dag_id in (f"collect_{USERS}", f"collect_{ORDERS}"):
        running.until(lambda dag_id=dag_id: is_known(running, dag_id), f"{dag_id} is known", 420)
        assert running.airflow(f"dags/{dag_id}")["is_paused"]
        assert dag_runs(running, dag_id) == []
    for dag_id in (f"collect_{USERS}", f"collect_{ORDERS}"):
        pause(running, dag_id, is_paused=False)


def answers(running: Running, source: str) -> dict[str, Any]:
    """The raw copies of a source's answers, by their key."""
    keys = [item.key for item in running.objects.list("raw-data", source.replace("_", "-") + "/")]
    return {key: json.loads(b"".join(running.objects.read("raw-data", key)[1])) for key in keys}


def prices_of_answers(running: Running) -> set[tuple[Any, ...]]:
    """What the table must contain: one row a coin and update."""
    return {
        (
            coin["id"],
            datetime.fromisoformat(coin["last_updated"]),
            coin["current_price"],
            coin["market_cap"],
        )
        for answer in answers(running, PRICES).values()
        for coin in answer
    }


def prices(running: Running) -> list[tuple[Any, ...]]:
    return running.query("SELECT coin_id, last_updated, price_usd, market_cap FROM raw.crypto_prices")


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
    again = succeeded(running, PRICES, trigger(running, PRICES))
    assert (again["status"], again["requests"]) == ("success", 1)
    assert again["records_written"] in {0, 100}
    assert_complete_prices(running)


def figures(entry: dict[str, Any]) -> tuple[Any, ...]:
    names = ("status", "rows_read", "rows_inserted", "rows_updated", "rows_unchanged", "rows_rejected")
    return tuple(entry[name] for name in names)


def users(running: Running) -> list[tuple[str | None, ...]]:
    return running.query(
        "SELECT id::text, name, born::text, balance::text, to_char(updated_at AT TIME ZONE 'UTC', "
        "'YYYY-MM-DD HH24:MI:SS.US') FROM raw.shop_users ORDER BY id"
    )


def test_rows_of_a_database_become_rows_of_the_warehouse(running: Running, shop: Shop, unpaused: None) -> None:
    [run] = collected(running, USERS)
    assert (run["status"], run["records_read"], run["records_written"]) == ("success", 4, 4)
    assert (run["records_failed"], run["stand_in"], run["dag_id"]) == (0, False, f"collect_{USERS}")
    assert run["element"] == "shop.users"
    assert task_states(running, USERS, run["run_id"]) == [
        ("collect", "success", "shop.users: 4 records"), ("list_elements", "success", None),
    ]  # fmt: skip
    [entry] = ledger(running, "dataset = %s", USERS)
    assert entry["object_key"] == run["object_key"]
    assert figures(entry) == ("archived", 4, 3, 0, 0, 1)
    [refused] = running.query(
        "SELECT source_row, column_name, code, message LIKE '%%0000-00-00%%' FROM ops.rejected_rows WHERE file_id = %s",
        [entry["file_id"]],
    )
    assert refused == (3, "born", "bad-date", True)
    assert users(running) == shop.users
    assert_started_by_schedule(running, f"collect_{USERS}")
    assert_started_by_schedule(running, f"ingest_{USERS}")


def orders(running: Running) -> list[tuple[str, str]]:
    return running.query("SELECT order_no, amount::text FROM raw.partner_orders ORDER BY order_no")


def copied(running: Running) -> dict[str, tuple[Any, ...]]:
    """What became of each copy, by its path in incoming/."""
    prefix = f"incoming/{ORDERS}/{ORDERS}/"
    return {
        entry["object_key"].removeprefix(prefix): figures(entry)
        for entry in ledger(running, "dataset = %s", ORDERS)
    }  # fmt: skip


def test_objects_of_another_store_become_rows_of_the_warehouse(running: Running, unpaused: None) -> None:
    [run] = collected(running, ORDERS)
    assert (run["status"], run["records_read"], run["records_written"]) == ("success", 2, 2)
    assert (run["records_failed"], run["records_skipped"], run["stand_in"]) == (0, 1, False)
    assert task_states(running, ORDERS, run["run_id"]) == [
        ("collect", "success", "s3://exports/orders/: 2 objects"), ("list_elements", "success", None),
    ]  # fmt: skip
    both = {"2026/01/orders.csv": ("archived", 2, 2, 0, 0, 0), "2026/02/orders.csv": ("archived", 1, 1, 0, 0, 0)}
    running.until(lambda: copied(running) == both, "both objects are loaded")
    assert orders(running) == [("A1", "1.50"), ("A2", "2.50"), ("B1", "10.00")]
    assert_started_by_schedule(running, f"collect_{ORDERS}")
    assert_started_by_schedule(running, f"ingest_{ORDERS}")


def test_second_run_reads_what_has_changed_in_a_database_and_no_object_again(
    running: Running, shop: Shop, partner: Partner, unpaused: None
) -> None:
    for source in (USERS, ORDERS):
        collected(running, source)
    [first] = ledger(running, "dataset = %s", USERS)
    before = copied(running), orders(running)
    shop.run("UPDATE users SET name = 'Torvalds' WHERE id = 2; INSERT INTO users (id, name) VALUES (5, 'Grace')")
    started = {source: trigger(running, source) for source in (USERS, ORDERS)}

    run = succeeded(running, USERS, started[USERS])
    assert (run["records_read"], run["records_written"]) == (3, 3), "those of the overlap, and no older one"
    entries = running.until(lambda: (e := ledger(running, "dataset = %s", USERS)) != [first] and e, "another entry")
    # A retry of an attempt that had succeeded delivers the same rows again: a duplicate, which loads nothing.
    loaded = [figures(entry) for entry in entries if entry["status"] != "duplicate"]
    assert loaded == [("archived", 4, 3, 0, 0, 1), ("archived", 3, 1, 1, 1, 0)]
    assert users(running) == shop.users
    run = succeeded(running, ORDERS, started[ORDERS])
    assert (run["records_read"], run["records_written"], run["bytes"]) == (0, 0, 0)
    assert (copied(running), orders(running)) == before


def test_changed_object_is_copied_and_loaded_again(running: Running, partner: Partner, unpaused: None) -> None:
    collected(running, ORDERS)
    # A run of the test before would copy the object first.
    running.until(lambda: not unfinished(running, f"collect_{ORDERS}"), f"collect_{ORDERS} is idle")
    before = copied(running)
    partner.put("orders/2026/01/orders.csv", "order_no,amount\nA1,1.75\nA2,2.50\nA3,3.50\n")
    run = succeeded(running, ORDERS, trigger(running, ORDERS))
    assert (run["records_read"], run["records_written"]) == (1, 1)
    changed = {"~2/2026/01/orders.csv": ("archived", 3, 1, 1, 1, 0)}
    running.until(lambda: copied(running) == before | changed, "the new version is loaded")
    assert orders(running) == [("A1", "1.75"), ("A2", "2.50"), ("A3", "3.50"), ("B1", "10.00")]


def test_logs_show_no_password_of_a_source(running: Running, shop: Shop, partner: Partner, unpaused: None) -> None:
    for source in (USERS, ORDERS):
        collected(running, source)
    passwords = {each.connection["connection_id"]: each.connection["password"] for each in (shop, partner)}
    layout, search = running.platform.settings.layout, SecretSearch(passwords)
    assert search.in_folder(layout.logs) | search.in_folder(layout.airflow) == set()
