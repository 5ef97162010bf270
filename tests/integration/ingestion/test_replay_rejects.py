"""`filegate reprocess --rejects`: rejected rows of a loaded file are read again, and each row is counted once."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filegate_command import COLUMNS, Filegate
from pyarrow import feather

from include.ingestion import replay as replay_module
from include.ingestion.upkeep.reload import archived, reload
from tests.workbook_files import table

if TYPE_CHECKING:
    from ingest_pipeline import Pipeline, Row

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

AT = "2026-01-0{}T00:00:00Z"
# Rows 2, 4 and 5 are refused: 4 and 5 for their amount, 2 for its time, which no rule of these tests allows.
BODY = (
    f"id,amount,at\na,1,{AT.format(1)}\nb,2,yesterday\nc,3,{AT.format(1)}\nd,4000,{AT.format(1)}\n"
    f"e,5000,{AT.format(1)}\n"
)
STRICT = (COLUMNS[0], "{name: amount, logicalType: integer, logicalTypeOptions: {maximum: 1000}}", COLUMNS[2])


@pytest.fixture
def filegate(platform: Platform, pipeline: Pipeline) -> Filegate:
    command = Filegate(platform, pipeline)
    command.write_contract(*STRICT)
    return command


@pytest.fixture
def sent(filegate: Filegate, pipeline: Pipeline) -> Row:
    """A loaded file with three rejected rows, before the rule for two of them is corrected."""
    entry = pipeline.send("one.csv", BODY)
    pipeline.assert_archived(entry, inserted=2, rejected=3)
    filegate.write_contract(version="1.1.0")
    return entry


def replayed(filegate: Filegate, pipeline: Pipeline, file_id: int) -> Row:
    """Request a replay and run once; its entry."""
    done = filegate("reprocess", "--rejects", "--file", file_id)
    assert done.returncode == 0, done.stderr
    assert "replays" in done.stdout
    pipeline.run()
    return pipeline.entries()[-1]


def counted(pipeline: Pipeline) -> dict[str, int]:
    """The sums of the counts of all loaded entries."""
    names = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected")
    sums = ", ".join(f"sum(rows_{name})::int AS {name}" for name in names)
    query = f"SELECT {sums} FROM ops.file_ingestion_log WHERE dataset = %s AND status = 'archived'"
    [row] = pipeline.sql(query, pipeline.contract.dataset)
    return {name: count for name, count in row.items() if count}


def test_replay_loads_the_rows_that_a_corrected_rule_accepts(filegate: Filegate, pipeline: Pipeline, sent: Row) -> None:
    entry = replayed(filegate, pipeline, sent["file_id"])

    pipeline.assert_archived(entry, inserted=2, rejected=1)
    assert entry["object_key"] == sent["object_key"] + "#rejects-1"
    assert entry["replay_of"] == sent["file_id"]
    rows = {row["id"]: row for row in pipeline.rows(lineage=True)}
    assert {name: row["amount"] for name, row in rows.items()} == {"a": 1, "c": 3, "d": 4000, "e": 5000}
    assert [(rows[name]["_file_id"], rows[name]["_source_row"]) for name in "acde"] == [
        (sent["file_id"], 1), (sent["file_id"], 3), (entry["file_id"], 4), (entry["file_id"], 5)
    ]  # fmt: skip
    [rejected] = pipeline.rejected(entry["file_id"])
    assert (rejected["source_row"], rejected["source_line"], rejected["code"]) == (2, 3, "bad-timestamp")
    assert [row["source_row"] for row in pipeline.reject_file(entry)] == ["2"]
    pipeline.assert_tidy()


def test_every_row_is_counted_in_one_entry(filegate: Filegate, pipeline: Pipeline, sent: Row) -> None:
    entry = replayed(filegate, pipeline, sent["file_id"])
    origin = pipeline.entry(sent["file_id"])
    pipeline.assert_archived(origin, inserted=2)
    assert (origin["rows_read"], origin["rows_replayed"], origin["rejects_by_code"]) == (2, 3, {})
    assert pipeline.rejected(sent["file_id"]) == []
    assert counted(pipeline) == {"read": 5, "inserted": 4, "rejected": 1}
    assert json.loads(pipeline.read(entry["settled_key"])) == {"replay_of": sent["file_id"], "rejected_rows": 3}
    events = pipeline.sql(
        "SELECT rows_read, rows_rejected FROM ops.file_event WHERE file_id = %s AND status = 'archived' "
        "ORDER BY event_id",
        sent["file_id"],
    )
    assert [tuple(event.values()) for event in events] == [(5, 3), (2, 0)], "the history keeps both"
    assert "3 rejected rows, counted in replays" in filegate("show", sent["file_id"]).stdout


def test_replay_of_a_replay_reads_the_same_file(filegate: Filegate, pipeline: Pipeline, sent: Row) -> None:
    first = replayed(filegate, pipeline, sent["file_id"])
    nothing_left = filegate("reprocess", "--rejects", "--file", sent["file_id"])
    assert (nothing_left.returncode, "has no rejected rows" in nothing_left.stderr) == (1, True)
    filegate.write_contract(*COLUMNS[:2], COLUMNS[2].replace("timestamptz", "text")
                            .replace("logicalType: timestamp", "logicalType: string")
                            .replace(", logicalTypeOptions: {timezone: true}", ""), newest_by=None)  # fmt: skip
    pipeline.sql("ALTER TABLE {table} ALTER at TYPE text")

    second = replayed(filegate, pipeline, first["file_id"])
    pipeline.assert_archived(second, inserted=1)
    assert second["object_key"] == sent["object_key"] + "#rejects-2"
    assert second["replay_of"] == first["file_id"]
    [row] = [row for row in pipeline.rows(lineage=True) if row["id"] == "b"]
    assert (row["at"], row["_source_row"], row["_file_id"]) == ("yesterday", 2, second["file_id"])
    assert counted(pipeline) == {"read": 5, "inserted": 5}


def test_replay_whose_rows_are_all_refused_again_changes_no_count(
    filegate: Filegate, pipeline: Pipeline, sent: Row
) -> None:
    filegate.write_contract(*STRICT)
    before = pipeline.entry(sent["file_id"])
    entry = replayed(filegate, pipeline, sent["file_id"])
    report = pipeline.assert_refused(entry, "replay-impossible")
    assert "Each of the 3 replayed rows is still refused" in report["message"]
    assert pipeline.entry(sent["file_id"]) == before
    assert counted(pipeline) == {"read": 5, "inserted": 2, "rejected": 3}

    filegate.write_contract()  # the rule is corrected now: the same replay is reprocessed
    assert filegate("reprocess", "--file", entry["file_id"]).returncode == 0
    pipeline.run()
    pipeline.assert_archived(pipeline.entry(entry["file_id"]), inserted=2, rejected=1)
    assert counted(pipeline) == {"read": 5, "inserted": 4, "rejected": 1}


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "parquet"])
def test_replay_reads_every_format(filegate: Filegate, pipeline: Pipeline, kind: str) -> None:
    filegate.write_contract(*STRICT)
    rows = [
        {"id": f"r{number}", "amount": 2000 if number % 3 == 0 else number, "at": AT.format(1)}
        for number in range(1, 31)
    ]
    match kind:
        case "csv":
            body: bytes = ("id,amount,at\n" + "".join(f'"{r["id"]}",{r["amount"]},{r["at"]}\n' for r in rows)).encode()
        case "json":
            body = json.dumps(rows).encode()
        case "ndjson":
            body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        case _:
            path = pipeline.folder / "rows.parquet"
            pq.write_table(pa.Table.from_pylist(rows), path)
            body = path.read_bytes()
    sent = pipeline.send(f"rows.{kind}", body)
    pipeline.assert_archived(sent, inserted=20, rejected=10)
    filegate.write_contract()
    entry = replayed(filegate, pipeline, sent["file_id"])
    pipeline.assert_archived(entry, inserted=10)
    assert sorted(row["_source_row"] for row in pipeline.rows(lineage=True)) == list(range(1, 31))


NOTE = "{name: note, logicalType: string}"
INSIDE = "{name: city, logicalType: string, customProperties: [{property: path, value: place.city}]}"


@pytest.mark.parametrize(
    ("kind", "unknown"), [("ndjson", "ignore"), ("parquet", "ignore"), ("parquet", "rescue"), ("arrow", "ignore")]
)
@pytest.mark.parametrize(
    "taken",
    [
        pytest.param(((), ()), id="the same columns"),
        pytest.param(((), (NOTE,)), id="a column that was unknown"),
        pytest.param(((INSIDE,), (INSIDE,)), id="a path"),
        pytest.param(((), (INSIDE, NOTE)), id="a path that was unknown"),
    ],
)
def test_replay_finds_the_rows_with_columns_that_the_contract_does_not_take(
    filegate: Filegate, pipeline: Pipeline, kind: str, unknown: str, taken: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    """What the contract takes of a file before and after it was corrected does not change a row's text."""
    before, after = taken
    filegate.write_contract(*STRICT, *before, unknownColumns=unknown)
    rows = [
        {"id": f"r{number}", "amount": 2000 if number % 3 == 0 else number, "at": AT.format(1), "note": f"n{number}",
         "place": {"city": f"c{number}", "more": [number]}}
        for number in range(1, 31)
    ]  # fmt: skip
    path = pipeline.folder / "rows"
    match kind:
        case "ndjson":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case _:
            feather.write_feather(pa.Table.from_pylist(rows), path)
    sent = pipeline.send(f"rows.{kind}", path.read_bytes())
    pipeline.assert_archived(sent, inserted=20, rejected=10)
    assert [json.loads(row["raw_record"]) for row in pipeline.rejected(sent["file_id"])] == rows[2::3]
    filegate.write_contract(*COLUMNS, *after, version="1.1.0", unknownColumns=unknown)
    pipeline.assert_archived(replayed(filegate, pipeline, sent["file_id"]), inserted=10)
    loaded = {row["id"]: row for row in pipeline.rows()}
    assert len(loaded) == 30
    if NOTE in after:
        assert loaded["r3"]["note"] == "n3"
    if INSIDE in after:
        assert loaded["r3"]["city"] == "c3"


@pytest.mark.parametrize("newest_by", ["at", None], ids=["newestBy", "write order"])
def test_replayed_row_never_replaces_a_newer_one(filegate: Filegate, pipeline: Pipeline, newest_by: str | None) -> None:
    filegate.write_contract(*STRICT, newest_by=newest_by)
    sent = pipeline.send("one.csv", BODY)
    newer = pipeline.send("two.csv", f"id,amount,at\nd,7,{AT.format(2)}\n")
    filegate.write_contract(newest_by=newest_by)
    entry = replayed(filegate, pipeline, sent["file_id"])
    pipeline.assert_archived(entry, inserted=1, unchanged=1, rejected=1)
    [row] = [row for row in pipeline.rows(lineage=True) if row["id"] == "d"]
    assert (row["amount"], row["_file_id"]) == (7, newer["file_id"])


def test_replayed_row_never_replaces_a_later_row_of_its_own_file(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(*STRICT, newest_by=None)
    at = AT.format(1)
    sent = pipeline.send("one.csv", f"id,amount,at\nx,4000,{at}\nx,1,{at}\ny,1,{at}\ny,5000,{at}\n")
    pipeline.assert_archived(sent, inserted=2, rejected=2)
    filegate.write_contract(newest_by=None)
    entry = replayed(filegate, pipeline, sent["file_id"])
    pipeline.assert_archived(entry, updated=1, unchanged=1)
    assert {row["id"]: row["amount"] for row in pipeline.rows()} == {"x": 1, "y": 5000}


def test_reload_of_a_replayed_file_counts_its_rows_itself(filegate: Filegate, pipeline: Pipeline, sent: Row) -> None:
    entry = replayed(filegate, pipeline, sent["file_id"])
    with pipeline.stores() as stores:
        files = archived(stores.connection, pipeline.contract.dataset, pipeline.bucket, None)
        assert [file.file_id for file in files] == [sent["file_id"]], "a replay is not reloaded"
        reload(files, pipeline.bucket, stores.objects, stores.connection)
    pipeline.run()
    pipeline.assert_archived(pipeline.entry(sent["file_id"]), unchanged=4, rejected=1)
    taken_back = pipeline.entry(entry["file_id"])
    assert (taken_back["status"], taken_back["rows_read"]) == ("duplicate", None)
    assert counted(pipeline) == {"read": 5, "unchanged": 4, "rejected": 1}


# --- what refuses a replay


def test_replay_of_what_has_no_rejected_rows_is_one_line(filegate: Filegate, pipeline: Pipeline) -> None:
    good = pipeline.send("good.csv", f"id,amount,at\na,1,{AT.format(1)}\n")
    bad = pipeline.send("bad.csv", "id,amount\n")
    for file_id, words in (
        (good["file_id"], "has no rejected rows"),
        (bad["file_id"], "is validation_failed"),
        (10**9, "has no file 1000000000"),
    ):
        done = filegate("reprocess", "--rejects", "--file", file_id)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert filegate("reprocess", "--rejects", "--dataset", "all").returncode == 2
    assert pipeline.keys("incoming/") == []


def test_replay_is_requested_once(filegate: Filegate, pipeline: Pipeline, sent: Row) -> None:
    assert filegate("reprocess", "--rejects", "--file", sent["file_id"], "--dry-run").returncode == 0
    assert len(pipeline.entries()) == 1
    assert filegate("reprocess", "--rejects", "--file", sent["file_id"]).returncode == 0
    again = filegate("reprocess", "--rejects", "--file", sent["file_id"])
    assert (again.returncode, "is being loaded" in again.stderr) == (1, True)
    assert filegate("reload", pipeline.contract.dataset, "--yes").returncode == 1, "it waits for the replay"
    pipeline.run()
    assert counted(pipeline) == {"read": 5, "inserted": 4, "rejected": 1}


@pytest.mark.parametrize("missing", ["content", "replaced", "list"])
def test_replay_without_the_archived_object_or_its_list_is_refused(
    filegate: Filegate, pipeline: Pipeline, sent: Row, missing: str
) -> None:
    key = sent["settled_key"]
    if missing == "content":
        pipeline.objects.delete(pipeline.bucket, key)
    elif missing == "replaced":
        pipeline.objects.put(pipeline.bucket, key, BODY.replace("yesterday", "today").encode())
    else:
        pipeline.objects.delete(pipeline.bucket, f"{key}.rejects.csv")
        pipeline.sql("DELETE FROM ops.rejected_rows WHERE file_id = %s AND source_row = 4", sent["file_id"])
    entry = replayed(filegate, pipeline, sent["file_id"])
    pipeline.assert_refused(entry, "replay-impossible")
    assert counted(pipeline) == {"read": 5, "inserted": 2, "rejected": 3}
    assert pipeline.count() == 2


def test_replay_without_the_reject_file_takes_the_rows_of_the_ledger(
    filegate: Filegate, pipeline: Pipeline, sent: Row
) -> None:
    pipeline.objects.delete(pipeline.bucket, f"{sent['settled_key']}.rejects.csv")
    pipeline.assert_archived(replayed(filegate, pipeline, sent["file_id"]), inserted=2, rejected=1)


def test_replay_is_refused_where_the_numbers_are_those_of_other_rows(
    filegate: Filegate, pipeline: Pipeline, sent: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a change of the dialect: the list says rows 1, 3 and 4, which are other rows now."""
    original = replay_module.read_reject_file

    def shifted(path: Any) -> Any:
        return [(number - 1, text) for number, text in original(path)]

    monkeypatch.setattr(replay_module, "read_reject_file", shifted)
    entry = replayed(filegate, pipeline, sent["file_id"])
    report = pipeline.assert_refused(entry, "replay-impossible")
    assert "have other numbers now" in report["message"]
    assert pipeline.count() == 2


def test_file_that_only_looks_like_a_replay_is_a_file(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract()
    pipeline.assert_archived(pipeline.send("x#rejects-1", f"id,amount,at\na,1,{AT.format(1)}\n"), inserted=1)


def test_file_under_the_key_of_a_waiting_replay_is_loaded_as_a_file(
    filegate: Filegate, pipeline: Pipeline, sent: Row
) -> None:
    assert filegate("reprocess", "--rejects", "--file", sent["file_id"]).returncode == 0
    pipeline.put("one.csv#rejects-1", f"id,amount,at\nz,1,{AT.format(1)}\n")
    pipeline.run()
    replay, file = pipeline.entries()[1:]
    assert (replay["replay_of"], replay["rows_inserted"]) == (sent["file_id"], 2)
    pipeline.assert_archived(file, inserted=1)
    pipeline.assert_tidy()


def test_replay_whose_request_was_killed_is_read_by_the_next_run(
    filegate: Filegate, pipeline: Pipeline, sent: Row
) -> None:
    """The entry is there and its object is not."""
    assert filegate("reprocess", "--rejects", "--file", sent["file_id"]).returncode == 0
    [key] = pipeline.keys("incoming/")
    pipeline.objects.delete(pipeline.bucket, key)
    pipeline.run()
    assert counted(pipeline) == {"read": 5, "inserted": 4, "rejected": 1}


def test_worker_that_dies_before_the_load_changes_no_count(
    filegate: Filegate, pipeline: Pipeline, sent: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.ingestion import pipeline as stages

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    assert filegate("reprocess", "--rejects", "--file", sent["file_id"]).returncode == 0
    with monkeypatch.context() as patch:
        patch.setattr(stages, "load", die)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run()
    assert counted(pipeline) == {"read": 5, "inserted": 2, "rejected": 3}
    pipeline.run()
    assert counted(pipeline) == {"read": 5, "inserted": 4, "rejected": 1}
    pipeline.assert_tidy()


# --- snapshots and appended rows


def test_replay_of_a_snapshot_deletes_no_row(filegate: Filegate, pipeline: Pipeline) -> None:
    snapshot = {"mode": "snapshot", "deletes": "hard", "maxDeleteShare": 1}
    filegate.write_contract(*STRICT, newest_by=None, **snapshot)
    sent = pipeline.send("one.csv", BODY)
    filegate.write_contract(newest_by=None, **snapshot)
    entry = replayed(filegate, pipeline, sent["file_id"])
    assert (entry["status"], entry["rows_inserted"], entry["rows_deleted"]) == ("archived", 2, 0)
    assert {row["id"] for row in pipeline.rows()} == {"a", "c", "d", "e"}


def test_replay_of_an_older_snapshot_brings_no_row_back(filegate: Filegate, pipeline: Pipeline) -> None:
    snapshot = {"mode": "snapshot", "deletes": "hard", "maxDeleteShare": 1}
    filegate.write_contract(*STRICT, newest_by=None, **snapshot)
    sent = pipeline.send("one.csv", BODY)
    time.sleep(1.1)  # times of the bucket are whole seconds
    pipeline.send("two.csv", f"id,amount,at\na,1,{AT.format(2)}\n")
    filegate.write_contract(newest_by=None, **snapshot)
    entry = replayed(filegate, pipeline, sent["file_id"])
    pipeline.assert_refused(entry, "older-snapshot")
    assert {row["id"] for row in pipeline.rows()} == {"a"}
    assert pipeline.entry(sent["file_id"])["rows_rejected"] == 3


def test_rows_that_a_replay_appended_are_not_appended_again_by_a_reload(filegate: Filegate, pipeline: Pipeline) -> None:
    append = {"newest_by": None, "key": ["_file_id", "_source_row"]}
    columns = [column.replace("primaryKey: true, ", "") for column in STRICT]
    filegate.write_contract(*columns, **append)
    sent = pipeline.send("one.csv", BODY)
    filegate.write_contract(columns[0], COLUMNS[1], columns[2], **append)
    entry = replayed(filegate, pipeline, sent["file_id"])
    pipeline.assert_archived(entry, inserted=2, rejected=1)
    assert sorted(row["_source_row"] for row in pipeline.sql("SELECT _source_row FROM {table}")) == [1, 3, 4, 5]
    done = filegate("reload", pipeline.contract.dataset, "--yes")
    assert (done.returncode, "a reload would append them again" in done.stderr) == (1, True)


def test_volume_gate_asks_nothing_of_a_replay(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(*STRICT, minShareOfUsual=0.9)
    sent = [pipeline.send(f"{at}.csv", BODY.replace("a,1,", f"a,{at},")) for at in range(4)]
    filegate.write_contract(minShareOfUsual=0.9)
    pipeline.assert_archived(replayed(filegate, pipeline, sent[0]["file_id"]), inserted=2, rejected=1)
    # Neither the replay nor the smaller count of its file makes few rows usual.
    small = pipeline.send("small.csv", f"id,amount,at\nz,1,{AT.format(1)}\n")
    assert small["error_code"] == "too-few-rows"


PARTITION = "{name: dt, logicalType: date, customProperties: [{property: partition, value: true}]}"


def test_replay_knows_the_folder_of_its_file(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(*STRICT, PARTITION)
    sent = pipeline.send("dt=2026-11-28/one.csv", BODY)
    pipeline.assert_archived(sent, inserted=2, rejected=3)
    filegate.write_contract(*COLUMNS, PARTITION, version="1.1.0")
    pipeline.assert_archived(replayed(filegate, pipeline, sent["file_id"]), inserted=2, rejected=1)
    assert {str(row["dt"]) for row in pipeline.rows()} == {"2026-11-28"}


def test_replay_of_a_workbook_reads_the_same_rows(filegate: Filegate, pipeline: Pipeline) -> None:
    error = '<c {r} t="e"><v>#N/A</v></c>'
    rows = [["id", "amount", "at"], ["a", 1, AT.format(1)], ["b", error, AT.format(1)], ["c", 4000, AT.format(1)]]
    sent = pipeline.send("one.xlsx", table(rows))
    pipeline.assert_archived(sent, inserted=1, rejected=2)
    filegate.write_contract(version="1.1.0")
    entry = replayed(filegate, pipeline, sent["file_id"])
    pipeline.assert_archived(entry, inserted=1, rejected=1)
    assert [(row["source_line"], row["code"]) for row in pipeline.rejected(entry["file_id"])] == [(3, "error-cell")]
