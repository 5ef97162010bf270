"""The check of the warehouse on real tables: a sound one passes, and each breach is found as what it is."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from include.contracts.model import Column, ColumnType, Contract, Expectation, Severity
from include.errors import Code, PermanentError
from include.quality import check
from include.quality.evaluate import Evaluator
from include.quality.facts import UnreadableTableError
from include.quality.marts import Mart
from include.quality.plan import plan
from include.settings import QualitySettings
from include.stores.object_store import ObjectStore
from local import bucket as local_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.quality.records import CheckResult, TableReport
    from local.platform import Platform

pytestmark = pytest.mark.integration

BUCKET = "quality-check-warehouse"
SETTINGS = QualitySettings(docs_bucket=BUCKET, schedule_minutes=15, history_loads=30, history_least=5, deviations=5)
DATASET = "quality_orders"
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
    """The warehouse and the bucket, and what the check makes of them."""

    platform: Platform
    owner: psycopg.Connection[Any]

    def sql(self, query: str, *values: object) -> list[Any]:
        cursor = self.owner.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def check(self, *contracts: Contract, marts: tuple[Mart, ...] = ()) -> list[TableReport]:
        warehouse, s3 = self.platform.warehouse_config("transform"), self.platform.s3_config
        return check.check_warehouse(contracts or (ORDERS,), warehouse, s3, SETTINGS, marts=marts)

    def failures(self, *contracts: Contract, marts: tuple[Mart, ...] = ()) -> set[Failure]:
        """What failed, read from ops.quality_result: a critical failure is an error that comes after it."""
        told: PermanentError | None = None
        try:
            self.check(*contracts, marts=marts)
        except PermanentError as error:
            told = error
        rows = self.sql(
            "SELECT expectation, column_name, severity FROM ops.quality_result"
            " WHERE NOT success AND file_id IS NULL"
        )  # fmt: skip
        is_critical = "critical" in {severity for _, _, severity in rows}
        assert (told.code if told else None) == (Code.QUALITY_CRITICAL if is_critical else None)
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
    """A sound table of a few loads, one an hour, and an empty bucket."""
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
        " SELECT %s, 'landing', 'f' || g, %s || g, 'archived', %s, %s, 0, 0, 0, 0, now() - make_interval(hours => g),"
        " now(), 'ingest', 'run-' || g FROM generate_series(0, %s) AS g",
        DATASET, DATASET, ROWS_OF_A_LOAD, ROWS_OF_A_LOAD, LOADS - 1,
    )  # fmt: skip
    yield house
    clean(house)
    for item in ObjectStore(platform.s3_config).list(BUCKET, ""):
        bucket.delete_object(Bucket=BUCKET, Key=item.key)


def clean(house: House) -> None:
    house.sql(f"DROP TABLE IF EXISTS raw.{DATASET}, analytics.quality_daily")
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


def test_sound_warehouse_passes_and_every_check_is_written_down(house: House) -> None:
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
        "expect_column_values_to_be_in_set", "expect_column_values_to_match_regex", "expect_column_max_to_be_between",
        "expect_table_row_count_to_be_between",
    }  # fmt: skip
    volume = next(result for result in report.results if result.expectation == "volume_is_usual")
    assert volume.severity is Severity.WARNING


LATEST = "WHERE dataset = 'quality_orders' AND object_key = 'f0'"


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
            "UPDATE {t} SET _loaded_at = now() - interval '25 hours'",
            {("expect_column_max_to_be_between", "_loaded_at", "warning")},
            id="older than promised",
        ),
        pytest.param(
            "UPDATE {t} SET _loaded_at = now() - interval '73 hours'",
            {
                ("expect_column_max_to_be_between", "_loaded_at", "warning"),
                ("expect_column_max_to_be_between", "_loaded_at", "critical"),
            },
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
            id="a row deleted by hand",
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
                ("expect_column_max_to_be_between", "_loaded_at", "warning"),
                ("expect_column_max_to_be_between", "_loaded_at", "critical"),
            },
            id="emptied",
        ),
    ],
)
def test_breach_is_found_as_what_it_is(house: House, breach: str, found: set[Failure]) -> None:
    house.sql(breach.replace("{t}", f"raw.{DATASET}"))
    assert house.failures() == found


def test_ledger_that_does_not_add_up_is_critical(house: House) -> None:
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
def test_dataset_that_never_got_data_is_no_failure(house: House, table: str) -> None:
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


def test_table_that_is_locked_only_when_the_library_comes_is_unreadable_too(house: House) -> None:
    config = house.platform.warehouse_config("transform").model_copy(update={"lock_timeout": 1})
    [report] = house.check()
    columns = [column.name for column in ORDERS.columns]
    checks = plan(ORDERS, report.checked_at, columns, key_is_enforced=True, patterns=())
    evaluator = Evaluator(config)
    try:
        with connected(house.platform, "owner") as other, other.transaction():
            other.execute(f"LOCK TABLE raw.{DATASET} IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(UnreadableTableError):
                evaluator.evaluate(checks, "raw", DATASET)
        assert all(result.success for result, _ in evaluator.evaluate(checks, "raw", DATASET))
    finally:
        evaluator.close()


def test_expectation_that_cannot_be_evaluated_fails_alone(house: House) -> None:
    odd = Expectation("expect_column_mean_to_be_between", (("column", "customer"), ("min_value", 0)), Severity.WARNING)
    contract = replace(ORDERS, expectations=(*ORDERS.expectations, odd))
    [report] = house.check(contract)
    [failed] = report.failed()
    assert (failed.expectation, failed.severity) == (odd.type, Severity.WARNING)
    assert failed.observed.startswith("not evaluated: ")


def test_pattern_of_another_dialect_is_told_and_harms_no_other_check(house: House) -> None:
    columns = (replace(ORDERS.columns[0], pattern=r"\pL[0-9]+"), *ORDERS.columns[1:])
    [report] = house.check(replace(ORDERS, columns=columns))
    assert [(r.expectation, r.severity) for r in report.failed()] == [("pattern_is_usable", Severity.INFO)]


def test_loads_of_one_run_count_together_and_new_ones_are_all_judged(house: House) -> None:
    # Two files of a run two minutes ago, and a small one since: together the two are far from usual.
    house.sql(f"UPDATE ops.file_ingestion_log SET run_id = 'both', loaded_at = now() - interval '2 minutes' {LATEST}")
    house.sql(
        "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, sha256, status, rows_read, rows_inserted,"
        " rows_updated, rows_unchanged, rows_duplicate, rows_rejected, loaded_at, settled_at, dag_id, run_id) VALUES"
        " (%(d)s, 'landing', 'b', 'b', 'loaded', 490, 0, 0, 490, 0, 0, now() - interval '1 minute', now(), 'ingest',"
        " 'both'), (%(d)s, 'landing', 'c', 'c', 'loaded', 9, 0, 0, 9, 0, 0, now(), now(), 'ingest', 'alone')".replace(
            "%(d)s", f"'{DATASET}'"
        )
    )
    volume = house.results()["volume_is_usual"]
    assert not volume.success
    assert volume.observed.startswith("500 rows")
    assert volume.expected.endswith("as the last 7 loads")


def test_marts_are_checked_once_they_exist(house: House) -> None:
    daily = Mart("quality_daily", ("day",), DATASET)
    assert house.check(marts=(daily,))[1:] == []
    house.sql("CREATE TABLE analytics.quality_daily AS SELECT date '2026-01-31' AS day")
    house.sql("GRANT SELECT ON analytics.quality_daily TO transform")
    assert house.check(marts=(daily,))[1].failed() == []
    house.sql("INSERT INTO analytics.quality_daily VALUES ('2026-01-31')")
    assert house.failures(marts=(daily,)) == {("expect_column_values_to_be_unique", "day", "critical")}
    house.sql("TRUNCATE analytics.quality_daily")
    house.sql("DELETE FROM ops.quality_result WHERE file_id IS NULL")
    assert house.failures(marts=(daily,)) == {("expect_table_row_count_to_be_between", None, "critical")}


def test_pages_show_every_check_and_need_nothing_from_elsewhere(house: House, bucket: Any) -> None:
    house.sql(f"UPDATE raw.{DATASET} SET quantity = 101 WHERE order_id = 'O7'")
    house.check()
    keys = [item["Key"] for item in bucket.list_objects_v2(Bucket=BUCKET)["Contents"]]
    [page_key] = [key for key in keys if key.startswith(f"{DATASET}/")]
    assert set(keys) == {page_key, "index.html"}
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


def test_pages_of_old_checks_are_taken_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "KEPT", 2)
    checked = [house.check()[0].checked_at for _ in range(3)]
    stamps = [f"{DATASET}/{moment:%Y-%m-%dT%H-%M-%S-%f}.html" for moment in checked]
    keys = {item.key for item in ObjectStore(house.platform.s3_config).list(BUCKET, "")}
    assert keys == {*stamps[1:], "index.html"}


def test_critical_failure_comes_after_results_and_pages(house: House) -> None:
    house.sql(f"UPDATE raw.{DATASET} SET customer = NULL WHERE order_id = 'O7'")
    with pytest.raises(PermanentError, match="customer: expected holds, saw 1 of 80 rows unexpected") as caught:
        house.check()
    assert caught.value.code is Code.QUALITY_CRITICAL
    assert house.sql("SELECT count(*) FROM ops.quality_result WHERE NOT success AND dataset = %s", DATASET) == [(1,)]
    assert ObjectStore(house.platform.s3_config).head(BUCKET, "index.html") is not None


def test_critical_failure_does_not_hide_behind_a_bucket_that_refuses(house: House) -> None:
    house.sql(f"UPDATE raw.{DATASET} SET customer = NULL WHERE order_id = 'O7'")
    settings = SETTINGS.model_copy(update={"docs_bucket": "no-such-bucket-for-pages"})
    warehouse, s3 = house.platform.warehouse_config("transform"), house.platform.s3_config
    with pytest.raises(PermanentError) as caught:
        check.check_warehouse((ORDERS,), warehouse, s3, settings, marts=())
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
