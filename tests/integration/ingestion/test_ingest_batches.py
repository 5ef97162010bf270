"""Batches: a bad file does not stop the others, merges into one table do not overlap, the audit refuses files."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.model import Expectation, Severity
from include.errors import Code, PermanentError, RetryableError
from include.ingestion import load
from include.ingestion import pipeline as stages
from include.ingestion.claim import claim
from include.ingestion.object_keys import incoming_prefix
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.requeue import Selection, requeue
from include.samples.badness import Bad, BadKind
from include.stores.object_store import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

    from include.contracts.model import Contract

pytestmark = pytest.mark.integration


def sent(pipeline: Pipeline, name: str, rows: int = 100, **how: Any) -> str:
    return pipeline.put(name, pipeline.sample(name, rows, **how).path.read_bytes())


def statuses(pipeline: Pipeline) -> dict[str, str]:
    return {entry["object_key"].rsplit("/", 1)[-1]: entry["status"] for entry in pipeline.entries()}


def trap(name: str, error: Exception, original: Callable[..., Any]) -> Callable[..., Any]:
    """The stage, but it raises this error for the file of this name."""

    def stage(*values: Any) -> Any:
        if any(getattr(value, "entry", value).name == name for value in values[:1]):
            raise error
        return original(*values)

    return stage


# --- batches


def test_batch_loads_all_files_but_the_bad_one(pipeline: Pipeline) -> None:
    for at in range(5):
        bad = [Bad(BadKind.BAD_DATE)] if at == 2 else []
        sent(pipeline, f"{at}.csv", start=at * 100, bad=bad)

    result = pipeline.run()

    assert result.files == {"loaded": 4, "refused": 1}
    assert result.rows == pipeline.count() == 400
    assert statuses(pipeline) == {f"{at}.csv": "archived" for at in range(5)} | {"2.csv": "validation_failed"}
    pipeline.assert_tidy()


def test_batches_load_thirty_nine_of_forty_small_files(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(settings={"batch_max_files": 12})
    header, *lines = pipeline.sample("sales.csv", 400).path.read_text().splitlines(keepends=True)
    lines[205] = lines[205][lines[205].index(",") :]
    for at in range(40):
        pipeline.put(f"{at:03}.csv", header + "".join(lines[at * 10 : at * 10 + 10]))

    batches = pipeline.claim()
    result = pipeline.ingest(batches)
    counts = pipeline.settle()

    assert [len(batch) for batch in batches] == [10, 10, 10, 10]
    assert result.files == {"loaded": 39, "refused": 1}
    assert counts == {"archived": 39, "validation_failed": 1}
    assert pipeline.count() == 390
    pipeline.assert_tidy()


def test_claim_puts_a_large_file_alone_and_small_ones_together(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(settings={"batch_max_bytes": 1_000, "batches_at_once": 1})
    for name, size in (("a", 400), ("b", 400), ("c", 400), ("d", 5_000), ("e", 10)):
        pipeline.put(f"{name}.csv", b"x" * size)

    a, b, c, d, e = (entry["file_id"] for entry in [*claimed(pipeline)])

    assert pipeline.entry(d)["size_bytes"] == 5_000
    assert pipeline.claim("run-1") == []
    assert pipeline.claim("another run") == [[a, b], [c], [d], [e]]


def claimed(pipeline: Pipeline) -> list[Any]:
    pipeline.claim("run-1")
    return pipeline.entries()


def test_claim_of_many_waiting_files_asks_the_store_once_for_each_thousand(pipeline: Pipeline) -> None:
    """The claim makes no request per file: 10,000 files are claimed in seconds."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: pipeline.put(f"{at:04}.csv", b"x"), range(2_100)))
    requests = list[str]()
    with pipeline.stores() as stores:
        events = stores.objects._client.meta.events
        events.register("before-call.s3", lambda model, **_: requests.append(model.name))
        run = AirflowRun("ingest_test", "run-1")
        batches = claim(pipeline.contract, stores, run, pipeline.settings)

    assert sum(len(batch) for batch in batches) == 2_100
    assert requests == ["ListObjectsV2"] * 3


def test_claim_leaves_files_beyond_its_limit_for_the_next_run(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(settings={"batch_max_files": 2, "max_batches": 2, "batches_at_once": 1})
    for at in range(7):
        sent(pipeline, f"{at}.csv", 10, start=at * 10)

    assert [pipeline.run().files["loaded"] for _ in range(3)] == [4, 3, 0]
    assert set(statuses(pipeline).values()) == {"archived"}
    assert pipeline.count() == 70


def test_batch_finds_the_same_content_twice_in_itself(pipeline: Pipeline) -> None:
    sent(pipeline, "a.csv")
    pipeline.put("b.csv", (pipeline.folder / "a.csv").read_bytes())

    pipeline.run()

    assert statuses(pipeline) == {"a.csv": "archived", "b.csv": "duplicate"}
    assert pipeline.count() == 100
    pipeline.assert_tidy()


@pytest.mark.parametrize("stage", ["fetch", "load"])
def test_batch_continues_after_a_permanent_error(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    for at, name in enumerate("abc"):
        sent(pipeline, f"{name}.csv", start=at * 100)
    error = PermanentError(Code.WAREHOUSE_REFUSED, "The warehouse refused; check the role's rights.")
    monkeypatch.setattr(stages, stage, trap("b.csv", error, getattr(stages, stage)))

    result = pipeline.run()

    assert result.files == {"loaded": 2, "refused": 1}
    failed = {"fetch": "validation", "load": "loading"}[stage]
    assert statuses(pipeline) == {"a.csv": "archived", "b.csv": f"{failed}_failed", "c.csv": "archived"}
    pipeline.assert_refused(pipeline.entries()[1], "warehouse-refused", failed)
    pipeline.assert_tidy()


def test_batch_notes_a_defect_as_internal_and_without_its_traceback(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for at, name in enumerate("abc"):
        sent(pipeline, f"{name}.csv", start=at * 100)
    defect = ZeroDivisionError("secret detail of line 42")
    monkeypatch.setattr(stages, "load", trap("b.csv", defect, stages.load))

    result = pipeline.run()

    assert result.files == {"loaded": 2, "refused": 1}
    entry = pipeline.entries()[1]
    report = pipeline.assert_refused(entry, "internal", "loading")
    assert "ZeroDivisionError" in report["message"]
    assert "secret detail" not in report["message"]
    assert "secret detail" in caplog.text
    pipeline.assert_tidy()


def test_batch_stops_at_a_retryable_error_and_continues_there(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, name in enumerate("abc"):
        sent(pipeline, f"{name}.csv", start=at * 100)
    batches = pipeline.claim()
    error = RetryableError(Code.WAREHOUSE_UNAVAILABLE, "The warehouse does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "load", trap("b.csv", error, stages.load))
        with pytest.raises(RetryableError):
            pipeline.ingest([[file_id for batch in batches for file_id in batch]])

    assert statuses(pipeline) == {"a.csv": "loaded", "b.csv": "claimed", "c.csv": "claimed"}
    result = pipeline.ingest([[file_id for batch in batches for file_id in batch]])
    pipeline.settle()
    assert set(statuses(pipeline).values()) == {"archived"}
    assert [entry["attempts"] for entry in pipeline.entries()] == [1, 1, 1]
    assert result.rows == 200
    pipeline.assert_tidy()


def test_batch_of_a_finished_file_changes_nothing(pipeline: Pipeline) -> None:
    entry = pipeline.send("a.csv", pipeline.sample("a.csv", 50).path.read_bytes())
    before = pipeline.versions()

    pipeline.ingest([[entry["file_id"]], [entry["file_id"], 999_999_999]])

    assert pipeline.entry(entry["file_id"]) == entry
    assert pipeline.versions() == before


def test_claim_removes_folder_markers_and_leaves_files(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor would always find the marker object that an S3 console writes for a folder. This S3 server stores no
    such objects below a folder, so the listing is patched.
    """
    key = sent(pipeline, "2026/sales.csv")
    marker = incoming_prefix(pipeline.contract.dataset) + "2025/"
    listed, deleted = ObjectStore.list, []

    def with_marker(self: ObjectStore, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        yield ObjectInfo(marker, "d41d8cd98f00b204e9800998ecf8427e", 0)
        yield from listed(self, bucket, prefix)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "list", with_marker)
        patch.setattr(ObjectStore, "delete", lambda _, __, key: deleted.append(key))
        batches = pipeline.claim()
    pipeline.ingest(batches)
    pipeline.settle()

    assert deleted == [marker]
    assert [entry["object_key"] for entry in pipeline.entries()] == [key]
    pipeline.assert_archived(pipeline.entries()[0], inserted=100)
    pipeline.assert_tidy()


# --- two at once


def together(*tasks: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [running.result(60) for running in [pool.submit(task) for task in tasks]]


def meet_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, parties: int, seconds: float = 30) -> None:
    """Let the workers wait for each other before this step."""
    original, barrier = getattr(owner, name), threading.Barrier(parties, timeout=seconds)

    def step(*values: Any, **named: Any) -> Any:
        barrier.wait()
        return original(*values, **named)

    monkeypatch.setattr(owner, name, step)


def test_two_loads_into_one_table_run_one_after_the_other(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(pipeline, "older.csv", 3_000, version=1)
    sent(pipeline, "newer.csv", 3_000, start=1_500, version=2)
    ids = sorted(file_id for batch in pipeline.claim() for file_id in batch)
    meet_before(monkeypatch, load, "_publish", 2)

    together(*(lambda at=at: pipeline.ingest([[at]]) for at in ids))
    pipeline.settle()

    newer, older = sorted(pipeline.entries(), key=lambda entry: entry["object_key"])
    assert (newer["status"], older["status"]) == ("archived", "archived")
    assert newer["rows_inserted"] + older["rows_inserted"] == pipeline.count() == 4_500
    # the load that came second found the rows of the first: updated by the newer file, unchanged by the older one
    assert (newer["rows_updated"], older["rows_unchanged"]) in {(1_500, 0), (0, 1_500)}
    stored = pipeline.sql("SELECT _file_id, count(*) AS n FROM {table} GROUP BY 1 ORDER BY 1")
    assert {row["_file_id"]: row["n"] for row in stored} == {newer["file_id"]: 3_000, older["file_id"]: 1_500}
    pipeline.assert_tidy()


def test_same_content_in_two_batches_at_once_is_loaded_once(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both pass the early check for duplicates; the ledger's unique index refuses one in the merge's transaction."""
    sent(pipeline, "a.csv", 500, bad=[])
    pipeline.put("b.csv", (pipeline.folder / "a.csv").read_bytes())
    ids = [file_id for batch in pipeline.claim() for file_id in batch]
    meet_before(monkeypatch, load, "_publish", 2)

    together(*(lambda at=at: pipeline.ingest([[at]]) for at in ids))
    pipeline.settle()

    first, second = sorted(pipeline.entries(), key=lambda entry: entry["status"])
    pipeline.assert_archived(first, inserted=500)
    assert (second["status"], second["error_code"]) == ("duplicate", "duplicate-content")
    assert f"file {first['file_id']}" in second["error_message"]
    assert {row["_file_id"] for row in pipeline.rows(lineage=True)} == {first["file_id"]}
    pipeline.assert_tidy()


def test_two_workers_with_the_same_file_never_load_it_twice(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt is stale: its worker was assumed dead and was only slow. The table must be correct in any case."""
    sent(pipeline, "a.csv", 500)
    ((file_id,),) = pipeline.claim()
    # one of the two may never reach this step
    meet_before(monkeypatch, load, "_publish", 2, seconds=2)
    monkeypatch.setattr(stages, "clear_spool", lambda *_: None)

    def attempt() -> None:
        with suppress(RetryableError):
            pipeline.ingest([[file_id]])

    with suppress(threading.BrokenBarrierError):
        together(attempt, attempt)
    monkeypatch.undo()
    pipeline.run()

    (entry,) = pipeline.entries()
    assert pipeline.count() == (500 if entry["status"] == "archived" else 0)
    assert pipeline.staging_tables() == []
    with pipeline.stores() as stores:
        requeue(Selection(entry["dataset"]), pipeline.bucket, stores.objects, stores.connection, {entry["dataset"]})
    pipeline.run()
    pipeline.assert_archived(pipeline.entries()[0], inserted=500)
    assert pipeline.count() == 500


def test_first_files_of_a_new_dataset_make_its_table_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(3):
        sent(pipeline, f"{at}.csv", 200, start=at * 200)
    ids = [file_id for batch in pipeline.claim() for file_id in batch]
    meet_before(monkeypatch, stages, "load", 3)

    together(*(lambda at=at: pipeline.ingest([[at]]) for at in ids))
    pipeline.settle()

    assert set(statuses(pipeline).values()) == {"archived"}
    assert pipeline.count() == 600


# --- the audit


def expect(severity: Severity, **kwargs: Any) -> tuple[Expectation, ...]:
    passing = Expectation("expect_column_values_to_not_be_null", (("column", "sale_id"),), Severity.CRITICAL)
    return (passing, Expectation("expect_table_row_count_to_be_between", tuple(kwargs.items()), severity))


def test_critical_expectation_stops_the_file_and_publishes_nothing(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(expectations=expect(Severity.CRITICAL, min_value=60))
    pipeline.send("enough.csv", pipeline.sample("enough.csv", 60).path.read_bytes())
    before = pipeline.versions()

    entry = pipeline.send("few.csv", pipeline.sample("few.csv", 59, version=2).path.read_bytes())

    report = pipeline.assert_refused(entry, "expectation-failed")
    assert "min_value = 60" in report["message"]
    assert "saw 59" in report["message"]
    assert [(r["expectation"], r["severity"], r["success"]) for r in report["expectations"]] == [
        ("expect_column_values_to_not_be_null", "critical", True),
        ("expect_table_row_count_to_be_between", "critical", False),
    ]
    assert pipeline.versions() == before
    assert entry["loaded_at"] is None
    pipeline.assert_tidy()


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.INFO], ids=str)
def test_lesser_expectation_is_noted_and_the_file_loads(make_pipeline: MakePipeline, severity: Severity) -> None:
    pipeline = make_pipeline(expectations=expect(severity, min_value=60))

    entry = pipeline.send("few.csv", pipeline.sample("few.csv", 59).path.read_bytes())

    pipeline.assert_archived(entry, inserted=59)
    noted = pipeline.sql("SELECT * FROM ops.quality_result WHERE file_id = %s ORDER BY result_id", entry["file_id"])
    assert [(r["severity"], r["success"], r["observed"]) for r in noted][1] == (severity, False, "59")
    assert noted[0]["column_name"] == "sale_id"
    report = pipeline.report(entry)
    assert [r["success"] for r in report["expectations"]] == [True, False]
    assert report["what_to_do"].startswith("Nothing")


def test_sales_contract_warns_of_missing_regions(make_pipeline: MakePipeline, contracts: dict[str, Contract]) -> None:
    pipeline = make_pipeline(expectations=contracts["sales"].expectations)
    header, *lines = pipeline.sample("sales.csv", 100).path.read_text().splitlines(keepends=True)
    at = header.split(",").index("region")

    def without_region(line: str) -> str:
        fields = line.split(",")
        fields[at] = ""
        return ",".join(fields)

    entry = pipeline.send("sales.csv", header + "".join(without_region(line) for line in lines))

    pipeline.assert_archived(entry, inserted=100)
    failed = [r for r in pipeline.report(entry)["expectations"] if not r["success"]]
    assert [(r["column_name"], r["severity"]) for r in failed] == [("region", "warning")]


def test_expectation_that_cannot_be_evaluated_does_not_refuse_the_file(make_pipeline: MakePipeline) -> None:
    broken = Expectation("expect_column_mean_to_be_between", (("column", "product"), ("min_value", 1)), Severity.INFO)
    pipeline = make_pipeline(expectations=(broken,))
    sent(pipeline, "a.csv", 20)

    with pytest.raises((RetryableError, PermanentError)) as caught:
        pipeline.ingest(pipeline.claim())

    assert caught.value.code is Code.EXPECTATION_FAILED
    assert pipeline.count() == 0
    assert pipeline.staging_tables() == []


def test_audit_of_a_second_attempt_replaces_the_first(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(expectations=expect(Severity.WARNING, min_value=1))
    sent(pipeline, "a.csv", 20)
    batches = pipeline.claim()

    def locked(*_: Any) -> Any:
        raise RetryableError(Code.TARGET_LOCKED, "Another session holds a lock.")

    with monkeypatch.context() as patch:
        patch.setattr(load, "_publish", locked)
        with pytest.raises(RetryableError):
            pipeline.ingest(batches)
    pipeline.ingest(batches)
    pipeline.settle()

    (entry,) = pipeline.entries()
    noted = pipeline.sql("SELECT count(*) AS n FROM ops.quality_result WHERE file_id = %s", entry["file_id"])
    assert noted == [{"n": 2}]
