"""Snapshots: rows of the table that a file lacks are deleted or marked, in the transaction of the merge."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from dying_worker import die_at

from include.contracts.model import Column, ColumnType, Deletes, ErrorBudget, Mode
from include.ingestion.upkeep.requeue import Selection, requeue

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

pytestmark = pytest.mark.integration

ID = Column("id", ColumnType.TEXT, required=True)
PIECES = Column("pieces", ColumnType.INTEGER)
AT = Column("at", ColumnType.INTEGER, required=True)
SNAPSHOT: dict[str, Any] = {
    "columns": (ID, PIECES),
    "key": ("id",),
    "newest_by": None,
    "row_rules": (),
    "budget": ErrorBudget(share=0.5),
    "mode": Mode.SNAPSHOT,
    "deletes": Deletes.HARD,
    "max_delete_share": 0.5,
}
BOTH = pytest.mark.parametrize("deletes", Deletes)


@pytest.fixture
def made(make_pipeline: MakePipeline) -> MakePipeline:
    """Makes pipelines of snapshots."""
    return lambda base="sales", *, settings=None, **changes: make_pipeline(
        base, settings=settings, **SNAPSHOT | changes
    )


def body(**pieces: object) -> str:
    return "id,pieces\n" + "".join(f"{name},{count}\n" for name, count in pieces.items())


def live(pipeline: Pipeline) -> dict[str, Any]:
    """The rows that are not marked: pieces by id."""
    marks = pipeline.contract.deletes is Deletes.SOFT
    where = " WHERE _deleted_at IS NULL" if marks else ""
    return {row["id"]: row["pieces"] for row in pipeline.sql(f"SELECT * FROM {{table}}{where}")}


def marked(pipeline: Pipeline) -> set[str]:
    return {row["id"] for row in pipeline.sql("SELECT id FROM {table} WHERE _deleted_at IS NOT NULL")}


def assert_loaded(pipeline: Pipeline, entry: Row, deleted: int = 0, **rows: int) -> None:
    pipeline.assert_archived(entry, **rows)
    how = pipeline.contract.deletes
    assert (entry["rows_deleted"], entry["deletes_skipped"], entry["deletes"]) == (deleted, 0, how)


@BOTH
def test_rows_that_a_file_lacks_are_deleted_or_marked_and_counted(made: MakePipeline, deletes: Deletes) -> None:
    pipeline = made(deletes=deletes)
    assert_loaded(pipeline, pipeline.send("1.csv", body(a=1, b=2, c=3, d=4)), inserted=4)

    entry = pipeline.send("2.csv", body(a=1, b=20, e=5))

    assert_loaded(pipeline, entry, deleted=2, inserted=1, updated=1, unchanged=1)
    assert live(pipeline) == {"a": 1, "b": 20, "e": 5}
    if deletes is Deletes.SOFT:
        rows = {row["id"]: row for row in pipeline.rows(lineage=True)}
        assert marked(pipeline) == {"c", "d"}
        assert rows["c"]["_file_id"] == pipeline.entries()[0]["file_id"]
        assert rows["c"]["_deleted_at"] == rows["e"]["_loaded_at"]
    report = pipeline.sql("SELECT rows_deleted FROM ops.file_ingestion_log WHERE file_id = %s", entry["file_id"])
    assert report == [{"rows_deleted": 2}]


@BOTH
def test_row_that_returns_is_a_row_again(made: MakePipeline, deletes: Deletes) -> None:
    pipeline = made(deletes=deletes)
    pipeline.send("1.csv", body(a=1, b=2, c=3))
    pipeline.send("2.csv", body(a=1, b=2))

    entry = pipeline.send("3.csv", body(a=1, b=2, c=3))

    soft = deletes is Deletes.SOFT
    assert_loaded(pipeline, entry, unchanged=2, **{"updated" if soft else "inserted": 1})
    assert live(pipeline) == {"a": 1, "b": 2, "c": 3}
    assert pipeline.count() == 3


def test_row_that_returns_with_other_values_is_updated_and_unmarked(made: MakePipeline) -> None:
    pipeline = made(deletes=Deletes.SOFT)
    pipeline.send("1.csv", body(a=1, b=2))
    pipeline.send("2.csv", body(a=1))

    assert_loaded(pipeline, pipeline.send("3.csv", body(a=1, b=3)), updated=1, unchanged=1)
    assert live(pipeline) == {"a": 1, "b": 3}


def test_marked_row_stays_marked_and_is_not_counted_again(made: MakePipeline) -> None:
    pipeline = made(deletes=Deletes.SOFT)
    pipeline.send("1.csv", body(a=1, b=2))
    pipeline.send("2.csv", body(a=1))
    before = pipeline.rows()

    assert_loaded(pipeline, pipeline.send("3.csv", body(a=3)), updated=1)
    assert pipeline.rows()[1] == before[1]


def test_row_that_returns_older_loses_its_mark_and_keeps_its_newer_values(made: MakePipeline) -> None:
    pipeline = made(columns=(ID, PIECES, AT), newest_by="at", deletes=Deletes.SOFT)
    pipeline.send("1.csv", "id,pieces,at\na,1,1\nb,2,9\n")
    pipeline.send("2.csv", "id,pieces,at\na,1,1\n")
    assert marked(pipeline) == {"b"}

    assert_loaded(pipeline, pipeline.send("3.csv", "id,pieces,at\na,1,1\nb,7,8\n"), updated=1, unchanged=1)
    assert live(pipeline) == {"a": 1, "b": 2}


def test_older_row_of_a_newer_snapshot_counts_as_present(made: MakePipeline) -> None:
    pipeline = made(columns=(ID, PIECES, AT), newest_by="at")
    pipeline.send("1.csv", "id,pieces,at\na,1,5\nb,2,9\n")

    assert_loaded(pipeline, pipeline.send("2.csv", "id,pieces,at\nb,7,8\n"), deleted=1, unchanged=1)
    assert live(pipeline) == {"b": 2}


def test_superseded_and_repeated_rows_count_as_present(made: MakePipeline) -> None:
    pipeline = made()
    pipeline.send("1.csv", body(a=1, b=2))

    entry = pipeline.send("2.csv", "id,pieces\na,1\na,1\nb,2\n")

    assert_loaded(pipeline, entry, unchanged=2, duplicate=1)


# --- how many


@BOTH
@pytest.mark.parametrize(
    ("share", "left", "loads"),
    [(0.1, 9, True), (0.1, 8, False), (0.0, 9, False), (0.0, 10, True), (1.0, 1, True), (0.25, 7, False)],
)
def test_file_that_would_delete_too_many_rows_is_refused_with_the_numbers(
    made: MakePipeline, deletes: Deletes, share: float, left: int, loads: bool
) -> None:
    pipeline = made(deletes=deletes, max_delete_share=share)
    pipeline.send("1.csv", body(**{f"r{at}": at for at in range(10)}))
    before = pipeline.versions()

    entry = pipeline.send("2.csv", body(**{f"r{at}": at + 100 for at in range(left)}))

    if loads:
        assert_loaded(pipeline, entry, deleted=10 - left, updated=left)
        return
    report = pipeline.assert_refused(entry, "too-many-deletes")
    assert f"lacks {10 - left} of the 10 rows in raw.{pipeline.contract.dataset}" in report["message"]
    assert f"at most {share * 100:.4g} %" in report["message"]
    assert "maxDeleteShare" in report["message"]
    assert entry["rows_deleted"] is None
    assert (pipeline.versions(), live(pipeline)) == (before, {f"r{at}": at for at in range(10)})
    pipeline.assert_tidy()


def test_share_is_of_the_rows_that_are_not_marked(made: MakePipeline) -> None:
    pipeline = made(deletes=Deletes.SOFT, max_delete_share=0.5)
    pipeline.send("1.csv", body(a=1, b=2, c=3, d=4))
    pipeline.send("2.csv", body(a=1, b=2))

    assert_loaded(pipeline, pipeline.send("3.csv", body(a=1)), deleted=1, unchanged=1)
    pipeline.assert_refused(pipeline.send("4.csv", body(z=1)), "too-many-deletes")
    assert live(pipeline) == {"a": 1}


def test_refused_file_loads_once_the_contract_allows_it(made: MakePipeline) -> None:
    pipeline = made(max_delete_share=0.1)
    pipeline.send("1.csv", body(a=1, b=2))
    pipeline.assert_refused(pipeline.send("2.csv", body(a=1)), "too-many-deletes")
    pipeline.contract = replace(pipeline.contract, max_delete_share=0.5)

    moved(pipeline)
    pipeline.run()

    assert_loaded(pipeline, pipeline.entries()[-1], deleted=1, unchanged=1)
    assert live(pipeline) == {"a": 1}


def moved(pipeline: Pipeline) -> None:
    with pipeline.stores() as stores:
        requeue(Selection(), pipeline.bucket, stores.objects, stores.connection, {pipeline.contract.dataset})


@pytest.mark.parametrize("content", ["", "id,pieces\n"], ids=["no bytes", "no rows"])
def test_empty_file_deletes_nothing(made: MakePipeline, content: str) -> None:
    pipeline = made(max_delete_share=1.0)
    pipeline.send("1.csv", body(a=1))

    assert pipeline.send("2.csv", content)["status"] == "validation_failed"
    assert live(pipeline) == {"a": 1}


# --- refused rows


@BOTH
def test_key_of_a_refused_row_counts_as_present(made: MakePipeline, deletes: Deletes) -> None:
    pipeline = made(deletes=deletes)
    pipeline.send("1.csv", body(a=1, b=2, c=3))

    entry = pipeline.send("2.csv", body(a=1, b="many", d=4))

    assert_loaded(pipeline, entry, deleted=1, inserted=1, unchanged=1, rejected=1)
    assert live(pipeline) == {"a": 1, "b": 2, "d": 4}


def test_keys_of_conflicting_rows_count_as_present(made: MakePipeline) -> None:
    pipeline = made()
    pipeline.send("1.csv", body(a=1, b=2, c=3))

    entry = pipeline.send("2.csv", "id,pieces\na,1\nb,5\nb,6\nd,1\n")

    assert_loaded(pipeline, entry, deleted=1, inserted=1, unchanged=1, rejected=2)
    assert live(pipeline) == {"a": 1, "b": 2, "d": 1}


@BOTH
@pytest.mark.parametrize("line", [",7", "b", "b,1,2"], ids=["no key", "too few fields", "too many fields"])
def test_refused_row_without_a_known_key_may_be_any_row(made: MakePipeline, deletes: Deletes, line: str) -> None:
    pipeline = made(deletes=deletes)
    pipeline.send("1.csv", body(a=1, b=2, c=3))

    entry = pipeline.send("2.csv", body(a=10, d=4) + line + "\n")

    pipeline.assert_archived(entry, inserted=1, updated=1, rejected=1)
    assert (entry["rows_deleted"], entry["deletes_skipped"]) == (0, 2)
    assert pipeline.report(entry)["rows"]["deletes_skipped"] == 2
    assert live(pipeline) == {"a": 10, "b": 2, "c": 3, "d": 4}
    assert_loaded(pipeline, pipeline.send("3.csv", body(a=10, b=2, d=4)), deleted=1, unchanged=3)


@pytest.mark.parametrize("rows", [3, 40_000])
def test_refused_keys_of_every_type_are_compared_as_the_table_stores_them(made: MakePipeline, rows: int) -> None:
    columns = (
        Column("u", ColumnType.UUID, required=True),
        Column("n", ColumnType.NUMBER, precision=12, scale=2, required=True),
        Column("d", ColumnType.DATE, required=True),
        Column("tz", ColumnType.TIMESTAMPTZ, required=True),
        PIECES,
    )
    key = ("u", "n", "d", "tz")
    pipeline = made(columns=columns, key=key, budget=ErrorBudget(unlimited=True), max_delete_share=0.0)

    def line(at: int, pieces: str, *, upper: bool = False) -> str:
        uuid = f"6f1c2a34-9d1e-4c55-8a86-{at:012x}"
        return f"{uuid.upper() if upper else uuid},{at}.50,2026-01-02,2026-01-02T03:04:05Z,{pieces}"

    head = "u,n,d,tz,pieces\n"
    pipeline.send("1.csv", head + "\n".join(line(at, "1") for at in range(rows)))

    entry = pipeline.send("2.csv", head + "\n".join(line(at, "many", upper=True) for at in range(rows)))

    assert_loaded(pipeline, entry, rejected=rows)
    assert pipeline.count() == rows


def test_refused_keys_are_compared_column_by_column(made: MakePipeline) -> None:
    """The key's columns are in another order than the contract's, and of one type."""
    pipeline = made(columns=(ID, replace(ID, name="other"), PIECES), key=("other", "id"))
    pipeline.send("1.csv", "id,other,pieces\na,b,1\nb,a,2\nc,c,3\n")

    entry = pipeline.send("2.csv", "id,other,pieces\na,b,many\nc,c,3\n")

    assert_loaded(pipeline, entry, deleted=1, unchanged=1, rejected=1)
    assert {(row["id"], row["other"]) for row in pipeline.rows()} == {("a", "b"), ("c", "c")}


# --- order


def test_content_that_comes_back_after_another_one_is_loaded_again(made: MakePipeline) -> None:
    pipeline = made(columns=(ID, PIECES, AT), newest_by="at")
    first, second = "id,pieces,at\na,1,1\nb,2,1\n", "id,pieces,at\na,1,1\n"
    for name, content in (("1.csv", first), ("2.csv", second), ("3.csv", first)):
        pipeline.send(name, content)

    assert [entry["status"] for entry in pipeline.entries()] == ["archived"] * 3
    assert live(pipeline) == {"a": 1, "b": 2}


def test_files_of_one_run_load_in_the_order_of_writing(made: MakePipeline) -> None:
    pipeline = made(columns=(ID, PIECES, AT), newest_by="at", settings={"batches_at_once": 4})
    pipeline.send("0.csv", "id,pieces,at\na,1,1\nb,2,1\n")
    for name, content in (("z.csv", "a,1,1\nb,2,1\nc,1,1\n"), ("y.csv", "a,1,1\nc,1,1\n")):
        key = pipeline.put(name, "id,pieces,at\n" + content)
        pipeline.sql("SELECT pg_sleep(1.1)")  # the bucket keeps times to the second
        assert key

    assert len(pipeline.claim()) == 1
    while pipeline.run().files:
        pass

    assert live(pipeline) == {"a": 1, "c": 1}


def test_reprocessed_snapshot_never_deletes_newer_rows(made: MakePipeline) -> None:
    pipeline = made(max_delete_share=0.1)
    pipeline.send("1.csv", body(a=1, b=2))
    pipeline.assert_refused(pipeline.send("2.csv", body(a=1)), "too-many-deletes")
    pipeline.sql("SELECT pg_sleep(1.1)")
    pipeline.send("3.csv", body(a=1, b=2, c=3))
    pipeline.contract = replace(pipeline.contract, max_delete_share=1.0)

    moved(pipeline)
    pipeline.run()

    entry = pipeline.entries()[1]
    report = pipeline.assert_refused(entry, "older-snapshot")
    assert f"before file {pipeline.entries()[2]['file_id']}" in report["message"]
    assert live(pipeline) == {"a": 1, "b": 2, "c": 3}
    # Uploaded again by hand it is the newest truth.
    pipeline.send("4.csv", body(a=1))
    assert live(pipeline) == {"a": 1}


def test_snapshot_that_the_bucket_lists_late_is_refused(made: MakePipeline) -> None:
    """An upload in parts has the time at which it began: it may be older than a file that is loaded already."""
    pipeline = made()
    pipeline.send("1.csv", body(a=1, b=2))
    pipeline.put("2.csv", body(a=1))
    ((file_id,),) = pipeline.claim()
    late = datetime.now(UTC) - timedelta(hours=1)
    pipeline.sql(
        "UPDATE ops.file_ingestion_log SET modified_at = %s, first_modified_at = %s WHERE file_id = %s",
        late, late, file_id,
    )  # fmt: skip

    pipeline.ingest([[file_id]])
    pipeline.settle()

    pipeline.assert_refused(pipeline.entry(file_id), "older-snapshot")
    assert live(pipeline) == {"a": 1, "b": 2}


# --- the table


def test_table_gets_the_column_when_the_contract_marks_deletes(made: MakePipeline) -> None:
    pipeline = made(deletes=Deletes.HARD)
    pipeline.send("1.csv", body(a=1, b=2, c=3))
    pipeline.contract = replace(pipeline.contract, deletes=Deletes.SOFT)

    assert_loaded(pipeline, pipeline.send("2.csv", body(a=1, b=2)), deleted=1, unchanged=2)
    assert (live(pipeline), marked(pipeline)) == ({"a": 1, "b": 2}, {"c"})


@pytest.mark.parametrize("changes", [{"deletes": Deletes.HARD}, {"mode": Mode.MERGE, "deletes": None}], ids=str)
def test_marked_row_that_returns_loses_its_mark_under_any_contract(made: MakePipeline, changes: dict[str, Any]) -> None:
    pipeline = made(deletes=Deletes.SOFT)
    pipeline.send("1.csv", body(a=1, b=2, c=3))
    pipeline.send("2.csv", body(a=1, b=2))
    pipeline.contract = replace(pipeline.contract, **changes)

    entry = pipeline.send("3.csv", body(a=1, b=2, c=3))

    assert_loaded(pipeline, entry, unchanged=2, updated=1)
    assert marked(pipeline) == set()


def test_hard_deletes_leave_rows_that_are_marked(made: MakePipeline) -> None:
    pipeline = made(deletes=Deletes.SOFT)
    pipeline.send("1.csv", body(a=1, b=2, c=3, d=4))
    pipeline.send("2.csv", body(a=1, b=2, c=3))
    pipeline.contract = replace(pipeline.contract, deletes=Deletes.HARD)

    assert_loaded(pipeline, pipeline.send("3.csv", body(a=1, b=2)), deleted=1, unchanged=2)
    assert {row["id"] for row in pipeline.rows()} == {"a", "b", "d"}


def test_role_may_delete_only_where_the_contract_says_so(made: MakePipeline) -> None:
    query = "SELECT has_table_privilege('ingest', %s, 'DELETE') AS may"
    pipeline = made(deletes=Deletes.SOFT)
    name = f"raw.{pipeline.contract.dataset}"
    pipeline.send("1.csv", body(a=1))
    assert pipeline.sql(query, name) == [{"may": False}]
    pipeline.contract = replace(pipeline.contract, deletes=Deletes.HARD)

    pipeline.send("2.csv", body(a=2))

    assert pipeline.sql(query, name) == [{"may": True}]


def test_other_files_of_the_dataset_delete_nothing(made: MakePipeline) -> None:
    pipeline = made(mode=Mode.MERGE, deletes=None)
    pipeline.send("1.csv", body(a=1, b=2))

    entry = pipeline.send("2.csv", body(a=1))

    pipeline.assert_archived(entry, unchanged=1)
    assert (entry["rows_deleted"], entry["deletes"]) == (0, None)
    assert pipeline.count() == 2


# --- crashes


@BOTH
@pytest.mark.parametrize(
    "point",
    ["copied and audited, not merged", "deleted, not merged", "merged, not committed"],
)
def test_killed_worker_leaves_all_rows_or_deletes_them_once(made: MakePipeline, deletes: Deletes, point: str) -> None:
    pipeline = made(deletes=deletes)
    pipeline.send("1.csv", body(a=1, b=2, c=3))
    before = pipeline.versions()
    pipeline.put("2.csv", body(a=1, b="many", d=4))
    ((file_id,),) = pipeline.claim()

    die_at(point, pipeline, [file_id])

    assert pipeline.versions() == before
    assert live(pipeline) == {"a": 1, "b": 2, "c": 3}
    pipeline.run()
    assert_loaded(pipeline, pipeline.entry(file_id), deleted=1, inserted=1, unchanged=1, rejected=1)
    assert live(pipeline) == {"a": 1, "b": 2, "d": 4}
    pipeline.assert_tidy()


@BOTH
def test_worker_killed_after_the_commit_has_deleted_once(made: MakePipeline, deletes: Deletes) -> None:
    pipeline = made(deletes=deletes)
    pipeline.send("1.csv", body(a=1, b=2))
    pipeline.put("2.csv", body(a=1))
    ((file_id,),) = pipeline.claim()

    die_at("committed, staging table not dropped", pipeline, [file_id])

    pipeline.run()
    assert_loaded(pipeline, pipeline.entry(file_id), deleted=1, unchanged=1)
    assert live(pipeline) == {"a": 1}
    pipeline.assert_tidy()
