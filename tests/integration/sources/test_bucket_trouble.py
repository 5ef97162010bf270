"""Sources of buckets in trouble: their own copies, objects that always fail, listings that take all the time."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.sources.bucket import copying, run
from include.sources.bucket.copies import CopiedObjects
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from bucket_world import BucketWorld

    from include.stores.object_store import ObjectInfo

pytestmark = pytest.mark.integration

IN_ORDER = {"newest_by": None}
REFUSED = PermanentError(Code.BUCKET_REFUSED, answer="InvalidObjectState")
AWAY = RetryableError(Code.BUCKET_UNAVAILABLE, reason="503")


@pytest.fixture
def world(bucket_world: BucketWorld) -> BucketWorld:
    return bucket_world


def fail(world: BucketWorld, start: str, error: Exception) -> None:
    """Make the store of the source fail for the objects whose names begin so."""

    def before(version: ObjectInfo) -> None:
        if version.key.removeprefix("exports/").startswith(start):
            raise error

    world.origin.before = before


# --- its own copies


@pytest.mark.parametrize("prefix", ["", "incoming/", "processed/"])
def test_landing_bucket_is_known_at_another_address(world: BucketWorld, prefix: str) -> None:
    """Copies that are listed again are copied again, and never stop."""
    own = world.platform.s3_config
    address = str(own.endpoint_url).replace("127.0.0.1", "localhost")
    assert address != own.endpoint_url
    world.origin = type(world.origin)(own.model_copy(update={"endpoint_url": address}))
    for name in ("a.csv", "b.csv"):
        world.landing.put(world.landing_bucket, f"incoming/{world.name}/{name}", b"id,n\na,1\n")
        if prefix == "processed/":
            world.load()
    with pytest.raises(PermanentError, match="where its own copies are") as caught:
        world.collect(bucket=world.landing_bucket, prefix=prefix)
    assert caught.value.code is Code.SOURCE_REFUSED


def test_bucket_of_another_store_may_have_the_name_of_the_landing_bucket(world: BucketWorld) -> None:
    """As that of another platform, whose processed files are the source here."""
    body = b"id,n\na,1\n"
    world.origin._client.create_bucket(Bucket=world.landing_bucket)
    world.origin.put(world.landing_bucket, "processed/sales/1/a.csv", body)
    world.landing.put(world.landing_bucket, "processed/other/1/a.csv", body)
    assert world.collect(bucket=world.landing_bucket, prefix="processed/").records_written == 1
    assert world.incoming == {"sales/1/a.csv": body}


# --- objects that always fail


@pytest.mark.parametrize("contract", [{}, IN_ORDER], ids=["by key", "in order"])
def test_many_refused_objects_hold_up_no_other(world: BucketWorld, contract: dict[str, Any]) -> None:
    """As if a rule of the bucket had moved all old objects to cold storage."""
    world.contract_changes = contract
    for number in range(copying._MOST_FAILED + 5):
        world.put(f"a{number:03}.csv")
    world.put("b.csv")
    fail(world, "a", REFUSED)
    with pytest.raises(PermanentError, match=r"105 of 106 new objects were not copied: .*; and 100 more"):
        world.collect()
    assert list(world.incoming) == ["b.csv"]


@pytest.mark.parametrize(
    ("error", "most"), [(AWAY, "_MOST_FAILED"), (REFUSED, "_MOST_REFUSED")], ids=["no answer", "refused"]
)
def test_run_that_ends_for_its_failed_objects_is_continued_behind_them(
    world: BucketWorld, monkeypatch: pytest.MonkeyPatch, error: PipelineError, most: str
) -> None:
    for module, name, value in ((copying, "_WAIT_SECONDS", 0.01), (copying, most, 2), (run, "_GROUP_OBJECTS", 1)):
        monkeypatch.setattr(module, name, value)
    for name in ("a1.csv", "a2.csv", "b.csv"):
        world.put(name)
    fail(world, "a", error)
    with pytest.raises(type(error), match="2 of 2 new objects"):
        world.collect()
    assert world.incoming == {}
    with pytest.raises(type(error), match=r"2 of 3 new objects .*a1\.csv"):
        world.collect()
    assert list(world.incoming) == ["b.csv"]
    world.origin.before = None
    assert world.collect().records_written == 2


def test_run_asks_for_the_latest_unfinished_copies_only(world: BucketWorld) -> None:
    """Those of a run that died. The others are of refused objects, of which there may be a million."""
    world.owner.execute(
        b"INSERT INTO ops.source_object (source, bucket, object_key, etag, size_bytes, target_key, version_no,"
        b" source_run_id, begun_at) SELECT %(name)s, 'b', n::text, 'e', 1, %(name)s || n, 1, 1,"
        b" now() - make_interval(secs => n) FROM generate_series(1, 1500) AS n",
        {"name": world.name},
    )
    asked: list[str] = []
    with connect(world.platform.warehouse_config()) as connection:
        CopiedObjects(connection, world.source()).end_arrived(lambda key, _: bool(asked.append(key)))
    assert asked == [f"{world.name}{number}" for number in range(1, 1001)]


def test_failed_object_is_tried_again_before_a_listing_of_several_runs_ends_well(
    world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry of a run that a limit ended begins behind the object: it must not be green without it."""
    monkeypatch.setattr(copying, "_WAIT_SECONDS", 0.01)
    for name in ("a.csv", "b.csv", "c.csv"):
        world.put(name)
    fail(world, "a", AWAY)
    with pytest.raises(RetryableError, match=r"1 of 2 new objects .*a\.csv"):
        world.collect(limits={"records": 2})
    with pytest.raises(RetryableError, match=r"1 of 2 new objects .*a\.csv"):
        world.collect(limits={"records": 2})
    assert sorted(world.incoming) == ["b.csv", "c.csv"]
    world.origin.before = None
    done = world.collect(limits={"records": 2})
    assert (done.records_written, done.is_unfinished) == (1, False)


# --- time


@pytest.mark.parametrize("contract", [{}, IN_ORDER], ids=["by key", "in order"])
def test_listing_that_takes_all_the_time_stops_no_source_for_ever(
    world: BucketWorld, monkeypatch: pytest.MonkeyPatch, contract: dict[str, Any]
) -> None:
    world.contract_changes = contract
    world.put("a.csv")
    clock = [0.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: clock[0])
    real = world.origin.pages

    def slow_pages(*given: Any) -> Any:
        for page in real(*given):
            clock[0] += 20
            yield page

    monkeypatch.setattr(world.origin, "pages", slow_pages)
    assert world.collect(limits={"seconds": 10}).records_written == 1


# --- refusals


def test_wrong_region_is_refused_and_not_retried(world: BucketWorld) -> None:
    """The server of the tests takes every region, so the answer is the one of AWS."""
    body = b"<?xml version='1.0'?><Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message></Error>"

    class Raw(BytesIO):
        def stream(self, **_: Any) -> Any:
            yield self.read()

    def refuse(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 400, {}, Raw(body))

    world.origin._client.meta.events.register("before-send.s3", refuse)
    with pytest.raises(PermanentError, match=r"\(AuthorizationHeaderMalformed\): check .* the region") as caught:
        world.collect()
    assert caught.value.code is Code.SOURCE_REFUSED
