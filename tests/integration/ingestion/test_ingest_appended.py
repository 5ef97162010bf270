"""Rows without a key are appended, each exactly once; and files with far fewer rows than usual are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from dying_worker import die_at

from include.contracts.model import APPEND_KEY, Column, ColumnType, ErrorBudget, UnknownColumns
from include.ingestion.upkeep.requeue import Selection, requeue
from include.stores.sql_text import statement

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

SENSOR = Column("sensor", ColumnType.TEXT)
VALUE = Column("value", ColumnType.INTEGER)
APPENDS: dict[str, Any] = {
    "columns": (SENSOR, VALUE),
    "key": APPEND_KEY,
    "newest_by": None,
    "row_rules": (),
    "budget": ErrorBudget(share=0.5),
}
HEAD = "sensor,value\n"


@pytest.fixture
def appending(make_pipeline: MakePipeline) -> Pipeline:
    return make_pipeline(**APPENDS)


def values(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    return [(row["sensor"], row["value"]) for row in pipeline.rows()]


def test_every_row_is_inserted_and_none_replaces_another(appending: Pipeline) -> None:
    first = appending.send("1.csv", HEAD + "a,1\na,1\n,\nb,2\n")
    second = appending.send("2.csv", HEAD + "a,1\na,9\n")

    appending.assert_archived(first, inserted=4)
    appending.assert_archived(second, inserted=2)
    assert values(appending) == [("a", 1), ("a", 1), (None, None), ("b", 2), ("a", 1), ("a", 9)]
    lineage = [(row["_file_id"], row["_source_row"]) for row in appending.rows(lineage=True)]
    assert lineage == [(first["file_id"], at) for at in (1, 2, 3, 4)] + [(second["file_id"], at) for at in (1, 2)]


def test_file_and_row_are_the_primary_key_of_the_table(appending: Pipeline) -> None:
    appending.send("1.csv", HEAD + "a,1\n")

    keys = appending.sql(
        "SELECT pg_get_constraintdef(oid) AS d FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'",
        f"raw.{appending.contract.dataset}",
    )
    assert keys == [{"d": "PRIMARY KEY (_file_id, _source_row)"}]
    named = {"name": f"raw.{appending.contract.dataset}", "key": list(APPEND_KEY)}
    table = appending.owner.execute(statement("quality_table"), named).fetchone()
    assert table is not None
    assert table["key_is_enforced"]


def test_refused_rows_leave_gaps_in_the_numbers(appending: Pipeline) -> None:
    entry = appending.send("1.csv", HEAD + "a,1\nb,many\nc,3\n")

    appending.assert_archived(entry, inserted=2, rejected=1)
    assert [row["_source_row"] for row in appending.rows(lineage=True)] == [1, 3]


@pytest.mark.parametrize("between", [False, True], ids=["at once", "after another file"])
def test_same_content_is_not_appended_again(appending: Pipeline, between: bool) -> None:
    appending.send("1.csv", HEAD + "a,1\n")
    if between:
        appending.send("2.csv", HEAD + "b,2\n")

    entry = appending.send("3.csv", HEAD + "a,1\n")

    assert entry["status"] == "duplicate"
    assert values(appending).count(("a", 1)) == 1


def test_files_are_loaded_in_several_batches(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(**APPENDS, settings={"batches_at_once": 3})
    for number in range(3):
        pipeline.put(f"{number}.csv", f"{HEAD}a,{number}\n")

    batches = pipeline.claim()
    pipeline.ingest(reversed(batches))
    pipeline.settle()

    assert len(batches) == 3
    assert sorted(values(pipeline)) == [("a", 0), ("a", 1), ("a", 2)]


def test_added_columns_and_wide_rows_are_appended(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(**APPENDS | {"unknown_columns": UnknownColumns.EVOLVE})
    pipeline.send("1.csv", HEAD + "a,1\n")

    pipeline.assert_archived(pipeline.send("2.csv", "sensor,value,unit\na,1,C\n"), inserted=1)

    assert [row["unit"] for row in pipeline.rows()] == [None, "C"]


@pytest.mark.parametrize(
    "point",
    ["in the middle of the copy", "copied and audited, not merged", "merged, not committed"],
)
def test_killed_worker_appends_nothing_and_the_next_run_once(appending: Pipeline, point: str) -> None:
    appending.put("1.csv", HEAD + "".join(f"s{at},{at}\n" for at in range(20_000)))
    ((file_id,),) = appending.claim()

    die_at(point, appending, [file_id])

    assert appending.count() == 0
    appending.run()
    appending.assert_archived(appending.entry(file_id), inserted=20_000)
    assert appending.count() == 20_000
    appending.assert_tidy()


@pytest.mark.parametrize("point", ["committed, staging table not dropped", "committed"])
def test_worker_killed_after_the_commit_has_appended_once(appending: Pipeline, point: str) -> None:
    appending.put("1.csv", HEAD + "a,1\na,1\n")
    ((file_id,),) = appending.claim()

    die_at(point, appending, [file_id])

    appending.run()
    appending.assert_archived(appending.entry(file_id), inserted=2)
    assert appending.count() == 2


def test_second_attempt_at_a_loaded_file_appends_nothing(appending: Pipeline) -> None:
    """The ledger prevents it, and is changed here. File and row are the key of the merge, so no row comes twice."""
    body = HEAD + "a,1\na,1\n"
    entry = appending.send("1.csv", body)
    before = appending.versions()
    appending.sql(
        "UPDATE ops.file_ingestion_log SET status = 'claimed', settled_at = NULL, settled_key = NULL "
        "WHERE file_id = %s",
        entry["file_id"],
    )
    appending.put("1.csv", body)

    appending.run()

    appending.assert_archived(appending.entry(entry["file_id"]), unchanged=2)
    assert appending.versions() == before


def test_refused_file_is_appended_once_when_it_is_reprocessed(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(**APPENDS | {"budget": ErrorBudget()})
    pipeline.assert_refused(pipeline.send("1.csv", HEAD + "a,1\nb,many\n"), "error-budget-exceeded")
    pipeline.contract = replace(pipeline.contract, budget=ErrorBudget(share=0.5))

    with pipeline.stores() as stores:
        requeue(Selection(), pipeline.bucket, stores.objects, stores.connection, {pipeline.contract.dataset})
    pipeline.run()

    pipeline.assert_archived(pipeline.entries()[-1], inserted=1, rejected=1)
    assert pipeline.count() == 1


def test_key_of_columns_instead_is_refused_with_a_remedy_that_works(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(**APPENDS | {"key": ("sensor",), "columns": (replace(SENSOR, required=True), VALUE)})
    pipeline.send("1.csv", HEAD + "a,1\n")
    pipeline.contract = replace(pipeline.contract, key=APPEND_KEY, columns=(SENSOR, VALUE))

    entry = pipeline.send("2.csv", HEAD + "a,1\n,2\n")

    message = pipeline.assert_refused(entry, "table-differs", "loading")["message"]
    assert "the key is (sensor) in the table and (_file_id, _source_row) in the contract" in message
    pipeline.sql(message.split("reprocess the file: ")[1].rstrip("."))
    with pipeline.stores() as stores:
        requeue(Selection(), pipeline.bucket, stores.objects, stores.connection, {pipeline.contract.dataset})
    pipeline.run()
    pipeline.assert_archived(pipeline.entries()[-1], inserted=2)
    assert sorted(values(pipeline), key=str) == [("a", 1), ("a", 1), (None, 2)]


def test_append_key_replaced_by_a_key_of_columns_is_refused(appending: Pipeline) -> None:
    appending.send("1.csv", HEAD + "a,1\n")
    appending.contract = replace(appending.contract, key=("sensor",), columns=(replace(SENSOR, required=True), VALUE))

    entry = appending.send("2.csv", HEAD + "b,1\n")

    message = appending.assert_refused(entry, "table-differs", "loading")["message"]
    assert "the key is (_file_id, _source_row) in the table and (sensor) in the contract" in message


# --- too few rows


def sent_rows(pipeline: Pipeline, name: str, rows: int) -> Any:
    return pipeline.send(name, HEAD + "".join(f"{name},{at}\n" for at in range(rows)))


@pytest.mark.parametrize(
    ("before", "rows", "loads"),
    [
        pytest.param([10, 10], 1, True, id="fewer than three files"),
        pytest.param([10, 10, 10], 5, True, id="exactly the share"),
        pytest.param([10, 10, 10], 4, False, id="below the share"),
        pytest.param([2, 10, 100], 5, True, id="the median counts, not the mean"),
        pytest.param([4, 8, 8, 12], 4, True, id="the median of an even number"),
        pytest.param([90, 90, 90, 90, *[4] * 10], 2, True, id="the last ten files count"),
        pytest.param([4] * 4 + [90] * 10, 44, False, id="the first of fourteen do not count"),
    ],
)
def test_file_with_far_fewer_rows_than_the_last_ones_is_refused_with_the_numbers(
    make_pipeline: MakePipeline, before: list[int], rows: int, loads: bool
) -> None:
    pipeline = make_pipeline(**APPENDS)
    for number, count in enumerate(before):
        pipeline.assert_archived(sent_rows(pipeline, f"{number}.csv", count), inserted=count)
    pipeline.contract = replace(pipeline.contract, min_share_of_usual=0.5)
    held = pipeline.versions()

    entry = sent_rows(pipeline, "last.csv", rows)

    if loads:
        pipeline.assert_archived(entry, inserted=rows)
        return
    report = pipeline.assert_refused(entry, "too-few-rows")
    usual = sorted(before[-10:])[len(before[-10:]) // 2]
    assert f"has {rows} rows" in report["message"]
    assert f"last {min(len(before), 10)} loaded files is {usual}" in report["message"]
    assert "50 %" in report["message"]
    assert entry["rows_read"] == rows
    assert pipeline.versions() == held
    pipeline.assert_tidy()


def test_rows_read_count_also_where_some_are_refused_and_refused_files_are_not_usual(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = make_pipeline(**APPENDS)
    for number in range(3):
        pipeline.send(f"{number}.csv", HEAD + f"a,{number}\nb,many\n")
    pipeline.assert_refused(pipeline.send("bad.csv", HEAD + "b,many\n" * 50), "error-budget-exceeded")
    pipeline.contract = replace(pipeline.contract, min_share_of_usual=1.0)

    pipeline.assert_archived(pipeline.send("good.csv", HEAD + "c,1\nd,many\n"), inserted=1, rejected=1)
    pipeline.assert_refused(pipeline.send("short.csv", HEAD + "c,2\n"), "too-few-rows")


def test_refused_small_file_loads_once_the_contract_allows_it(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(**APPENDS)
    for number in range(3):
        sent_rows(pipeline, f"{number}.csv", 10)
    pipeline.contract = replace(pipeline.contract, min_share_of_usual=0.5)
    sent_rows(pipeline, "short.csv", 2)
    pipeline.contract = replace(pipeline.contract, min_share_of_usual=0.1)

    with pipeline.stores() as stores:
        requeue(Selection(), pipeline.bucket, stores.objects, stores.connection, {pipeline.contract.dataset})
    pipeline.run()

    pipeline.assert_archived(pipeline.entries()[-1], inserted=2)
