"""Uploads to a key that is being moved: no version is deleted unread, loaded twice, or listed again.

Three kinds of store: a versioned bucket, a store that checks If-Match, and one that ignores conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.catalog import Catalog
from include.contracts.reserved import UNKNOWN
from include.ingestion.object_keys import incoming_prefix
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.requeue import Selection, requeue
from include.ingestion.upkeep.sweep import Swept, sweep
from include.samples.badness import Bad, BadKind
from include.stores import object_moves
from include.stores.object_moves import move_own, remove_own
from include.stores.object_store import ObjectInfo, ObjectStore
from local.services import bucket as local_bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

VERSIONED, CONDITIONAL, UNCONDITIONAL = "versioned", "conditional", "unconditional"


@pytest.fixture(params=[VERSIONED, CONDITIONAL, UNCONDITIONAL])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pipeline(make_pipeline: MakePipeline, kind: str, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline with a bucket on a store of this kind."""
    made = make_pipeline(file_patterns=("sales*.csv",))
    if kind == VERSIONED:
        client = local_bucket.client(made.s3)
        client.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})
    if kind == UNCONDITIONAL:
        ignore_conditions(monkeypatch)
    return made


def ignore_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the store accept conditions without checking them, as rclone's server does."""

    def copy(store: ObjectStore, bucket: str, source: ObjectInfo, target: str) -> None:
        store._client.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source.key})

    monkeypatch.setattr(ObjectStore, "copy", copy)
    monkeypatch.setattr(ObjectStore, "delete_if_match", lambda store, bucket, v: store.delete(bucket, v.key))


def body(pipeline: Pipeline, start: int, rows: int = 20) -> bytes:
    return pipeline.sample("sample.csv", rows, start=start).path.read_bytes()


def versions(pipeline: Pipeline, key: str) -> int:
    return len(local_bucket.client(pipeline.s3).list_object_versions(Bucket=pipeline.bucket, Prefix=key)["Versions"])


def nothing_left(pipeline: Pipeline, key: str) -> None:
    """Assert that there is neither an object nor an old version that could be listed again."""
    found = local_bucket.client(pipeline.s3).list_object_versions(Bucket=pipeline.bucket, Prefix=key)
    assert [version["Key"] for version in found.get("Versions", ())] == []
    assert pipeline.keys("incoming/") == []


def once(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object], *, after: bool, key: str) -> list[str]:
    """Call `act` right before or after the first call of this method for this key."""
    original, done = getattr(ObjectStore, name), list[str]()

    def wrapped(store: ObjectStore, bucket: str, what: Any, *others: Any, **named: Any) -> Any:
        mine = not done and (what if isinstance(what, str) else what.key) == key
        if mine:
            done.append(name)
        if mine and not after:
            act()
        answer = original(store, bucket, what, *others, **named)
        if mine and after:
            act()
        return answer

    monkeypatch.setattr(ObjectStore, name, wrapped)
    return done


@pytest.mark.parametrize(
    ("call", "after"),
    [("head", False), ("head", True), ("copy", False), ("copy", True)],
    ids=["before the look", "between HEAD and COPY", "before COPY", "between COPY and DELETE"],
)
def test_settle_never_deletes_what_was_uploaded_meanwhile(
    pipeline: Pipeline, kind: str, monkeypatch: pytest.MonkeyPatch, call: str, after: bool
) -> None:
    first, second = body(pipeline, 0), body(pipeline, 100)
    key = pipeline.put("sales.csv", first)
    pipeline.ingest(pipeline.claim())
    with monkeypatch.context() as patch:
        assert once(patch, call, lambda: pipeline.put("sales.csv", second), after=after, key=key) == []
        pipeline.settle()

    assert pipeline.keys("incoming/") == [key]
    assert pipeline.read(key) == second
    (entry,) = pipeline.entries(key)
    assert entry["status"] == "archived"
    if entry["settled_key"] is not None:
        assert pipeline.read(entry["settled_key"]) == first
    # In a versioned bucket the older version still exists and is moved; without versions the upload has replaced it.
    copied = (call, after) == ("copy", True)
    assert (entry["settled_key"] is not None) == (kind == VERSIONED or copied)

    pipeline.run()

    assert [each["status"] for each in pipeline.entries(key)] == ["archived", "archived"]
    assert pipeline.read(pipeline.entries(key)[1]["settled_key"]) == second
    assert pipeline.count() == 40
    nothing_left(pipeline, key)


@pytest.mark.parametrize("kind", [VERSIONED, CONDITIONAL], indirect=True)
def test_settle_never_deletes_what_was_uploaded_right_before_the_delete(
    pipeline: Pipeline, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store without conditions deletes the new upload here: see docs/reliability.md."""
    key = pipeline.put("sales.csv", body(pipeline, 0))
    pipeline.ingest(pipeline.claim())
    call = "delete_version" if kind == VERSIONED else "delete_if_match"
    with monkeypatch.context() as patch:
        done = once(patch, call, lambda: pipeline.put("sales.csv", body(pipeline, 100)), after=False, key=key)
        pipeline.settle()

    assert done == [call]
    assert pipeline.keys("incoming/") == [key]
    pipeline.run()
    assert pipeline.count() == 40
    nothing_left(pipeline, key)


@pytest.mark.parametrize("kind", [VERSIONED], indirect=True)
def test_settle_names_versions_that_were_replaced_before_the_claim_and_removes_them(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A and B are uploaded to one key, B is claimed and moved: no version is left. C, uploaded meanwhile, stays."""
    for start in (0, 100):
        key = pipeline.put("sales.csv", body(pipeline, start))
    pipeline.ingest(pipeline.claim())
    with monkeypatch.context() as patch:
        once(patch, "copy", lambda: pipeline.put("sales.csv", body(pipeline, 200)), after=True, key=key)
        pipeline.settle()

    assert (pipeline.keys("incoming/"), versions(pipeline, key)) == ([key], 1)
    (entry,) = pipeline.entries(key)
    events = pipeline.sql("SELECT * FROM ops.file_event WHERE file_id = %s ORDER BY event_id", entry["file_id"])
    (replaced,) = [event for event in events if event["error_code"] == "replaced-before-claim"]
    assert key in replaced["error_message"]
    assert "never read" in replaced["error_message"]
    pipeline.run()
    assert pipeline.sql("SELECT count(DISTINCT _file_id) AS n FROM {table}")[0]["n"] == 2
    assert pipeline.count() == 40
    nothing_left(pipeline, key)


@pytest.mark.parametrize("kind", [VERSIONED], indirect=True)
@pytest.mark.parametrize("deleted", [1, 2], ids=["after the first version", "after both"])
def test_settle_killed_between_the_deletes_is_repeated(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    for start in (0, 100):
        key = pipeline.put("sales.csv", body(pipeline, start))
    pipeline.ingest(pipeline.claim())
    original, calls = ObjectStore.delete_version, list[ObjectInfo]()

    def then_die(store: ObjectStore, bucket: str, version: ObjectInfo) -> None:
        original(store, bucket, version)
        calls.append(version)
        if len(calls) == deleted:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "delete_version", then_die)
        with pytest.raises(KeyboardInterrupt):
            pipeline.settle()

    pipeline.settle()

    (entry,) = pipeline.entries(key)
    pipeline.assert_archived(entry, inserted=20)
    assert pipeline.events(entry["file_id"]).count("archived") == 1
    names = pipeline.sql(
        "SELECT count(*) AS n FROM ops.file_event WHERE file_id = %s AND error_code = 'replaced-before-claim'",
        entry["file_id"],
    )
    assert names[0]["n"] == 1
    nothing_left(pipeline, key)


@pytest.mark.parametrize("kind", [VERSIONED], indirect=True)
def test_settle_keeps_the_same_content_that_was_uploaded_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = body(pipeline, 0)
    key = pipeline.put("sales.csv", first)
    pipeline.ingest(pipeline.claim())
    with monkeypatch.context() as patch:
        once(patch, "copy", lambda: pipeline.put("sales.csv", first), after=True, key=key)
        pipeline.settle()

    assert pipeline.keys("incoming/") == [key]
    pipeline.run()
    assert [entry["status"] for entry in pipeline.entries(key)] == ["archived", "duplicate"]
    nothing_left(pipeline, key)


def test_multipart_file_is_moved_again_after_a_kill_after_its_copy(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ETag of a multipart upload differs from that of its copy, so the contents are compared."""
    client, key = local_bucket.client(pipeline.s3), incoming_prefix(pipeline.contract.dataset) + "sales.csv"
    upload = client.create_multipart_upload(Bucket=pipeline.bucket, Key=key)["UploadId"]
    where = {"Bucket": pipeline.bucket, "Key": key, "UploadId": upload}
    part = client.upload_part(**where, PartNumber=1, Body=body(pipeline, 0))["ETag"]
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    pipeline.ingest(pipeline.claim())
    with monkeypatch.context() as patch:
        patch.setattr(object_moves, "_remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pipeline.settle()

    pipeline.settle()

    pipeline.assert_archived(pipeline.entries(key)[0], inserted=20)
    nothing_left(pipeline, key)


# --- routing and requeue: no key is overwritten


def swept(pipeline: Pipeline) -> Swept:
    catalog = Catalog({pipeline.contract.dataset: pipeline.contract}, ())
    with pipeline.stores() as stores:
        return sweep(lambda: catalog, stores, AirflowRun("sweep_test", "run-1"), pipeline.settings)


def test_sweep_routes_beside_a_file_of_the_same_name_and_both_load(pipeline: Pipeline) -> None:
    waiting = pipeline.put("sales_n.csv", body(pipeline, 0))
    pipeline.objects.put(pipeline.bucket, "incoming/sales_n.csv", body(pipeline, 100))

    assert swept(pipeline) == Swept(routed=1, quarantined=0)

    assert len(pipeline.keys("incoming/")) == 2
    assert pipeline.read(waiting) == body(pipeline, 0)
    pipeline.run()
    assert {entry["status"] for entry in pipeline.entries()} == {"archived"}
    assert {entry["settled_key"].rsplit("/", 1)[-1] for entry in pipeline.entries()} == {"sales_n.csv"}
    assert pipeline.count() == 40


@pytest.mark.parametrize("kind", [VERSIONED, CONDITIONAL], indirect=True)
def test_sweep_overwrites_nothing_that_was_dropped_while_it_routes(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.objects.put(pipeline.bucket, "incoming/sales_n.csv", body(pipeline, 100))
    with monkeypatch.context() as patch:
        once(
            patch, "copy", lambda: pipeline.put("sales_n.csv", body(pipeline, 0)),
            after=False, key="incoming/sales_n.csv",
        )  # fmt: skip
        swept(pipeline)

    pipeline.run()
    assert pipeline.count() == 40


def test_sweep_killed_after_its_copy_is_repeated(pipeline: Pipeline) -> None:
    pipeline.put("sales_n.csv", body(pipeline, 0))
    pipeline.objects.put(pipeline.bucket, "incoming/sales_n.csv", body(pipeline, 0))

    assert swept(pipeline) == Swept(routed=1, quarantined=0)

    pipeline.run()
    assert [entry["status"] for entry in pipeline.entries()] == ["archived"]
    assert pipeline.keys("incoming/") == []


@pytest.mark.parametrize("kind", [VERSIONED], indirect=True)
def test_sweep_names_versions_that_were_replaced_before_it_routed_them(pipeline: Pipeline) -> None:
    key = "incoming/sales_n.csv"
    for start in (0, 100, 200):
        pipeline.objects.put(pipeline.bucket, key, body(pipeline, start))

    assert swept(pipeline) == Swept(routed=1, quarantined=0)

    named = pipeline.entries(key)
    assert [(entry["error_code"], entry["settled_key"]) for entry in named] == [("replaced-before-claim", None)] * 2
    assert all(entry["settled_at"] is not None and "never read" in entry["error_message"] for entry in named)
    assert swept(pipeline) == Swept(routed=0, quarantined=0)
    pipeline.run()
    assert pipeline.count() == 20
    nothing_left(pipeline, key)


def test_requeue_overwrites_nothing_and_a_file_loads_after_it(pipeline: Pipeline) -> None:
    bad = pipeline.sample("s.csv", 50, bad=[Bad(BadKind.BAD_DATE, 3)]).path.read_bytes()
    pipeline.send("sales.csv", bad)
    key = pipeline.put("sales.csv", body(pipeline, 0))

    def back() -> tuple[int, int]:
        with pipeline.stores() as stores:
            selection = Selection(pipeline.contract.dataset)
            requeued = requeue(
                selection, pipeline.bucket, stores.objects, stores.connection, {pipeline.contract.dataset}
            )
        return len(requeued.keys), len(requeued.waiting)

    assert back() == (0, 1)
    assert pipeline.read(key) == body(pipeline, 0)
    pipeline.run()
    assert back() == (1, 0)
    assert pipeline.read(key) == bad
    pipeline.run()
    nothing_left(pipeline, key)
    assert sorted(entry["status"] for entry in pipeline.entries()) == ["archived", "validation_failed"]


@pytest.mark.parametrize("kind", [VERSIONED, CONDITIONAL, UNCONDITIONAL], indirect=True)
def test_store_is_asked_once_whether_it_checks_conditions(
    pipeline: Pipeline, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        answers = {object_moves.takes_if_match(pipeline.objects, pipeline.bucket) for _ in range(3)}

    assert answers == {kind != UNCONDITIONAL}
    assert caplog.text.count("Switch on versioning") == (kind == UNCONDITIONAL)
    assert pipeline.keys() == []


# --- files of no contract


@pytest.mark.parametrize("moment", ["claimed", "loaded", "refused"])
def test_sweep_ends_files_of_a_contract_that_was_deleted_after_they_were_claimed(
    pipeline: Pipeline, moment: str
) -> None:
    rows = [Bad(BadKind.BAD_DATE, 3)] if moment == "refused" else []
    key = pipeline.put("orders.csv", pipeline.sample("s.csv", 20, bad=rows).path.read_bytes())
    batches = pipeline.claim()
    if moment != "claimed":
        pipeline.ingest(batches)
    own = pipeline.contract
    others = Catalog({"others": own}, ())

    def sweeps() -> Swept:
        with pipeline.stores() as stores:
            return sweep(lambda: others, stores, AirflowRun("sweep_test", "run-1"), pipeline.settings)

    assert sweeps() == Swept(routed=0, quarantined=int(moment == "claimed"))

    (entry,) = pipeline.entries(key)
    if moment == "loaded":
        pipeline.assert_archived(entry, inserted=20)
    else:
        report = pipeline.assert_refused(entry, "unknown-dataset" if moment == "claimed" else "error-budget-exceeded")
        assert own.dataset in report["message"] or moment == "refused"
    events = pipeline.events(entry["file_id"])
    assert [sweeps() for _ in range(3)] == [Swept(0, 0)] * 3
    assert pipeline.events(entry["file_id"]) == events
    assert pipeline.sql("SELECT count(*) AS n FROM ops.file_ingestion_log WHERE bucket = %s", pipeline.bucket) == [
        {"n": 1}
    ]
    assert pipeline.keys("incoming/") == []


@pytest.mark.parametrize("kind", [VERSIONED], indirect=True)
def test_sweep_quarantines_each_version_of_an_unknown_file_once(pipeline: Pipeline) -> None:
    for content in (b"1", b"2"):
        pipeline.objects.put(pipeline.bucket, "incoming/notes.txt", content)

    assert swept(pipeline) == Swept(0, 1)
    assert swept(pipeline) == Swept(0, 0)

    nothing_left(pipeline, "incoming/notes.txt")
    (entry,) = pipeline.sql(
        "SELECT * FROM ops.file_ingestion_log WHERE dataset = %s AND bucket = %s", UNKNOWN, pipeline.bucket
    )
    assert pipeline.read(entry["settled_key"]) == b"2"


def test_pipeline_object_that_was_written_twice_is_moved_with_all_versions(pipeline: Pipeline) -> None:
    """A worker wrote its reject file and died, and the next worker wrote the same file again."""
    source, target = "staging/own/rejects.csv", "failed/own/rejects.csv"
    for content in (b"other", b"same", b"same"):
        pipeline.objects.put(pipeline.bucket, source, content)

    move_own(pipeline.objects, pipeline.bucket, source, target)
    move_own(pipeline.objects, pipeline.bucket, source, target)  # repeated after a crash

    nothing_left(pipeline, source)
    assert pipeline.keys("staging/own/") == []
    assert pipeline.read(target) == b"same"


def test_pipeline_object_that_was_written_twice_is_removed_with_all_versions(pipeline: Pipeline) -> None:
    for _ in range(2):
        pipeline.objects.put(pipeline.bucket, "failed/own/report.json", b"{}")

    remove_own(pipeline.objects, pipeline.bucket, "failed/own/report.json")

    nothing_left(pipeline, "failed/own/")
    assert pipeline.keys("failed/own/") == []
