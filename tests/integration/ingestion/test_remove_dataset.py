"""`filegate remove`: all of a dataset and nothing of another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from filegate_command import Filegate
from psycopg import sql

from include.ingestion.upkeep import remove as remove_module
from include.stores.warehouse import connect
from tests.archive_files import zipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

GOOD = "id,amount,at\na,1,2026-01-01T00:00:00Z\nb,x,2026-01-01T00:00:00Z\n"
BAD = "id,amount\n1,2\n"


@pytest.fixture
def filegate(platform: Platform, make_pipeline: MakePipeline) -> Filegate:
    pipeline = make_pipeline()
    command = Filegate(platform, pipeline)
    command.write_contract()
    return command


@pytest.fixture
def neighbour(filegate: Filegate, make_pipeline: MakePipeline) -> Iterator[Pipeline]:
    """A dataset whose name begins with that of the other one, in the same bucket."""
    own = filegate.pipeline.contract
    pipeline = make_pipeline(dataset=f"{own.dataset}_2")
    pipeline.contract = replace(own, dataset=f"{own.dataset}_2")
    pipeline.send("good.csv", GOOD)
    pipeline.send("bad.csv", BAD)
    pipeline.put("waits.csv", GOOD + "c,3,2026-01-01T00:00:00Z\n")
    yield pipeline
    pipeline.sql("DROP TABLE IF EXISTS {table}")


def inactive(filegate: Filegate) -> None:
    filegate.write_contract(status="draft")


def of_ledger(pipeline: Pipeline) -> list[Row]:
    tables = (
        "quality_result",
        "drift_result",
        "dataset_column",
        "incoming_files",
        "dataset_lock",
        "file_ingestion_log",
    )
    return [row for table in tables for row in pipeline.sql(
        "SELECT to_jsonb(t) FROM ops.{ledger} AS t WHERE dataset = %s".replace("{ledger}", table),
        pipeline.contract.dataset,
    )]  # fmt: skip


def test_remove_takes_table_entries_and_files_and_nothing_of_another_dataset(
    filegate: Filegate, neighbour: Pipeline
) -> None:
    pipeline = filegate.pipeline
    entries = [pipeline.send("good.csv", GOOD), pipeline.send("bad.csv", BAD)]
    pipeline.sql(
        "INSERT INTO ops.dataset_column (dataset, column_name, source_name) VALUES (%s, 'x', 'X')",
        pipeline.contract.dataset,
    )
    pipeline.put("waits.csv", GOOD + "c,3,2026-01-01T00:00:00Z\n")
    with pipeline.stores() as stores:
        stores.connection.execute(
            sql.SQL("CREATE TABLE {} (a int)").format(sql.Identifier("load", f"{pipeline.contract.dataset}_1_1"))
        )
    before = (of_ledger(neighbour), neighbour.rows(lineage=True), sorted(neighbour.keys()))
    others = [key for key in before[2] if f"/{neighbour.contract.dataset}/" in key]
    assert len(others) >= 3
    inactive(filegate)

    done = filegate("remove", pipeline.contract.dataset, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"table raw.{pipeline.contract.dataset}: 1 rows" in done.stdout
    assert "ledger: 2 entries" in done.stdout
    assert f"{len(before[2]) - len(others)} objects" in done.stdout

    assert of_ledger(pipeline) == []
    assert pipeline.sql("SELECT to_regclass(%s) AS t", f"raw.{pipeline.contract.dataset}") == [{"t": None}]
    assert pipeline.staging_tables() == []
    for entry in entries:
        for table in ("file_event", "rejected_rows"):
            assert pipeline.sql(f"SELECT 1 FROM ops.{table} WHERE file_id = %s", entry["file_id"]) == []
    assert sorted(pipeline.keys()) == others
    assert (of_ledger(neighbour), neighbour.rows(lineage=True)) == before[:2]
    assert pipeline.contract.path.exists()
    again = filegate("remove", pipeline.contract.dataset, "--yes")
    assert again.returncode == 1
    assert "there is nothing of a dataset" in again.stderr


def test_remove_takes_an_archive_with_its_members(filegate: Filegate, neighbour: Pipeline) -> None:
    pipeline = filegate.pipeline
    archive = pipeline.send("all.zip", zipped(("good.csv", GOOD), ("inner/bad.csv", BAD), ("notes/", "")))
    entries = pipeline.entries()
    assert sorted((entry["parent_file_id"], entry["status"]) for entry in entries if entry["parent_file_id"]) == [
        (archive["file_id"], "archived"), (archive["file_id"], "validation_failed")
    ]  # fmt: skip
    keys = pipeline.keys()
    others = (of_ledger(neighbour), [key for key in keys if f"/{neighbour.contract.dataset}/" in key])
    inactive(filegate)

    done = filegate("remove", pipeline.contract.dataset, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"ledger: {len(entries)} entries" in done.stdout
    assert of_ledger(pipeline) == []
    assert (of_ledger(neighbour), pipeline.keys()) == others
    for entry in entries:
        assert pipeline.sql("SELECT 1 FROM ops.file_event WHERE file_id = %s", entry["file_id"]) == []


def untouched(filegate: Filegate) -> tuple[object, ...]:
    pipeline = filegate.pipeline
    return of_ledger(pipeline), pipeline.rows(lineage=True), pipeline.keys()


def test_remove_asks_and_without_a_terminal_removes_nothing(filegate: Filegate) -> None:
    filegate.pipeline.send("good.csv", GOOD)
    before = untouched(filegate)
    inactive(filegate)
    done = filegate("remove", filegate.pipeline.contract.dataset)
    assert done.returncode == 2
    assert "ledger: 1 entries" in done.stdout, "the counts come before the question"
    assert "give --yes" in done.stderr
    assert untouched(filegate) == before


@pytest.mark.parametrize("contract", ["active", "broken"])
def test_remove_is_refused_while_the_contract_may_be_active(filegate: Filegate, contract: str) -> None:
    filegate.pipeline.send("good.csv", GOOD)
    before = untouched(filegate)
    path = filegate.pipeline.contract.path
    if contract == "broken":
        path.write_text(path.read_text(encoding="utf-8").replace("logicalType: integer", "logicalType: int"), "utf-8")
    done = filegate("remove", filegate.pipeline.contract.dataset, "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(path) in done.stderr
    assert untouched(filegate) == before


def test_remove_is_refused_while_a_load_holds_the_lock(filegate: Filegate) -> None:
    pipeline = filegate.pipeline
    pipeline.send("good.csv", GOOD)
    before = untouched(filegate)
    inactive(filegate)
    with pipeline.stores() as stores, stores.connection.transaction():
        stores.connection.execute(
            "SELECT FROM ops.dataset_lock WHERE dataset = %s FOR UPDATE", [pipeline.contract.dataset]
        )
        done = filegate("remove", pipeline.contract.dataset, "--yes")
    assert done.returncode == 1
    assert f"A load into raw.{pipeline.contract.dataset} runs. Nothing was removed" in done.stderr
    assert untouched(filegate) == before


def test_remove_is_refused_while_a_worker_has_a_file(filegate: Filegate) -> None:
    pipeline = filegate.pipeline
    pipeline.send("good.csv", GOOD)
    pipeline.put("begun.csv", GOOD + "c,3,2026-01-01T00:00:00Z\n")
    [[file_id]] = pipeline.claim()
    with pipeline.stores() as stores:
        stores.ledger.begin(file_id)
    before = untouched(filegate)
    inactive(filegate)
    done = filegate("remove", pipeline.contract.dataset, "--yes")
    assert done.returncode == 1
    assert f"A worker has begun file {file_id}" in done.stderr
    assert untouched(filegate) == before


def test_remove_is_refused_while_a_view_depends_on_the_table(filegate: Filegate) -> None:
    pipeline = filegate.pipeline
    pipeline.send("good.csv", GOOD)
    before = untouched(filegate)
    inactive(filegate)
    view = f"of_{pipeline.contract.dataset}"
    pipeline.sql(f'CREATE VIEW staging."{view}" AS SELECT id FROM {{table}}')
    try:
        done = filegate("remove", pipeline.contract.dataset, "--yes")
    finally:
        pipeline.sql(f'DROP VIEW staging."{view}"')
    assert done.returncode == 1
    assert f"view staging.{view} depends on table" in done.stderr
    assert untouched(filegate) == before


def test_remove_needs_the_owner(filegate: Filegate) -> None:
    filegate.pipeline.send("good.csv", GOOD)
    before = untouched(filegate)
    inactive(filegate)
    filegate.environment |= {
        "WAREHOUSE_OWNER_USER": filegate.environment["WAREHOUSE_INGEST_USER"],
        "WAREHOUSE_OWNER_PASSWORD": filegate.environment["WAREHOUSE_INGEST_PASSWORD"],
    }
    done = filegate("remove", filegate.pipeline.contract.dataset, "--yes")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "must be owner of table" in done.stderr
    assert untouched(filegate) == before


@pytest.mark.parametrize("name", ["", "../landing", "a/b", "%"])
def test_remove_of_what_is_no_dataset_removes_nothing(filegate: Filegate, name: str) -> None:
    filegate.pipeline.send("good.csv", GOOD)
    before = untouched(filegate)
    done = filegate("remove", name, "--yes")
    assert done.returncode == 1
    assert "there is nothing of a dataset" in done.stderr
    assert untouched(filegate) == before


def test_remove_that_was_killed_after_the_warehouse_is_finished_by_the_next(
    platform: Platform, filegate: Filegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = filegate.pipeline
    pipeline.send("good.csv", GOOD)
    pipeline.send("bad.csv", BAD)
    inactive(filegate)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, connect(platform.warehouse_config("owner")) as owner:
        patch.setattr(remove_module, "remove_own", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_module.remove_dataset(pipeline.contract.dataset, pipeline.bucket, pipeline.objects, owner)
    assert of_ledger(pipeline) == []
    assert pipeline.keys()
    done = filegate("remove", pipeline.contract.dataset, "--yes")
    assert done.returncode == 0, done.stderr
    assert pipeline.keys() == []
