"""ZIP and TAR archives: each member is an entry of its own, with its own outcome; the archive itself has no rows."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest
from dying_worker import SETTLES, die_at
from filegate_command import COLUMNS, Filegate

from include.contracts.catalog import read_catalog
from include.contracts.dialect import Dialect
from include.contracts.model import ErrorBudget
from include.errors import Code, RetryableError, Stage
from include.ingestion import pipeline as stages
from include.ingestion.ledger import Ledger
from include.ingestion.readers.archive import Archive
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.reload import archived, reload
from include.ingestion.upkeep.requeue import Selection, requeue
from include.ingestion.upkeep.sweep import sweep
from include.settings import CONTRACTS_DIR
from include.stores.object_store import ObjectStore
from tests.archive_files import encrypted, entry, tarred, zipped, zipped_link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

    from include.ingestion.attempt import Attempt
    from include.ingestion.records import FileEntry
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

AT = "2026-01-0{}T00:00:00Z"


def body(*ids: str, amount: object = 1, day: int = 1) -> str:
    return "id,amount,at\n" + "".join(f"{one},{amount},{AT.format(day)}\n" for one in ids)


@pytest.fixture
def filegate(platform: Platform, pipeline: Pipeline) -> Filegate:
    command = Filegate(platform, pipeline)
    command.write_contract()
    return command


@pytest.fixture
def orders(filegate: Filegate, pipeline: Pipeline) -> Pipeline:
    """A dataset with the columns id, amount and at, of which the newest row of an id stays."""
    assert filegate.pipeline is pipeline
    return pipeline


def members(pipeline: Pipeline, archive: Row) -> dict[str, Row]:
    """The members of an archive by their paths; the second one of a path gets a mark."""
    found: dict[str, Row] = {}
    for member in pipeline.entries():
        if member["parent_file_id"] == archive["file_id"]:
            path = member["object_key"].removeprefix(archive["object_key"] + "#")
            found[path + "'" * (path in found)] = member
    return found


def assert_archive_loaded(pipeline: Pipeline, archive: Row) -> None:
    """Assert that an archive has no rows of its own, lies in processed/, and that nothing else is left."""
    pipeline.assert_archived(archive)
    assert archive["rows_deleted"] == 0
    pipeline.assert_tidy()


def assert_member_loaded(pipeline: Pipeline, archive: Row, path: str, **rows: int) -> None:
    member = members(pipeline, archive)[path]
    assert member["status"] == "archived", member["error_message"]
    names = ("inserted", "updated", "unchanged", "duplicate", "rejected")
    assert {name: member[f"rows_{name}"] for name in names} == dict.fromkeys(names, 0) | rows
    assert member["settled_key"] == f"{archive['settled_key']}#{path}"
    assert not pipeline.objects.head(pipeline.bucket, member["settled_key"])


def assert_member_refused(pipeline: Pipeline, member: Row, code: str, content: bytes | None) -> None:
    """Assert that a member is refused with a report, and that its content lies beside it, if it can be read."""
    assert (member["status"], member["error_code"]) == ("validation_failed", code), member["error_message"]
    name = member["object_key"].rsplit("#", maxsplit=1)[-1].rsplit("/", maxsplit=1)[-1]
    folder = f"failed/validation_failed/{member['dataset']}/{member['file_id']}/"
    assert member["settled_key"] == folder + name
    assert pipeline.report(member)["code"] == code
    if content is None:
        assert not pipeline.objects.head(pipeline.bucket, member["settled_key"])
    else:
        assert pipeline.read(member["settled_key"]) == content


@pytest.mark.parametrize(
    ("pack", "file_format"),
    [
        (zipped, "zip"),
        (tarred, "tar"),
        (partial(tarred, mode="w:gz"), "tar; gzip"),
        (partial(tarred, mode="w:bz2"), "tar; bzip2"),
        (partial(tarred, mode="w:xz"), "tar; xz"),
    ],
    ids=["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"],
)
def test_each_member_is_loaded_as_a_file_of_its_own(orders: Pipeline, pack: object, file_format: str) -> None:
    packed = (("b.csv", body("b1", "b2")), ("2026/a.csv.gz", gzip.compress(body("a").encode())),
              ("c.json", '[{"id": "c", "amount": 1, "at": "2026-01-01T00:00:00Z"}]'))  # fmt: skip
    archive = orders.send("week.zip", pack(*packed))  # type: ignore[operator]

    archive = orders.entries(archive["object_key"])[0]
    assert_archive_loaded(orders, archive)
    assert (archive["format"], archive["members_passed_over"], archive["parent_file_id"]) == (file_format, 0, None)
    found = members(orders, archive)
    assert list(found) == ["2026/a.csv.gz", "b.csv", "c.json"]
    assert [member["format"] for member in found.values()] == ["csv; gzip", "csv", "json"]
    assert_member_loaded(orders, archive, "2026/a.csv.gz", inserted=1)
    assert_member_loaded(orders, archive, "b.csv", inserted=2)
    assert_member_loaded(orders, archive, "c.json", inserted=1)
    ids = {row["id"]: row["_file_id"] for row in orders.rows(lineage=True)}
    assert ids == {"a": found["2026/a.csv.gz"]["file_id"], "b1": found["b.csv"]["file_id"],
                   "b2": found["b.csv"]["file_id"], "c": found["c.json"]["file_id"]}  # fmt: skip
    assert orders.keys() == [archive["settled_key"], archive["settled_key"] + ".report.json"]


def test_report_of_the_archive_counts_its_members(orders: Pipeline) -> None:
    content = zipped(
        ("a.csv", body("a")), ("bad.csv", "nothing,here\n1,2\n"), ("again.csv", body("a")),
        ("__MACOSX/._a.csv", b"\0"), ("x/.DS_Store", b"\0"),
    )  # fmt: skip
    archive = orders.send("week.zip", content)
    found = members(orders, archive)
    assert found["a.csv"]["status"] == "archived"
    assert found["again.csv"]["status"] == "duplicate", "two equal members are two equal files"
    report = orders.report(archive)
    assert report["members"] == {
        "loaded": 1, "duplicate": 1, "refused": 1, "passed_over": 2,
        "first_refused": [{
            "file_id": found["bad.csv"]["file_id"], "file": f"{archive['object_key']}#bad.csv",
            "code": "missing-columns",
        }],
    }  # fmt: skip
    assert report["rows"]["read"] == 0
    assert "refused members" in report["what_to_do"]


def test_refused_member_leaves_the_others_as_they_are(orders: Pipeline) -> None:
    bad = "nothing,here\n1,2\n"
    archive = orders.send("week.zip", zipped(("a.csv", body("a")), ("dir/b.csv", bad), ("c.csv", body("c"))))
    assert_archive_loaded(orders, archive)
    assert_member_loaded(orders, archive, "a.csv", inserted=1)
    assert_member_loaded(orders, archive, "c.csv", inserted=1)
    assert_member_refused(orders, members(orders, archive)["dir/b.csv"], "missing-columns", bad.encode())


def test_rejects_of_a_member_lie_beside_its_key(orders: Pipeline) -> None:
    archive = orders.send("week.zip", zipped(("a.csv", body("a") + f"b,x,{AT.format(1)}\n")))
    assert_archive_loaded(orders, archive)
    assert_member_loaded(orders, archive, "a.csv", inserted=1, rejected=1)
    member = members(orders, archive)["a.csv"]
    assert [row["source_row"] for row in orders.reject_file(member)] == ["2"]
    assert orders.report(member)["rows"]["rejected"] == 1
    assert [row["code"] for row in orders.rejected(member["file_id"])] == ["bad-integer"]


GOOD = ("good.csv", body("good"))
REFUSED = {
    "nested-zip": (zipped(("in.zip", zipped(("x.csv", body("x")))), GOOD), "in.zip", Code.NESTED_ARCHIVE),
    "nested-tar": (tarred(("in.tgz", tarred(GOOD, mode="w:gz")), GOOD), "in.tgz", Code.NESTED_ARCHIVE),
    "encrypted": (encrypted(zipped(GOOD, ("b.csv", body("b"))), "b.csv"), "b.csv", Code.ENCRYPTED_ARCHIVE),
    "parent-folder": (zipped(GOOD, ("../b.csv", body("b"))), "../b.csv", Code.UNSAFE_MEMBER_NAME),
    "absolute": (tarred(GOOD, ("/etc/b.csv", body("b"))), "/etc/b.csv", Code.UNSAFE_MEMBER_NAME),
    "symlink": (tarred(GOOD, entry("b.csv", tarfile.SYMTYPE, "/etc/passwd")), "b.csv", Code.ARCHIVE_LINK),
    "hardlink": (tarred(GOOD, entry("b.csv", tarfile.LNKTYPE, "good.csv")), "b.csv", Code.ARCHIVE_LINK),
    "empty": (zipped(GOOD, ("b.csv", b"")), "b.csv", Code.EMPTY_FILE),
    "second-of-a-name": (zipped(("b.csv", body("b")), GOOD, ("b.csv", body("x"))), "b.csv'", Code.DUPLICATE_MEMBER),
}
WITHOUT_CONTENT = {Code.ENCRYPTED_ARCHIVE, Code.ARCHIVE_LINK}


@pytest.mark.parametrize(("content", "path", "code"), REFUSED.values(), ids=REFUSED)
def test_member_is_refused_for_its_name_or_kind(orders: Pipeline, content: bytes, path: str, code: Code) -> None:
    archive = orders.send("week.zip", content)
    assert_archive_loaded(orders, archive)
    assert_member_loaded(orders, archive, "good.csv", inserted=1)
    member = members(orders, archive)[path]
    assert (member["status"], member["error_code"]) == ("validation_failed", code)
    assert orders.report(member)["message"] == member["error_message"]
    kept = orders.objects.head(orders.bucket, member["settled_key"])
    assert (kept is None) == (code in WITHOUT_CONTENT)
    if code is Code.DUPLICATE_MEMBER:
        assert orders.read(member["settled_key"]) == body("x").encode()
        assert_member_loaded(orders, archive, "b.csv", inserted=1)


def test_link_in_a_zip_is_never_followed(orders: Pipeline) -> None:
    archive = orders.send("week.zip", zipped_link("passwd.csv", "/etc/passwd"))
    assert_archive_loaded(orders, archive)
    assert_member_refused(orders, members(orders, archive)["passwd.csv"], "archive-link", None)


def test_bomb_of_a_member_is_refused_and_the_others_are_loaded(make_pipeline: MakePipeline, platform: Platform) -> None:
    pipeline = make_pipeline(settings={"expansion_free_bytes": 1000})
    Filegate(platform, pipeline).write_contract()
    bomb = ("bomb.csv", b"0" * 8 * 1024**2)
    archive = pipeline.send("week.zip", zipped(bomb, GOOD))
    assert_archive_loaded(pipeline, archive)
    assert_member_loaded(pipeline, archive, "good.csv", inserted=1)
    assert_member_refused(pipeline, members(pipeline, archive)["bomb.csv"], "archive-bomb", None)
    report = pipeline.assert_refused(pipeline.send("week.tgz", tarred(bomb, GOOD, mode="w:gz")), "archive-bomb")
    assert "expand to more than" in report["message"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(zipped(), "empty-file", id="empty-zip"),
        pytest.param(tarred(entry("folder", tarfile.DIRTYPE)), "empty-file", id="tar-with-a-folder"),
        pytest.param(zipped((".DS_Store", b"x")), "empty-file", id="junk-alone"),
        pytest.param(zipped(GOOD)[:-30], "unreadable-file", id="cut-zip"),
        pytest.param(tarred(GOOD)[:1024], "truncated-file", id="cut-tar"),
        pytest.param(tarred(GOOD, mode="w:gz")[:-9], "truncated-file", id="cut-tar-gz"),
    ],
)
def test_archive_is_refused_as_a_whole_before_a_member_is_entered(orders: Pipeline, content: bytes, code: str) -> None:
    orders.assert_refused(orders.send("week.zip", content), code)
    assert len(orders.entries()) == 1
    assert orders.count() == 0
    orders.assert_tidy()


def test_pattern_of_the_contract_chooses_members(orders: Pipeline) -> None:
    orders.contract = replace(orders.contract, dialect=Dialect(member="sales_*.csv"))
    packed = (("2026/sales_1.csv", body("a")), ("readme.txt", "x"), ("../other.csv", "x"), ("sales_2.csv", body("b")))
    archive = orders.send("week.zip", zipped(*packed))
    assert_archive_loaded(orders, archive)
    assert list(members(orders, archive)) == ["2026/sales_1.csv", "sales_2.csv"]
    assert archive["members_passed_over"] == 2
    report = orders.assert_refused(orders.send("other.zip", zipped(("readme.txt", "x"))), "empty-file")
    assert "member: sales_*.csv" in report["message"]


def test_same_archive_again_is_a_duplicate(orders: Pipeline) -> None:
    content = zipped(("a.csv", body("a")), ("b.csv", body("b")))
    first = orders.send("week.zip", content)
    before = orders.versions()
    again = orders.send("again.zip", content)
    assert (again["status"], again["error_code"]) == ("duplicate", "duplicate-content")
    assert str(first["file_id"]) in again["error_message"]
    assert members(orders, again) == {}
    assert orders.versions() == before
    orders.assert_tidy()


def test_equal_members_of_two_archives_are_two_equal_files(orders: Pipeline) -> None:
    orders.send("one.csv", body("a"))
    first = orders.send("1.zip", zipped(("a.csv", body("a")), ("b.csv", body("b"))))
    second = orders.send("2.zip", tarred(("x.csv", body("b")), ("y.csv", body("c"))))
    statuses = {path: member["status"] for path, member in (members(orders, first) | members(orders, second)).items()}
    assert statuses == {"a.csv": "duplicate", "b.csv": "archived", "x.csv": "duplicate", "y.csv": "archived"}
    [row] = [row for row in orders.rows(lineage=True) if row["id"] == "b"]
    assert row["_file_id"] == members(orders, first)["b.csv"]["file_id"]
    assert_archive_loaded(orders, second)


def test_same_archive_that_is_loaded_meanwhile_makes_this_one_a_duplicate(
    orders: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = zipped(*BOTH)
    first, second = orders.put("1.zip", content), orders.put("2.zip", content)
    orders.claim()
    original = stages.note_archive_loaded

    def note_archive_loaded(*values: object) -> None:
        monkeypatch.setattr(stages, "note_archive_loaded", original)
        orders.ingest([[orders.entries(second)[0]["file_id"]]])
        original(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "note_archive_loaded", note_archive_loaded)
    orders.ingest([[orders.entries(first)[0]["file_id"]]])
    orders.settle()
    [one], [other] = orders.entries(first), orders.entries(second)
    assert (one["status"], other["status"]) == ("duplicate", "archived")
    assert {member["status"] for member in members(orders, one).values()} == {"archived"}
    assert {member["status"] for member in members(orders, other).values()} == {"duplicate"}
    assert orders.count() == 4
    orders.assert_tidy()


# --- stopped at any point

BOTH = (("a.csv", body("a1", "a2")), ("b.csv", body("b1", "b2")))


class _Stopped(BaseException):
    """The worker is gone: no handler of the pipeline runs its part."""


POINTS = [
    "begun, nothing read",
    "before the members are entered",
    "members entered",
    "first member begun",
    "validated",
    "in the middle of the copy",
    "merged, not committed",
    "committed",
    "second member begun",
    "second member merged, not committed",
    "second member committed",
    "third member refused",
    "before the refused one is kept",
    "the refused one is kept",
    "archive loaded",
]


@pytest.mark.parametrize("point", POINTS)
def test_next_run_carries_on_an_archive_whose_worker_was_killed(orders: Pipeline, point: str) -> None:
    bad = "nothing,here\n"
    key = orders.put("week.zip", zipped(*BOTH, ("c.csv", bad)))
    ((file_id,),) = orders.claim()
    die_at(point, orders, [file_id])
    committed = {row["id"]: row["_loaded_at"] for row in (orders.rows(lineage=True) if orders.count() else [])}
    orders.settle()
    batches = orders.claim()
    assert batches == ([] if point == "archive loaded" else [[file_id]]), "members come with their archive"
    orders.ingest(batches)
    orders.settle()

    [archive] = orders.entries(key)
    assert_archive_loaded(orders, archive)
    found = members(orders, archive)
    assert list(found) == ["a.csv", "b.csv", "c.csv"]
    assert_member_loaded(orders, archive, "a.csv", inserted=2)
    assert_member_loaded(orders, archive, "b.csv", inserted=2)
    assert_member_refused(orders, found["c.csv"], "missing-columns", bad.encode())
    rows = {row["id"]: row["_loaded_at"] for row in orders.rows(lineage=True)}
    assert set(rows) == {"a1", "a2", "b1", "b2"}
    assert committed.items() <= rows.items(), "no row was loaded twice"


@pytest.mark.parametrize("point", sorted(SETTLES))
def test_next_run_settles_an_archive_whose_settle_task_was_killed(orders: Pipeline, point: str) -> None:
    bad = "nothing,here\n"
    key = orders.put("week.zip", zipped(("a.csv", body("a") + "b,x,y\n"), ("c.csv", bad)))
    orders.ingest(orders.claim())
    die_at(point, orders)
    orders.run()
    [archive] = orders.entries(key)
    assert_archive_loaded(orders, archive)
    assert_member_loaded(orders, archive, "a.csv", inserted=1, rejected=1)
    assert orders.reject_file(members(orders, archive)["a.csv"])
    assert_member_refused(orders, members(orders, archive)["c.csv"], "missing-columns", bad.encode())


def test_archive_stays_in_incoming_until_each_of_its_members_is_settled(
    orders: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = "nothing,here\n"
    key = orders.put("week.zip", zipped(("a.csv", body("a")), ("c.csv", bad)))
    orders.ingest(orders.claim())
    put = ObjectStore.put

    def fail(objects: ObjectStore, bucket: str, to: str, *values: object) -> None:
        if to.endswith("c.csv.report.json"):
            raise RetryableError(Code.BUCKET_UNAVAILABLE, reason="gone")
        put(objects, bucket, to, *values)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", fail)
        with pytest.raises(RetryableError):
            orders.settle()
    assert orders.keys("incoming/") == [key], "its sensor starts the next run"
    [archive] = orders.entries(key)
    assert archive["status"] == "loaded"
    assert members(orders, archive)["a.csv"]["status"] == "archived"
    assert orders.run().files == {}
    [archive] = orders.entries(key)
    assert_archive_loaded(orders, archive)
    assert_member_refused(orders, members(orders, archive)["c.csv"], "missing-columns", bad.encode())


@pytest.mark.parametrize("stage", ["spool", "validate"])
def test_member_that_kills_its_worker_is_refused_and_the_others_are_loaded(
    make_pipeline: MakePipeline, platform: Platform, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    pipeline = make_pipeline(settings={"max_attempts": 2})
    Filegate(platform, pipeline).write_contract()
    key = pipeline.put("week.zip", zipped(("a.csv", body("a")), ("b.csv", body("b")), ("c.csv", body("c"))))
    original, chunks = stages.validate, Archive.chunks

    def validate(attempt: object, raw: object) -> object:
        if attempt.entry.name == "b.csv":  # type: ignore[attr-defined]
            raise _Stopped
        return original(attempt, raw)  # type: ignore[arg-type]

    def read(archive: Archive, number: int) -> Iterator[bytes]:
        if archive.members[number].path == "b.csv":
            raise _Stopped
        return chunks(archive, number)

    if stage == "spool":
        monkeypatch.setattr(Archive, "chunks", read)
    else:
        monkeypatch.setattr(stages, "validate", validate)
    for _ in range(2):
        with pytest.raises(_Stopped):
            pipeline.ingest(pipeline.claim())
    pipeline.run()
    [archive] = pipeline.entries(key)
    assert_archive_loaded(pipeline, archive)
    found = members(pipeline, archive)
    assert {path: member["status"] for path, member in found.items()} == {
        "a.csv": "archived", "b.csv": "validation_failed", "c.csv": "archived"
    }  # fmt: skip
    # Its content stays in the archive alone: a worker that copied it could die again.
    assert_member_refused(pipeline, found["b.csv"], "worker-died", None)


def test_archive_that_kills_its_worker_behind_its_members_is_refused(
    make_pipeline: MakePipeline, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(settings={"max_attempts": 2})
    Filegate(platform, pipeline).write_contract()
    key = pipeline.put("week.zip", zipped(*((f"{one}.csv", body(one)) for one in "abcd")))
    monkeypatch.setattr(stages, "keep_refused", lambda *_: (_ for _ in ()).throw(_Stopped))
    for _ in range(2):
        with pytest.raises(_Stopped):
            pipeline.ingest(pipeline.claim())
    pipeline.run()
    [archive] = pipeline.entries(key)
    pipeline.assert_refused(archive, "worker-died")
    assert {member["status"] for member in members(pipeline, archive).values()} == {"archived"}
    pipeline.assert_tidy()


def test_archive_that_kills_its_worker_is_refused(
    make_pipeline: MakePipeline, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(settings={"max_attempts": 2})
    Filegate(platform, pipeline).write_contract()
    key = pipeline.put("week.zip", zipped(GOOD))
    with monkeypatch.context() as patch:
        patch.setattr(stages, "open_archive", lambda *_: (_ for _ in ()).throw(_Stopped))
        for _ in range(2):
            with pytest.raises(_Stopped):
                pipeline.ingest(pipeline.claim())
    pipeline.run()
    pipeline.assert_refused(pipeline.entries(key)[0], "worker-died")
    pipeline.assert_tidy()


def test_defect_in_one_member_does_not_stop_the_others(orders: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    original = stages.validate

    def validate(attempt: object, raw: object) -> object:
        if attempt.entry.name == "a.csv":  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return original(attempt, raw)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "validate", validate)
    archive = orders.send("week.zip", zipped(*BOTH))
    assert_archive_loaded(orders, archive)
    assert members(orders, archive)["a.csv"]["error_code"] == "internal"
    assert_member_loaded(orders, archive, "b.csv", inserted=2)


@pytest.mark.parametrize("newest_by", ["at", None], ids=["any-order", "in-order"])
def test_outage_at_a_member_makes_the_archive_wait(
    filegate: Filegate, orders: Pipeline, monkeypatch: pytest.MonkeyPatch, newest_by: str | None
) -> None:
    filegate.write_contract(newest_by=newest_by)
    key = orders.put("week.zip", zipped(*BOTH))
    batches = orders.claim()
    with monkeypatch.context() as patch:
        left = [1]

        def processed(ledger: Ledger, *values: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise RetryableError(Code.WAREHOUSE_UNAVAILABLE, detail="gone")
            original(ledger, *values)  # type: ignore[arg-type]

        original = Ledger.processed
        patch.setattr(Ledger, "processed", processed)
        with pytest.raises(RetryableError):
            orders.ingest(batches)
    [archive] = orders.entries(key)
    found = members(orders, archive)
    assert [(row["status"], row["attempts"], row["error_code"]) for row in (archive, *found.values())] == [
        ("claimed", 0, "warehouse-unavailable"), ("loaded", 1, None), ("claimed", 0, "warehouse-unavailable")
    ]  # fmt: skip
    orders.settle()
    assert members(orders, archive)["a.csv"]["status"] == "loaded", "settled with its archive, not before"
    batches = orders.claim()
    assert batches == [[archive["file_id"]]], "members come with their archive"
    orders.ingest(batches)
    orders.settle()
    [archive] = orders.entries(key)
    assert_archive_loaded(orders, archive)
    assert orders.count() == 4
    assert archive["error_code"] is None


def test_archive_that_is_replaced_while_its_members_are_loaded_keeps_what_is_loaded(orders: Pipeline) -> None:
    key = orders.put("week.zip", zipped(*BOTH))
    batches = orders.claim()
    die_at("second member begun", orders, batches[0])
    orders.put("week.zip", zipped(("a.csv", body("new"))))
    orders.run()
    old, new = orders.entries(key)
    assert (old["status"], old["error_code"]) == ("validation_failed", "object-vanished")
    found = members(orders, old)
    assert (found["a.csv"]["status"], found["b.csv"]["error_code"]) == ("archived", "object-vanished")
    assert_archive_loaded(orders, new)
    assert {row["id"] for row in orders.rows()} == {"a1", "a2", "new"}


def test_archive_without_a_contract_is_refused_with_its_members_without_an_outcome(orders: Pipeline) -> None:
    key = orders.put("week.zip", zipped(*BOTH))
    (batch,) = orders.claim()
    die_at("second member begun", orders, batch)
    with orders.stores() as stores:
        sweep(lambda: read_catalog(CONTRACTS_DIR), stores, AirflowRun("sweep", "1"), orders.settings)
    [archive] = orders.entries(key)
    orders.assert_refused(archive, "unknown-dataset")
    found = members(orders, archive)
    assert (found["a.csv"]["status"], found["b.csv"]["error_code"]) == ("archived", "unknown-dataset")
    assert orders.keys("incoming/") == []
    # The contract is back: the archive is read again, with the members without an outcome.
    result = requeued(orders, archive["file_id"])
    assert result.keys == (key,)  # type: ignore[attr-defined]
    orders.run()
    [archive] = orders.entries(key)
    assert_archive_loaded(orders, archive)
    assert_member_loaded(orders, archive, "a.csv", inserted=2)
    assert_member_loaded(orders, archive, "b.csv", inserted=2)


@pytest.mark.parametrize("chosen", ["all", "archive", "member"])
def test_archive_that_failed_with_its_members_is_requeued_with_them(orders: Pipeline, chosen: str) -> None:
    key = orders.put("week.zip", zipped(("a.csv", body("a")), ("b.csv", "no,no\n1,2\n"), ("c.csv", body("c"))))
    (batch,) = orders.claim()
    die_at("third member refused", orders, batch)  # it is the second one here
    with orders.stores() as stores:
        sweep(lambda: read_catalog(CONTRACTS_DIR), stores, AirflowRun("sweep", "1"), orders.settings)
    [archive] = orders.entries(key)
    before = members(orders, archive)
    assert [member["error_code"] for member in before.values()] == [None, "missing-columns", "unknown-dataset"]
    if chosen == "member":
        result = requeued(orders, before["c.csv"]["file_id"])
        assert result.waiting == (before["c.csv"]["settled_key"],)  # type: ignore[attr-defined]
        assert members(orders, archive) == before
        return
    ids = () if chosen == "archive" else [member["file_id"] for member in before.values()]
    result = requeued(orders, archive["file_id"], *ids)
    assert (result.keys, result.missing, result.waiting) == ((key,), (), ())  # type: ignore[attr-defined]
    assert bool(orders.keys("failed/")) == (chosen == "archive"), "the report of the member that was not chosen"
    orders.run()
    [archive] = orders.entries(key)
    orders.assert_archived(archive)
    again = members(orders, archive)
    assert [member["status"] for member in again.values()] == ["archived", "validation_failed", "archived"]
    assert again["a.csv"] == before["a.csv"]
    assert (again["b.csv"] == before["b.csv"]) == (chosen == "archive")
    assert orders.report(again["b.csv"])["code"] == "missing-columns"
    assert not [one for one in orders.keys("failed/") if f"/{again['c.csv']['file_id']}/" in one]


def test_archive_that_is_refused_while_its_members_are_entered_fails_with_them(
    orders: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = orders.put("week.zip", zipped(*BOTH))
    batches = orders.claim()
    original = stages.enter_members

    def refuse(archive: FileEntry) -> None:
        with orders.stores() as stores:
            stores.ledger.failed(
                archive.file_id, archive.attempts, Stage.VALIDATE, Code.UNKNOWN_DATASET, "No contract has this dataset."
            )

    def entered(attempt: Attempt, *values: object) -> object:
        with ThreadPoolExecutor(1) as pool:
            with attempt.stores.connection.transaction():
                found = original(attempt, *values)  # type: ignore[arg-type]
                refused = pool.submit(refuse, attempt.entry)
                while not orders.sql("SELECT pid FROM pg_locks WHERE NOT granted"):
                    assert not refused.done(), refused.exception()
                    time.sleep(0.05)
            refused.result()
        return found

    monkeypatch.setattr(stages, "enter_members", entered)
    assert orders.ingest(batches).files == {"stale attempt": 1}
    orders.settle()
    [archive] = orders.entries(key)
    orders.assert_refused(archive, "unknown-dataset")
    assert [member["error_code"] for member in members(orders, archive).values()] == ["unknown-dataset"] * 2
    orders.assert_tidy()


@pytest.mark.parametrize("point", ["reload", "begun"])
def test_members_of_a_duplicate_are_not_read_again(orders: Pipeline, point: str) -> None:
    content = zipped(*BOTH, ("c.csv", "no,no\n1,2\n"))
    key = orders.put("1.zip", content)
    batches = orders.claim()
    if point == "reload":
        orders.ingest(batches)
        orders.settle()
        [archive] = orders.entries(key)
        with orders.stores() as stores:
            found = archived(stores.connection, orders.contract.dataset, orders.bucket, [archive["file_id"]])
            reload(found, orders.bucket, orders.objects, stores.connection)
        batches = orders.claim()
    else:
        die_at("second member begun", orders, batches[0])
    other = orders.put("2.zip", content)
    orders.claim()
    orders.ingest([[orders.entries(other)[0]["file_id"]]])
    orders.ingest(batches)
    orders.settle()
    [archive] = orders.entries(key)
    assert archive["status"] == "duplicate"
    assert {member["reload_requested_at"] for member in members(orders, archive).values()} == {None}
    orders.assert_tidy()


def test_stale_worker_of_an_archive_changes_nothing(orders: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    key = orders.put("week.zip", zipped(*BOTH))
    batches = orders.claim()
    [archive] = orders.entries(key)

    def begin_elsewhere(*values: object) -> object:
        found = original(*values)  # type: ignore[arg-type]
        with orders.stores() as stores:
            stores.ledger.begin(archive["file_id"])
        return found

    original = stages.enter_members
    with monkeypatch.context() as patch:
        patch.setattr(stages, "enter_members", begin_elsewhere)
        assert orders.ingest(batches).files == {"stale attempt": 1}
    assert orders.count() == 0
    orders.run()
    assert_archive_loaded(orders, orders.entries(key)[0])


# --- the order of files


def test_members_are_loaded_in_the_order_of_their_paths_and_after_earlier_files(
    filegate: Filegate, pipeline: Pipeline
) -> None:
    filegate.write_contract(newest_by=None)
    pipeline.send("1.csv", body("x", amount=1))
    content = tarred(("b.csv", body("x", amount=3)), ("a.csv", body("x", amount=2)))
    archive = pipeline.send("2.tar", content)
    assert_archive_loaded(pipeline, archive)
    assert [row["amount"] for row in pipeline.rows()] == [3], "the last member by its path is the newest"
    again = pipeline.send("3.tar", content)
    assert again["status"] == "duplicate", "nothing was loaded since"
    pipeline.send("4.csv", body("x", amount=1))
    archive = pipeline.send("5.tar", content)
    assert_archive_loaded(pipeline, archive)
    assert [member["status"] for member in members(pipeline, archive).values()] == ["archived", "archived"]
    assert [row["amount"] for row in pipeline.rows()] == [3]


def test_later_file_waits_for_the_members_of_an_archive(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(newest_by=None)
    pipeline.put("1.zip", zipped(("a.csv", body("x", amount=1)), ("b.csv", body("x", amount=2))))
    pipeline.claim()
    pipeline.put("1.zip!.csv", body("x", amount=3))  # its key is between those of the archive and of its members
    (batch,) = pipeline.claim()
    die_at("second member begun", pipeline, batch)
    assert pipeline.claim() == [batch[:1]], "members come with their archive"
    for _ in range(3):
        pipeline.run()
    assert [row["amount"] for row in pipeline.rows()] == [3]
    pipeline.assert_tidy()


def test_reprocessed_member_has_the_turn_of_its_archive(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(*STRICT, newest_by=None)
    strict = f"id,at\nx,{AT.format(1)}\n"
    archive = pipeline.send("1.zip", zipped(("a.csv", body("x")), ("b.csv", strict)))
    filegate.write_contract(newest_by=None, version="1.1.0")
    pipeline.put("2.csv", body("x", amount=3))
    pipeline.claim()
    requeued(pipeline, members(pipeline, archive)["b.csv"]["file_id"])
    for _ in range(2):
        pipeline.run()
    assert members(pipeline, archive)["b.csv"]["status"] == "archived"
    assert [row["amount"] for row in pipeline.rows()] == [3]
    pipeline.assert_tidy()


def test_partition_folders_may_be_in_the_archive(filegate: Filegate, pipeline: Pipeline) -> None:
    dt = "{name: dt, logicalType: date, customProperties: [{property: partition, value: true}]}"
    region = "{name: region, logicalType: string, customProperties: [{property: partition, value: true}]}"
    filegate.write_contract(*COLUMNS, dt, region)
    packed = (("dt=2026-11-28/p.csv", body("a")), ("dt=2026-11-29/p.csv", body("b")), ("p.csv", body("c")))
    archive = pipeline.send("region=North/week.zip", zipped(*packed))
    assert_archive_loaded(pipeline, archive)
    assert {row["id"]: (str(row["dt"]), row["region"]) for row in pipeline.rows()} == {
        "a": ("2026-11-28", "North"), "b": ("2026-11-29", "North")
    }  # fmt: skip
    assert members(pipeline, archive)["p.csv"]["error_code"] == "bad-partition"
    south = pipeline.send("region=South/week.zip", zipped(*packed))
    assert_archive_loaded(pipeline, south)
    assert members(pipeline, south)["dt=2026-11-28/p.csv"]["status"] == "archived", "folders of the path are content"


# --- reprocess, reload, replay

STRICT = (COLUMNS[0], "{name: amount, logicalType: integer, required: true}", COLUMNS[2])


def requeued(pipeline: Pipeline, *file_ids: int) -> object:
    with pipeline.stores() as stores:
        return requeue(
            Selection(file_ids=file_ids),
            pipeline.bucket,
            pipeline.objects,
            stores.connection,
            {pipeline.contract.dataset},
        )


def test_refused_member_is_read_again_from_its_archive(filegate: Filegate, pipeline: Pipeline) -> None:
    strict = "id,at\n" + f"b,{AT.format(1)}\n"
    filegate.write_contract(*STRICT)
    archive = pipeline.send("week.zip", zipped(("a.csv", body("a")), ("dir/b.csv", strict), ("c.csv", "no,no\n1,2\n")))
    found = members(pipeline, archive)
    before = found["a.csv"]
    member = found["dir/b.csv"]
    assert_member_refused(pipeline, member, "missing-columns", strict.encode())
    # What lies in failed/ is a copy: the archive is read.
    pipeline.objects.put(pipeline.bucket, member["settled_key"], b"id,at\nforged,2026-01-01T00:00:00Z\n")
    filegate.write_contract(version="1.1.0")

    done = filegate("reprocess", "--file", member["file_id"])
    assert done.returncode == 0, done.stderr
    assert "1 of 1 files moved" in done.stdout
    assert pipeline.keys("incoming/") == [archive["object_key"]]
    assert not [key for key in pipeline.keys("failed/") if f"/{member['file_id']}/" in key]
    pipeline.run()

    [archive] = pipeline.entries(archive["object_key"])
    assert_archive_loaded(pipeline, archive)
    assert_member_loaded(pipeline, archive, "dir/b.csv", inserted=1)
    again = members(pipeline, archive)
    assert again["dir/b.csv"]["file_id"] == member["file_id"], "the same entry, with its history"
    assert "validation_failed" in pipeline.events(member["file_id"])
    assert again["a.csv"] == before
    assert again["c.csv"] == found["c.csv"]
    assert {row["id"] for row in pipeline.rows()} == {"a", "b"}


def test_reprocessed_member_that_is_refused_again_stays_in_quarantine(orders: Pipeline) -> None:
    content = zipped(("a.csv", body("a")), ("b.csv", "no,no\n1,2\n"), ("b.csv", "x"))
    archive = orders.send("week.zip", content)
    ids = [member["file_id"] for path, member in members(orders, archive).items() if path != "a.csv"]
    for _ in range(2):
        result = requeued(orders, *ids)
        assert result.keys == (archive["object_key"],)  # type: ignore[attr-defined]
        orders.run()
        [archive] = orders.entries(archive["object_key"])
        assert_archive_loaded(orders, archive)
        found = members(orders, archive)
        assert_member_refused(orders, found["b.csv"], "missing-columns", b"no,no\n1,2\n")
        assert_member_refused(orders, found["b.csv'"], "duplicate-member", b"x")
        assert found["a.csv"]["attempts"] == 1
    assert archive["reloads"] == 2


def test_member_stays_in_quarantine_if_its_archive_is_gone_or_its_key_is_taken(orders: Pipeline) -> None:
    archive = orders.send("week.zip", zipped(("a.csv", "no,no\n1,2\n")))
    [member] = members(orders, archive).values()
    orders.put("week.zip", zipped(GOOD))
    assert requeued(orders, member["file_id"]).waiting  # type: ignore[attr-defined]
    orders.run()
    assert orders.entry(member["file_id"]) == member
    assert orders.read(member["settled_key"]) == b"no,no\n1,2\n"
    orders.objects.delete(orders.bucket, archive["settled_key"])
    assert requeued(orders, member["file_id"]).missing  # type: ignore[attr-defined]
    assert orders.entry(member["file_id"]) == member
    assert orders.entry(archive["file_id"])["reload_requested_at"] is None


def test_reload_of_an_archive_loads_its_members_again(filegate: Filegate, pipeline: Pipeline) -> None:
    archive = pipeline.send("week.zip", zipped(*BOTH, ("bad.csv", "no,no\n1,2\n")))
    newer = pipeline.send("later.csv", body("b2", amount=7, day=2))
    pipeline.sql("UPDATE {table} SET amount = 99 WHERE id = 'a1'")
    done = filegate("reload", pipeline.contract.dataset, "--file", archive["file_id"], "--yes")
    assert done.returncode == 0, done.stderr
    assert "1 archived file of" in done.stdout
    assert "with 4 rows" in done.stdout
    pipeline.run()
    [archive] = pipeline.entries(archive["object_key"])
    assert_archive_loaded(pipeline, archive)
    found = members(pipeline, archive)
    assert [member["reloads"] for member in found.values()] == [1, 1, 0]
    assert found["bad.csv"]["status"] == "validation_failed"
    assert {row["id"]: row["amount"] for row in pipeline.rows()} == {"a1": 1, "a2": 1, "b1": 1, "b2": 7}
    assert newer["status"] == "archived"
    alone = filegate("reload", pipeline.contract.dataset, "--file", found["a.csv"]["file_id"], "--yes")
    assert "not an archived file" in alone.stderr, "a member comes with its archive"


def reloaded(pipeline: Pipeline, archive: Row) -> Row:
    """Load an archive again; its entry."""
    with pipeline.stores() as stores:
        dataset, connection = pipeline.contract.dataset, stores.connection
        found = archived(connection, dataset, pipeline.bucket, [archive["file_id"]])
        assert reload(found, pipeline.bucket, pipeline.objects, connection).keys == (archive["object_key"],)
    pipeline.run()
    return pipeline.entry(archive["file_id"])


def test_member_that_a_wider_pattern_adds_at_a_reload_is_as_old_as_its_archive(
    filegate: Filegate, pipeline: Pipeline
) -> None:
    filegate.write_contract(newest_by=None)
    everything = pipeline.contract
    pipeline.contract = replace(everything, dialect=Dialect(member="b*"))
    archive = pipeline.send("1.zip", zipped(("a.csv", body("x", "y", amount=1)), ("b.csv", body("z"))))
    pipeline.send("2.csv", body("x", amount=2))
    pipeline.contract = everything
    archive = reloaded(pipeline, archive)
    assert_archive_loaded(pipeline, archive)
    assert members(pipeline, archive)["a.csv"]["status"] == "archived"
    assert {row["id"]: row["amount"] for row in pipeline.rows()} == {"x": 2, "y": 1, "z": 1}
    later = pipeline.send("3.csv", body("x", amount=2))
    assert later["status"] == "duplicate", "2.csv is still the newest file"


def test_refused_member_of_a_reload_that_the_pattern_leaves_out_is_not_read(orders: Pipeline) -> None:
    archive = orders.send("week.zip", zipped(("a.csv", "no,no\n1,2\n"), ("b.csv", body("b"))))
    before = members(orders, archive)
    requeued(orders, before["a.csv"]["file_id"])
    orders.contract = replace(orders.contract, dialect=Dialect(member="b*"))
    orders.run()
    [archive] = orders.entries(archive["object_key"])
    assert_archive_loaded(orders, archive)
    assert members(orders, archive) == before, "no request is left"
    assert archive["members_passed_over"] == 1


def test_reload_of_an_archive_of_snapshots_loads_the_last_one(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(newest_by=None, mode="snapshot", deletes="hard", maxDeleteShare=1)
    packed = (("a.csv", body("a")), ("b.csv", body("b")), ("c.csv", "no,no\n1,2\n"))
    archive = pipeline.send("week.zip", zipped(*packed))
    done = filegate("reload", pipeline.contract.dataset, "--file", archive["file_id"], "--yes")
    assert done.returncode == 0, done.stderr
    pipeline.run()
    [archive] = pipeline.entries(archive["object_key"])
    assert_archive_loaded(pipeline, archive)
    assert {path: (member["status"], member["reloads"]) for path, member in members(pipeline, archive).items()} == {
        "a.csv": ("archived", 0), "b.csv": ("archived", 1), "c.csv": ("validation_failed", 0)
    }  # fmt: skip
    assert [row["id"] for row in pipeline.rows()] == ["b"]


def test_replay_of_a_member_waits_for_the_reload_of_its_archive(filegate: Filegate, pipeline: Pipeline) -> None:
    limited = (COLUMNS[0], "{name: amount, logicalType: integer, logicalTypeOptions: {maximum: 10}}", COLUMNS[2])
    filegate.write_contract(*limited)
    archive = pipeline.send("week.zip", zipped(("a.csv", body("a") + f"b,11,{AT.format(1)}\n"), ("b.csv", "no\n1\n")))
    [member, refused] = members(pipeline, archive).values()
    requeued(pipeline, refused["file_id"])
    for _ in ("requested", "claimed"):
        done = filegate("reprocess", "--rejects", "--file", member["file_id"])
        assert (done.returncode, "replay-impossible" in done.stderr + done.stdout) == (1, True), done
        pipeline.claim()
    assert len(pipeline.entries()) == 3


def test_rejected_rows_of_a_member_are_replayed_from_its_archive(filegate: Filegate, pipeline: Pipeline) -> None:
    limited = (COLUMNS[0], "{name: amount, logicalType: integer, logicalTypeOptions: {maximum: 10}}", COLUMNS[2])
    filegate.write_contract(*limited)
    packed = (("x/a.csv", body("a") + f"b,11,{AT.format(1)}\n"), ("y.csv", body("y")))
    archive = pipeline.send("week.tgz", tarred(*packed, mode="w:gz"))
    member = members(pipeline, archive)["x/a.csv"]
    assert member["rows_rejected"] == 1
    filegate.write_contract(version="1.1.0")
    done = filegate("reprocess", "--rejects", "--file", member["file_id"])
    assert done.returncode == 0, done.stderr
    pipeline.run()
    replay = pipeline.entries()[-1]
    pipeline.assert_archived(replay, inserted=1)
    assert replay["replay_of"] == member["file_id"]
    assert replay["object_key"] == f"{archive['object_key']}#x/a.csv#rejects-1"
    assert {row["id"] for row in pipeline.rows()} == {"a", "b", "y"}
    pipeline.assert_tidy()


# --- what a person sees


def test_show_lists_the_members_of_an_archive(filegate: Filegate, pipeline: Pipeline) -> None:
    archive = pipeline.send("week.zip", zipped(("a.csv", body("a")), ("b.csv", "no,no\n1,2\n"), (".DS_Store", b"x")))
    found = members(pipeline, archive)
    shown = filegate("show", archive["file_id"]).stdout
    assert "2, and 1 passed over" in shown
    assert "missing-columns" in shown
    lines = [line.split() for line in shown.splitlines() if line.startswith(str(found["a.csv"]["file_id"]))]
    assert lines == [[str(found["a.csv"]["file_id"]), "archived", "a.csv", "1", "1", "0", "-"]]
    document = filegate.json("show", archive["file_id"])
    assert [member["member"] for member in document["members"]] == ["a.csv", "b.csv"]
    of_member = filegate("show", found["b.csv"]["file_id"]).stdout
    assert f"member of   {archive['file_id']}" in of_member
    listed = filegate("files", "--dataset", pipeline.contract.dataset).stdout
    assert f"{archive['object_key']}#b.csv" in listed
    assert filegate.json("files", "--dataset", pipeline.contract.dataset, "--failed")[0]["code"] == "missing-columns"


WAIT = (
    "from include.settings import store_settings; from local.commands.drop import _wait; "
    "_wait(store_settings().s3(), {}, {}, 5)"
)


@pytest.mark.parametrize(("second", "code"), [(body("b"), 0), ("no,no\n1,2\n", 1)], ids=["good", "refused"])
def test_drop_waits_for_the_verdict_of_each_member(
    filegate: Filegate, pipeline: Pipeline, second: str, code: int
) -> None:
    archive = pipeline.send("week.zip", zipped(("a.csv", body("a")), ("b.csv", second)))
    command = [sys.executable, "-c", WAIT.format(repr(archive["object_key"]), repr("2000-01-01"))]
    done = subprocess.run(command, env=filegate.environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert [line.split()[2] for line in done.stdout.splitlines()[-2:]] == ["a.csv", "b.csv"]


def test_error_budget_is_that_of_each_member(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(budget=ErrorBudget(share=0.1))
    good, bad = pipeline.sample("good.csv", 50), pipeline.sample("bad.csv", 20, start=100)
    rows = bad.path.read_text().splitlines(keepends=True)
    content = zipped(("good.csv", good.path.read_bytes()), ("bad.csv", rows[0] + "".join(rows[1:10]) + "x\n" * 10))
    archive = pipeline.send("week.zip", content)
    assert_archive_loaded(pipeline, archive)
    found = members(pipeline, archive)
    assert (found["good.csv"]["rows_inserted"], found["bad.csv"]["error_code"]) == (50, "error-budget-exceeded")
    assert pipeline.reject_file(found["bad.csv"])


def test_entry_of_a_member_needs_its_number(pipeline: Pipeline) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        pipeline.sql(
            "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, etag, member_number) "
            "VALUES ('x', 'x', 'x', 'x', 1)"
        )
