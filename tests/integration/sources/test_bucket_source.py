"""Sources of buckets: each version of each object arrives in incoming/ once, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import random
import re
import signal
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from element_world import Crash
from psycopg import errors as pg
from pydantic import SecretStr

from include.errors import Code, PermanentError, RetryableError
from include.ingestion.upkeep.purge import purge_expired
from include.settings import RetentionSettings
from include.sources.bucket import copying, run
from include.sources.bucket.copies import CopiedObjects
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from bucket_world import BucketWorld

    from include.stores.object_store import ObjectInfo
    from local.supervisor.platform import Platform

MIB = 1024**2
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
IN_ORDER = {"newest_by": None}

pytestmark = pytest.mark.integration


@pytest.fixture
def world(bucket_world: BucketWorld) -> BucketWorld:
    return bucket_world


# --- which objects


def test_new_objects_are_copied_and_loaded(world: BucketWorld) -> None:
    bodies = {name: world.put(name) for name in ("a.csv", "2026/01/b.csv", "2026/02/b.csv")}
    world.put("c.txt")
    world.put(".hidden.csv")
    world.put("x/.hidden/d.csv")
    world.put("A.CSV")
    world.put("e.csv", prefix="exports2/")
    done = world.collect()
    assert world.incoming == bodies
    assert (done.records_read, done.records_written, done.records_failed) == (3, 3, 0)
    assert not done.is_unfinished
    assert world.collect().records_read == 0
    entries = world.load()
    assert [entry["status"] for entry in entries] == ["archived"] * 3
    assert world.loaded == dict.fromkeys(bodies, 1)
    assert world.collect().records_read == 0, "after the copies were moved"
    assert world.incoming == {}


def test_object_that_arrives_late_with_an_earlier_key_is_copied(world: BucketWorld) -> None:
    world.put("m.csv")
    world.collect()
    world.put("a.csv")
    world.put("z.csv")
    assert world.collect().records_written == 2
    assert sorted(world.incoming) == ["a.csv", "m.csv", "z.csv"]


def test_later_version_is_another_copy(world: BucketWorld) -> None:
    first = world.put("a.csv")
    world.collect()
    second = world.put("a.csv", "id,n\na.csv,2\n")
    done = world.collect()
    assert (done.records_read, done.records_written) == (1, 1)
    assert world.incoming == {"a.csv": first, "~2/a.csv": second}
    world.load()
    assert world.loaded == {"a.csv": 2}
    third = world.put("a.csv", "id,n\na.csv,3\n")
    world.collect()
    assert world.incoming == {"~3/a.csv": third}
    [row] = world.rows
    assert (row["object_key"], row["version_no"], row["copied_at"] is not None) == ("exports/a.csv", 3, True)


def test_empty_objects_and_folder_markers_are_skipped_and_counted(world: BucketWorld) -> None:
    world.put("empty.csv", b"")
    world.put("folder/", b"")
    world.put("a.csv")
    done = world.collect()
    assert (done.records_read, done.empty, done.markers) == (1, 1, 1)
    assert "skipped 1 empty objects, skipped 1 folder markers" in str(done)
    [run] = world.runs
    assert (run["records_read"], run["records_written"], run["records_skipped"]) == (1, 1, 2)
    world.put("empty.csv", "id,n\nfilled,1\n")
    assert world.collect().records_written == 1


def test_object_that_was_deleted_and_comes_back_is_not_copied_again(world: BucketWorld) -> None:
    world.put("a.csv")
    world.collect()
    world.delete("a.csv")
    assert world.collect().records_read == 0
    world.put("a.csv")
    assert world.collect().records_read == 0


def test_old_content_that_comes_back_is_copied(world: BucketWorld) -> None:
    """The table must have the content that the bucket has: first, second, first again."""
    world.contract_changes = IN_ORDER
    for n in (1, 2, 1):
        world.put("a.csv", f"id,n\na.csv,{n}\n")
        world.collect()
        world.load()
    assert world.loaded == {"a.csv": 1}
    assert len(world.landed) == 3


@pytest.mark.parametrize(
    ("name", "copied_as"),
    [
        ("a b/ä&?#%.csv", "a b/ä&?#%.csv"),
        ("a/%2E.csv", "a/%2E.csv"),
        ("year=2026/a+b.csv", "year=2026/a+b.csv"),
        ("a\tb.csv", "a%09b.csv"),
        (f"{'n' * 200}/{'ü' * 100}.csv", f"{'n' * 200}/{'ü' * 100}.csv"),
    ],
    ids=["signs", "percent", "partition", "control", "long"],
)
def test_whole_path_stays_in_the_key_of_the_copy(world: BucketWorld, name: str, copied_as: str) -> None:
    body = world.put(name)
    world.collect()
    assert world.incoming == {copied_as: body}
    assert world.collect().records_read == 0
    assert [entry["status"] for entry in world.load()] == ["archived"]


def test_prefix_and_pattern_may_be_left_out(world: BucketWorld) -> None:
    world.put("top.csv", prefix="")
    world.put("a.csv")
    world.collect(prefix="", pattern="**")
    assert sorted(world.incoming) == ["exports/a.csv", "top.csv"]


def test_source_with_another_prefix_copies_what_it_has_not(world: BucketWorld) -> None:
    world.put("x/a.csv")
    world.collect()
    world.put("a.csv", "id,n\nother,1\n", prefix="exports/x/b/")
    assert world.collect(prefix="exports/x/").records_written == 1
    assert sorted(world.incoming) == ["b/a.csv", "x/a.csv"]


def test_key_of_another_file_is_not_used(world: BucketWorld) -> None:
    """A file that a partner dropped into the folder of the source, and one that was loaded from there."""
    dropped = f"incoming/{world.name}/{world.name}/a.csv"
    world.landing.put(world.landing_bucket, dropped, b"id,n\npartner,1\n")
    world.landing.put(world.landing_bucket, dropped.replace("a.csv", "b.csv"), b"id,n\nearlier,1\n")
    world.load()
    world.landing.put(world.landing_bucket, dropped, b"id,n\npartner,2\n")
    bodies = {name: world.put(name) for name in ("a.csv", "b.csv")}
    world.collect()
    assert world.incoming == {
        "a.csv": b"id,n\npartner,2\n", "~2/a.csv": bodies["a.csv"], "~2/b.csv": bodies["b.csv"]
    }  # fmt: skip


def test_source_may_not_list_its_own_copies(world: BucketWorld) -> None:
    world.origin = type(world.origin)(world.platform.s3_config)
    own = f"incoming/{world.name}/{world.name}/"
    for prefix in ("", "incoming/", "incoming/other/", own, f"{own}x/", "staging/", "processed/", "failed/"):
        with pytest.raises(PermanentError, match="where its own copies are") as caught:
            world.collect(bucket=world.landing_bucket, prefix=prefix)
        assert caught.value.code is Code.SOURCE_REFUSED
    world.origin.put(world.landing_bucket, "exports/a.csv", b"id,n\na,1\n")
    assert world.collect(bucket=world.landing_bucket).records_written == 1


# --- crashes


@pytest.mark.parametrize("is_loaded", [False, True], ids=["copies in incoming", "copies loaded meanwhile"])
@pytest.mark.parametrize("after", [False, True], ids=["before a step", "after a step"])
def test_crash_at_every_step_copies_each_version_once(
    world: BucketWorld, monkeypatch: pytest.MonkeyPatch, after: bool, is_loaded: bool
) -> None:
    world.contract_changes = IN_ORDER
    for at in count(1):
        prefix = f"{at}/"
        bodies = [world.put(f"{name}-{at}.csv", prefix=prefix) for name in "ab"]
        with world.steps(monkeypatch, at, after=after) as steps:
            try:
                world.collect(prefix=prefix)
            except Crash:
                died = True
            else:
                assert steps.count < at
                break
        if is_loaded:
            world.load()
        bodies.append(world.put(f"b-{at}.csv", "id,n\nnewer,1\n" + "x,2\n" * at, prefix=prefix))
        for _ in range(2):
            world.collect(prefix=prefix)
            if is_loaded:
                world.load()
        assert not [row for row in world.rows if row["copied_at"] is None]
        ours = [body for body in world.landed if body in bodies]
        # The first version of b may have been replaced before it was copied.
        assert ours in (sorted(bodies), sorted(bodies[::2])), f"step {at}: {ours}"
        written = [run for run in world.runs if run["element"].endswith(f"/{prefix}")]
        assert sum(run["records_written"] for run in written) == len(ours), f"step {at}: {written}"
        assert {run["error_code"] for run in written} <= {None, "worker-died"}
    assert died
    assert at > 15, "there are more steps in a run"


@pytest.mark.parametrize("at", ["first part", "later part", "before the end"])
def test_killed_process_leaves_nothing_that_is_copied_twice(world: BucketWorld, at: str) -> None:
    """SIGKILL while a large object is copied in parts: nothing of it is seen, and the next run copies it."""
    body = random.Random(5).randbytes(20 * MIB)
    world.put("a.csv", body)
    chunk = {"first part": 1, "later part": 18, "before the end": 20}[at]
    child = os.fork()
    if not child:
        world.origin.between = lambda _, number: os.kill(os.getpid(), signal.SIGKILL) if number == chunk else None
        with suppress(BaseException):
            world.collect()
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert world.incoming == {}
    assert [(row["status"], row["records_written"]) for row in world.runs] == [("running", 0)]
    assert len(uploads(world)) == (at != "first part")
    assert world.collect().records_written == 1
    assert world.incoming == {"a.csv": body}
    assert uploads(world) == []
    assert [row["error_code"] for row in world.runs] == ["worker-died", None]


def test_keys_are_on_disk_before_the_first_copy(world: BucketWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("a.csv")

    def crash(*_: object) -> None:
        with connect(world.platform.warehouse_config()) as other:
            [row] = other.execute(b"SELECT target_key FROM ops.source_object WHERE source = %s", [world.name])
            assert row[0].endswith("/a.csv")
        raise Crash

    real = CopiedObjects.begin
    committed = []

    def begin(self: CopiedObjects, *given: Any) -> Any:
        execute = self._connection.execute
        self._connection.execute = lambda *query: (  # type: ignore[method-assign]
            committed.append(execute(b"SHOW synchronous_commit").fetchone()), execute(*query)
        )[1]  # fmt: skip
        return real(self, *given)

    monkeypatch.setattr(CopiedObjects, "begin", begin)
    world.origin.before = crash
    with pytest.raises(Crash):
        world.collect()
    assert committed[-1] == ("on",)


def test_answer_that_does_not_arrive_causes_no_second_copy(world: BucketWorld) -> None:
    world.put("a.csv")
    real = world.landing.put_new_parts

    def without_answer(*given: Any) -> None:
        real(*given)
        raise RetryableError(Code.BUCKET_UNAVAILABLE, reason="no answer")

    world.landing.put_new_parts = without_answer  # type: ignore[method-assign]
    with pytest.raises(RetryableError) as caught:
        world.collect()
    assert caught.value.code is Code.BUCKET_UNAVAILABLE
    world.landing.put_new_parts = real  # type: ignore[method-assign]
    assert world.collect().records_read == 0
    assert [(run["status"], run["records_written"]) for run in world.runs] == [("failed", 1), ("success", 0)]
    assert list(world.incoming) == ["a.csv"]


def test_write_that_was_repeated_by_the_client_is_this_runs_own(world: BucketWorld) -> None:
    body = world.put("a.csv")
    real = world.landing.put_new_parts

    def twice(bucket: str, key: str, parts: Any) -> None:
        real(bucket, key, parts)
        real(bucket, key, iter([body]))

    world.landing.put_new_parts = twice  # type: ignore[method-assign]
    assert world.collect().records_written == 1
    assert world.incoming == {"a.csv": body}


def test_process_that_was_believed_dead_writes_nothing_twice(world: BucketWorld) -> None:
    """Its lock broke while it read: the next run copies the object, and the first one ends later."""
    body = world.put("a.csv")
    done = []

    def others_run(_: ObjectInfo) -> None:
        world.origin.before = None
        with connect(world.platform.warehouse_config()) as connection:
            connection.execute(
                b"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                b"WHERE usename = 'ingest' AND state = 'idle in transaction'"
            )
        done.append(world.collect())

    world.origin.before = others_run
    with pytest.raises(RetryableError) as caught:
        world.collect()
    assert caught.value.code is Code.TARGET_LOCKED
    assert done[0].records_written == 1
    assert world.incoming == {"a.csv": body}
    assert sum(run["records_written"] for run in world.runs) == 1


def test_only_one_run_works_on_a_source(world: BucketWorld) -> None:
    world.put("a.csv")
    begun, may_end = Event(), Event()

    def wait(_: ObjectInfo) -> None:
        begun.set()
        assert may_end.wait(20)

    world.origin.before = wait
    thread = Thread(target=world.collect)
    thread.start()
    try:
        assert begun.wait(20)
        with pytest.raises(RetryableError) as caught:
            world.collect()
        assert caught.value.code is Code.TARGET_LOCKED
    finally:
        may_end.set()
        thread.join()
    assert list(world.incoming) == ["a.csv"]


# --- objects that change


def test_object_that_changes_before_it_is_read_is_copied_in_its_new_version(world: BucketWorld) -> None:
    world.put("a.csv")
    world.put("b.csv")
    new = "id,n\na.csv,2\n"

    def change(version: ObjectInfo) -> None:
        if version.key.endswith("a.csv"):
            world.origin.before = None
            world.put("a.csv", new)

    world.origin.before = change
    done = world.collect()
    assert (done.records_read, done.records_written, done.records_failed) == (2, 2, 0)
    assert sorted(world.landed) == sorted([new.encode(), b"id,n\nb.csv,1\n"])
    assert world.collect().records_read == 0
    world.load()
    assert world.loaded == {"a.csv": 2, "b.csv": 1}


def test_object_that_changes_while_it_is_read_is_never_mixed(world: BucketWorld) -> None:
    old, new = random.Random(1).randbytes(20 * MIB), random.Random(2).randbytes(20 * MIB)
    world.put("a.csv", old)

    def change(_: ObjectInfo, number: int) -> None:
        if number == 3:
            world.origin.between = None
            world.put("a.csv", new)

    world.origin.between = change
    world.collect()
    assert world.landed in ([old], [new])
    world.collect()
    assert world.landed in (sorted([old, new]), [new])
    assert world.collect().records_read == 0


def test_object_that_never_stops_changing_fails_and_holds_up_no_other(world: BucketWorld) -> None:
    world.put("a.csv")
    body = world.put("b.csv")
    numbers = count()

    def change(version: ObjectInfo) -> None:
        if version.key.endswith("a.csv"):
            world.put("a.csv", f"id,n\na.csv,{next(numbers)}\n")

    world.origin.before = change
    with pytest.raises(RetryableError, match=r"1 of 2 new objects were not copied: s3://.*/a.csv changed during"):
        world.collect()
    assert world.incoming == {"b.csv": body}
    world.origin.before = None
    assert world.collect().records_written == 1


def test_object_that_is_deleted_meanwhile_is_no_failure(world: BucketWorld) -> None:
    world.put("a.csv")
    world.put("b.csv")

    def delete(version: ObjectInfo) -> None:
        if version.key.endswith("a.csv"):
            world.delete("a.csv")

    world.origin.before = delete
    done = world.collect()
    assert (done.records_read, done.records_written) == (1, 1)
    world.origin.before = None
    assert world.collect().records_read == 0
    world.put("a.csv", "id,n\na.csv,5\n")
    world.collect()
    assert sorted(world.incoming.values()) == [b"id,n\na.csv,5\n", b"id,n\nb.csv,1\n"]


# --- objects that cannot be read


def fail(world: BucketWorld, name: str, error: Exception, times: int = 99) -> list[str]:
    """Make the store of the source fail for one object, so many times."""
    failed: list[str] = []

    def before(version: ObjectInfo) -> None:
        if version.key.endswith(name) and len(failed) < times:
            failed.append(version.key)
            raise error

    world.origin.before = before
    return failed


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_WAIT_SECONDS", 0.01)


def test_object_that_the_store_refuses_is_named_and_holds_up_no_other(world: BucketWorld) -> None:
    bodies = {name: world.put(name) for name in ("a.csv", "b.csv", "c.csv")}
    fail(world, "b.csv", PermanentError(Code.BUCKET_REFUSED, answer="InvalidObjectState"))
    with pytest.raises(PermanentError) as caught:
        world.collect()
    assert caught.value.code is Code.SOURCE_REFUSED
    assert "1 of 3 new objects were not copied: The source refuses s3://" in caught.value.message
    assert "/exports/b.csv (InvalidObjectState)" in caught.value.message
    assert world.incoming == {name: bodies[name] for name in ("a.csv", "c.csv")}
    [failed] = world.runs
    assert (failed["status"], failed["records_read"], failed["records_written"], failed["records_failed"]) == (
        "failed", 3, 2, 1
    )  # fmt: skip
    assert failed["error_message"] == caught.value.message
    world.origin.before = None
    assert world.collect().records_written == 1
    assert sorted(world.incoming) == sorted(bodies)


def test_object_is_read_again_if_the_store_does_not_answer(world: BucketWorld, quick: None) -> None:
    world.put("a.csv")
    fail(world, "a.csv", RetryableError(Code.BUCKET_UNAVAILABLE, reason="503"), times=2)
    done = world.collect()
    assert done.records_written == 1
    [row] = world.runs
    assert (row["status"], row["retries"]) == ("success", 2)
    assert row["waited_seconds"] > 0


def test_object_that_always_fails_is_retried_by_the_next_attempt(world: BucketWorld, quick: None) -> None:
    world.put("a.csv")
    world.put("b.csv")
    failed = fail(world, "a.csv", RetryableError(Code.BUCKET_UNAVAILABLE, reason="503"))
    with pytest.raises(RetryableError, match=r"1 of 2 new objects .*a.csv"):
        world.collect()
    assert len(failed) == 3
    assert list(world.incoming) == ["b.csv"]
    world.origin.before = None
    assert world.collect().records_written == 1


def test_answer_that_is_cut_leaves_nothing(world: BucketWorld, quick: None) -> None:
    body = random.Random(3).randbytes(20 * MIB)
    world.put("a.csv", body)
    cuts = []

    def cut(_: ObjectInfo, number: int) -> None:
        if number == 12 and len(cuts) < 2:
            cuts.append(number)
            raise RetryableError(Code.BUCKET_UNAVAILABLE, reason="cut")

    world.origin.between = cut
    world.collect()
    assert world.incoming == {"a.csv": body}
    assert uploads(world) == []


def uploads(world: BucketWorld) -> list[Any]:
    answer = world.landing._client.list_multipart_uploads(Bucket=world.landing_bucket)
    return list(answer.get("Uploads", ()))


def test_run_stops_if_the_source_does_not_answer_at_all(
    world: BucketWorld, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    for number in range(8):
        world.put(f"{number}.csv")
    away = RetryableError(Code.BUCKET_UNAVAILABLE, reason="away")
    failed = fail(world, ".csv", away)
    real = ObjectStore.pages

    def pages(store: ObjectStore, bucket: str, prefix: str, after: str = "") -> Any:
        if failed:
            raise away
        return real(store, bucket, prefix, after)

    monkeypatch.setattr(ObjectStore, "pages", pages)
    with pytest.raises(RetryableError) as caught:
        world.collect()
    assert caught.value.code is Code.SOURCE_UNAVAILABLE
    assert len(failed) <= 3 * 4, "four at once, three attempts each"
    failed.clear()
    world.origin.before = None
    assert world.collect().records_written == 8


def test_object_that_was_not_copied_is_met_again_after_a_run_that_stopped(
    world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry must not begin behind it, copy the others, and end well."""
    for name in ("a.csv", "b.csv"):
        world.put(name)
    small_pages(world, 1)
    fail(world, "a.csv", PermanentError(Code.BUCKET_REFUSED, answer="AccessDenied"))
    real = world.origin.pages

    def first_page_only(*given: Any) -> Any:
        yield next(real(*given))
        raise RetryableError(Code.BUCKET_UNAVAILABLE, reason="away")

    monkeypatch.setattr(world.origin, "pages", first_page_only)
    with pytest.raises(RetryableError):
        world.collect()
    monkeypatch.setattr(world.origin, "pages", real)
    with pytest.raises(PermanentError, match=r"1 of 2 new objects .*a\.csv"):
        world.collect()
    assert list(world.incoming) == ["b.csv"]


def test_wrong_secret_is_refused_and_not_shown(world: BucketWorld) -> None:
    world.put("a.csv")
    wrong = world.origin_config.model_copy(update={"secret_access_key": SecretStr("wr0ng-s3cret")})
    world.origin = type(world.origin)(wrong)
    with pytest.raises(PermanentError) as caught:
        world.collect()
    assert caught.value.code is Code.SOURCE_REFUSED
    [failed] = world.runs
    assert (failed["status"], failed["error_code"]) == ("failed", "source-refused")
    assert "s3cret" not in f"{caught.value} {failed}"


def test_store_without_a_key_is_asked_without_a_signature(world: BucketWorld) -> None:
    sent = []
    anonymous = world.origin_config.model_copy(update={"access_key_id": "", "secret_access_key": SecretStr("")})
    world.origin = type(world.origin)(anonymous)
    world.origin._client.meta.events.register("before-send.s3", lambda request, **_: sent.append(request.headers))
    with pytest.raises(PermanentError):
        world.collect()
    assert sent
    assert not any("Authorization" in headers for headers in sent)


def test_missing_bucket_is_refused(world: BucketWorld) -> None:
    with pytest.raises(PermanentError) as caught:
        world.collect(bucket="no-such-bucket")
    assert caught.value.code is Code.SOURCE_REFUSED
    assert "NoSuchBucket" in caught.value.message


def test_landing_bucket_that_is_away_ends_the_run(world: BucketWorld) -> None:
    world.put("a.csv")
    real = world.landing.put_new_parts

    def away(*_: object) -> None:
        raise RetryableError(Code.BUCKET_UNAVAILABLE, reason="away")

    world.landing.put_new_parts = away  # type: ignore[method-assign]
    with pytest.raises(RetryableError) as caught:
        world.collect()
    assert caught.value.code is Code.BUCKET_UNAVAILABLE
    [failed] = world.runs
    assert (failed["status"], failed["error_code"], failed["records_written"]) == ("failed", "bucket-unavailable", 0)
    world.landing.put_new_parts = real  # type: ignore[method-assign]
    assert world.collect().records_written == 1
    assert list(world.incoming) == ["a.csv"]


# --- limits


@pytest.mark.parametrize(
    ("limits", "copies"),
    [({"records": 2}, [2, 2, 1, 0]), ({"bytes": 28}, [2, 2, 1, 0]), ({"bytes": 1}, [1, 1, 1, 1, 1, 0])],
    ids=["objects", "bytes", "bytes of less than an object"],
)
@pytest.mark.parametrize("contract", [{}, IN_ORDER], ids=["by key", "in order"])
def test_limit_ends_a_run_and_the_next_one_continues(
    world: BucketWorld, limits: dict[str, int], copies: list[int], contract: dict[str, Any]
) -> None:
    world.contract_changes = contract
    for number in range(5):
        world.put(f"{number}.csv", f"id,n\nrow{number},100\n")
    done = [world.collect(limits=limits) for _ in copies]
    assert [one.records_written for one in done] == copies
    assert [one.is_unfinished for one in done[:2]] == [True, True]
    assert not done[-1].is_unfinished
    assert sorted(world.incoming) == [f"{number}.csv" for number in range(5)]


def test_limit_of_time_ends_a_run(world: BucketWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_GROUP_OBJECTS", 1)
    for number in range(3):
        world.put(f"{number}.csv")
    clock = [0.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: clock[0])
    world.origin.before = lambda _: clock.__setitem__(0, clock[0] + 6)
    done = world.collect(limits={"seconds": 10})
    assert (done.records_written, done.is_unfinished) == (2, True)
    assert world.collect(limits={"seconds": 10}).records_written == 1


def test_limit_of_pages_continues_behind_the_last_key(world: BucketWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, whose order is not that of their names with a slash, and objects that arrive before the last key."""
    names = ["a-b/1.csv", "a/1.csv", "a.csv", "b/1.csv", "c.csv", "d/e/1.csv"]
    for name in names:
        world.put(name)
    small_pages(world, 2)
    limits = {"pages": 1}
    done = [world.collect(limits=limits) for _ in range(2)]
    assert [one.records_written for one in done] == [2, 2]
    assert json.loads(world.position["next_page"])["after"]
    world.put("0.csv")
    copied = 4
    while copied < 7:
        copied += world.collect(limits=limits).records_written
        assert len(world.runs) < 12
    assert sorted(world.incoming) == sorted([*names, "0.csv"])


def small_pages(world: BucketWorld, size: int) -> None:
    """Have the store of the source answer with so many objects a page."""

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = size

    world.origin._client.meta.events.register("provide-client-params.s3.ListObjectsV2", limit)


def test_listing_in_order_needs_all_pages(world: BucketWorld) -> None:
    world.contract_changes = IN_ORDER
    for number in range(5):
        world.put(f"{number}.csv")
    small_pages(world, 2)
    with pytest.raises(PermanentError, match=re.escape("raise limits.pages")):
        world.collect(limits={"pages": 2})
    assert world.incoming == {}
    assert world.collect(limits={"pages": 3}).records_written == 5


# --- order


def test_files_of_a_dataset_in_order_are_copied_by_their_time(world: BucketWorld) -> None:
    """The newest object has the first key: its rows must win."""
    world.contract_changes = IN_ORDER
    times = {}
    for n, name in enumerate(("z.csv", "m.csv", "a.csv")):
        world.put(name, f"id,n\nsame,{n}\n")
        times[f"exports/{name}"] = LONG_AGO + timedelta(hours=n)
    given_times(world, times)
    done = world.collect()
    assert done.waited_seconds > 0
    world.load()
    assert world.loaded == {"same": 2}


def given_times(world: BucketWorld, times: dict[str, datetime]) -> None:
    """Have the store of the source list objects with these times: three writes may fall into one second."""

    def change(parsed: dict[str, Any], **_: Any) -> None:
        for item in parsed.get("Contents", ()):
            item["LastModified"] = times.get(item["Key"], item["LastModified"])

    world.origin._client.meta.events.register("after-call.s3.ListObjectsV2", change)


def test_newer_object_does_not_overtake_one_that_is_retried(world: BucketWorld, quick: None) -> None:
    world.contract_changes = IN_ORDER
    for n, name in enumerate(("a.csv", "b.csv", "c.csv")):
        world.put(name, f"id,n\nsame,{n}\n")
    given_times(world, {f"exports/{name}.csv": LONG_AGO + timedelta(hours=n) for n, name in enumerate("abc")})
    fail(world, "b.csv", RetryableError(Code.BUCKET_UNAVAILABLE, reason="503"))
    with pytest.raises(RetryableError, match=r"1 of 2 new objects .*b.csv"):
        world.collect()
    assert list(world.incoming) == ["a.csv"]
    world.load()
    world.origin.before = None
    assert world.collect().records_written == 2
    world.load()
    assert world.loaded == {"same": 2}


def test_newer_object_overtakes_one_that_is_refused(world: BucketWorld) -> None:
    world.contract_changes = IN_ORDER
    world.put("a.csv")
    world.put("b.csv")
    given_times(world, {"exports/a.csv": LONG_AGO})
    fail(world, "a.csv", PermanentError(Code.BUCKET_REFUSED, answer="AccessDenied"))
    with pytest.raises(PermanentError):
        world.collect()
    assert list(world.incoming) == ["b.csv"]


# --- all again


def test_full_run_copies_all_objects_again_once(world: BucketWorld, quick: None) -> None:
    bodies = [world.put(name) for name in ("a.csv", "b.csv")]
    world.collect()
    failed = fail(world, "b.csv", RetryableError(Code.BUCKET_UNAVAILABLE, reason="503"))
    with pytest.raises(RetryableError):
        world.collect(full=True, run_id="manual__1")
    assert failed
    world.origin.before = None
    assert world.collect(full=True, run_id="manual__1").records_written == 1, "the retry copies what is left"
    assert sorted(world.incoming) == ["a.csv", "b.csv", "~2/a.csv", "~2/b.csv"]
    assert world.landed == sorted(bodies * 2)
    assert world.collect().records_read == 0
    assert world.collect(full=True, run_id="manual__2").records_written == 2


def test_unfinished_full_run_is_continued_as_one(world: BucketWorld) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        world.put(name)
    world.collect()
    assert world.collect(full=True, run_id="manual__1", limits={"records": 2}).records_written == 2
    assert world.collect(run_id="scheduled__2").records_written == 1
    assert world.collect(run_id="scheduled__3").records_read == 0


# --- large objects


def test_large_object_is_copied_in_parts_in_flat_memory(world: BucketWorld) -> None:
    import tracemalloc

    size = 96 * MIB
    body = random.Random(4).randbytes(size)
    for number in range(2):
        world.put(f"{number}.csv", body)
    tracemalloc.start()
    try:
        world.collect()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Two at once, of each two parts of 8 MiB, their copies on the way to the server, and a chunk.
    assert peak < 80 * MIB, f"{peak / MIB:.0f} MiB"
    assert list(world.incoming.values()) == [body, body]
    assert uploads(world) == []
    assert world.collect().records_read == 0


def test_object_that_was_written_in_parts_is_copied_once(world: BucketWorld) -> None:
    """Its ETag is no MD5, and the copy has another one."""
    path, body = world.folder / "large.csv", random.Random(6).randbytes(20 * MIB)
    path.write_bytes(body)
    world.origin.upload(path, world.bucket, "exports/large.csv")
    world.collect()
    [row] = world.rows
    assert re.fullmatch(r"[0-9a-f]{32}-\d+", row["etag"])
    assert world.incoming == {"large.csv": body}
    assert world.collect().records_read == 0


def test_parts_of_dead_runs_are_deleted(world: BucketWorld) -> None:
    ours, other = (f"incoming/{world.name}/{folder}/a.csv" for folder in (world.name, "partner"))
    for key in (ours, other):
        world.landing._client.create_multipart_upload(Bucket=world.landing_bucket, Key=key)
    world.collect()
    assert [upload["Key"] for upload in uploads(world)] == [other]


# --- upkeep


def age(world: BucketWorld, days: int) -> None:
    """Make everything that the warehouse knows of the objects older."""
    world.owner.execute(
        b"UPDATE ops.source_object SET listed_at = listed_at - make_interval(days => %(d)s),"
        b" missing_since = missing_since - make_interval(days => %(d)s) WHERE source = %(s)s",
        {"d": days, "s": world.name},
    )


def purge(world: BucketWorld, days: float = 365) -> int:
    with connect(world.platform.warehouse_config()) as connection:
        return purge_expired(connection, RetentionSettings(source_objects_days=days))["source_objects"]


def test_only_objects_that_are_gone_are_forgotten(world: BucketWorld) -> None:
    for name in ("gone.csv", "there.csv"):
        world.put(name)
    world.collect()
    world.delete("gone.csv")
    age(world, 1000)
    purge(world)
    assert len(world.rows) == 2, "no listing has shown that an object is gone"
    world.collect()
    gone, there = world.rows
    assert (gone["missing_since"] is not None, there["missing_since"]) == (True, None)
    purge(world)
    assert len(world.rows) == 2, "it is not gone for long"
    age(world, 366)
    assert purge(world, 0) == 0
    assert purge(world) == 1
    assert [row["object_key"] for row in world.rows] == ["exports/there.csv"]
    assert world.collect().records_read == 0
    world.put("gone.csv")
    world.collect()
    assert sorted(world.incoming) == ["gone.csv", "there.csv", "~2/gone.csv"], "a key is never used twice"
    assert [entry["status"] for entry in world.load()].count("duplicate") == 1, "and no content is loaded twice"


def test_unfinished_listing_forgets_nothing(world: BucketWorld) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        world.put(name)
    world.collect()
    age(world, 1000)
    small_pages(world, 1)
    world.collect(limits={"pages": 2})
    assert [row["missing_since"] for row in world.rows] == [None] * 3
    world.collect(limits={"pages": 2})
    assert [row["missing_since"] for row in world.rows] == [None] * 3, "both runs together have shown all"
    assert world.position["next_page"] is None, "and the second one has ended the listing"


def test_object_that_comes_back_is_not_missing(world: BucketWorld) -> None:
    world.put("a.csv")
    world.collect()
    world.delete("a.csv")
    age(world, 8)
    world.collect()
    assert world.rows[0]["missing_since"] is not None
    world.put("a.csv")
    world.collect()
    assert world.rows[0]["missing_since"] is None
    assert list(world.incoming) == ["a.csv"]


@pytest.mark.parametrize("keep", ["NULL", "interval '1 second'", "interval '-1 day'"])
def test_recent_objects_cannot_be_purged(platform: Platform, keep: str) -> None:
    with connect(platform.warehouse_config()) as connection, pytest.raises(pg.RaiseException):
        connection.execute(f"SELECT ops.purge_source_objects({keep}, 10)".encode())


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ingest", "DELETE FROM ops.source_object"), ("ingest", "TRUNCATE ops.source_object"),
        ("reader", "UPDATE ops.source_object SET etag = 'x'"),
        ("reader", "SELECT ops.purge_source_objects(interval '1 day', 1)"),
    ],
)  # fmt: skip
def test_roles_change_no_more_than_they_need(platform: Platform, role: str, statement: str) -> None:
    with connect(platform.warehouse_config(role)) as connection:
        connection.execute(b"SELECT count(*) FROM ops.source_object")
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute(statement.encode())
