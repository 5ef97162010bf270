"""Objects that a store lists and does not serve: each is one entry with a reason, and blocks no other file."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from botocore.awsrequest import AWSResponse

from include.contracts.catalog import Catalog
from include.errors import Code, PermanentError, RetryableError
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.move_back import Requeued
from include.ingestion.upkeep.requeue import Selection, requeue
from include.ingestion.upkeep.sweep import Swept, sweep
from include.ingestion.waiting import any_to_claim
from include.samples.badness import Bad, BadKind
from include.stores import object_store
from include.stores.object_store import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration


class Body(io.BytesIO):
    """The body of a response, as botocore reads it."""

    def stream(self, **_: Any) -> Any:
        yield self.getvalue()


def answers(monkeypatch: pytest.MonkeyPatch, key: str, status: int, code: str) -> None:
    """Make the store answer GET, HEAD and COPY of this object with this error, and everything else as usual.

    The answer to HEAD has no body: the client gets only the status.
    """
    original = ObjectStore.__init__

    def refuse(request: Any, **_: Any) -> AWSResponse | None:
        about = request.url + str(request.headers.get("x-amz-copy-source", ""))
        if quote(key) not in about or "list-type" in request.url:
            return None
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        body = Body(b"" if request.method == "HEAD" else text.encode())
        return AWSResponse(request.url, status, {"content-type": "application/xml"}, body)

    def init(store: ObjectStore, config: Any) -> None:
        original(store, config)
        for operation in ("GetObject", "HeadObject", "CopyObject"):
            store._client.meta.events.register(f"before-send.s3.{operation}", refuse)

    monkeypatch.setattr(ObjectStore, "__init__", init)


def to_claim(pipeline: Pipeline) -> bool:
    """Whether the sensor would start a run."""
    return any_to_claim(pipeline.contract.dataset, ObjectStore(pipeline.s3), pipeline.warehouse, pipeline.settings)


def three_files(pipeline: Pipeline) -> list[str]:
    return [pipeline.put(f"{at}.csv", pipeline.sample("s.csv", 10, start=at * 10).path.read_bytes()) for at in range(3)]


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (403, "InvalidObjectState"), (400, "KMS.DisabledException"), (400, "InvalidRequest")],
)
def test_object_that_the_store_refuses_is_one_refused_entry_and_the_others_load(
    pipeline: Pipeline, status: int, code: str
) -> None:
    first, refused, last = three_files(pipeline)
    with pytest.MonkeyPatch.context() as patch:
        answers(patch, refused, status, code)
        for _ in range(3):
            pipeline.run()

        (entry,) = pipeline.entries(refused)
        assert (entry["status"], entry["error_code"]) == ("validation_failed", "object-unreadable")
        assert code in entry["error_message"]
        assert (entry["settled_key"], entry["attempts"]) == (refused, 1)
        for key in (first, last):
            pipeline.assert_archived(pipeline.entries(key)[0], inserted=10)
        assert pipeline.claim() == []
        assert not to_claim(pipeline), "nothing triggers the sensor"
        assert pipeline.keys("incoming/") == [refused]

    with pipeline.stores() as stores:
        selection = Selection(pipeline.contract.dataset)
        assert requeue(selection, pipeline.bucket, stores.objects, stores.connection, set()) == Requeued((refused,), ())
    assert to_claim(pipeline)
    pipeline.run()
    (entry,) = pipeline.entries(refused)
    pipeline.assert_archived(entry, inserted=10)
    assert pipeline.keys("incoming/") == []


def test_quarantined_file_in_cold_storage_does_not_keep_the_others_in_quarantine(pipeline: Pipeline) -> None:
    for at in range(3):
        bad = [Bad(BadKind.BAD_DATE, 1)]
        pipeline.put(f"{at}.csv", pipeline.sample("s.csv", 10, start=at * 10, bad=bad).path.read_bytes())
    pipeline.run()
    cold = pipeline.entries()[0]["settled_key"]
    with pytest.MonkeyPatch.context() as patch:
        answers(patch, cold, 403, "InvalidObjectState")
        with pipeline.stores() as stores:
            selection = Selection(pipeline.contract.dataset)
            requeued = requeue(selection, pipeline.bucket, stores.objects, stores.connection, set())

    assert (len(requeued.keys), requeued.refused) == (2, (cold,))
    assert pipeline.entries()[0]["settled_key"] == cold, "it can be requeued later"


@pytest.mark.parametrize("code", ["InvalidObjectState", "ObjectNotInActiveTierError"])
def test_file_at_the_top_that_the_store_refuses_is_one_refused_entry_and_the_others_are_routed(
    pipeline: Pipeline, code: str
) -> None:
    dataset = pipeline.contract.dataset
    contract = replace(pipeline.contract, file_patterns=(f"{dataset}_*.csv",))
    catalog = Catalog({dataset: contract}, ())
    keys = [f"incoming/{dataset}_{at}.csv" for at in range(3)]
    for at, key in enumerate(keys):
        body = pipeline.sample("s.csv", 10, start=at * 10).path.read_bytes()
        pipeline.objects.put(pipeline.bucket, key, body)

    def sweeps() -> Swept:
        with pipeline.stores() as stores:
            return sweep(lambda: catalog, stores, AirflowRun("sweep_test", "run-1"), pipeline.settings)

    def entries() -> list[tuple[Any, ...]]:
        rows = pipeline.sql(
            "SELECT dataset, status, error_code, settled_key FROM ops.file_ingestion_log WHERE object_key = %s", keys[1]
        )
        return [tuple(row.values()) for row in rows]

    with pytest.MonkeyPatch.context() as patch:
        answers(patch, keys[1], 403, code)
        assert [sweeps().routed for _ in range(3)] == [2, 0, 0]
    assert entries() == [("unknown", "validation_failed", "object-unreadable", keys[1])]
    assert sweeps().routed == 0, "it is not read again by itself"

    with pipeline.stores() as stores:
        selection = Selection(name=keys[1].rsplit("/", maxsplit=1)[-1])
        assert requeue(selection, pipeline.bucket, stores.objects, stores.connection, {dataset}).keys == (keys[1],)
    assert sweeps().routed == 1
    pipeline.run()
    assert {entry["status"] for entry in pipeline.entries()} == {"archived"}


def test_object_that_is_never_served_waits_and_the_others_load(pipeline: Pipeline) -> None:
    first, stuck, last = three_files(pipeline)
    with pytest.MonkeyPatch.context() as patch:
        answers(patch, stuck, 500, "InternalError")
        with pytest.raises(RetryableError):
            pipeline.ingest([[file_id for batch in pipeline.claim() for file_id in batch]])
        pipeline.settle()

        (entry,) = pipeline.entries(stuck)
        assert (entry["status"], entry["error_code"], entry["attempts"]) == ("claimed", "bucket-unavailable", 0)
        assert [pipeline.entries(key)[0]["status"] for key in (first, last)] == ["archived", "archived"]
        assert not to_claim(pipeline), "it has a back-off of a minute"
        another = pipeline.put("another.csv", pipeline.sample("s.csv", 10, start=500).path.read_bytes())
        assert to_claim(pipeline), "another file does not wait for that"
        pipeline.objects.delete(pipeline.bucket, another)
        pipeline.sql(
            "UPDATE ops.file_ingestion_log SET postponed_at = now() - interval '61 s' WHERE file_id = %s",
            entry["file_id"],
        )
        assert to_claim(pipeline)

    pipeline.run()
    pipeline.assert_archived(pipeline.entries(stuck)[0], inserted=10)


def test_file_waits_if_the_store_refuses_the_access_key(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails, because an operator has to act; the file is not refused."""
    key = three_files(pipeline)[0]
    batches = pipeline.claim()
    there = pipeline.s3
    pipeline.s3 = there.model_copy(update={"secret_access_key": type(there.secret_access_key)("wrong")})

    with pytest.raises(PermanentError) as caught:
        pipeline.ingest(batches)

    assert caught.value.code is Code.BUCKET_REFUSED
    (entry,) = pipeline.entries(key)
    assert (entry["status"], entry["error_code"], entry["attempts"]) == ("claimed", "bucket-refused", 0)
    pipeline.s3 = there
    pipeline.run()
    assert {entry["status"] for entry in pipeline.entries()} == {"archived"}


@pytest.fixture
def without_etag(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, timedelta], None]:
    """Makes the store list an object of this age without an ETag."""
    original = object_store._listed

    def hide(key: str, age: timedelta) -> None:
        def listed(item: dict[str, Any]) -> ObjectInfo:
            known = original(item)
            return ObjectInfo(key, "", known.size, datetime.now(UTC) - age) if known.key == key else known

        monkeypatch.setattr(object_store, "_listed", listed)

    return hide


def test_object_without_an_etag_is_refused_after_minutes_and_triggers_no_run(
    pipeline: Pipeline, without_etag: Callable[[str, timedelta], None]
) -> None:
    stuck = pipeline.put("stuck.csv", b"half")
    good = pipeline.put("good.csv", pipeline.sample("s.csv", 10).path.read_bytes())
    catalog = Catalog({pipeline.contract.dataset: pipeline.contract}, ())

    def sweeps() -> Swept:
        with pipeline.stores() as stores:
            return sweep(lambda: catalog, stores, AirflowRun("sweep_test", "run-1"), pipeline.settings)

    without_etag(stuck, timedelta(minutes=1))
    sweeps()
    assert pipeline.entries(stuck) == [], "it may still be uploading"
    without_etag(stuck, timedelta(minutes=6))
    for _ in range(3):
        sweeps()

    (entry,) = pipeline.entries(stuck)
    assert (entry["status"], entry["error_code"]) == ("validation_failed", "object-unreadable")
    assert (entry["settled_key"], entry["settled_at"] is not None) == (stuck, True)
    pipeline.run()
    assert pipeline.entries(good)[0]["status"] == "archived"
    assert not to_claim(pipeline)
    assert len(pipeline.entries(stuck)) == 1


def test_sensor_sees_an_empty_folder_with_one_listing_and_without_the_warehouse(pipeline: Pipeline) -> None:
    nowhere = pipeline.warehouse.model_copy(update={"port": 9})

    assert not any_to_claim(pipeline.contract.dataset, pipeline.objects, nowhere, pipeline.settings)


def test_one_call_lists_the_first_keys_and_says_that_they_are_all(pipeline: Pipeline) -> None:
    assert pipeline.objects.first_keys(pipeline.bucket, "incoming/") == ((), True)

    keys = three_files(pipeline)

    assert pipeline.objects.first_keys(pipeline.bucket, "incoming/") == (tuple(keys), True)


def test_sensor_waits_if_there_are_files_and_the_warehouse_is_unavailable(pipeline: Pipeline) -> None:
    three_files(pipeline)
    nowhere = pipeline.warehouse.model_copy(update={"port": 9})

    with pytest.raises(RetryableError):
        any_to_claim(pipeline.contract.dataset, pipeline.objects, nowhere, pipeline.settings)


def test_file_waits_for_a_bucket_that_is_unavailable_after_any_number_of_attempts(pipeline: Pipeline) -> None:
    """The file is claimed before the outage: no attempt counts. tests/dags tests the sensor."""
    key = pipeline.put("sales.csv", pipeline.sample("s.csv", 10).path.read_bytes())
    batches = pipeline.claim()
    there = pipeline.s3
    pipeline.s3 = there.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})
    for _ in range(pipeline.settings.max_attempts + 1):
        with pytest.raises(RetryableError):
            pipeline.ingest(batches)
    pipeline.s3 = there

    pipeline.run()

    (entry,) = pipeline.entries(key)
    pipeline.assert_archived(entry, inserted=10)
    assert entry["attempts"] == 1
