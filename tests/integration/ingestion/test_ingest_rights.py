"""The rights of the roles, the constraints of the ledger, and the input that ops.ensure_dataset refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from ingest_pipeline import direct
from psycopg import errors as pg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest_pipeline import Pipeline, Row

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration
ENSURE = "SELECT ops.ensure_dataset(%s, %s::jsonb, %s)"


@pytest.fixture(scope="module")
def ingest(platform: Platform) -> Iterator[psycopg.Connection[Row]]:
    """A connection as the pipeline's role."""
    with direct(platform.warehouse_config()) as connection:
        yield connection


@pytest.fixture(scope="module")
def table(ingest: psycopg.Connection[Row], owner: psycopg.Connection[Row]) -> Iterator[str]:
    """A dataset's table with one row, created as the pipeline does."""
    ingest.execute(ENSURE, ["rights_of_roles", json.dumps([{"name": "id", "type": "text"}]), ["id"]])
    ingest.execute("INSERT INTO raw.rights_of_roles (id, _file_id, _source_row, _loaded_at) VALUES ('a', 1, 1, now())")
    yield "raw.rights_of_roles"
    owner.execute("DROP TABLE raw.rights_of_roles")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE {table}",
        "TRUNCATE {table}",
        "DELETE FROM {table}",
        "ALTER TABLE {table} ADD COLUMN extra text",
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "CREATE TABLE raw.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "CREATE SCHEMA mine",
        "CREATE VIEW ops.mine AS SELECT 1",
        "DELETE FROM ops.file_ingestion_log",
        "UPDATE ops.file_event SET status = 'loaded'",
        "DELETE FROM ops.file_event",
        "INSERT INTO ops.file_event (file_id, status, stage, attempts) VALUES (1, 'loaded', 'load', 1)",
        "DROP FUNCTION ops.ensure_dataset",
        "CREATE ROLE other",
        "COPY {table} TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM analytics.nothing",
    ],
)
def test_ingest_role_may_not(table: str, ingest: psycopg.Connection[Row], statement: str) -> None:
    with pytest.raises((pg.InsufficientPrivilege, pg.InvalidSchemaName)):
        ingest.execute(statement.replace("{table}", table))

    assert ingest.execute(f"SELECT count(*) AS n FROM {table}").fetchall() == [{"n": 1}]


@pytest.mark.parametrize("role", ["reader", "transform"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {table} SELECT * FROM {table}",
        "UPDATE {table} SET id = 'x'",
        "DELETE FROM {table}",
        "DROP TABLE {table}",
        "UPDATE ops.file_ingestion_log SET status = 'claimed'",
        "DELETE FROM ops.rejected_rows",
        "CREATE TABLE load.mine (a int)",
        "CREATE TABLE raw.mine (a int)",
        "SELECT ops.ensure_dataset('mine', '[]', ARRAY['a'])",
    ],
)
def test_reading_roles_may_not_write(table: str, platform: Platform, role: str, statement: str) -> None:
    with direct(platform.warehouse_config(role)) as connection:
        assert connection.execute(f"SELECT count(*) AS n FROM {table}").fetchall() == [{"n": 1}]

        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute(statement.replace("{table}", table))


@pytest.mark.parametrize("role", ["ingest", "transform", "reader"])
@pytest.mark.parametrize("database", ["airflow", "mlflow", "metabase", "postgres"])
def test_warehouse_roles_may_not_enter_other_databases(platform: Platform, role: str, database: str) -> None:
    config = platform.warehouse_config(role).model_copy(update={"database": database})

    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        direct(config)


@pytest.mark.parametrize(
    "dataset",
    [
        "Robert'); DROP TABLE raw.sales; --",
        'a"b',
        "",
        "1st",
        "a.b",
        "Sales",
        "a" * 51,
        "sales\n",
        "ops.file_event",
        "ü",
        "_x",
    ],
)
def test_ensure_dataset_refuses_hostile_names(ingest: psycopg.Connection[Row], dataset: str) -> None:
    with pytest.raises(pg.RaiseException, match="not a dataset name"):
        ingest.execute(ENSURE, [dataset, json.dumps([{"name": "id", "type": "text"}]), ["id"]])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("id", "text; DROP TABLE raw.sales"),
        ("id", "text DEFAULT pg_sleep(9)"),
        ("id", "serial"),
        ("id", "xml"),
        ("id", "numeric(12,2)) --"),
        ("id", "text\n"),
        ("id", None),
        ("a b", "text"),
        ('a" int, "b', "text"),
        ("", "text"),
        ("1st", "text"),
        ("nai\u0308ve", "text"),
        ("na ive", "text"),
        ("price$", "text"),
        ("é" * 32, "text"),
        ("a" * 64, "text"),
        (None, "text"),
    ],
)
def test_ensure_dataset_refuses_hostile_columns(
    pipeline: Pipeline, ingest: psycopg.Connection[Row], name: str | None, kind: str | None
) -> None:
    columns = [{"name": "key", "type": "text"}, {"name": name, "type": kind}]

    with pytest.raises(psycopg.Error):
        ingest.execute(ENSURE, [pipeline.contract.dataset, json.dumps(columns), ["key"]])

    there = pipeline.sql("SELECT to_regclass(%s) AS t", f"raw.{pipeline.contract.dataset}")
    assert there == [{"t": None}]


def test_ensure_dataset_is_safe_to_repeat_and_only_adds(pipeline: Pipeline, ingest: psycopg.Connection[Row]) -> None:
    name = pipeline.contract.dataset
    first = [{"name": "id", "type": "text", "required": True}, {"name": "amount", "type": "numeric(12,2)"}]
    for columns in (
        first,
        first,
        [*first, {"name": "Größe".replace("ö", "oe").replace("ß", "ss"), "type": "date"}],
        first[:1],
    ):
        ingest.execute(ENSURE, [name, json.dumps(columns), ["id"]])

    found = pipeline.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'raw' AND table_name = %s "
        "ORDER BY ordinal_position",
        name,
    )
    assert [row["column_name"] for row in found] == [
        "_file_id", "_source_row", "_loaded_at", "_rescued", "id", "amount", "Groesse",
    ]  # fmt: skip


# --- constraints of the ledger

COUNTS = ("rows_read", "rows_inserted", "rows_updated", "rows_unchanged", "rows_duplicate", "rows_rejected")


def add(pipeline: Pipeline, **values: Any) -> int:
    row = {"dataset": pipeline.contract.dataset, "bucket": "b", "object_key": "k", "etag": "e", **values}
    names = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    rows = pipeline.sql(
        f"INSERT INTO ops.file_ingestion_log ({names}) VALUES ({marks}) RETURNING file_id", *row.values()
    )
    return rows[0]["file_id"]


def counts(*values: int | None) -> dict[str, int | None]:
    return dict(zip(COUNTS, values, strict=True))


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"status": "loaded", **counts(10, 9, 0, 0, 0, 0)}, "loaded_rows_balance"),
        ({"status": "archived", **counts(10, 9, 1, 1, 0, 0)}, "loaded_rows_balance"),
        ({"status": "loaded", **counts(10, 10, 0, 0, 0, None)}, "loaded_rows_balance"),
        ({"status": "loaded"}, "loaded_rows_balance"),
        ({"status": "done"}, "status_is_known"),
        ({"status": "validation_failed"}, "failure_has_a_reason"),
        ({"object_key": None}, "has_a_source"),
        ({"bucket": None}, "has_a_source"),
    ],
    ids=[
        "a row missing",
        "a row too many",
        "a count missing",
        "no counts",
        "unknown status",
        "no reason",
        "no key",
        "no bucket",
    ],
)
def test_ledger_refuses(pipeline: Pipeline, values: dict[str, Any], constraint: str) -> None:
    with pytest.raises(pg.CheckViolation) as caught:
        add(pipeline, **values)

    assert caught.value.diag.constraint_name == constraint


def test_ledger_holds_loaded_content_once_per_dataset(pipeline: Pipeline) -> None:
    loaded = {"status": "archived", "sha256": "same", **counts(1, 1, 0, 0, 0, 0)}
    first = add(pipeline, etag="1", **loaded)
    add(pipeline, etag="2", **{**loaded, "dataset": pipeline.contract.dataset + "_other"})
    add(pipeline, etag="3", sha256="same", status="duplicate")

    with pytest.raises(pg.UniqueViolation) as caught:
        add(pipeline, etag="4", **loaded)

    assert caught.value.diag.constraint_name == "content_is_loaded_once"
    assert first


def test_ledger_holds_an_object_in_flight_once(pipeline: Pipeline) -> None:
    add(pipeline)

    with pytest.raises(pg.UniqueViolation) as caught:
        add(pipeline)

    assert caught.value.diag.constraint_name == "object_is_in_flight_once"


def test_ledger_accepts_a_topic_instead_of_a_bucket(pipeline: Pipeline) -> None:
    """A batch of Kafka messages has no file, but a range of offsets."""
    topic = {"topic": "sales", "partition": 0, "first_offset": 10, "last_offset": 19}

    assert add(pipeline, bucket=None, object_key=None, etag=None, **topic)
