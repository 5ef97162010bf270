"""`filegate reload`: archived files are loaded again, each as a new attempt of its entry, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from filegate_command import COLUMNS, Filegate

from include.ingestion.upkeep import move_back
from include.ingestion.upkeep.reload import archived, reload
from include.ingestion.upkeep.requeue import Selection, requeue

if TYPE_CHECKING:
    from ingest_pipeline import Pipeline, Row

    from include.ingestion.upkeep.move_back import Requeued
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

ONE = "id,amount,at\na,1,2026-01-01T00:00:00Z\nb,2,2026-01-01T00:00:00Z\n"
TWO = "id,amount,at\nb,20,2026-01-02T00:00:00Z\nc,30,2026-01-02T00:00:00Z\n"
WITH_TWICE = (
    *COLUMNS,
    "{name: twice, logicalType: integer, customProperties: [{property: derived, value: amount * 2}]}",
)


@pytest.fixture
def filegate(platform: Platform, pipeline: Pipeline) -> Filegate:
    command = Filegate(platform, pipeline)
    command.write_contract()
    return command


def counts(entry: Row) -> dict[str, int]:
    names = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected")
    return {name: entry[f"rows_{name}"] for name in names if entry[f"rows_{name}"]}


def events(pipeline: Pipeline, file_id: int) -> list[Row]:
    return pipeline.sql("SELECT * FROM ops.file_event WHERE file_id = %s ORDER BY event_id", file_id)


def values(pipeline: Pipeline, name: str = "amount") -> dict[str, Any]:
    return {row["id"]: row[name] for row in pipeline.rows()}


def reload_files(pipeline: Pipeline, *file_ids: int) -> Requeued:
    with pipeline.stores() as stores:
        chosen = archived(stores.connection, pipeline.contract.dataset, pipeline.bucket, file_ids or None)
        return reload(chosen, pipeline.bucket, stores.objects, stores.connection)


def test_reload_loads_a_file_again_as_a_new_attempt_of_its_entry(filegate: Filegate, pipeline: Pipeline) -> None:
    one, two = pipeline.send("one.csv", ONE), pipeline.send("two.csv", TWO)
    filegate.write_contract(*WITH_TWICE, version="1.1.0")

    done = filegate("reload", pipeline.contract.dataset, "--yes")
    assert done.returncode == 0, done.stderr
    assert "2 archived files of" in done.stdout
    assert "2 of 2 files moved" in done.stdout
    assert pipeline.keys("processed/") == []
    pipeline.run()

    entries = pipeline.entries()
    assert [entry["file_id"] for entry in entries] == [one["file_id"], two["file_id"]], "no new entry"
    pipeline.assert_archived(entries[0], updated=1, unchanged=1)  # b is newer in the other file
    pipeline.assert_archived(entries[1], updated=2)
    assert {entry["contract_version"] for entry in entries} == {"1.1.0"}
    assert values(pipeline) == {"a": 1, "b": 20, "c": 30}
    assert values(pipeline, "twice") == {"a": 2, "b": 40, "c": 60}
    pipeline.assert_tidy()
    loads = [counts(event) for event in events(pipeline, one["file_id"]) if event["status"] == "loaded"]
    assert loads == [{"read": 2, "inserted": 2}, {"read": 2, "updated": 1, "unchanged": 1}], (
        "the counts of each attempt"
    )
    assert entries[0]["reloads"] == 1


def test_reload_of_one_file_leaves_the_others(filegate: Filegate, pipeline: Pipeline) -> None:
    one, two = pipeline.send("one.csv", ONE), pipeline.send("two.csv", TWO)
    assert filegate("reload", pipeline.contract.dataset, "--file", two["file_id"], "--yes").returncode == 0
    assert pipeline.keys("processed/") == [one["settled_key"]]
    pipeline.run()
    pipeline.assert_archived(pipeline.entry(two["file_id"]), unchanged=2)
    assert pipeline.entry(one["file_id"])["reloads"] == 0


def test_reload_asks_and_without_a_terminal_changes_nothing(filegate: Filegate, pipeline: Pipeline) -> None:
    entry = pipeline.send("one.csv", ONE)
    done = filegate("reload", pipeline.contract.dataset)
    assert done.returncode == 2
    assert "give --yes" in done.stderr
    assert pipeline.entry(entry["file_id"]) == entry
    assert pipeline.keys("processed/") == [entry["settled_key"]]


def test_reload_refuses_what_it_does_not_find(filegate: Filegate, pipeline: Pipeline) -> None:
    dataset = pipeline.contract.dataset
    assert "has no archived file" in filegate("reload", dataset, "--yes").stdout
    refused = filegate("reload", dataset, "--file", 10**9, "--yes")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"not an archived file of {dataset}: 1000000000" in refused.stderr
    unknown = filegate("reload", dataset[:-1], "--yes")
    assert unknown.returncode == 1
    assert f"did you mean {dataset}?" in unknown.stderr
    filegate.write_contract(status="draft")
    assert f"filegate contract activate {dataset}" in filegate("reload", dataset, "--yes").stderr


@pytest.mark.parametrize("newest_by", ["at", None], ids=["newestBy", "write order"])
def test_reloaded_older_file_never_replaces_a_newer_row(
    filegate: Filegate, pipeline: Pipeline, newest_by: str | None
) -> None:
    filegate.write_contract(newest_by=newest_by)
    one, two = pipeline.send("one.csv", ONE), pipeline.send("two.csv", TWO)
    assert reload_files(pipeline, one["file_id"]).keys == (one["object_key"],)
    pipeline.run()
    pipeline.assert_archived(pipeline.entry(one["file_id"]), unchanged=2)
    assert values(pipeline) == {"a": 1, "b": 20, "c": 30}
    assert {row["id"]: row["_file_id"] for row in pipeline.rows(lineage=True)}["b"] == two["file_id"]


def test_reload_of_all_files_without_newest_by_keeps_their_order(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(newest_by=None)
    sent = [pipeline.send("a.csv", ONE), pipeline.send("b.csv", TWO)]  # of one second, the key decides
    filegate.write_contract(*WITH_TWICE, newest_by=None)
    assert len(reload_files(pipeline).keys) == 2
    pipeline.run()
    pipeline.assert_archived(pipeline.entry(sent[0]["file_id"]), updated=1, unchanged=1)
    pipeline.assert_archived(pipeline.entry(sent[1]["file_id"]), updated=2)
    assert values(pipeline, "twice") == {"a": 2, "b": 40, "c": 60}
    # The file that was written last stays the last: its content is a duplicate, and the other's is not.
    pipeline.assert_archived(pipeline.send("again.csv", ONE), updated=1, unchanged=1)


def test_reload_after_an_older_one_was_reloaded_does_not_hide_a_resend(filegate: Filegate, pipeline: Pipeline) -> None:
    """A, B, reload of A, A again: the last one is no duplicate, because B is the newest content of the table."""
    filegate.write_contract(newest_by=None)
    one = pipeline.send("one.csv", ONE)
    pipeline.send("two.csv", TWO)
    reload_files(pipeline, one["file_id"])
    pipeline.run()
    again = pipeline.send("one_again.csv", ONE)
    pipeline.assert_archived(again, updated=1, unchanged=1)
    assert values(pipeline)["b"] == 2


def test_same_content_is_reloaded_once_at_a_time(filegate: Filegate, pipeline: Pipeline) -> None:
    """A, B, A under one key: two entries have the same object in processed/, and only one can be in incoming/."""
    filegate.write_contract(newest_by=None)
    sent = [pipeline.send("same.csv", ONE), pipeline.send("other.csv", TWO), pipeline.send("same.csv", ONE)]
    assert [entry["status"] for entry in sent] == ["archived"] * 3
    done = reload_files(pipeline)
    assert set(done.keys) == {sent[0]["object_key"], sent[1]["object_key"]}  # of one second, the order is that of keys
    assert done.waiting == (sent[2]["settled_key"],)
    assert pipeline.objects.head(pipeline.bucket, sent[2]["settled_key"]) is not None
    pipeline.run()
    assert reload_files(pipeline, sent[2]["file_id"]).keys == (sent[2]["object_key"],)
    pipeline.run()
    assert {entry["status"] for entry in pipeline.entries()} == {"archived"}
    assert len(pipeline.keys("processed/")) == 3
    assert values(pipeline) == {"a": 1, "b": 2, "c": 30}


def test_refused_reload_can_be_reprocessed_and_stays_older(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(newest_by=None)
    one = pipeline.send("one.csv", ONE)
    pipeline.send("two.csv", TWO)
    filegate.write_contract(COLUMNS[0], COLUMNS[1].replace("}", ", logicalTypeOptions: {minimum: 100}}"), COLUMNS[2],
                            newest_by=None, errorBudget={"share": 0})  # fmt: skip
    reload_files(pipeline, one["file_id"])
    pipeline.run()
    refused = pipeline.entry(one["file_id"])
    assert (refused["status"], refused["error_code"]) == ("validation_failed", "error-budget-exceeded")
    assert pipeline.objects.head(pipeline.bucket, refused["settled_key"]) is not None
    assert values(pipeline) == {"a": 1, "b": 20, "c": 30}

    filegate.write_contract(newest_by=None)
    with pipeline.stores() as stores:
        requeue(Selection(file_ids=(one["file_id"],)), pipeline.bucket, stores.objects, stores.connection,
                {pipeline.contract.dataset})  # fmt: skip
    pipeline.run()
    pipeline.assert_archived(pipeline.entry(one["file_id"]), unchanged=2)
    assert values(pipeline)["b"] == 20


def test_key_that_is_taken_in_incoming_keeps_the_file_archived(filegate: Filegate, pipeline: Pipeline) -> None:
    one = pipeline.send("one.csv", ONE)
    pipeline.put("one.csv", TWO)
    done = reload_files(pipeline)
    assert (done.keys, done.waiting) == ((), (one["settled_key"],))
    assert pipeline.entry(one["file_id"])["reload_requested_at"] is None
    pipeline.run()
    entries = pipeline.entries()
    assert [entry["status"] for entry in entries] == ["archived", "archived"]
    assert pipeline.read(one["settled_key"]).decode() == ONE


def test_object_that_is_gone_is_reported_and_a_stranger_of_its_name_is_no_reload(
    filegate: Filegate, pipeline: Pipeline
) -> None:
    one = pipeline.send("one.csv", ONE)
    pipeline.objects.delete(pipeline.bucket, one["settled_key"])
    pipeline.put("one.csv", TWO)
    done = filegate("reload", pipeline.contract.dataset, "--yes")
    assert done.returncode == 1
    assert "its object is not in the bucket any more" in done.stderr
    pipeline.run()
    first, second = pipeline.entries()
    assert (first["reloads"], first["status"]) == (0, "archived")
    pipeline.assert_archived(second, inserted=1, updated=1)


STEPS = ["move", "remove_own"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_reload_that_is_killed_at_any_step_loses_nothing_and_can_be_repeated(
    filegate: Filegate, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    entry = pipeline.send("one.csv", ONE)

    def killed(*arguments: Any) -> None:
        if not before:
            original(*arguments)
        raise KeyboardInterrupt

    original = getattr(move_back, step)
    with monkeypatch.context() as patch:
        patch.setattr(move_back, step, killed)
        with pytest.raises(KeyboardInterrupt):
            reload_files(pipeline)
    objects = [*pipeline.keys("processed/"), *pipeline.keys("incoming/")]
    assert [pipeline.read(key).decode() for key in objects] == [ONE], "one object, whole"

    reload_files(pipeline)
    pipeline.run()
    [again] = pipeline.entries()
    assert (again["file_id"], again["reloads"]) == (entry["file_id"], 1)
    pipeline.assert_archived(again, unchanged=2)
    pipeline.assert_tidy()


def test_request_of_a_reload_that_was_killed_does_not_disturb_the_pipeline(
    filegate: Filegate, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is noted and the object was never moved: the same content dropped again is the reload."""
    entry = pipeline.send("one.csv", ONE)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(move_back, "move", killed)
        with pytest.raises(KeyboardInterrupt):
            reload_files(pipeline)
    pipeline.send("one.csv", ONE)
    [again] = pipeline.entries()
    assert again["file_id"] == entry["file_id"]
    pipeline.assert_archived(again, unchanged=2)
    assert pipeline.keys("processed/") == [entry["settled_key"]]
    pipeline.assert_tidy()


def test_reject_file_of_the_attempt_before_is_replaced(filegate: Filegate, pipeline: Pipeline) -> None:
    entry = pipeline.send("one.csv", ONE + "d,word,2026-01-01T00:00:00Z\ne,word,2026-01-01T00:00:00Z\n")
    pipeline.assert_archived(entry, inserted=2, rejected=2)
    filegate.write_contract(COLUMNS[0], "{name: amount, logicalType: string, physicalType: text}", COLUMNS[2])
    pipeline.sql("ALTER TABLE {table} ALTER amount TYPE text")
    reload_files(pipeline)
    pipeline.run()
    again = pipeline.entry(entry["file_id"])
    pipeline.assert_archived(again, inserted=2, unchanged=2)
    assert pipeline.rejected(entry["file_id"]) == []
    assert pipeline.keys("processed/") == [again["settled_key"]], "no report and no reject file are left"


# --- snapshots and appended rows


def test_only_the_last_snapshot_is_loaded_again(filegate: Filegate, pipeline: Pipeline) -> None:
    snapshot = {"mode": "snapshot", "deletes": "hard", "maxDeleteShare": 1}
    filegate.write_contract(newest_by=None, **snapshot)
    one, two = pipeline.send("one.csv", ONE), pipeline.send("two.csv", TWO)
    assert values(pipeline) == {"b": 20, "c": 30}
    filegate.write_contract(*WITH_TWICE, newest_by=None, **snapshot)
    refused = filegate("reload", pipeline.contract.dataset, "--file", one["file_id"], "--file", two["file_id"], "--yes")
    assert (refused.returncode, "only the last one" in refused.stderr) == (1, True)

    done = filegate("reload", pipeline.contract.dataset, "--yes")
    assert "1 of 1 files moved" in done.stdout, done.stderr
    pipeline.run()
    again = pipeline.entry(two["file_id"])
    assert (again["status"], again["rows_updated"], again["rows_deleted"]) == ("archived", 2, 0)
    assert values(pipeline, "twice") == {"b": 40, "c": 60}

    reload_files(pipeline, one["file_id"])  # asked of the library, an older snapshot is refused and deletes nothing
    pipeline.run()
    assert pipeline.entry(one["file_id"])["error_code"] == "older-snapshot"
    assert values(pipeline) == {"b": 20, "c": 30}


def test_appended_rows_are_updated_and_not_appended_again(filegate: Filegate, pipeline: Pipeline) -> None:
    columns = [column.replace("primaryKey: true, ", "") for column in WITH_TWICE]
    filegate.write_contract(*columns[:3], newest_by=None, key=["_file_id", "_source_row"])
    entry = pipeline.send("one.csv", ONE)
    pipeline.send("two.csv", TWO)
    filegate.write_contract(*columns, newest_by=None, key=["_file_id", "_source_row"])
    reload_files(pipeline)
    pipeline.run()
    pipeline.assert_archived(pipeline.entry(entry["file_id"]), updated=2)
    assert sorted(row["twice"] for row in pipeline.sql("SELECT twice FROM {table}")) == [2, 4, 40, 60]
