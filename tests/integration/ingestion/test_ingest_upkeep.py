"""Sweep and requeue, objects that change while they are ingested, and hostile names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.catalog import Catalog
from include.contracts.problems import ContractError, Problem
from include.contracts.reserved import UNKNOWN
from include.errors import Code, PermanentError
from include.ingestion import pipeline as stages
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.move_back import Requeued
from include.ingestion.upkeep.requeue import Selection, requeue
from include.ingestion.upkeep.sweep import Swept, sweep
from include.samples.badness import Bad, BadKind
from include.stores.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

pytestmark = pytest.mark.integration


def sent(pipeline: Pipeline, name: str, rows: int = 100, **how: Any) -> str:
    return pipeline.put(name, pipeline.sample("sample.csv", rows, **how).path.read_bytes())


def keys_of(pipeline: Pipeline) -> dict[str, str]:
    return {entry["object_key"].rsplit("/", 1)[-1]: entry["status"] for entry in pipeline.entries()}


# --- sweeping


def swept(pipeline: Pipeline, *broken: str, meanwhile: Callable[[], object] = lambda: None) -> Swept:
    """Run a sweep; `meanwhile` is called when it reads the contracts."""
    catalog = Catalog(
        {pipeline.contract.dataset: pipeline.contract},
        tuple(
            ContractError.of(pipeline.folder / f"{name}.yaml", [Problem("kind", "is missing", "add it")])
            for name in broken
        ),
    )

    def contracts() -> Catalog:
        meanwhile()
        return catalog

    with pipeline.stores() as stores:
        return sweep(contracts, stores, AirflowRun("sweep_test", "run-1"), pipeline.settings)


def unknown_files(pipeline: Pipeline) -> list[Row]:
    return pipeline.sql(
        "SELECT * FROM ops.file_ingestion_log WHERE dataset = %s AND bucket = %s ORDER BY file_id",
        UNKNOWN, pipeline.bucket,
    )  # fmt: skip


def test_sweep_routes_files_that_match_a_pattern_and_quarantines_the_others(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(file_patterns=("sales*.csv",))
    body = pipeline.sample("sample.csv", 30).path.read_bytes()
    for key in ("sales_2026.csv", "notes.txt", "elsewhere/sales_1.csv", "sales_2027.json", "sales_.csv/"):
        if not key.endswith("/"):
            pipeline.objects.put(pipeline.bucket, f"incoming/{key}", body + key.encode() * (key != "sales_2026.csv"))
    waiting = sent(pipeline, "waits.csv")

    assert swept(pipeline) == Swept(routed=1, quarantined=3)

    folder = f"incoming/{pipeline.contract.dataset}/"
    assert pipeline.keys("incoming/") == sorted([folder + "sales_2026.csv", waiting])
    found = {entry["object_key"].removeprefix("incoming/"): entry for entry in unknown_files(pipeline)}
    assert set(found) == {"notes.txt", "elsewhere/sales_1.csv", "sales_2027.json"}
    for entry in found.values():
        report = pipeline.assert_refused(entry, "unknown-dataset")
        assert f"datasets: {pipeline.contract.dataset}" in report["message"]
    pipeline.run()
    assert set(keys_of(pipeline).values()) == {"archived"}
    assert swept(pipeline) == Swept(routed=0, quarantined=0)


def test_sweep_does_not_move_files_of_a_broken_contract(pipeline: Pipeline) -> None:
    pipeline.objects.put(pipeline.bucket, "incoming/orders/a.csv", b"a\n1\n")
    pipeline.objects.put(pipeline.bucket, "incoming/orders.csv", b"a\n1\n")
    pipeline.objects.put(pipeline.bucket, "incoming/notes.csv", b"a\n1\n")

    assert swept(pipeline, "orders") == Swept(routed=0, quarantined=1)

    assert sorted(pipeline.keys("incoming/")) == ["incoming/orders.csv", "incoming/orders/a.csv"]


def test_sweep_ignores_a_file_dropped_while_it_reads_the_contracts(pipeline: Pipeline) -> None:
    def drop_a_file() -> None:
        pipeline.objects.put(pipeline.bucket, "incoming/refunds.csv", b"a\n1\n")

    assert swept(pipeline, meanwhile=drop_a_file) == Swept(routed=0, quarantined=0)

    assert pipeline.keys("incoming/") == ["incoming/refunds.csv"]


def test_unknown_file_is_requeued_to_its_key_and_matches_a_new_contract(make_pipeline: MakePipeline) -> None:
    before = make_pipeline()
    after = make_pipeline(dataset=before.contract.dataset + "_b", file_patterns=("till*.csv",))
    body = before.sample("sample.csv", 30).path.read_bytes()
    before.objects.put(before.bucket, "incoming/till.csv", body)
    assert swept(before) == Swept(routed=0, quarantined=1)

    with before.stores() as stores:
        requeued = requeue(Selection(UNKNOWN), before.bucket, stores.objects, stores.connection, {"any"})

    assert requeued == Requeued(("incoming/till.csv",), ())
    assert swept(after) == Swept(routed=1, quarantined=0)
    after.run()
    after.assert_archived(after.entries()[0], inserted=30)


# --- requeue


def requeue_files(pipeline: Pipeline, **selection: str) -> Requeued:
    with pipeline.stores() as stores:
        known = {pipeline.contract.dataset}
        return requeue(Selection(**selection), pipeline.bucket, stores.objects, stores.connection, known)


@pytest.fixture
def quarantined(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Two files that failed in validate and one each in process and load, all by errors outside the files."""
    for at, name in enumerate(("jan.csv", "feb.csv", "process.csv", "load.csv")):
        sent(pipeline, name, 20, start=at * 20)
    fails = {"fetch": {"jan.csv", "feb.csv"}, "process": {"process.csv"}, "load": {"load.csv"}}
    at_work = [""]

    def failing(stage: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(first: Any, *others: Any) -> Any:
            at_work[0] = first.name if stage == "fetch" else at_work[0]
            if at_work[0] in fails[stage]:
                raise PermanentError(Code.SERVICE_REFUSED, "The service refuses, for whatever reason it has.")
            return original(first, *others)

        return run

    with monkeypatch.context() as patch:
        for stage in fails:
            patch.setattr(stages, stage, failing(stage, getattr(stages, stage)))
        for batch in pipeline.claim():
            for file_id in batch:
                pipeline.ingest([[file_id]])
    pipeline.settle()
    return pipeline


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ({}, ("feb.csv", "jan.csv", "load.csv", "process.csv")),
        ({"stage": "validate"}, ("feb.csv", "jan.csv")),
        ({"stage": "process"}, ("process.csv",)),
        ({"stage": "load"}, ("load.csv",)),
        ({"name": "jan*"}, ("jan.csv",)),
        ({"name": "*.csv", "stage": "load"}, ("load.csv",)),
        ({"name": "[jf]*"}, ("feb.csv", "jan.csv")),
        ({"name": "JAN*"}, ()),
        ({"name": "jan"}, ()),
        ({"dataset": "another"}, ()),
    ],
    ids=str,
)
def test_requeue_moves_the_selected_files_and_leaves_the_others(
    quarantined: Pipeline, selection: dict[str, str], names: tuple[str, ...]
) -> None:
    everything = {"jan.csv", "feb.csv", "process.csv", "load.csv"}
    folder = f"incoming/{quarantined.contract.dataset}/"

    requeued = requeue_files(quarantined, **{"dataset": quarantined.contract.dataset, **selection})

    assert sorted(key.removeprefix(folder) for key in requeued.keys) == sorted(names)
    assert requeued.missing == ()
    assert sorted(key.removeprefix(folder) for key in quarantined.keys("incoming/")) == sorted(names)
    left = {key.rsplit("/", 1)[-1] for key in quarantined.keys("failed/")}
    assert left == {name + end for name in everything - {*names} for end in ("", ".report.json")}


def test_requeued_file_is_loaded_and_keeps_its_history(quarantined: Pipeline) -> None:
    before = {entry["file_id"]: entry for entry in quarantined.entries()}
    assert {e["error_code"] for e in before.values()} == {"service-refused"}

    requeue_files(quarantined, dataset=quarantined.contract.dataset)
    quarantined.run()

    after = quarantined.entries()
    assert {entry["file_id"] for entry in after} == set(before)
    for entry in after:
        quarantined.assert_archived(entry, inserted=20)
        events = quarantined.events(entry["file_id"])
        failed = before[entry["file_id"]]["status"]
        assert failed in events
        assert events[-1] == "archived"
        assert events[events.index(failed) + 1] == "claimed"
    quarantined.assert_tidy()
    assert requeue_files(quarantined, dataset=quarantined.contract.dataset) == Requeued((), ())


def test_requeued_bad_file_is_quarantined_again(pipeline: Pipeline) -> None:
    entry = pipeline.send("bad.csv", pipeline.sample("s.csv", 50, bad=[Bad(BadKind.BAD_DATE, 3)]).path.read_bytes())

    assert len(requeue_files(pipeline, dataset=pipeline.contract.dataset).keys) == 1
    assert pipeline.keys("failed/") == []
    pipeline.run()

    (again,) = pipeline.entries()
    assert again["file_id"] == entry["file_id"]
    pipeline.assert_refused(again, "error-budget-exceeded")
    assert len(pipeline.rejected(entry["file_id"])) == 3
    assert len(pipeline.reject_file(again)) == 3
    assert pipeline.events(entry["file_id"]).count("validation_failed") == 2
    pipeline.assert_tidy()


def test_requeue_reports_files_that_were_deleted(quarantined: Pipeline) -> None:
    (jan,) = [key for key in quarantined.keys("failed/") if key.endswith("jan.csv")]
    quarantined.objects.delete(quarantined.bucket, jan)

    requeued = requeue_files(quarantined, dataset=quarantined.contract.dataset, stage="validate")

    assert requeued.missing == (jan,)
    assert [key.rsplit("/", 1)[-1] for key in requeued.keys] == ["feb.csv"]


def refuse_two_of_one_name(pipeline: Pipeline) -> str:
    """Send two contents under one name, one after the other, so that both are in quarantine; the key."""
    for seed in (1, 2):
        key = sent(pipeline, "again.csv", 50, seed=seed, start=50 * seed, bad=[Bad(BadKind.BAD_DATE, 3)])
        pipeline.run()
    assert len([name for name in pipeline.keys("failed/") if name.endswith("again.csv")]) == 2
    return key


def test_requeue_moves_one_file_of_a_name_at_a_time_and_overwrites_none(pipeline: Pipeline) -> None:
    key = refuse_two_of_one_name(pipeline)
    first, second = [entry["settled_key"] for entry in pipeline.entries()]

    assert requeue_files(pipeline) == Requeued((key,), (), (second,))
    assert pipeline.keys("failed/")[0] == second

    pipeline.run()
    assert requeue_files(pipeline) == Requeued((key,), (), (first,)), "the other one's turn"
    assert [entry["settled_key"] for entry in pipeline.entries()] == [first, None]
    assert second not in pipeline.keys("failed/")


def test_requeue_does_not_overwrite_a_file_of_that_name_that_was_dropped_meanwhile(pipeline: Pipeline) -> None:
    pipeline.send("again.csv", pipeline.sample("s.csv", 50, bad=[Bad(BadKind.BAD_DATE, 3)]).path.read_bytes())
    key = sent(pipeline, "again.csv", 20, start=500)

    requeued = requeue_files(pipeline)

    assert (requeued.keys, len(requeued.waiting)) == ((), 1)
    pipeline.run()
    assert pipeline.entries(key)[-1]["status"] == "archived"


def test_requeue_that_was_killed_before_it_deleted_the_source_is_repeated(pipeline: Pipeline) -> None:
    entry = pipeline.send("a.csv", pipeline.sample("s.csv", 50, bad=[Bad(BadKind.BAD_DATE, 3)]).path.read_bytes())
    body = b"".join(pipeline.objects.read(pipeline.bucket, entry["settled_key"])[1])
    key = pipeline.put("a.csv", body)

    assert requeue_files(pipeline).keys == (key,)
    assert pipeline.keys("failed/") == []


# --- objects that change while they are ingested


def test_file_removed_before_it_was_read_is_refused_as_vanished(pipeline: Pipeline) -> None:
    key = sent(pipeline, "a.csv")
    batches = pipeline.claim()
    pipeline.objects.delete(pipeline.bucket, key)

    pipeline.ingest(batches)
    pipeline.settle()

    (entry,) = pipeline.entries()
    assert (entry["status"], entry["error_code"], entry["settled_key"]) == (
        "validation_failed",
        "object-vanished",
        None,
    )
    assert entry["settled_at"] is not None
    assert pipeline.count() == 0


def test_file_replaced_while_it_waited_is_loaded_in_its_new_version_only(pipeline: Pipeline) -> None:
    key = sent(pipeline, "a.csv", 100)
    batches = pipeline.claim()
    sent(pipeline, "a.csv", 70, start=500)

    pipeline.ingest(batches)
    pipeline.settle()
    for _ in range(3):
        pipeline.run()

    archived = [entry for entry in pipeline.entries(key) if entry["status"] == "archived"]
    assert [entry["rows_inserted"] for entry in archived] == [70]
    assert pipeline.count() == 70
    assert {e["error_code"] for e in pipeline.entries(key)} <= {None, "object-replaced"}
    pipeline.assert_tidy()


def test_file_replaced_after_it_was_loaded_is_another_file(pipeline: Pipeline) -> None:
    key = sent(pipeline, "a.csv", 100)
    pipeline.ingest(pipeline.claim())
    sent(pipeline, "a.csv", 70, start=500)

    pipeline.settle()

    (first,) = pipeline.entries(key)
    assert (first["status"], first["settled_key"]) == ("archived", None)
    assert pipeline.keys("incoming/") == [key]
    pipeline.run()
    pipeline.assert_archived(pipeline.entries(key)[1], inserted=70)
    assert pipeline.count() == 170
    pipeline.assert_tidy()


def test_file_removed_after_it_was_loaded_is_settled_nonetheless(pipeline: Pipeline) -> None:
    key = sent(pipeline, "a.csv", 100)
    pipeline.ingest(pipeline.claim())
    pipeline.objects.delete(pipeline.bucket, key)

    assert pipeline.settle() == {"archived": 1}

    (entry,) = pipeline.entries()
    assert (entry["status"], entry["settled_key"]) == ("archived", None)
    assert pipeline.settle() == {}


# --- names

HOSTILE = {
    "space": "my sales file.csv",
    "single quote": "o'neil.csv",
    "double quote": 'the "best".csv',
    "semicolon": "a;drop table raw.sales;--.csv",
    "percent": "100%25 of %s {table}.csv",
    "plus and ampersand": "a+b&c=d?e#f.csv",
    "unicode": "umsätze_売上_😀.csv",
    "decomposed": "u\u0308.csv",
    "dots": "..csv",
    "hidden": ".csv",
    "no ending": "sales",
    "shell": "$(reboot) `id` | tee.csv",
    "backslash": "a\\b.csv",
    "newline": "two\nlines.csv",
    "tab": "a\tb.csv",
    "glob": "[a-z]*?.csv",
    "nested": "2026/01/31/sales.csv",
    "long": "x" * 180 + ".csv",
    "like a report": "sales.csv.report.json",
    "like rejects": "sales.csv.rejects.csv",
}
ALSO_BAD = {"double quote", "percent", "unicode", "newline", "like a report"}  # with companions, and requeued


@pytest.mark.parametrize(
    ("name", "bad"),
    [pytest.param(name, bad, id=f"{title}, {word}")
     for title, name in HOSTILE.items() for bad, word in ((False, "good"), (True, "bad"))
     if not bad or title in ALSO_BAD],
)  # fmt: skip
def test_pipeline_handles_hostile_names(pipeline: Pipeline, name: str, bad: bool) -> None:
    body = pipeline.sample("sample.csv", 20, bad=[Bad(BadKind.BAD_DATE)] if bad else []).path.read_bytes()
    key = pipeline.put(name, body).replace("\\", "/")  # as the platform's server stores it

    pipeline.run()

    (entry,) = pipeline.entries(key)
    assert entry["settled_key"].startswith(("processed/", "failed/"))
    if bad:
        pipeline.assert_refused(entry, "error-budget-exceeded")
        assert len(requeue_files(pipeline, dataset=pipeline.contract.dataset).keys) == 1
        pipeline.run()
        pipeline.assert_refused(pipeline.entries()[-1], "error-budget-exceeded")
    else:
        pipeline.assert_archived(entry, inserted=20)
    pipeline.assert_tidy()


def test_same_name_in_two_folders_is_kept_apart(pipeline: Pipeline) -> None:
    sent(pipeline, "a/sales.csv", 10)
    sent(pipeline, "b/sales.csv", 10, start=10)

    pipeline.run()

    assert len({entry["settled_key"] for entry in pipeline.entries()}) == 2
    assert len(pipeline.keys("processed/")) == 2
    assert pipeline.count() == 20


def test_key_never_makes_the_worker_write_outside_its_spool_folder(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Object keys are not used as paths: a key with `..` creates no file outside the folder."""
    body = pipeline.sample("sample.csv", 10).path.read_bytes()
    real = pipeline.put("real.csv", body)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for call in ("read", "head"):
        original = getattr(ObjectStore, call)
        monkeypatch.setattr(
            ObjectStore, call, lambda self, bucket, _key, *others, do=original: do(self, bucket, real, *others)
        )
    batches = pipeline.claim()
    pipeline.sql(
        "UPDATE ops.file_ingestion_log SET object_key = %s WHERE file_id = %s",
        f"incoming/{pipeline.contract.dataset}/../../../../evil.csv", batches[0][0],
    )  # fmt: skip

    pipeline.ingest(batches)

    assert pipeline.entry(batches[0][0])["status"] == "loaded"
    after = sorted(str(path) for path in tmp_path.rglob("*") if path.name != "spool")
    assert after == before
