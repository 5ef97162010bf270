"""What is deleted and what is kept: details of old files, leftovers of dead workers, old objects."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from ingest_pipeline import direct

from include.ingestion.upkeep.purge import purge_expired, remove_leftovers, remove_old_objects
from include.samples.badness import Bad, BadKind
from include.settings import RetentionSettings
from include.stores.warehouse import connect
from local.services import bucket as local_bucket

if TYPE_CHECKING:
    from pathlib import Path

    from ingest_pipeline import Pipeline, Row

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

SETTINGS = RetentionSettings()
NOTHING = RetentionSettings(
    rejected_rows_days=0,
    file_results_days=0,
    file_events_days=0,
    alerts_days=0,
    source_runs_days=0,
    source_objects_days=0,
)
DETAILS = ("rejected_rows", "quality_result", "file_event")


def refused(pipeline: Pipeline, name: str) -> int:
    """Send a file that is refused, with rows about it in every table of details; its id."""
    body = pipeline.sample(name, 20, bad=[Bad(BadKind.TEXT_IN_NUMBER, 1)]).path.read_bytes()
    file_id = int(pipeline.send(name, body)["file_id"])
    pipeline.sql(
        "INSERT INTO ops.quality_result (dataset, file_id, expectation, severity, success) "
        "VALUES ('retention', %s, 'expect', 'info', true)",
        file_id,
    )
    return file_id


def age(pipeline: Pipeline, file_id: int, days: int) -> None:
    for table, column in (("file_ingestion_log", "settled_at"), ("file_event", "happened_at")):
        pipeline.sql(f"UPDATE ops.{table} SET {column} = now() - make_interval(days => %s) WHERE file_id = %s",
                     days, file_id)  # fmt: skip
    pipeline.sql(
        "UPDATE ops.quality_result SET checked_at = now() - make_interval(days => %s) WHERE file_id = %s", days, file_id
    )


def details(pipeline: Pipeline, file_id: int) -> dict[str, bool]:
    """For each table of details, whether the file still has rows there."""
    return {
        table: bool(pipeline.sql(f"SELECT 1 FROM ops.{table} WHERE file_id = %s LIMIT 1", file_id)) for table in DETAILS
    }


def purge(pipeline: Pipeline, settings: RetentionSettings = SETTINGS) -> dict[str, int]:
    with connect(pipeline.warehouse) as connection:
        return purge_expired(connection, settings)


@pytest.mark.parametrize(
    ("days", "left"),
    [
        pytest.param(2, {"rejected_rows", "quality_result", "file_event"}, id="young: all stays"),
        pytest.param(100, {"file_event"}, id="old: the history stays longer"),
        pytest.param(400, set(), id="very old: nothing but the entry"),
    ],
)
def test_details_of_settled_files_are_deleted_by_age_and_the_entry_stays(
    pipeline: Pipeline, days: int, left: set[str]
) -> None:
    file_id = refused(pipeline, "sales.csv")
    before = pipeline.entry(file_id)
    age(pipeline, file_id, days)
    counts = purge(pipeline)
    assert {table for table, there in details(pipeline, file_id).items() if there} == left
    assert pipeline.entry(file_id) | {"settled_at": None} == before | {"settled_at": None}
    assert (counts["rejected_rows"] > 0) == ("rejected_rows" not in left)
    again = purge(pipeline)
    assert set(again.values()) == {0}, "there was something left for a second run"


def test_zero_days_keep_details_without_limit(pipeline: Pipeline) -> None:
    file_id = refused(pipeline, "sales.csv")
    age(pipeline, file_id, 4000)
    assert set(purge(pipeline, NOTHING).values()) == {0}
    assert all(details(pipeline, file_id).values())


def test_details_of_a_file_that_is_not_settled_stay_at_any_age(pipeline: Pipeline) -> None:
    file_id = refused(pipeline, "sales.csv")
    age(pipeline, file_id, 4000)
    pipeline.sql("UPDATE ops.file_ingestion_log SET settled_at = NULL WHERE file_id = %s", file_id)
    purge(pipeline)
    assert all(details(pipeline, file_id).values())


def test_old_causes_of_alerts_are_deleted_and_the_watermark_stays(pipeline: Pipeline, own_name: str) -> None:
    for cause, days in (("", 4000), ("bad-number", 4000), ("no-rows", 1)):
        pipeline.sql(
            "INSERT INTO ops.alert (kind, about, cause, covered_until, sent_at) "
            "SELECT 'run', %s, %s, t, t FROM (SELECT now() - make_interval(days => %s)) AS at (t)",
            own_name, cause, days,
        )  # fmt: skip
    assert purge(pipeline)["alerts"] == 1
    left = pipeline.sql("SELECT cause FROM ops.alert WHERE about = %s ORDER BY cause", own_name)
    assert [row["cause"] for row in left] == ["", "no-rows"]


@pytest.mark.parametrize(
    "call",
    ["ops.purge_file_events('1 second', 10)", "ops.purge_file_events(NULL, 10)", "ops.purge_alerts('-1 day')"],
)
def test_purge_functions_refuse_recent_data(platform: Platform, call: str) -> None:
    with (
        direct(platform.warehouse_config()) as ingest,
        pytest.raises(psycopg.errors.RaiseException, match="not a time"),
    ):
        ingest.execute(f"SELECT {call}")


@pytest.mark.parametrize("role", ["reader", "transform"])
def test_only_the_role_ingest_may_purge(platform: Platform, role: str) -> None:
    with direct(platform.warehouse_config(role)) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
        other.execute("SELECT ops.purge_file_events('400 days', 10)")


# --- leftovers


def leftovers(pipeline: Pipeline, hours: float = 24.0) -> dict[str, int]:
    with pipeline.stores() as stores:
        settings = RetentionSettings(leftover_hours=hours)
        return remove_leftovers(stores.connection, stores.objects, pipeline.settings, settings)


@pytest.fixture
def settled_and_open(pipeline: Pipeline) -> tuple[int, int]:
    """The ids of a file that is settled and of one that a worker may have."""
    settled = int(pipeline.send("one.csv", pipeline.sample("one.csv", 5).path.read_bytes())["file_id"])
    pipeline.put("two.csv", pipeline.sample("two.csv", 6).path.read_bytes())
    [[waiting]] = pipeline.claim()
    return settled, waiting


def test_staging_tables_of_settled_and_unknown_files_are_dropped(
    pipeline: Pipeline, settled_and_open: tuple[int, int]
) -> None:
    settled, waiting = settled_and_open
    dataset = pipeline.contract.dataset
    names = {f"{dataset}_{settled}_1": False, f"{dataset}_{waiting}_1": True, f"{dataset}_99999999_2": False,
             f"{dataset}_notes": True}  # fmt: skip
    with direct(pipeline.warehouse) as ingest:
        for name in names:
            ingest.execute(f'CREATE TABLE load."{name}" (a int)')
        try:
            leftovers(pipeline)
            there = {row["tablename"] for row in ingest.execute("SELECT tablename FROM pg_tables").fetchall()}
        finally:
            for name in names:
                ingest.execute(f'DROP TABLE IF EXISTS load."{name}"')
    assert {name: name in there for name in names} == names


def test_staging_table_in_use_is_left_for_the_next_run(pipeline: Pipeline, settled_and_open: tuple[int, int]) -> None:
    name = f"{pipeline.contract.dataset}_{settled_and_open[0]}_1"
    with direct(pipeline.warehouse) as ingest, direct(pipeline.warehouse) as other:
        ingest.execute(f'CREATE TABLE load."{name}" (a int)')
        with other.transaction():
            other.execute(f'SELECT FROM load."{name}"')
            with pipeline.stores() as stores:
                stores.connection.execute("SET lock_timeout = '50ms'")
                remove_leftovers(stores.connection, stores.objects, pipeline.settings, SETTINGS)
            assert ingest.execute("SELECT FROM pg_tables WHERE tablename = %s", [name]).fetchall()
        assert leftovers(pipeline)["staging_tables"] == 1


def test_old_staging_objects_of_files_not_in_progress_are_deleted(
    pipeline: Pipeline, settled_and_open: tuple[int, int]
) -> None:
    settled, waiting = settled_and_open
    dataset = pipeline.contract.dataset
    keys = {f"staging/{dataset}/{settled}/rejects.csv": False, f"staging/{dataset}/{waiting}/rejects.csv": True,
            f"staging/{dataset}/99999999/rejects.csv": False, f"staging/{dataset}/readme.txt": True}  # fmt: skip
    store = local_bucket.client(pipeline.s3)
    for key in keys:
        store.put_object(Bucket=pipeline.bucket, Key=key, Body=b"x")
    assert leftovers(pipeline)["staging_objects"] == 0, "they are young"
    assert leftovers(pipeline, hours=1e-9)["staging_objects"] == 2
    assert {key: key in pipeline.keys("staging/") for key in keys} == keys


def test_old_spool_folders_of_files_not_in_progress_are_deleted(
    pipeline: Pipeline, settled_and_open: tuple[int, int]
) -> None:
    settled, waiting = settled_and_open
    spool: Path = pipeline.settings.spool_dir
    names = {f"sales-{settled}-abc": False, f"sales-{waiting}-abc": True, "sales-99999999-x_y": False,
             "spill-77": False, "mine": True}  # fmt: skip
    for name in names:
        (spool / name).mkdir(parents=True)
        (spool / name / "raw").write_text("x")
    assert leftovers(pipeline)["spool_folders"] == 0, "they are young"
    old = time.time() - 48 * 3600
    for path in spool.rglob("*"):
        os.utime(path, (old, old))
    (spool / "sales-5-young").mkdir()
    assert leftovers(pipeline)["spool_folders"] == 3
    there = {path.name for path in spool.iterdir()}
    assert {name: name in there for name in names} == names
    assert "sales-5-young" in there


# --- objects


def test_objects_are_kept_by_default(pipeline: Pipeline) -> None:
    good: Row = pipeline.send("good.csv", pipeline.sample("good.csv", 5).path.read_bytes())
    refused(pipeline, "bad.csv")
    with pipeline.stores() as stores:
        kept = remove_old_objects(stores.objects, pipeline.bucket, SETTINGS)
        young = remove_old_objects(stores.objects, pipeline.bucket, RetentionSettings(processed_days=1, failed_days=1))
        gone = remove_old_objects(stores.objects, pipeline.bucket, RetentionSettings(processed_days=1e-9))
    assert kept == young == {"processed_objects": 0, "failed_objects": 0}
    assert gone == {"processed_objects": 1, "failed_objects": 0}
    assert pipeline.keys("processed/") == []
    assert len(pipeline.keys("failed/")) >= 2
    assert pipeline.entry(good["file_id"])["status"] == "archived"
