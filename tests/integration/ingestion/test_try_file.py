"""`filegate try` and `filegate contract diff` on a running platform: figures are those of a load, nothing changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from filegate_command import COLUMNS, Filegate
from ingest_pipeline import direct
from psycopg import errors as pg

from include.ingestion.binary_copy import BinaryCopy
from include.ingestion.trial.dry_run import dry_run
from include.ingestion.trial.effect import effect_of

if TYPE_CHECKING:
    from pathlib import Path

    from ingest_pipeline import Pipeline

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

LOADED = "id,amount,at\na,1,2026-01-05T00:00:00Z\nb,2,2026-01-05T00:00:00Z\nc,3,2026-01-05T00:00:00Z\n"
# a is older, b newer, c the same, d and e are new, f is refused.
UPDATE = (
    "id,amount,at\na,9,2026-01-01T00:00:00Z\nb,20,2026-01-06T00:00:00Z\nc,3,2026-01-05T00:00:00Z\n"
    "d,4,2026-01-05T00:00:00Z\ne,5,2026-01-05T00:00:00Z\nf,x,2026-01-05T00:00:00Z\n"
)
COUNTS = {"inserted": 2, "updated": 1, "unchanged": 2}


@pytest.fixture
def filegate(platform: Platform, pipeline: Pipeline) -> Filegate:
    command = Filegate(platform, pipeline)
    command.write_contract()
    return command


def written(pipeline: Pipeline, text: str, name: str = "export.csv") -> Path:
    path = pipeline.folder / name
    path.write_text(text, encoding="utf-8")
    return path


def everything(platform: Platform, pipeline: Pipeline) -> dict[str, Any]:
    """Every table of the warehouse with its rows and their versions, every sequence, and every object of the bucket."""
    found: dict[str, Any] = {}
    with direct(platform.warehouse_config("owner")) as owner:
        tables = owner.execute(
            "SELECT oid::regclass::text AS name, relkind::text FROM pg_class "
            "WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND relkind IN ('r', 'p', 'S', 'v')"
        ).fetchall()
        for table in tables:
            rows: Any = "SELECT count(*) AS n FROM " + table["name"]
            if table["relkind"] in "rp":
                rows = (
                    f"SELECT count(*), md5(string_agg(xmin::text || t, '|' ORDER BY t::text)) FROM {table['name']} AS t"
                )
            elif table["relkind"] == "S":
                rows = "SELECT last_value, is_called FROM " + table["name"]
            found[table["name"]] = owner.execute(rows).fetchall()
    objects = [(item, item.modified_at) for item in pipeline.objects.list(pipeline.bucket, "")]
    return found | {"bucket": objects}


@pytest.mark.parametrize("newest_by", ["at", None], ids=["newestBy", "write order"])
def test_try_counts_what_a_load_does_and_changes_nothing(
    platform: Platform, filegate: Filegate, pipeline: Pipeline, newest_by: str | None
) -> None:
    filegate.write_contract(newest_by=newest_by)
    pipeline.send("one.csv", LOADED)
    path = written(pipeline, UPDATE)
    before = everything(platform, pipeline)
    assert {"ops.file_ingestion_log", "ops.file_event", "bucket", f"raw.{pipeline.contract.dataset}"} <= set(before)

    found = filegate.json("try", path, "--dataset", pipeline.contract.dataset)

    assert everything(platform, pipeline) == before
    assert found["verdict"] == "would load"
    assert found["rows"] == {"read": 6, "to_load": 5, "duplicate": 0, "rejected": 1}
    [rejected] = found["rejected_rows"]
    assert (rejected["line"], rejected["column"], rejected["code"], rejected["value"]) == (
        7,
        "amount",
        "bad-integer",
        "x",
    )
    counts = {name: found["table"][name] for name in COUNTS}
    assert counts == (COUNTS if newest_by else {"inserted": 2, "updated": 2, "unchanged": 1})
    entry = pipeline.send("two.csv", UPDATE)
    pipeline.assert_archived(entry, rejected=1, **counts)
    shown = filegate("try", written(pipeline, UPDATE + "g,1,2026-01-05T00:00:00Z\n")).stdout
    assert f"raw.{pipeline.contract.dataset}: 1 inserted, 0 updated, 5 unchanged" in shown


def test_try_before_the_first_load_says_that_the_table_would_be_created(
    platform: Platform, filegate: Filegate, pipeline: Pipeline
) -> None:
    path = written(pipeline, UPDATE)
    before = everything(platform, pipeline)
    found = filegate.json("try", path)
    assert found["table"] == {
        "inserted": 5, "updated": 0, "unchanged": 0, "creates": True, "adds": [], "duplicate_of": None,
        "deleted_at_most": None,
    }  # fmt: skip
    assert "would be created; 5 inserted" in filegate("try", path).stdout
    assert everything(platform, pipeline) == before
    assert "A load creates it: 3 columns, key id." in filegate("contract", "diff", pipeline.contract.dataset).stdout


def test_try_of_a_file_that_was_loaded_says_so(filegate: Filegate, pipeline: Pipeline) -> None:
    entry = pipeline.send("one.csv", LOADED)
    done = filegate("try", written(pipeline, LOADED))
    assert done.returncode == 0
    assert f"loaded before: its content is that of file {entry['file_id']}" in done.stdout


def test_try_with_a_column_that_the_table_lacks_or_that_widens(
    platform: Platform, filegate: Filegate, pipeline: Pipeline
) -> None:
    pipeline.send("one.csv", LOADED)
    pipeline.sql("ALTER TABLE {table} ALTER amount TYPE integer")
    filegate.write_contract(*COLUMNS, "{name: note, logicalType: string, physicalType: text}", unknownColumns="evolve")
    body = (
        "id,amount,at,note,More\na,1,2026-01-05T00:00:00Z,,\nb,2,2026-01-05T00:00:00Z,word,\n"
        "c,3,2026-01-05T00:00:00Z,,word\nd,5000000000,2026-01-05T00:00:00Z,,\n"
    )
    before = everything(platform, pipeline)
    found = filegate.json("try", written(pipeline, body), "--dataset", pipeline.contract.dataset)
    assert found["table"]["adds"] == ["note", "more"]
    counts = {name: found["table"][name] for name in COUNTS}
    assert counts == {"inserted": 1, "updated": 2, "unchanged": 1}

    diff = filegate.json("contract", "diff", pipeline.contract.dataset)
    assert {row["column"]: row["load"] for row in diff["columns"]} == {
        "id": "same", "amount": "widens it", "at": "same", "note": "adds it"
    }  # fmt: skip
    assert diff["load"] == "changes the table"
    assert everything(platform, pipeline) == before
    pipeline.assert_archived(pipeline.send("two.csv", body), **counts)
    assert filegate.json("contract", "diff", pipeline.contract.dataset)["load"] == "changes nothing"


def test_try_and_diff_of_a_table_that_differs_end_with_4(filegate: Filegate, pipeline: Pipeline) -> None:
    pipeline.send("one.csv", LOADED)
    filegate.write_contract(COLUMNS[0], "{name: amount, logicalType: string, physicalType: text}", COLUMNS[2])
    found = filegate.json("try", written(pipeline, UPDATE), "--dataset", pipeline.contract.dataset, code=4)
    assert (found["verdict"], found["code"]) == ("would be refused", "table-differs")
    assert f"filegate contract diff {pipeline.contract.dataset}" in found["message"]
    assert found["rows"]["read"] == 6

    diff = filegate.json("contract", "diff", pipeline.contract.dataset, code=4)
    assert [one["column"] for one in diff["differences"]] == ["amount"]
    assert 'ALTER COLUMN "amount" TYPE text' in diff["differences"][0]["remedy"]
    entry = pipeline.send("two.csv", UPDATE)
    report = pipeline.assert_refused(entry, "table-differs", "loading")
    assert diff["differences"][0]["difference"] in report["message"], "the load says the same"
    assert f"filegate contract diff {pipeline.contract.dataset}" in report["message"]


def test_diff_names_another_key(filegate: Filegate, pipeline: Pipeline) -> None:
    pipeline.send("one.csv", LOADED)
    filegate.write_contract(COLUMNS[0], COLUMNS[1].replace("}", ", primaryKey: true, required: true}"), COLUMNS[2])
    done = filegate("contract", "diff", pipeline.contract.dataset)
    assert done.returncode == 4
    assert "the key is (id) in the table and (id, amount) in the contract" in done.stdout


def test_header_of_another_added_column_is_refused_as_a_load_refuses_it(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(unknownColumns="evolve")
    pipeline.send("one.csv", LOADED.replace("at\n", "at,More\n").replace("Z\n", "Z,x\n"))
    pipeline.sql("UPDATE ops.dataset_column SET source_name = 'Another' WHERE dataset = %s", pipeline.contract.dataset)
    body = UPDATE.replace("at\n", "at,More\n").replace("Z\n", "Z,x\n")
    found = filegate.json("try", written(pipeline, body), "--dataset", pipeline.contract.dataset, code=4)
    assert found["code"] == "duplicate-columns"
    pipeline.assert_refused(pipeline.send("two.csv", body), "duplicate-columns", "loading")


def test_try_with_a_warehouse_that_does_not_answer_judges_the_file(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.environment["WAREHOUSE_PORT"] = "1"
    done = filegate("try", written(pipeline, UPDATE))
    assert done.returncode == 0, done.stderr
    assert "what it would insert and update is unknown: warehouse-unavailable" in done.stdout
    assert "6 read, 5 to load" in done.stdout


def test_the_session_of_a_try_is_that_of_the_reader_and_cannot_write(
    platform: Platform, filegate: Filegate, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.send("one.csv", LOADED)
    seen: list[Any] = []
    original = BinaryCopy.run

    def spied(copy: BinaryCopy, attempt: Any, selects: Any) -> None:
        connection = attempt.stores.connection
        seen.append(connection.execute("SELECT current_user, current_setting('transaction_read_only')").fetchone())
        original(copy, attempt, selects)
        with pytest.raises(pg.ReadOnlySqlTransaction), connection.transaction():
            connection.execute(b"DELETE FROM ops.file_ingestion_log")

    monkeypatch.setattr(BinaryCopy, "run", spied)
    with dry_run(written(pipeline, UPDATE), pipeline.contract, pipeline.settings) as (_, planned):
        assert planned is not None
        assert effect_of(planned, platform.warehouse_config("reader")).inserted == 2
    assert seen == [("reader", "on")]
    assert filegate.environment["WAREHOUSE_READER_USER"] == "reader"


def test_try_of_a_snapshot_counts_the_rows_that_it_deletes(
    platform: Platform, filegate: Filegate, pipeline: Pipeline
) -> None:
    filegate.write_contract(newest_by=None, mode="snapshot", deletes="soft", maxDeleteShare=1)
    pipeline.send("one.csv", LOADED)
    body = "id,amount,at\nb,2,2026-01-05T00:00:00Z\nd,4,2026-01-05T00:00:00Z\n"
    path = written(pipeline, body)
    before = everything(platform, pipeline)
    found = filegate.json("try", path)["table"]
    assert {name: found[name] for name in COUNTS} == {"inserted": 1, "updated": 0, "unchanged": 1}
    assert found["deleted_at_most"] == 2
    assert "at most 2 deleted" in filegate("try", path).stdout
    assert everything(platform, pipeline) == before
    entry = pipeline.send("two.csv", body)
    assert (entry["rows_inserted"], entry["rows_unchanged"], entry["rows_deleted"]) == (1, 1, 2)

    resent = "id,amount,at\na,1,2026-01-05T00:00:00Z\nb,2,2026-01-05T00:00:00Z\n"
    found = filegate.json("try", written(pipeline, resent))["table"]
    assert ({name: found[name] for name in COUNTS}, found["deleted_at_most"]) == (
        {"inserted": 0, "updated": 1, "unchanged": 1}, 1
    )  # fmt: skip
    entry = pipeline.send("three.csv", resent)
    assert (entry["rows_updated"], entry["rows_unchanged"], entry["rows_deleted"]) == (1, 1, 1)


def test_try_of_a_snapshot_that_deletes_too_much_has_the_refusal_of_its_load(
    filegate: Filegate, pipeline: Pipeline
) -> None:
    filegate.write_contract(newest_by=None, mode="snapshot", deletes="soft", maxDeleteShare=0.5)
    pipeline.send("one.csv", LOADED)
    body = "id,amount,at\nb,2,2026-01-05T00:00:00Z\n"
    path = written(pipeline, body)
    found = filegate.json("try", path, code=4)
    entry = pipeline.send("two.csv", body)
    assert found["code"] == entry["error_code"] == "too-many-deletes"
    assert found["message"].startswith(entry["error_message"])
    with_reject = written(pipeline, body + "x,two,2026-01-05T00:00:00Z\n")
    assert any("maxDeleteShare" in line for line in filegate.json("try", with_reject)["not_checked"])


def test_try_of_appended_rows_inserts_them_all(filegate: Filegate, pipeline: Pipeline) -> None:
    columns = [column.replace("primaryKey: true, ", "") for column in COLUMNS]
    filegate.write_contract(*columns, newest_by=None, key=["_file_id", "_source_row"])
    pipeline.send("one.csv", LOADED)
    found = filegate.json("try", written(pipeline, UPDATE))["table"]
    assert {name: found[name] for name in COUNTS} == {"inserted": 5, "updated": 0, "unchanged": 0}
