"""Without a newest-by column, files load in the order in which they were written, and a content may be sent again."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.model import Column, ColumnType, ErrorBudget, UnknownColumns
from include.errors import Code, RetryableError
from include.ingestion import load, validate
from include.ingestion import pipeline as stages
from include.ingestion.claim import in_turn
from include.ingestion.fetch import ObjectChangedError
from include.ingestion.records import FileStatus
from include.ingestion.upkeep.requeue import Selection, requeue
from include.stores.object_store import ObjectInfo, ObjectStore
from include.stores.sql_text import statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

COLUMNS = (Column("id", ColumnType.TEXT, required=True), Column("n", ColumnType.INTEGER))
A, B, C = "id,n\nx,1\n", "id,n\nx,2\n", "id,n\nx,3\n"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def unordered(make_pipeline: MakePipeline) -> Pipeline:
    """A dataset of id and n in which no column says which row is newer."""
    return make_pipeline(**SHAPE)


SHAPE: dict[str, Any] = {
    "columns": COLUMNS, "key": ("id",), "newest_by": None, "row_rules": (), "budget": ErrorBudget(),
    "unknown_columns": UnknownColumns.RESCUE,
}  # fmt: skip


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The seconds at which objects were written, by name, as the bucket lists them."""
    seconds: dict[str, int] = {}
    listed = ObjectStore.list

    def with_times(self: ObjectStore, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        for item in listed(self, bucket, prefix):
            name = item.key.rsplit("/", 1)[-1]
            yield replace(item, modified_at=START + timedelta(seconds=seconds[name])) if name in seconds else item

    monkeypatch.setattr(ObjectStore, "list", with_times)
    return seconds


def statuses(pipeline: Pipeline) -> dict[str, str]:
    return {entry["object_key"].rsplit("/", 1)[-1]: entry["status"] for entry in pipeline.entries()}


def value(pipeline: Pipeline) -> int:
    (row,) = pipeline.rows()
    return row["n"]


def test_aba_resend_one_after_the_other_ends_with_the_last_content(unordered: Pipeline) -> None:
    """CASES aba_resend_1..3."""
    entries = [unordered.send(f"{at}.csv", body) for at, body in enumerate((A, B, A), 1)]

    assert value(unordered) == 1
    assert [(e["status"], e["resend_no"]) for e in entries] == [("archived", 0), ("archived", 0), ("archived", 1)]
    assert [(e["rows_inserted"], e["rows_updated"]) for e in entries] == [(1, 0), (0, 1), (0, 1)]


@pytest.mark.parametrize("name", ["same.csv", None], ids=["one name", "three names"])
def test_content_that_is_sent_several_times_is_counted(unordered: Pipeline, name: str | None) -> None:
    bodies = (A, A, B, A, A, C, B, A)
    entries = [unordered.send(name or f"{at}.csv", body) for at, body in enumerate(bodies)]

    assert [e["status"] for e in entries] == [
        "archived",
        "duplicate",
        *["archived"] * 2,
        "duplicate",
        *["archived"] * 3,
    ]
    assert [e["resend_no"] for e in entries if e["status"] == "archived"] == [0, 0, 1, 0, 1, 2]
    assert value(unordered) == 1


def test_refused_file_in_between_does_not_make_a_content_new(unordered: Pipeline) -> None:
    unordered.send("1.csv", A)
    unordered.send("2.csv", "id,n\nx,two\n")

    assert unordered.send("3.csv", A)["error_code"] == "duplicate-content"


def test_content_stays_a_duplicate_where_a_column_says_which_row_is_newer(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(**{**SHAPE, "newest_by": "n", "columns": (COLUMNS[0], replace(COLUMNS[1], required=True))})
    for name, body in (("1.csv", A), ("2.csv", B), ("3.csv", A)):
        pipeline.send(name, body)

    assert list(statuses(pipeline).values()) == ["archived", "archived", "duplicate"]
    assert value(pipeline) == 2


@pytest.mark.parametrize("names", [("1.csv", "2.csv", "3.csv"), ("3.csv", "2.csv", "1.csv")], ids=["rising", "falling"])
@pytest.mark.parametrize(
    ("bodies", "stays"), [((A, B, A), 1), ((A, B, C), 3), ((C, A, B), 2)], ids=["ABA", "ABC", "CAB"]
)
def test_files_dropped_together_load_in_the_order_in_which_they_were_written(
    make_pipeline: MakePipeline, written: dict[str, int], names: tuple[str, ...], bodies: tuple[str, ...], stays: int
) -> None:
    pipeline = make_pipeline(settings={"batch_max_files": 1, "batches_at_once": 4}, **SHAPE)
    for at, (name, body) in enumerate(zip(names, bodies, strict=True)):
        pipeline.put(name, body)
        written[name] = at

    batches = pipeline.claim()
    pipeline.ingest(batches)
    pipeline.settle()

    assert len(batches) == 1
    assert value(pipeline) == stays
    assert set(statuses(pipeline).values()) == {"archived"}
    pipeline.assert_tidy()


def test_files_of_one_second_load_in_the_order_of_their_keys(unordered: Pipeline, written: dict[str, int]) -> None:
    for name, body in (("c.csv", A), ("a.csv", B), ("b.csv", C)):
        unordered.put(name, body)
        written[name] = 7

    unordered.run()

    assert value(unordered) == 1
    order = unordered.sql("SELECT object_key FROM ops.file_ingestion_log WHERE dataset = %s ORDER BY loaded_at",
                          unordered.contract.dataset)  # fmt: skip
    assert [row["object_key"][-5:] for row in order] == ["a.csv", "b.csv", "c.csv"]


def test_claim_takes_the_oldest_files_first_where_there_is_no_room_for_all(
    make_pipeline: MakePipeline, written: dict[str, int]
) -> None:
    pipeline = make_pipeline(settings={"batch_max_files": 1, "max_batches": 2}, **SHAPE)
    for at, body in enumerate((A, B, C, A, B)):
        pipeline.put(f"{9 - at}.csv", body)
        written[f"{9 - at}.csv"] = at

    seen = []
    for _ in range(3):
        pipeline.run()
        seen.append(value(pipeline))

    assert seen == [2, 1, 2]


def test_file_that_replaces_a_waiting_one_with_the_same_content_is_loaded_last(
    unordered: Pipeline, written: dict[str, int]
) -> None:
    unordered.put("a.csv", A)
    unordered.put("b.csv", B)
    written.update({"a.csv": 1, "b.csv": 2})
    unordered.claim()
    written["a.csv"] = 3

    unordered.run()

    assert value(unordered) == 1


# --- waiting


def trap(name: str, error: Callable[[], Exception], original: Callable[..., Any]) -> Callable[..., Any]:
    def stage(*values: Any) -> Any:
        if any(getattr(each, "entry", each).name == name for each in values[:1]):
            raise error()
        return original(*values)

    return stage


def put_three(pipeline: Pipeline, written: dict[str, int]) -> None:
    for at, (name, body) in enumerate((("1.csv", A), ("2.csv", B), ("3.csv", C))):
        pipeline.put(name, body)
        written[name] = at


@pytest.mark.parametrize("stage", ["fetch", "load"])
def test_later_file_waits_for_one_that_waits_for_a_retry(
    unordered: Pipeline, written: dict[str, int], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    put_three(unordered, written)

    def away() -> RetryableError:
        return RetryableError(Code.BUCKET_UNAVAILABLE, "The store does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(stages, stage, trap("2.csv", away, getattr(stages, stage)))
        with suppress(RetryableError):
            unordered.run()
        assert value(unordered) == 1
        assert statuses(unordered)["3.csv"] == "claimed"
        with suppress(RetryableError):
            unordered.run()
        assert value(unordered) == 1

    unordered.run()

    assert value(unordered) == 3
    assert set(statuses(unordered).values()) == {"archived"}


def test_later_file_waits_for_one_that_is_being_written(
    unordered: Pipeline, written: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_three(unordered, written)

    def changed() -> ObjectChangedError:
        return ObjectChangedError(Code.OBJECT_REPLACED, "The object was replaced.")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "fetch", trap("2.csv", changed, stages.fetch))
        result = unordered.run()

    assert (dict(result.files), len(result.waiting)) == ({"loaded": 1}, 2)
    assert value(unordered) == 1
    unordered.run()
    assert value(unordered) == 3


def test_file_whose_worker_died_is_ingested_alone_and_before_the_later_ones(
    unordered: Pipeline, written: dict[str, int]
) -> None:
    put_three(unordered, written)
    ((first, second, third),) = unordered.claim()
    with unordered.stores() as stores:
        assert stores.ledger.begin(second) is not None

    assert unordered.claim() == [[first]]
    result = unordered.ingest([[first, second, third]])
    unordered.settle()
    assert (dict(result.files), result.waiting) == ({"loaded": 1}, [second, third])
    assert unordered.claim() == [[second]]
    unordered.ingest([[second]])
    unordered.settle()
    assert value(unordered) == 2
    unordered.run()
    assert value(unordered) == 3


def test_later_file_is_not_loaded_by_another_worker_before_the_earlier_one(
    unordered: Pipeline, written: dict[str, int]
) -> None:
    """However files are assigned to workers, the load checks under the lock that all earlier files have an outcome."""
    put_three(unordered, written)
    ((first, second, third),) = unordered.claim()

    with pytest.raises(RetryableError) as caught:
        unordered.ingest([[second]])
    assert caught.value.code is Code.EARLIER_FILE_WAITS
    assert "1.csv" in str(caught.value)
    entry = unordered.entry(second)
    assert (entry["status"], entry["attempts"], entry["error_code"]) == ("claimed", 0, "earlier-file-waits")

    for file_id in (first, second, third):
        unordered.ingest([[file_id]])
    unordered.settle()
    assert value(unordered) == 3


def test_refused_file_does_not_block_later_ones_and_is_loaded_last_when_requeued(
    unordered: Pipeline, written: dict[str, int]
) -> None:
    unordered.put("1.csv", "id,n\nx,one\n")
    unordered.put("2.csv", B)
    written.update({"1.csv": 1, "2.csv": 2})
    unordered.run()
    assert statuses(unordered) == {"1.csv": "validation_failed", "2.csv": "archived"}
    assert value(unordered) == 2

    unordered.contract = replace(unordered.contract, columns=(COLUMNS[0], COLUMNS[1]), budget=ErrorBudget(share=1.0))
    written.clear()
    with unordered.stores() as stores:
        dataset = unordered.contract.dataset
        requeue(Selection(dataset), unordered.bucket, stores.objects, stores.connection, {dataset})
    unordered.run()
    assert statuses(unordered)["1.csv"] == "archived"


def test_two_workers_with_the_same_content_load_it_once(unordered: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have content A and passed the early check; the load that gets the lock later finds A loaded last."""
    unordered.put("a.csv", A)
    unordered.put("b.csv", A)
    ((first, second),) = unordered.claim()
    monkeypatch.setattr(validate, "find_duplicate", lambda *_: None)
    original, barrier = load._publish, threading.Barrier(2, timeout=30)

    def publish(*values: Any) -> Any:
        barrier.wait()
        attempt = values[0]
        if attempt.entry.file_id == second:
            wait_until(lambda: unordered.entry(first)["status"] != FileStatus.PROCESSED)
        return original(*values)

    monkeypatch.setattr(load, "_publish", publish)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda file_id: unordered.ingest([[file_id]]), (first, second)))
    unordered.settle()

    assert statuses(unordered) == {"a.csv": "archived", "b.csv": "duplicate"}
    assert value(unordered) == 1


def wait_until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("files", "batches"),
    [
        ([], []),
        ([(1, 10, 0), (2, 10, 0)], [[1, 2]]),
        ([(1, 10, 1), (2, 10, 0)], [[1]]),
        ([(1, 10, 0), (2, 10, 2), (3, 10, 0)], [[1]]),
        ([(3, 10, 1)], [[3]]),
        ([(1, 60, 0), (2, 40, 0), (3, 1, 0)], [[1, 2]]),
        ([(1, 10, 0), (2, 500, 0), (3, 10, 0)], [[1]]),
        ([(2, 500, 0), (3, 10, 0)], [[2]]),
    ],
)
def test_in_turn_makes_one_batch_that_ends_before_a_large_file_and_one_that_was_begun(
    files: list[tuple[int, int, int]], batches: list[list[int]]
) -> None:
    assert in_turn(files, most_bytes=100) == batches


def test_content_is_not_called_a_duplicate_while_an_earlier_file_waits(
    unordered: Pipeline, written: dict[str, int]
) -> None:
    """A is loaded, B waits, and A is sent again to a worker that does not wait for B."""
    for at, (name, body) in enumerate((("1.csv", A), ("2.csv", B), ("3.csv", A))):
        unordered.put(name, body)
        written[name] = at
    ((first, second, third),) = unordered.claim()
    unordered.ingest([[first]])

    with pytest.raises(RetryableError, match="earlier-file-waits"):
        unordered.ingest([[third]])

    unordered.ingest([[second], [third]])
    unordered.settle()
    assert value(unordered) == 1


ENTER_MANY = (
    "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, etag, modified_at, status, settled_at, "
    "rows_read, rows_inserted, rows_updated, rows_unchanged, rows_duplicate, rows_rejected) "
    "SELECT dataset, bucket, object_key || number, etag, modified_at, 'archived', now(), 0, 0, 0, 0, 0, 0 "
    "FROM ops.file_ingestion_log CROSS JOIN generate_series(1, 100000) AS many (number) WHERE file_id = %s"
)


def test_turn_of_a_file_is_found_by_indexes_in_a_long_ledger(unordered: Pipeline) -> None:
    unordered.put("1.csv", "x")
    ((file_id,),) = unordered.claim()
    query = b"EXPLAIN " + statement("earlier_file")
    with unordered.owner.transaction(force_rollback=True):
        unordered.sql(ENTER_MANY, file_id)
        unordered.sql("ANALYZE ops.file_ingestion_log")
        with unordered.owner.cursor() as cursor:
            plan = "\n".join(str(row) for row in cursor.execute(query, {"file_id": file_id}).fetchall())
    assert "Seq Scan on file_ingestion_log" not in plan, plan
    assert "Index Scan" in plan
