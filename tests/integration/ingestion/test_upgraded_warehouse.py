"""The filled database of an earlier version is migrated to the newest one: every row stays, and the pipeline goes on.

`tests/resources/warehouse_before_0013.sql` is a dump of the version before columns and functions were renamed. Its
first lines say how it was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from filegate_command import Filegate
from ingest_pipeline import Pipeline, Row, direct

from include.settings import IngestSettings
from include.stores.migrations import upgrade
from local.services import bucket as local_bucket
from local.services.postgres import superuser_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.settings import WarehouseConfig
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

DUMP = Path(__file__).parents[2] / "resources" / "warehouse_before_0013.sql"
# The names in the dump: of the database (chosen here), and of the bucket of its files.
DATABASE, BUCKET = "upgraded", "upgraded"
RENAMED = {
    ("ops.incoming_files", "looked_at"): "listed_at",
    ("ops.alert", "told_until"): "covered_until",
    ("ops.alert", "told_at"): "sent_at",
}
DROPPED = "ops.source_state"
HEADER = (
    "sale_id,sale_date,customer_id,customer_name,product,category,quantity,unit_price,total_amount,region,updated_at\n"
)


def sale(number: int, version: int = 1, quantity: int = 2) -> str:
    return (
        f"S{number},2026-01-{number:02},C{number},Ada Lovelace,Desk lamp,Furniture,{quantity},10.00,{quantity}0.00,"
        f"North,2026-02-{version:02}T08:00:00Z\n"
    )


# Two of the files that the earlier version met: the first is in the table, the second was not settled yet.
LOADED = HEADER + sale(1) + sale(2) + sale(3)
UNSETTLED = HEADER + sale(7)


def config(platform: Platform, role: str = "ingest") -> WarehouseConfig:
    return platform.warehouse_config(role).model_copy(update={"database": DATABASE})


@pytest.fixture
def restored(platform: Platform) -> Iterator[psycopg.Connection[Row]]:
    """The owner's connection to the restored database, not yet migrated."""
    with superuser_connection(platform.settings, platform.credentials) as server:
        server.execute(f"CREATE DATABASE {DATABASE} OWNER warehouse_owner".encode())
        try:
            with superuser_connection(platform.settings, platform.credentials, DATABASE) as database:
                database.execute(DUMP.read_bytes())
            with direct(config(platform, "owner")) as connection:
                yield connection
        finally:
            server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)".encode())


@pytest.fixture
def upgraded(
    restored: psycopg.Connection[Row], platform: Platform, contracts: dict[str, Contract], tmp_path: Path
) -> Iterator[Pipeline]:
    """The pipeline of sales on the migrated database, and the bucket with the file that was not settled."""
    upgrade(config(platform, "owner"))
    client = local_bucket.client(platform.s3_config)
    client.create_bucket(Bucket=BUCKET)
    pipeline = Pipeline(
        contract=contracts["sales"],
        settings=IngestSettings(landing_bucket=BUCKET, spool_dir=tmp_path / "spool"),
        s3=platform.s3_config,
        warehouse=config(platform),
        owner=restored,
        folder=tmp_path,
    )
    pipeline.put("sales_waiting.csv", UNSETTLED)
    yield pipeline
    for key in pipeline.keys(""):
        client.delete_object(Bucket=BUCKET, Key=key)
    client.delete_bucket(Bucket=BUCKET)


def contents(connection: psycopg.Connection[Row]) -> dict[str, list[Row]]:
    """The rows of every table but Alembic's, by schema and table."""
    listed = connection.execute(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('ops', 'raw')"
    ).fetchall()
    names = [str(row["name"]) for row in listed]
    return {name: connection.execute(f"SELECT * FROM {name}".encode()).fetchall() for name in names}


def test_upgrade_keeps_every_row_of_every_table(restored: psycopg.Connection[Row], platform: Platform) -> None:
    before = contents(restored)
    assert len(before) == 11
    assert all(before.values()), "every table of the dump has rows"
    assert {(table, name) for table, rows in before.items() for name in rows[0]} >= set(RENAMED)

    upgrade(config(platform, "owner"))

    after = contents(restored)
    assert set(before) - set(after) == {DROPPED}
    del before[DROPPED]
    for table, rows in before.items():
        expected = [{RENAMED.get((table, name), name): value for name, value in row.items()} for row in rows]
        kept = [{name: row[name] for name in expected[0]} for row in after[table]]
        assert sorted(kept, key=str) == sorted(expected, key=str), table
    columns = {(table, name) for table, rows in after.items() if rows for name in rows[0]}
    assert not columns & set(RENAMED)


def test_sources_are_read_from_the_beginning_after_the_upgrade(
    restored: psycopg.Connection[Row], platform: Platform
) -> None:
    """No position of the old collector becomes one of a source."""
    assert restored.execute("SELECT count(*) AS n FROM ops.source_state").fetchall() == [{"n": 1}]

    upgrade(config(platform, "owner"))

    assert restored.execute("SELECT * FROM ops.source_position").fetchall() == []


def test_view_on_a_dropped_table_stops_the_upgrade_and_stays(
    restored: psycopg.Connection[Row], platform: Platform
) -> None:
    restored.execute("CREATE VIEW analytics.positions AS SELECT source, newest_at FROM ops.source_state")

    with pytest.raises(
        psycopg.errors.DependentObjectsStillExist, match=r"view analytics\.positions depends on table ops\.source_state"
    ):
        upgrade(config(platform, "owner"))

    assert restored.execute("SELECT source FROM analytics.positions").fetchall() == [{"source": "github"}]
    restored.execute("DROP VIEW analytics.positions")
    upgrade(config(platform, "owner"))
    assert restored.execute("SELECT to_regclass('ops.source_state') AS t").fetchall() == [{"t": None}]


def test_content_that_was_loaded_before_the_upgrade_is_a_duplicate_after_it(upgraded: Pipeline) -> None:
    versions = upgraded.versions()
    entry = upgraded.send("sales_again.csv", LOADED)
    assert (entry["status"], entry["error_code"]) == ("duplicate", "duplicate-content")
    assert "as file 1." in entry["error_message"]
    assert upgraded.versions() == versions


def test_file_that_was_loaded_and_not_settled_before_the_upgrade_is_settled_after_it(upgraded: Pipeline) -> None:
    versions = upgraded.versions()
    upgraded.run()
    [entry] = upgraded.entries("incoming/sales/sales_waiting.csv")
    assert entry["file_id"] == 6
    upgraded.assert_archived(entry, inserted=1)
    assert upgraded.versions() == versions


def test_rows_that_were_loaded_before_the_upgrade_are_updated_after_it(upgraded: Pipeline) -> None:
    entry = upgraded.send("sales_third.csv", HEADER + sale(1) + sale(2, version=3, quantity=9) + sale(8))
    upgraded.assert_archived(entry, inserted=1, updated=1, unchanged=1)
    assert {row["sale_id"]: row["quantity"] for row in upgraded.rows()} == {
        "S1": 2, "S2": 9, "S3": 5, "S4": 2, "S7": 2, "S8": 2,
    }  # fmt: skip


def test_commands_list_what_was_loaded_before_the_upgrade(upgraded: Pipeline, platform: Platform) -> None:
    filegate = Filegate(platform, upgraded)
    filegate.environment["WAREHOUSE_DATABASE"] = DATABASE
    listed = {row["id"]: row["status"] for row in filegate.json("files")}
    assert listed == {
        1: "archived", 2: "archived", 3: "validation_failed", 4: "duplicate", 5: "validation_failed", 6: "loaded",
        7: "claimed",
    }  # fmt: skip
    assert {row["code"] for row in filegate.json("errors", 3)["rows"]} == {"bad-integer", "bad-number"}
    assert "sales_bad.csv" in filegate("reprocess", "--dataset", "sales", "--dry-run").stdout
