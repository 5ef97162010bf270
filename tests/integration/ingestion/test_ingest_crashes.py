"""kill -9 at every point of the pipeline: the next run finishes the file, with no duplicate row and none missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from dying_worker import SETTLES, die_at

from include.contracts.model import ErrorBudget
from include.ingestion.ledger import Ledger
from include.samples.badness import Bad, BadKind

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

BEFORE_COMMIT = [
    "begun, nothing read",
    "rejects uploaded, not noted",
    "validated",
    "processed",
    "in the middle of the copy",
    "copied and audited, not merged",
    "merged, not committed",
]
STAGES = {
    "begun, nothing read": "validate",
    "rejects uploaded, not noted": "validate",
    "validated": "process",
    "processed": "load",
    "in the middle of the copy": "load",
    "copied and audited, not merged": "load",
    "merged, not committed": "load",
}


@pytest.fixture
def patient(make_pipeline: MakePipeline) -> Pipeline:
    """A dataset that allows a few bad rows, so that there is a reject file, too."""
    return make_pipeline(budget=ErrorBudget(share=0.1))


def sent(pipeline: Pipeline, name: str = "sales.csv", rows: int = 3_000, *, start: int = 0) -> str:
    """A dropped file with five bad rows and seven duplicate keys."""
    bad = [Bad(BadKind.BAD_DATE, 5), Bad(BadKind.DUPLICATE_KEYS, 7)]
    made = pipeline.sample(name, rows, start=start, bad=bad, seed=4)
    return pipeline.put(name, made.path.read_bytes())


def assert_finished(pipeline: Pipeline, file_id: int, rows: int = 3_000) -> None:
    entry = pipeline.entry(file_id)
    # a duplicate key may be in a bad row, so the number of duplicates is that of the ledger, and the table is compared
    assert entry["rows_rejected"] == 5
    pipeline.assert_archived(
        entry,
        inserted=rows - 5 - entry["rows_duplicate"],
        duplicate=entry["rows_duplicate"],
        rejected=5,
    )
    assert entry["rows_read"] == rows
    assert pipeline.count() == entry["rows_inserted"]
    assert len(pipeline.rejected(file_id)) == 5
    assert len(pipeline.reject_file(entry)) == 5
    pipeline.assert_tidy()


@pytest.mark.parametrize("point", BEFORE_COMMIT)
def test_next_run_finishes_a_file_whose_worker_was_killed(patient: Pipeline, point: str) -> None:
    sent(patient)
    ((file_id,),) = patient.claim()

    die_at(point, patient, [file_id])

    assert patient.count() == 0
    assert patient.entry(file_id)["attempts"] == 1
    assert patient.settle() == {}
    patient.run()
    assert_finished(patient, file_id)
    assert patient.entry(file_id)["attempts"] == 2
    assert patient.entry(file_id)["run_id"] == "run-2"
    assert len(patient.entries()) == 1


@pytest.mark.parametrize("point", ["committed, staging table not dropped", "committed"])
def test_next_run_settles_a_file_whose_worker_was_killed_after_the_commit(patient: Pipeline, point: str) -> None:
    sent(patient)
    ((file_id,),) = patient.claim()

    die_at(point, patient, [file_id])

    assert patient.entry(file_id)["status"] == "loaded"
    before = patient.versions()
    assert patient.claim() == []
    assert patient.settle() == {"archived": 1}
    assert_finished(patient, file_id)
    assert patient.versions() == before


@pytest.mark.parametrize("point", sorted(SETTLES))
def test_next_run_settles_a_file_whose_settle_task_was_killed(patient: Pipeline, point: str) -> None:
    sent(patient)
    ((file_id,),) = patient.claim()
    patient.ingest([[file_id]])

    die_at(point, patient)

    assert patient.entry(file_id)["status"] == "loaded"
    patient.run()
    assert_finished(patient, file_id)
    assert len(patient.entries()) == 1
    assert len(patient.keys("processed/")) == 3


def test_next_run_finishes_a_file_that_was_claimed_and_never_begun(patient: Pipeline) -> None:
    key = sent(patient)
    patient.claim()

    patient.run()

    (entry,) = patient.entries(key)
    assert_finished(patient, entry["file_id"])
    assert entry["attempts"] == 1


def test_same_run_does_not_claim_its_own_files_again(patient: Pipeline) -> None:
    """A retry of the claiming task must not claim files that a batch of the same run is ingesting."""
    sent(patient)
    patient.claim("run-x")

    assert patient.claim("run-x") == []


@pytest.mark.parametrize("point", BEFORE_COMMIT)
def test_file_is_quarantined_after_it_killed_its_worker_three_times(patient: Pipeline, point: str) -> None:
    sent(patient)
    for attempt in (1, 2, 3):
        ((file_id,),) = patient.claim()
        die_at(point, patient, [file_id])
        assert patient.entry(file_id)["attempts"] == attempt

    assert patient.claim() == []
    patient.settle()

    entry = patient.entry(file_id)
    stage = {"validate": "validation", "process": "processing", "load": "loading"}[STAGES[point]]
    report = patient.assert_refused(entry, "worker-died", stage)
    assert f"in stage {STAGES[point]}" in report["message"]
    assert "3 times" in report["message"]
    assert patient.count() == 0
    assert patient.staging_tables() == []
    assert patient.keys("staging/") == []
    assert patient.keys("incoming/") == []


def test_file_that_killed_its_worker_three_times_in_one_run_is_quarantined_by_its_batch(patient: Pipeline) -> None:
    """The retries of a task count as attempts."""
    sent(patient)
    ((file_id,),) = patient.claim()
    for _ in range(3):
        die_at("in the middle of the copy", patient, [file_id])

    result = patient.ingest([[file_id]])

    assert result.files == {"refused": 1}
    patient.settle()
    patient.assert_refused(patient.entry(file_id), "worker-died", "loading")
    assert patient.staging_tables() == []


def test_file_that_killed_its_worker_loads_after_it_was_requeued(patient: Pipeline) -> None:
    from include.ingestion.upkeep.requeue import Selection, requeue

    sent(patient)
    for _ in range(3):
        ((file_id,),) = patient.claim()
        die_at("processed", patient, [file_id])
    patient.run()
    assert patient.entry(file_id)["error_code"] == "worker-died"

    with patient.stores() as stores:
        selection = Selection(patient.contract.dataset)
        requeue(selection, patient.bucket, stores.objects, stores.connection, {patient.contract.dataset})
    patient.run()

    assert_finished(patient, file_id)


def test_batch_continues_after_its_worker_was_killed_and_leaves_the_begun_file_for_the_next_run(
    patient: Pipeline,
) -> None:
    for at in range(3):
        sent(patient, f"{at}.csv", 300, start=at * 1_000)
    pipeline_batch = [file_id for batch in patient.claim() for file_id in batch]

    die_at("in the middle of the copy", patient, pipeline_batch)
    result = patient.ingest([pipeline_batch])  # the retry of the task

    assert result.waiting == pipeline_batch[:1]
    assert result.files == {"loaded": 2}
    patient.settle()
    assert [entry["status"] for entry in patient.entries()] == ["processed", "archived", "archived"]
    assert patient.claim() == [pipeline_batch[:1]]
    patient.run()
    assert [entry["status"] for entry in patient.entries()] == ["archived"] * 3
    assert patient.count() == sum(entry["rows_inserted"] for entry in patient.entries())
    patient.assert_tidy()


@pytest.mark.parametrize("stage", ["validated", "processed", "quality"])
def test_stale_attempt_changes_nothing(patient: Pipeline, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(patient)
    ((file_id,),) = patient.claim()
    note = getattr(Ledger, stage)

    def overtaken(*values: Any) -> None:
        note(*values)
        monkeypatch.undo()
        # Meanwhile the next run begins the file and finishes it.
        assert patient.run().files == {"loaded": 1}

    monkeypatch.setattr(Ledger, stage, overtaken)
    result = patient.ingest([[file_id]])

    assert result.files == {"stale attempt": 1}
    assert patient.entry(file_id)["attempts"] == 2
    assert_finished(patient, file_id)
