"""The check of the warehouse on real tables: a sound table passes, and each breach fails the expected check."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from include.contracts.model import Column, ColumnType, Contract, Expectation, Severity
from include.errors import Code, PermanentError, RetryableError
from include.quality import check
from include.quality.evaluate import Evaluator
from include.quality.marts import Mart
from include.quality.plan import plan
from include.quality.results import read_history, read_runs
from include.quality.table_stats import TableStats, UnreadableTableError
from include.settings import QualitySettings
from include.stores.object_store import ObjectStore
from include.stores.sql_text import statement
from local.services import bucket as local_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.quality.records import CheckResult, TableReport
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

BUCKET = "quality-check-warehouse"
SETTINGS = QualitySettings(docs_bucket=BUCKET, schedule_minutes=15, deviations=5)
DATASET = "quality_orders"
HISTORY = f"{DATASET}/history.html"
ROWS_OF_A_LOAD = 10
LOADS = 8
ORDERS = Contract(
    dataset=DATASET,
    version="1.0.0",
    description="",
    columns=(
        Column("order_id", ColumnType.TEXT, required=True, pattern="O[0-9]+"),
        Column("customer", ColumnType.TEXT, required=True),
        Column("quantity", ColumnType.INTEGER, minimum="1", maximum="100"),
        Column("price", ColumnType.NUMBER, minimum="0", exclusive_minimum=True),
        Column("ordered_on", ColumnType.DATE, minimum="2000-01-01"),
        Column("region", ColumnType.TEXT, allowed=("North", "South")),
    ),
    key=("order_id",),
    newest_by=None,
    path=Path("quality_orders.yaml"),
    freshness_hours=24.0,
    expectations=(
        Expectation("expect_table_row_count_to_be_between", (("min_value", 1), ("max_value", 20)), Severity.CRITICAL),
        Expectation(
            "expect_column_values_to_not_be_null", (("column", "region"), ("mostly", 0.5)), Severity.INFO
        ),
    ),
)  # fmt: skip
Failure = tuple[str, str | None, str]


@dataclass
class House:
    """The warehouse and the bucket, with methods that run the check."""

    platform: Platform
    owner: psycopg.Connection[Any]

    def sql(self, query: str, *values: object) -> list[Any]:
        cursor = self.owner.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def check(self, *contracts: Contract, marts: tuple[Mart, ...] = ()) -> list[TableReport]:
        warehouse, s3 = self.platform.warehouse_config("transform"), self.platform.s3_config
        return check.check_warehouse(contracts or (ORDERS,), check.CheckedStores(warehouse), s3, SETTINGS, marts=marts)

    def failures(self, *contracts: Contract, marts: tuple[Mart, ...] = ()) -> set[Failure]:
        """Return the failed checks from ops.quality_result; a critical failure is raised after they are written."""
        raised: PermanentError | None = None
        try:
            self.check(*contracts, marts=marts)
        except PermanentError as error:
            raised = error
        rows = self.sql(
            "SELECT expectation, column_name, severity FROM ops.quality_result"
            " WHERE NOT success AND file_id IS NULL"
        )  # fmt: skip
        is_critical = "critical" in {severity for _, _, severity in rows}
        assert (raised.code if raised else None) == (Code.QUALITY_CRITICAL if is_critical else None)
        return {(expectation, column, severity) for expectation, column, severity in rows}

    def results(self, contract: Contract = ORDERS) -> dict[str, CheckResult]:
        [report] = self.check(contract)
        return {result.expectation: result for result in report.results}


@pytest.fixture(scope="module")
def owner(platform: Platform) -> Iterator[psycopg.Connection[Any]]:
    with connected(platform, "owner") as connection:
        yield connection


@pytest.fixture(scope="module")
def bucket(platform: Platform) -> Any:
    client = local_bucket.client(platform.s3_config)
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def house(platform: Platform, owner: psycopg.Connection[Any], bucket: Any) -> Iterator[House]:
    """A sound table with a few loads, one per hour, and an empty bucket."""
    house = House(platform, owner)
    columns = [{"name": c.name, "type": c.postgres_type, "required": c.required} for c in ORDERS.columns]
    clean(house)
    house.sql("SELECT ops.ensure_dataset(%s, %s::jsonb, %s)", DATASET, json.dumps(columns), list(ORDERS.key))
    house.sql(
        f"INSERT INTO raw.{DATASET} (_file_id, _source_row, _loaded_at, order_id, customer, quantity, price,"
        " ordered_on, region) SELECT 1, g, now(), 'O' || g, 'C' || g, 5, 1.5, '2026-01-31', 'North'"
        " FROM generate_series(1, %s) AS g",
        ROWS_OF_A_LOAD * LOADS,
    )
    house.sql(
        "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, sha256, status, rows_read, rows_inserted,"
        " rows_updated, rows_unchanged, rows_duplicate, rows_rejected, loaded_at, settled_at, dag_id, run_id)"
        " SELECT %s, 'landing', 'f' || g, %s || g, 'archived', %s, %s, 0, 0, 0, 0, now()"
        " - make_interval(hours => g, mins => 30), now(), 'ingest', 'run-' || g FROM generate_series(0, %s) AS g",
        DATASET, DATASET, ROWS_OF_A_LOAD, ROWS_OF_A_LOAD, LOADS - 1,
    )  # fmt: skip
    yield house
    clean(house)
    for item in ObjectStore(platform.s3_config).list(BUCKET, ""):
        bucket.delete_object(Bucket=BUCKET, Key=item.key)


def clean(house: House) -> None:
    house.sql(f"DROP TABLE IF EXISTS raw.{DATASET}, staging.stg_quality, analytics.quality_daily")
    house.sql("DELETE FROM ops.file_ingestion_log WHERE dataset = %s", DATASET)
    house.sql("DELETE FROM ops.quality_result WHERE file_id IS NULL")


@contextmanager
def connected(platform: Platform, role: str) -> Iterator[psycopg.Connection[Any]]:
    config = platform.warehouse_config(role)
    with psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True,
    ) as connection:  # fmt: skip
        yield connection


def test_sound_warehouse_passes_and_every_result_is_stored(house: House) -> None:
    [report] = house.check()
    assert report.failed() == []
    written = house.sql(
        "SELECT expectation, column_name, severity, success, observed, expected FROM ops.quality_result"
        " WHERE dataset = %s AND file_id IS NULL ORDER BY result_id",
        DATASET,
    )
    assert written == [
        (r.expectation, r.column, r.severity.value, r.success, r.observed, r.expected) for r in report.results
    ]
    names = {result.expectation for result in report.results}
    assert names >= {
        "table_is_there", "columns_are_there", "key_is_unique", "ledger_balances", "rows_are_accounted_for",
        "volume_is_usual", "expect_column_values_to_not_be_null", "expect_column_values_to_be_between",
        "expect_column_values_to_be_in_set", "expect_column_values_to_match_regex", "data_is_fresh",
        "expect_table_row_count_to_be_between",
    }  # fmt: skip
    volume = next(result for result in report.results if result.expectation == "volume_is_usual")
    assert volume.severity is Severity.WARNING


LEDGER = "ops.file_ingestion_log"
OWN = "WHERE dataset = 'quality_orders'"
LATEST = f"{OWN} AND object_key = 'f0'"


@pytest.mark.parametrize(
    ("breach", "found"),
    [
        pytest.param(
            "UPDATE {t} SET customer = NULL WHERE order_id = 'O7'",
            {("expect_column_values_to_not_be_null", "customer", "critical")},
            id="a required value is missing",
        ),
        pytest.param(
            "UPDATE {t} SET quantity = 101 WHERE order_id = 'O7'",
            {("expect_column_values_to_be_between", "quantity", "warning")},
            id="out of range",
        ),
        pytest.param(
            "UPDATE {t} SET price = 0 WHERE order_id = 'O7'",
            {("expect_column_values_to_be_between", "price", "warning")},
            id="on an open end",
        ),
        pytest.param(
            "UPDATE {t} SET ordered_on = '1999-12-31' WHERE order_id = 'O7'",
            {("expect_column_values_to_be_between", "ordered_on", "warning")},
            id="a day out of range",
        ),
        pytest.param(
            "UPDATE {t} SET region = 'Nord' WHERE order_id = 'O7'",
            {("expect_column_values_to_be_in_set", "region", "warning")},
            id="not in the list",
        ),
        pytest.param(
            "UPDATE {t} SET order_id = 'xO7' WHERE order_id = 'O7'",
            {("expect_column_values_to_match_regex", "order_id", "warning")},
            id="another pattern",
        ),
        pytest.param(
            "UPDATE {t} SET region = NULL WHERE _source_row > 10",
            {("expect_column_values_to_not_be_null", "region", "info")},
            id="the contract's own expectation",
        ),
        pytest.param(
            f"UPDATE {LEDGER} SET loaded_at = loaded_at - interval '25 hours' {OWN}",
            {("data_is_fresh", None, "warning")},
            id="older than promised",
        ),
        pytest.param(
            f"UPDATE {LEDGER} SET loaded_at = loaded_at - interval '73 hours' {OWN}",
            {("data_is_fresh", None, "warning"), ("data_is_fresh", None, "critical")},
            id="three times older than promised",
        ),
        pytest.param(
            f"UPDATE ops.file_ingestion_log SET rows_read = 500, rows_unchanged = 490 {LATEST}",
            {("volume_is_usual", None, "warning")},
            id="fifty times the volume",
        ),
        pytest.param(
            "DELETE FROM {t} WHERE order_id = 'O7'",
            {("rows_are_accounted_for", None, "warning")},
            id="a row deleted manually",
        ),
        pytest.param(
            "ALTER TABLE {t} DROP CONSTRAINT quality_orders_pkey; UPDATE {t} SET order_id = 'O7' WHERE order_id = 'O8'",
            {("expect_column_values_to_be_unique", "order_id", "critical")},
            id="a duplicate key where the index is gone",
        ),
        pytest.param("ALTER TABLE {t} DROP COLUMN price", {("columns_are_there", None, "warning")}, id="a column gone"),
        pytest.param("DROP TABLE {t}", {("table_is_there", None, "critical")}, id="the table gone"),
        pytest.param(
            "TRUNCATE {t}",
            {
                ("rows_are_accounted_for", None, "warning"),
                ("expect_table_row_count_to_be_between", None, "critical"),
            },
            id="emptied",
        ),
    ],
)
def test_breach_fails_the_expected_check(house: House, breach: str, found: set[Failure]) -> None:
    house.sql(breach.replace("{t}", f"raw.{DATASET}"))
    assert house.failures() == found


def test_unbalanced_ledger_is_critical(house: House) -> None:
    table, rule = "ops.file_ingestion_log", "loaded_rows_balance"
    [[definition]] = house.sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", rule)
    house.sql(f"ALTER TABLE {table} DROP CONSTRAINT {rule}")
    try:
        house.sql(f"UPDATE {table} SET rows_rejected = NULL {LATEST}")
        assert house.failures() == {("ledger_balances", None, "critical")}
    finally:
        house.sql(f"DELETE FROM {table} WHERE dataset = %s", DATASET)
        house.sql(f"ALTER TABLE {table} ADD CONSTRAINT {rule} {definition}")


@pytest.mark.parametrize("table", ["missing", "empty"])
def test_dataset_without_data_is_no_failure(house: House, table: str) -> None:
    house.sql("DELETE FROM ops.file_ingestion_log WHERE dataset = %s", DATASET)
    house.sql(f"{'DROP TABLE' if table == 'missing' else 'TRUNCATE'} raw.{DATASET}")
    [report] = house.check()
    assert [(r.expectation, r.severity, r.success) for r in report.results] == [("has_data", Severity.INFO, True)]


def test_locked_table_is_a_warning_and_others_are_checked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_LOCK_TIMEOUT", 1)
    never = replace(ORDERS, dataset="quality_never")
    with connected(house.platform, "owner") as other, other.transaction():
        other.execute(f"LOCK TABLE raw.{DATASET} IN ACCESS EXCLUSIVE MODE")
        locked, untouched = house.check(ORDERS, never)
    assert [(r.expectation, r.severity, r.success) for r in locked.results] == [
        ("table_is_readable", Severity.WARNING, False)
    ]
    assert [result.expectation for result in untouched.results] == ["has_data"]


def test_table_that_is_locked_only_for_the_library_is_unreadable_too(house: House) -> None:
    config = house.platform.warehouse_config("transform").model_copy(update={"lock_timeout": 1})
    columns = [column.name for column in ORDERS.columns]
    checks = plan(ORDERS, columns, key_is_enforced=True, patterns=())
    evaluator = Evaluator(config)
    try:
        with connected(house.platform, "owner") as other, other.transaction():
            other.execute(f"LOCK TABLE raw.{DATASET} IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(UnreadableTableError):
                evaluator.evaluate(checks, "raw", DATASET)
        assert all(result.success for result, _ in evaluator.evaluate(checks, "raw", DATASET))
    finally:
        evaluator.close()


def test_check_leaves_no_connection_open(house: House) -> None:
    sessions = "SELECT pid FROM pg_stat_activity WHERE usename = 'transform'"
    before = set(house.sql(sessions))
    house.check()
    # A session ends a moment after its connection is closed.
    for _ in range(200):
        left = set(house.sql(sessions)) - before
        if not left:
            break
        time.sleep(0.1)
    assert not left


def test_expectation_that_cannot_be_evaluated_fails_alone(house: House) -> None:
    odd = Expectation("expect_column_mean_to_be_between", (("column", "customer"), ("min_value", 0)), Severity.WARNING)
    contract = replace(ORDERS, expectations=(*ORDERS.expectations, odd))
    [report] = house.check(contract)
    [failed] = report.failed()
    assert (failed.expectation, failed.severity) == (odd.type, Severity.WARNING)
    assert failed.observed.startswith("not evaluated: ")


def test_pattern_of_another_dialect_is_reported_and_breaks_no_other_check(house: House) -> None:
    columns = (replace(ORDERS.columns[0], pattern=r"\pL[0-9]+"), *ORDERS.columns[1:])
    [report] = house.check(replace(ORDERS, columns=columns))
    assert [(r.expectation, r.severity) for r in report.failed()] == [("pattern_is_usable", Severity.INFO)]


def delivered(house: House, name: str, run: str, ago: str, **rows: int) -> None:
    """Add a load with these row counts by kind to the ledger."""
    kinds = {"inserted": 0, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 0, **rows}
    house.sql(
        "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, sha256, status, rows_read, rows_inserted,"
        " rows_updated, rows_unchanged, rows_duplicate, rows_rejected, loaded_at, settled_at, dag_id, run_id)"
        " VALUES (%s, 'landing', %s, %s, 'loaded', %s, %s, %s, %s, %s, %s, now() - %s::interval, now(), 'ingest', %s)",
        DATASET, name, name, sum(kinds.values()), *kinds.values(), ago, run,
    )  # fmt: skip


def test_load_of_deletes_alone_is_no_load_to_compare(house: House) -> None:
    before = house.results()["volume_is_usual"]
    delivered(house, "deletes", "deletes", "8 minutes")
    after = house.results()["volume_is_usual"]
    assert (after.success, after.observed) == (before.success, before.observed)


def test_loads_of_one_run_count_together_and_new_ones_are_all_judged(house: House) -> None:
    # Two files of a run some minutes ago, and a small one since: together the two are far from usual.
    house.sql(f"UPDATE {LEDGER} SET run_id = 'both' {LATEST}")
    delivered(house, "b", "both", "9 minutes", unchanged=490)
    delivered(house, "c", "alone", "8 minutes", unchanged=9)
    volume = house.results()["volume_is_usual"]
    assert not volume.success
    assert volume.observed.startswith("500 rows")
    assert volume.expected.endswith("as the last 7 loads")


@pytest.mark.parametrize(
    ("ago", "later", "judged"),
    [
        pytest.param("1 minute", None, False, id="it may not have finished"),
        pytest.param("6 minutes", None, True, id="it was inactive"),
        pytest.param("1 minute", "loaded", True, id="a newer run has loaded rows"),
        pytest.param("1 minute", "claimed", True, id="a newer run has started"),
    ],
)
def test_run_is_judged_once_it_has_ended(house: House, ago: str, later: str | None, judged: bool) -> None:
    delivered(house, "half", "newest", ago, unchanged=500)
    if later == "loaded":
        delivered(house, "next", "later", "0 minutes", unchanged=10)
    elif later:
        house.sql(
            "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, status, dag_id, run_id)"
            " VALUES (%s, 'landing', 'next', %s, 'ingest', 'later')",
            DATASET, later,
        )  # fmt: skip
    volume = house.results()["volume_is_usual"]
    assert volume.success is not judged
    assert volume.observed.startswith("500 rows" if judged else "10 rows")
    assert volume.expected.endswith(f"as the last {LOADS if judged else LOADS - 1} loads")


def test_delivery_in_which_nothing_changed_is_fresh(house: House) -> None:
    house.sql(f"UPDATE raw.{DATASET} SET _loaded_at = now() - interval '73 hours'")
    house.sql(f"UPDATE {LEDGER} SET loaded_at = loaded_at - interval '73 hours' {OWN}")
    delivered(house, "same", "same", "1 minute", unchanged=ROWS_OF_A_LOAD)
    assert house.failures() == set()


def test_dataset_of_which_only_refused_messages_came_has_no_data_yet(house: House) -> None:
    house.sql(f"DELETE FROM {LEDGER} {OWN}")
    house.sql(f"TRUNCATE raw.{DATASET}")
    delivered(house, "refused", "refused", "4 days", rejected=1)
    assert [(r.expectation, r.success) for r in house.check()[0].results] == [("has_data", True)]
    house.sql(f"DROP TABLE raw.{DATASET}")
    assert [(r.expectation, r.success) for r in house.check()[0].results] == [("has_data", True)]


DAILY = Mart("quality_daily", ("day",), ("staging", "stg_quality"))


def build_mart(house: House) -> None:
    """Create both tables, empty, as the first run of the transformations does."""
    for table in ("staging.stg_quality", "analytics.quality_daily"):
        house.sql(f"CREATE TABLE {table} (day date)")
        house.sql(f"GRANT SELECT ON {table} TO transform")


def test_mart_is_judged_by_its_source_and_not_by_later_loads(house: House) -> None:
    assert house.check(marts=(DAILY,))[1:] == []
    build_mart(house)
    [_, early] = house.check(marts=(DAILY,))
    assert [(r.expectation, r.success) for r in early.results] == [("has_data", True)]
    house.sql("INSERT INTO staging.stg_quality VALUES ('2026-01-31')")
    house.sql("INSERT INTO analytics.quality_daily VALUES ('2026-01-31')")
    [_, built] = house.check(marts=(DAILY,))
    assert len(built.results) == 2
    assert built.failed() == []


@pytest.mark.parametrize(
    ("breach", "found"),
    [
        pytest.param(
            "INSERT INTO {m} VALUES ('2026-01-31'), ('2026-01-31')",
            ("expect_column_values_to_be_unique", "day", "critical"),
            id="a duplicate",
        ),
        pytest.param("TRUNCATE {m}", ("expect_table_row_count_to_be_between", None, "critical"), id="emptied"),
        pytest.param("DROP TABLE {m}", ("table_is_there", None, "critical"), id="gone"),
    ],
)
def test_breach_of_a_mart_is_critical(house: House, breach: str, found: Failure) -> None:
    build_mart(house)
    house.sql("INSERT INTO staging.stg_quality VALUES ('2026-01-31')")
    house.sql(breach.replace("{m}", "analytics.quality_daily"))
    assert house.failures(marts=(DAILY,)) == {found}


def test_remedy_queries_run_if_a_column_is_called_order(house: House) -> None:
    house.sql(f'ALTER TABLE raw.{DATASET} RENAME COLUMN customer TO "order"')
    house.sql(f"""UPDATE raw.{DATASET} SET "order" = NULL WHERE order_id = 'O7'""")
    columns = (ORDERS.columns[0], replace(ORDERS.columns[1], name="order"), *ORDERS.columns[2:])
    with pytest.raises(PermanentError, match="on order"):
        house.check(replace(ORDERS, columns=columns))
    names = [column.name for column in columns]
    for query in plan(replace(ORDERS, columns=columns), names, key_is_enforced=True, patterns={"^(?:O[0-9]+)$"}):
        if query.remedy.startswith("SELECT"):
            assert len(house.sql(query.remedy)) == (query.column == "order"), query.remedy


def test_disconnect_during_a_pattern_check_is_retryable(house: House) -> None:
    with connected(house.platform, "transform") as connection:
        connection.close()
        with pytest.raises(RetryableError) as caught:
            TableStats(connection).usable_patterns({"a"})
    assert caught.value.code is Code.WAREHOUSE_UNAVAILABLE


def test_pages_show_every_check_and_are_self_contained(house: House, bucket: Any) -> None:
    house.sql(f"UPDATE raw.{DATASET} SET quantity = 101 WHERE order_id = 'O7'")
    house.check()
    keys = [item["Key"] for item in bucket.list_objects_v2(Bucket=BUCKET)["Contents"]]
    [page_key] = [key for key in keys if key.startswith(f"{DATASET}/2")]
    assert set(keys) == {page_key, HISTORY, "index.html"}
    index = bucket.get_object(Bucket=BUCKET, Key="index.html")
    assert index["ContentType"] == "text/html; charset=utf-8"
    assert f'href="{page_key}"' in index["Body"].read().decode()
    page = bucket.get_object(Bucket=BUCKET, Key=page_key)["Body"].read().decode()
    for shown in ("ledger balances", "volume is usual", "key is unique", "quantity", "1 of 80 rows unexpected"):
        assert shown in page, shown
    assert "values must be greater than" in page
    assert "<script" not in page
    assert 'src="http' not in page
    assert "stylesheet" not in page


def test_pages_of_old_checks_are_deleted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "KEPT", 2)
    checked = [house.check()[0].checked_at for _ in range(3)]
    stamps = [f"{DATASET}/{moment:%Y-%m-%dT%H-%M-%S-%f}.html" for moment in checked]
    keys = {item.key for item in ObjectStore(house.platform.s3_config).list(BUCKET, "")}
    assert keys == {*stamps[1:], HISTORY, "index.html"}


def test_history_shows_the_last_checks_and_the_last_one_of_each_day_before(house: House, bucket: Any) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    before = [(80, 5), (2, 1), (2, 23), (1, 10), (1, 11), (1, 12)]
    times = [today - timedelta(days=days) + timedelta(hours=hours) for days, hours in before]
    for at in times:
        house.sql(
            "INSERT INTO ops.quality_result (dataset, expectation, severity, success, observed, checked_at)"
            " VALUES (%s, 'any', 'warning', %s, '3', %s)",
            DATASET, at != times[-1], at,
        )  # fmt: skip
    [report] = house.check()
    with connected(house.platform, "transform") as transform:
        history = read_history(transform, DATASET, read_runs(transform, 2))
    # The last two checks, and of each earlier day the last one; 80 days ago is not shown.
    assert sorted({one.checked_at for one in history.results}) == [times[2], times[4], times[5], report.checked_at]
    assert [one.success for one in history.results if one.expectation == "any"] == [True, True, False]
    page = bucket.get_object(Bucket=BUCKET, Key=HISTORY)["Body"].read().decode()
    assert "<h2>Failed checks</h2>" in page
    assert f'href="../{DATASET}/' in page, "a check with a page is a link to it"
    index = bucket.get_object(Bucket=BUCKET, Key="index.html")["Body"].read().decode()
    assert f'href="{HISTORY}"' in index


def test_check_without_pages_stores_the_results_and_stops_at_a_critical_one(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, complete = replace(ORDERS, dataset="quality_never"), check.check_warehouse
    monkeypatch.setattr(
        check,
        "check_warehouse",
        lambda contracts, stores, _s3, settings, **options: complete(contracts, stores, None, settings, **options),
    )
    caplog.set_level("INFO", check.__name__)
    reports = house.check(ORDERS, never)
    assert [(report.counts["skipped"], report.counts["critical"]) for report in reports] == [(0, 0), (1, 0)]
    assert re.search(rf"^{never.dataset} +1 +1 +1 +0 +0$", caplog.text, re.MULTILINE)
    house.sql(f"UPDATE raw.{DATASET} SET customer = NULL WHERE order_id = 'O7'")
    with pytest.raises(PermanentError, match="customer: expected holds"):
        house.check(ORDERS, never)
    stored = house.sql(
        "SELECT dataset, count(DISTINCT checked_at) FROM ops.quality_result WHERE file_id IS NULL GROUP BY dataset"
    )
    assert dict(stored) == {DATASET: 2, never.dataset: 2}
    assert list(ObjectStore(house.platform.s3_config).list(BUCKET, "")) == []


def test_critical_failure_comes_after_results_and_pages(house: House) -> None:
    house.sql(f"UPDATE raw.{DATASET} SET customer = NULL WHERE order_id = 'O7'")
    with pytest.raises(PermanentError, match="customer: expected holds, observed 1 of 80 rows unexpected") as caught:
        house.check()
    assert caught.value.code is Code.QUALITY_CRITICAL
    assert house.sql("SELECT count(*) FROM ops.quality_result WHERE NOT success AND dataset = %s", DATASET) == [(1,)]
    assert ObjectStore(house.platform.s3_config).head(BUCKET, "index.html") is not None


def test_critical_failure_is_raised_if_the_bucket_refuses(house: House) -> None:
    house.sql(f"UPDATE raw.{DATASET} SET customer = NULL WHERE order_id = 'O7'")
    settings = SETTINGS.model_copy(update={"docs_bucket": "no-such-bucket-for-pages"})
    warehouse, s3 = house.platform.warehouse_config("transform"), house.platform.s3_config
    with pytest.raises(PermanentError) as caught:
        check.check_warehouse((ORDERS,), check.CheckedStores(warehouse), s3, settings, marts=())
    assert caught.value.code is Code.QUALITY_CRITICAL


def test_reader_sees_results_and_writes_none(house: House) -> None:
    house.check()
    with connected(house.platform, "reader") as reader:
        [(count,)] = reader.execute("SELECT count(*) FROM ops.quality_result WHERE dataset = %s", [DATASET]).fetchall()
        assert count > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("INSERT INTO ops.quality_result (dataset, expectation, severity, success)"
                           " VALUES ('x', 'x', 'info', true)")  # fmt: skip


def test_transform_cannot_change_the_tables_it_checks(house: House) -> None:
    with connected(house.platform, "transform") as transform, pytest.raises(psycopg.errors.InsufficientPrivilege):
        transform.execute(f"UPDATE raw.{DATASET} SET quantity = 1")


def remember(house: House, age: str, file_id: int | None = None, tables: int = 1) -> None:
    """Add two results for each of `tables` tables with this age."""
    house.sql(
        "INSERT INTO ops.quality_result (dataset, file_id, expectation, severity, success, checked_at)"
        " SELECT 'quality_old_' || g, %s, 'any', 'info', true, now() - %s::interval"
        " FROM generate_series(1, %s) AS g, generate_series(1, 2)",
        file_id, age, tables,
    )  # fmt: skip


def test_old_results_of_tables_are_deleted_and_those_of_files_are_kept(house: House) -> None:
    [[file_id]] = house.sql(f"SELECT file_id FROM {LEDGER} {LATEST}")
    remember(house, "89 days")
    remember(house, "91 days")
    remember(house, "91 days", file_id)
    house.check()
    assert house.sql(
        "SELECT file_id, count(*) FROM ops.quality_result WHERE dataset = 'quality_old_1' GROUP BY 1 ORDER BY 1"
    ) == [(file_id, 2), (None, 2)]


@pytest.mark.parametrize("days", [0, -1, None])
def test_last_results_are_never_deleted(house: House, days: int | None) -> None:
    with connected(house.platform, "transform") as transform, pytest.raises(psycopg.errors.RaiseException):
        transform.execute("SELECT ops.purge_quality_results(%s)", [days])


@pytest.mark.parametrize("role", ["ingest", "reader"])
def test_other_roles_cannot_delete_results(house: House, role: str) -> None:
    with connected(house.platform, role) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
        other.execute("SELECT ops.purge_quality_results(90)")


def test_earlier_checks_are_read_by_the_index_and_no_further_than_they_are_shown(house: House) -> None:
    for hours in range(200):
        remember(house, f"{hours + 1} hours", tables=40)
    house.sql("ANALYZE ops.quality_result")
    with connected(house.platform, "transform") as transform:
        assert Counter(run.dataset for run in read_runs(transform, 3)) == {f"quality_old_{g + 1}": 3 for g in range(40)}
        query = b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement("quality_runs")
        [[[plan_of_query]]] = transform.execute(query, {"kept": 3}).fetchall()
    scans = [node for node in nodes(plan_of_query["Plan"]) if node.get("Relation Name") == "quality_result"]
    assert {node.get("Index Name") for node in scans} == {"checks_of_table"}
    # Two results per check, three checks, forty tables; a few more to find the end of the third check, and the names.
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) < 500


def test_history_is_read_by_the_index_and_no_further_than_it_is_shown(house: House) -> None:
    for hours in range(400):
        remember(house, f"{hours + 1} hours", tables=2)
    with connected(house.platform, "transform") as transform:
        recent = [run.checked_at for run in read_runs(transform, 3) if run.dataset == "quality_old_1"]
        midnight = min(recent).replace(hour=0, minute=0, second=0, microsecond=0)
        query = b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement("quality_history")
        values = {"dataset": "quality_old_1", "recent": recent, "oldest": min(recent), "midnight": midnight, "days": 5}
        [[[plan_of_query]]] = transform.execute(query, values).fetchall()
    scans = [node for node in nodes(plan_of_query["Plan"]) if node.get("Relation Name") == "quality_result"]
    assert {node.get("Index Name") for node in scans} == {"checks_of_table"}
    # Two results of each of at most nine checks, and one row for each of six days.
    assert 12 <= sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) <= 30


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)
