"""One run of one element: every record is delivered exactly once, whatever stops the process and when."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from element_world import ELEMENT, Crash, ElementWorld
from psycopg import errors as pg
from pydantic import SecretStr

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.purge import purge_expired
from include.settings import RetentionSettings
from include.sources import positions, run
from include.sources.definition import KeepRaw
from include.sources.deliver import RawCopies
from include.sources.listing import Element, Listing, Position, Sink, Traffic
from include.sources.positions import Positions
from include.sources.runs import AirflowAttempt, SourceRuns, failures_recorded
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.settings import WarehouseConfig
    from include.stores.warehouse import Connection
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

AWAY = RetryableError(Code.SOURCE_UNAVAILABLE, "The API answers 503.")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(element_world: ElementWorld) -> ElementWorld:
    return element_world


def statuses(world: ElementWorld, element: str = ELEMENT) -> list[tuple[str, str | None, int]]:
    return [(row["status"], row["error_code"], row["records_written"]) for row in world.runs(element)]


# --- a run


def test_run_delivers_what_it_read_and_the_next_one_what_is_new(world: ElementWorld) -> None:
    done = world.collect()
    assert done.object_key is not None
    prefix = re.escape(f"incoming/{world.name}/{world.name}/shops-north-orders_")
    assert re.fullmatch(prefix + r"20\d{6}T\d{6}Z\.ndjson", done.object_key)
    assert world.incoming == [done.object_key]
    assert world.body(world.landing_bucket, done.object_key) == b"".join(
        world.line(ELEMENT, n) + b"\n" for n in range(1, 8)
    )
    assert (done.records_read, done.records_written, done.requests, done.watermark) == (7, 7, 3, "7")
    assert not any((done.is_unfinished, done.is_not_modified, done.is_stand_in, done.settled_key))
    row = world.row()
    assert (row["watermark"], row["address"], row["etag"], row["next_page"]) == ("7", "/orders?limit=3", '"7"', None)
    assert (row["pending_key"], row["pending_since"], row["pending_results"]) == (None, None, [])
    world.records += [8]
    assert world.collect().records_written == 1
    assert world.delivered() == list(range(1, 9))
    assert world.begun == [Position(), Position("7", "/orders?limit=3", '"7"')]
    assert [entry["status"] for entry in world.load()] == ["archived", "archived"]
    assert json.loads(json.dumps(done.summary()))["object_key"] == done.object_key


def test_position_of_a_stand_in_is_not_that_of_the_real_source(world: ElementWorld) -> None:
    world.collect(is_stand_in=True)
    world.records += [8]
    assert world.collect(is_stand_in=True).records_written == 1
    assert world.collect().records_written == 8, "the real source, from its first record on"
    assert world.collect().records_written == 0
    assert [position.watermark for position in world.begun] == [None, "7", "8", None, "8"], (
        "answered by another source: read again"
    )


def test_nothing_new_writes_no_file_and_keeps_the_watermark(world: ElementWorld) -> None:
    world.collect()
    files = world.incoming

    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        return Listing(replace(position, etag='"later"'), not_modified=True)

    done = world.collect(read=read)
    assert (done.object_key, done.records_read, done.is_not_modified, done.watermark) == (None, 0, True, "7")
    assert world.incoming == files
    row = world.row()
    assert (row["watermark"], row["etag"], row["pending_key"]) == ("7", '"later"', None)
    assert statuses(world) == [("success", None, 7), ("success", None, 0)]


def test_unfinished_listing_is_green_and_says_so(world: ElementWorld) -> None:
    done = world.collect(read=world.reader(stop_after=1))
    assert done.is_unfinished
    assert "unfinished" in str(done)
    assert world.row()["next_page"] == "page 2"
    assert not world.collect().is_unfinished
    assert world.begun[1].next_page == "page 2"
    assert world.delivered() == world.records


def test_elements_have_their_own_positions_and_files(world: ElementWorld) -> None:
    keys = {world.collect(name).object_key for name in ("/a/b", "/a-b", "/A/b")}
    assert len(keys) == 3
    assert all(world.delivered(name) == world.records for name in ("/a/b", "/a-b", "/A/b"))


def test_files_of_one_second_have_their_own_keys(world: ElementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_now", lambda _: datetime(2026, 12, 1, 10, tzinfo=UTC))
    first = world.collect().object_key
    world.load()
    assert world.incoming == []
    world.records += [8]
    second = world.collect().object_key
    world.records += [9]
    third = world.collect().object_key
    stem = f"incoming/{world.name}/{world.name}/shops-north-orders_20261201T100000Z"
    assert [first, second, third] == [f"{stem}.ndjson", f"{stem}-002.ndjson", f"{stem}-003.ndjson"]
    assert world.delivered() == list(range(1, 10))


# --- errors


def test_what_came_before_an_error_is_delivered_and_then_the_error_is_raised(world: ElementWorld) -> None:
    with pytest.raises(RetryableError, match="503"):
        world.collect(read=world.reader(stop_after=2, error=AWAY))
    assert world.delivered() == [1, 2, 3, 4, 5, 6]
    assert world.row()["watermark"] == "6"
    assert world.row()["pending_key"] is None
    [failed] = world.runs()
    assert (failed["status"], failed["error_code"], failed["error_message"]) == (
        "failed", "source-unavailable", "The API answers 503.",
    )  # fmt: skip
    assert (failed["records_read"], failed["records_written"], failed["requests"], failed["watermark"]) == (
        6,
        6,
        2,
        "6",
    )
    world.collect()
    assert world.delivered() == world.records


def test_error_before_the_first_record_leaves_the_position(world: ElementWorld) -> None:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        traffic.requests, traffic.retries, traffic.waited_seconds = 5, 4, 2.5
        return Listing(position, error=AWAY)

    with pytest.raises(RetryableError):
        world.collect(read=read)
    assert world.incoming == []
    assert (world.row()["watermark"], world.row()["pending_key"]) == (None, None)
    [failed] = world.runs()
    assert (failed["requests"], failed["retries"], failed["waited_seconds"]) == (5, 4, 2.5)


RUN = AirflowRun("dag", "manual__2026-12-01T10:00:00+00:00")


def test_failure_before_an_attempt_begins_is_noted(world: ElementWorld) -> None:
    world.collect(run_id="an earlier run")
    recorded = failures_recorded(world.platform.warehouse_config, world.name, ELEMENT, RUN)
    with pytest.raises(PermanentError), recorded:
        raise PermanentError(Code.SOURCE_REFUSED, "The connection has\0no host.")
    good, failed = sorted(world.runs(), key=lambda row: row["source_run_id"])
    assert (good["status"], failed["status"]) == ("success", "failed")
    assert (failed["error_code"], failed["error_message"]) == ("source-refused", r"The connection has\x00no host.")
    assert (failed["dag_id"], failed["run_id"], failed["requests"]) == (RUN.dag_id, RUN.run_id, 0)
    assert failed["ended_at"] >= failed["started_at"] > good["started_at"]
    assert world.row()["watermark"] == "7"


def test_failure_that_the_attempt_has_noted_is_noted_once(world: ElementWorld) -> None:
    recorded = failures_recorded(world.platform.warehouse_config, world.name, ELEMENT, RUN)
    with pytest.raises(RetryableError), recorded as attempt:
        world.collect(read=world.reader(stop_after=1, error=AWAY), attempt=attempt)
    assert statuses(world) == [("failed", "source-unavailable", 3)]
    assert [row["source_run_id"] for row in world.runs()] == [attempt.source_run_id]


def test_failures_of_two_attempts_right_after_each_other_are_both_noted(world: ElementWorld) -> None:
    for message in ("no host", "still no host"):
        recorded = failures_recorded(world.platform.warehouse_config, world.name, ELEMENT, RUN)
        with pytest.raises(PermanentError), recorded:
            raise PermanentError(Code.SOURCE_REFUSED, message)
    recorded = failures_recorded(world.platform.warehouse_config, world.name, ELEMENT, RUN)
    with pytest.raises(RetryableError), recorded as attempt:
        world.collect(read=world.reader(stop_after=1, error=AWAY), attempt=attempt)
    with (
        pytest.raises(PermanentError),
        failures_recorded(world.platform.warehouse_config, world.name, ELEMENT, RUN),
    ):
        raise PermanentError(Code.SOURCE_REFUSED, "no host again")
    messages = [row["error_message"] for row in world.runs()]
    assert messages == ["no host", "still no host", AWAY.message, "no host again"]


def test_failure_while_the_row_is_committed_is_noted_once(world: ElementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SourceRuns.begin

    def begin(runs: SourceRuns, attempt: AirflowAttempt) -> Any:
        real(runs, attempt)
        raise RetryableError(Code.WAREHOUSE_UNAVAILABLE, "It ends the connection before the commit.")

    monkeypatch.setattr(SourceRuns, "begin", begin)
    recorded = failures_recorded(world.platform.warehouse_config, world.name, ELEMENT, RUN)
    with pytest.raises(RetryableError), recorded as attempt:
        world.collect(attempt=attempt)
    assert attempt.source_run_id is not None
    assert statuses(world) == [("failed", "warehouse-unavailable", 0)]


def test_failure_that_cannot_be_noted_is_raised(world: ElementWorld, caplog: pytest.LogCaptureFixture) -> None:
    def find() -> WarehouseConfig:
        raise LookupError("no connection")

    with pytest.raises(PermanentError), failures_recorded(find, world.name, ELEMENT, RUN):
        raise PermanentError(Code.SOURCE_REFUSED, "no host")
    assert "The failure is not in ops.source_run. LookupError: no connection" in caplog.text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(PermanentError(Code.SOURCE_REFUSED, "The token has\0expired."), "source-refused", id="of a store"),
        pytest.param(ValueError("password=geheim"), "internal", id="a defect"),
    ],
)
def test_error_that_leaves_the_reader_fails_the_run(
    world: ElementWorld, error: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        sink.take(b"{}")
        traffic.requests = 1
        raise error

    with pytest.raises(type(error)):
        world.collect(read=read)
    [failed] = world.runs()
    assert (failed["status"], failed["error_code"], failed["requests"]) == ("failed", code, 1)
    assert failed["ended_at"] >= failed["started_at"]
    assert "geheim" not in failed["error_message"]
    assert world.incoming == []
    pending = world.row()["pending_key"]
    monkeypatch.setattr(run, "_now", lambda _: datetime(2040, 1, 1, tzinfo=UTC))
    world.collect()
    assert world.incoming == [pending], "the same window goes under the same key"
    assert world.delivered() == world.records


def test_failure_is_raised_even_if_the_warehouse_cannot_note_it(
    world: ElementWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        monkeypatch.setattr(run, "connect", away)
        raise AWAY

    def away(_: object) -> Any:
        raise RetryableError(Code.WAREHOUSE_UNAVAILABLE, reason="it is starting")

    with pytest.raises(RetryableError) as caught:
        world.collect(read=read)
    assert caught.value is AWAY


def test_full_disk_can_be_retried(world: ElementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.folder.joinpath("spool").mkdir()
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("include.sources.spool.TemporaryFile", lambda **_: full)
        with pytest.raises(RetryableError) as caught:
            world.collect()
    assert caught.value.code is Code.DISK_FULL
    monkeypatch.undo()
    world.collect()
    assert world.delivered() == world.records


# --- crashes


@pytest.mark.parametrize("is_loaded", [False, True], ids=["file in incoming", "file loaded meanwhile"])
@pytest.mark.parametrize("after", [False, True], ids=["before a step", "after a step"])
def test_crash_at_every_step_delivers_each_record_once(
    world: ElementWorld, monkeypatch: pytest.MonkeyPatch, after: bool, is_loaded: bool
) -> None:
    for at in count(1):
        element, world.records = f"/shops/{at}/orders", list(range(1, 8))
        with world.steps(monkeypatch, at, after=after) as steps:
            try:
                world.collect(element)
            except Crash:
                died = True
            else:
                assert steps.count < at
                break
        if is_loaded:
            world.load()
        world.records += [8, 9]
        world.collect(element)
        if is_loaded:
            world.load()
        world.records += [10]
        world.collect(element)
        assert world.delivered(element) == list(range(1, 11)), f"step {at}"
        row = world.row(element)
        assert (row["watermark"], row["pending_key"], row["pending_results"]) == ("10", None, []), f"step {at}"
        ended = statuses(world, element)
        assert sum(written for _, _, written in ended) == 10, f"step {at}: {ended}"
        assert {(status, code) for status, code, _ in ended} <= {("success", None), ("failed", "worker-died")}
    assert died
    assert at > 15, "there are more steps in a run"


def test_result_is_on_disk_before_the_file_is_written(world: ElementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = []
    real = Positions._change

    def change(self: Positions, name: str, **values: object) -> int:
        changes.append((name, *self._connection.execute("SHOW synchronous_commit").fetchone()))
        return real(self, name, **values)

    monkeypatch.setattr(Positions, "_change", change)
    world.collect()
    assert changes == [
        ("begin_source_position", "off"), ("add_source_result", "on"), ("commit_source_position", "off"),
    ]  # fmt: skip


def test_run_of_a_dead_process_is_noted_by_the_next(world: ElementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        raise Crash

    with pytest.raises(Crash):
        world.collect(read=read, run_id="first")
    assert statuses(world) == [("running", None, 0)]
    world.collect(run_id="second")
    assert statuses(world) == [("failed", "worker-died", 0), ("success", None, 7)]
    assert [row["run_id"] for row in world.runs()] == ["first", "second"]
    assert "The next run reads the same again." in world.runs()[0]["error_message"]


def test_file_that_arrived_although_the_bucket_did_not_answer_is_not_written_twice(world: ElementWorld) -> None:
    real = world.objects.put_new

    def without_answer(*given: Any) -> None:
        real(*given)
        raise RetryableError(Code.BUCKET_UNAVAILABLE, reason="no answer")

    world.objects.put_new = without_answer  # type: ignore[method-assign]
    with pytest.raises(RetryableError):
        world.collect()
    assert statuses(world) == [("failed", "bucket-unavailable", 0)]
    world.objects.put_new = real  # type: ignore[method-assign]
    world.records += [8]
    done = world.collect()
    assert (done.records_written, done.settled_key) == (1, world.runs()[0]["object_key"])
    assert world.delivered() == world.records
    assert statuses(world) == [("failed", "bucket-unavailable", 7), ("success", None, 1)]


def test_write_that_was_repeated_by_the_client_is_this_runs_own(world: ElementWorld) -> None:
    """The client sends the file again after a lost answer, and the store refuses the second one."""
    real = world.objects.put_new

    def twice(*given: Any) -> None:
        real(*given)
        real(*given)

    world.objects.put_new = twice  # type: ignore[method-assign]
    done = world.collect()
    assert (done.records_written, done.settled_key) == (7, None)
    assert world.incoming == [done.object_key]
    assert statuses(world) == [("success", None, 7)]


def test_key_that_another_program_takes_is_given_up(world: ElementWorld) -> None:
    def take() -> None:
        world.objects.put(world.landing_bucket, world.row()["pending_key"], b'{"id":"x","n":0}\n')

    world.objects.before_put = take
    with pytest.raises(RetryableError, match="takes another one"):
        world.collect()
    taken = world.incoming
    done = world.collect()
    assert sorted(world.incoming) == sorted([*taken, done.object_key])
    assert world.body(world.landing_bucket, taken[0]) == b'{"id":"x","n":0}\n'
    assert done.records_written == 7


def test_pending_key_of_another_dataset_is_not_used(world: ElementWorld) -> None:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        raise AWAY

    with pytest.raises(RetryableError):
        world.collect(read=read)
    world.changes = {"dataset": f"{world.name}_2"}
    done = world.collect()
    assert done.object_key is not None
    assert done.object_key.startswith(f"incoming/{world.name}_2/{world.name}/")


# --- two runs at once


def test_only_one_run_reads_an_element(world: ElementWorld) -> None:
    begun, may_end = Event(), Event()
    outcome: list[Any] = []

    def slow(*given: Any) -> Listing:
        begun.set()
        assert may_end.wait(20)
        return world.reader()(*given)

    def first() -> None:
        outcome.append(world.collect(read=slow))

    def read(*_: object) -> Listing:
        raise AssertionError("requested")

    thread = Thread(target=first)
    thread.start()
    try:
        assert begun.wait(20)
        with pytest.raises(RetryableError, match=f"Another run reads {ELEMENT} of the source {world.name}") as caught:
            world.collect(read=read)
        assert caught.value.code is Code.TARGET_LOCKED
        assert world.collect("/other").records_written == 7, "other elements are read meanwhile"
    finally:
        may_end.set()
        thread.join()
    assert outcome[0].records_written == 7
    assert len(world.runs()) == 1
    assert world.collect().records_written == 0


def test_run_ends_well_although_the_connection_of_its_lock_broke(world: ElementWorld) -> None:
    holders = "FROM pg_stat_activity WHERE usename = 'ingest' AND state = 'idle in transaction'"

    def slow(*given: Any) -> Listing:
        with connect(world.platform.warehouse_config()) as connection:
            assert connection.execute(f"SELECT pg_terminate_backend(pid, 10000) {holders}".encode()).fetchall() == [
                (True,)
            ]
        with run.element_lock(world.platform.warehouse_config(), world.name, ELEMENT):
            return world.reader()(*given)

    assert world.collect(read=slow).records_written == 7
    assert world.row()["watermark"] == "7"


def test_lock_is_not_ended_by_the_limit_of_idle_transactions(
    world: ElementWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    @contextmanager
    def kept(config: WarehouseConfig) -> Iterator[Connection]:
        with connect(config) as connection:
            opened.append(connection)
            yield connection

    monkeypatch.setattr(positions, "connect", kept)
    show = b"SHOW idle_in_transaction_session_timeout"
    with connect(world.platform.warehouse_config()) as connection:
        assert connection.execute(show).fetchone() == ("1h",)
    with run.element_lock(world.platform.warehouse_config(), world.name, ELEMENT):
        assert opened[0].execute(show).fetchone() == ("7d",)


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock's connection broke, so a run is believed dead while it works."""
    monkeypatch.setattr(run, "element_lock", lambda *_: nullcontext())


@pytest.mark.usefixtures("unlocked")
def test_run_that_was_believed_dead_changes_nothing_after_another_one(world: ElementWorld) -> None:
    def slow(*given: Any) -> Listing:
        listing = world.reader()(*given)
        world.records += [8]
        assert world.collect(run_id="second").records_written == 8
        return listing

    with pytest.raises(RetryableError) as caught:
        world.collect(read=slow, run_id="first")
    assert caught.value.code is Code.TARGET_LOCKED
    assert world.delivered() == list(range(1, 9))
    assert world.row()["watermark"] == "8"
    assert statuses(world) == [("failed", "worker-died", 0), ("success", None, 8)]


@pytest.mark.usefixtures("unlocked")
def test_run_that_another_one_overtakes_before_it_begins_reads_nothing(
    world: ElementWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(connection: Connection) -> datetime:
        monkeypatch.setattr(run, "_now", real)
        world.collect(run_id="other")
        return real(connection)

    real = run._now
    monkeypatch.setattr(run, "_now", overtaken)
    with pytest.raises(RetryableError) as caught:
        world.collect(run_id="first")
    assert caught.value.code is Code.TARGET_LOCKED
    assert [row["run_id"] for row in world.runs()] == ["other"]
    assert len(world.begun) == 1
    assert world.delivered() == world.records


@pytest.mark.usefixtures("unlocked")
def test_file_of_another_run_that_came_first_counts(world: ElementWorld) -> None:
    """The first one has noted what it read. Before it writes the file, the second one does all of its work."""
    world.objects.before_put = lambda: world.collect(run_id="second")
    with pytest.raises(RetryableError):
        world.collect(run_id="first")
    assert world.delivered() == world.records
    assert statuses(world) == [("failed", "worker-died", 0), ("success", None, 7)]
    assert world.collect().records_written == 0


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize("is_loaded", [False, True], ids=["file in incoming", "file loaded meanwhile"])
@pytest.mark.parametrize("later", [[1, 2, 3, 4], [1, 2, 4]], ids=["more was read", "a file of the same size"])
def test_late_file_of_a_run_that_was_believed_dead_counts(
    world: ElementWorld, later: list[int], is_loaded: bool
) -> None:
    """The second run reads while the file of the first one is still under way to the bucket."""
    world.records = [1, 2, 3]
    results = []

    def before_first_file() -> bool:
        def read(*given: Any) -> Listing:
            key, [first] = world.row()["pending_key"], world.row()["pending_results"]
            body = b"".join(world.line(ELEMENT, n) + b"\n" for n in (1, 2, 3))
            assert len(body) == first["size_bytes"]
            world.objects.put(world.landing_bucket, key, body)
            if is_loaded:
                world.load()
            world.records = later
            return world.reader()(*given)

        results.append(world.collect(read=read, run_id="second"))
        return True

    world.objects.before_put = before_first_file
    with pytest.raises(RetryableError):
        world.collect(run_id="first")
    assert (results[0].records_written, results[0].watermark) == (0, "3")
    assert world.row()["watermark"] == "3"
    assert world.collect().records_written == 1
    assert world.delivered() == [1, 2, 3, 4]
    written = statuses(world)
    assert [count for _, _, count in written] == [3, 0, 1]
    assert written[1][0] == "success"


# --- raw copies


def test_raw_copies_never_overwrite_each_other(world: ElementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = {"bucket": world.raw_bucket, "key": "orders/{date}/{time}.json"}
    at = datetime(2026, 12, 1, 10, 0, 5, tzinfo=UTC)
    monkeypatch.setattr(ElementWorld, "stores", property(with_clock(ElementWorld.stores, at)))
    world.collect(keepRaw=keep)
    assert world.raw == [f"orders/2026-12-01/10-00-05{n}.json" for n in ("-002", "-003", "")]
    bodies = {key: world.body(world.raw_bucket, key) for key in world.raw}
    assert json.loads(bodies["orders/2026-12-01/10-00-05-003.json"]) == [{"id": f"{ELEMENT}:7", "n": 7}]
    world.collect("/other", keepRaw=keep)
    assert len(world.raw) == 6
    assert {key: world.body(world.raw_bucket, key) for key in bodies} == bodies


def test_raw_copies_of_two_runs_at_once_are_all_kept(world: ElementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = {"bucket": world.raw_bucket, "key": "all.json"}
    threads = [Thread(target=world.collect, args=(f"/shops/{n}",), kwargs={"keepRaw": keep}) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.raw) == 12
    assert len({world.body(world.raw_bucket, key) for key in world.raw}) == 12


def test_raw_copy_that_the_store_refuses_fails_the_run_with_a_remedy(world: ElementWorld) -> None:
    with pytest.raises(PermanentError, match="the bucket not-there-at-all of keepRaw is not there"):
        world.collect(keepRaw={"bucket": "not-there-at-all", "key": "{page}.json"})
    assert statuses(world) == [("failed", "bucket-refused", 0)]
    assert (world.incoming, world.row()["watermark"]) == ([], None)


def test_bucket_that_is_not_open_to_the_key_is_refused_with_a_remedy(world: ElementWorld) -> None:
    credentials = world.platform.credentials
    key = {
        "access_key_id": credentials.mlflow_s3_access_key_id,
        "secret_access_key": SecretStr(credentials.mlflow_s3_secret_access_key),
    }
    config = world.platform.s3_config.model_copy(update=key)
    copies = RawCopies(ObjectStore(config), KeepRaw(bucket=world.raw_bucket, key="{page}.json"), {})
    with pytest.raises(PermanentError, match=r"\(403\).*S3_EXTRA_BUCKETS") as caught:
        copies.keep(b"{}", 1)
    assert (caught.value.code, caught.value.details["bucket"]) == (Code.BUCKET_REFUSED, world.raw_bucket)


def test_raw_key_takes_run_page_and_values(world: ElementWorld) -> None:
    keep = {"bucket": world.raw_bucket, "key": "{shop}/{run}/{page}"}
    world.collect(keepRaw=keep)
    assert world.raw == [f"north-sea/manual__2026-12-01T10-00-00+00-00/{page}" for page in (1, 2, 3)]


def with_clock(stores: property, at: datetime) -> Any:
    return lambda world: replace(stores.fget(world), clock=lambda: at)  # type: ignore[misc]


# --- figures


def test_figures_of_a_run_are_those_of_its_requests(world: ElementWorld) -> None:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        sink.take(b'{"id":"a"}')
        for name, value in {
            "requests": 9, "retries": 2, "bytes": 4000, "waited_seconds": 1.25, "limit_remaining": 41,
            "limit_resets_at": datetime(2026, 12, 1, 11, tzinfo=UTC), "is_stand_in": True,
        }.items():  # fmt: skip
            setattr(traffic, name, value)
        return Listing(Position("w"), pages=1, records_read=3, records_failed=2)

    done = world.collect(read=read)
    [row] = world.runs()
    assert {name: row[name] for name in row if name not in {"source_run_id", "started_at", "ended_at"}} == {
        "source": world.name, "element": ELEMENT, "dag_id": "dag", "run_id": "manual__2026-12-01T10:00:00+00:00",
        "status": "success", "records_read": 3, "records_written": 1, "records_failed": 2, "records_skipped": 0,
        "bytes": 4000, "requests": 9, "retries": 2, "waited_seconds": 1.25, "rate_limit_remaining": 41,
        "rate_limit_reset_at": datetime(2026, 12, 1, 11, tzinfo=UTC), "error_code": None, "error_message": None,
        "watermark": "w", "object_key": done.object_key, "stand_in": True,
    }  # fmt: skip
    assert timedelta() < row["ended_at"] - row["started_at"] < timedelta(minutes=1)
    assert done.is_stand_in


# --- X-Poll-Interval


def polling(world: ElementWorld, seconds: float, error: PipelineError | None = None) -> Any:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        traffic.poll_interval_seconds = seconds
        return world.reader(error=error, stop_after=1 if error else None)(element, position, sink, traffic)

    return read


def test_run_before_the_time_that_the_source_allows_sends_no_request(world: ElementWorld) -> None:
    world.collect(read=polling(world, 60))
    [first] = world.runs()
    assert world.row()["not_before"] == first["started_at"] + timedelta(seconds=60)
    world.records += [8]
    done = world.collect()
    assert done.skipped_until == world.row()["not_before"]
    assert "no request before" in str(done)
    assert (len(world.begun), len(world.runs())) == (1, 1)
    world.owner.execute("UPDATE ops.source_position SET not_before = now() WHERE source = %s", [world.name])
    assert world.collect().records_written == 1
    assert world.row()["not_before"] is None


def test_failed_run_may_be_repeated_at_once(world: ElementWorld) -> None:
    with pytest.raises(RetryableError):
        world.collect(read=polling(world, 60, AWAY))
    assert world.collect().skipped_until is None
    assert world.delivered() == world.records


def test_pending_file_is_settled_even_if_it_is_too_early_for_a_request(
    world: ElementWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.collect(read=polling(world, 60))
    world.owner.execute("UPDATE ops.source_position SET not_before = now() WHERE source = %s", [world.name])
    world.records += [8]

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(run._Attempt, "_commit", crash)
        with pytest.raises(Crash):
            world.collect()
    world.owner.execute(
        "UPDATE ops.source_position SET not_before = now() + interval '1 hour' WHERE source = %s", [world.name]
    )
    assert world.collect().skipped_until is not None
    assert world.row()["watermark"] == "8"
    assert world.delivered() == world.records


# --- upkeep and rights


def test_old_runs_are_deleted_by_age(world: ElementWorld) -> None:
    for _ in range(3):
        world.collect()
    first, second, _ = [row["source_run_id"] for row in world.runs()]
    age = "UPDATE ops.source_run SET started_at = %s, status = %s, ended_at = %s WHERE source_run_id = %s"
    world.owner.execute(age, [LONG_AGO, "success", LONG_AGO, first])
    world.owner.execute(age, [LONG_AGO, "running", None, second])
    with connect(world.platform.warehouse_config()) as connection:
        kept = purge_expired(connection, RetentionSettings(source_runs_days=0))
        assert kept["source_runs"] == 0
        assert purge_expired(connection, RetentionSettings())["source_runs"] >= 1
    assert first not in {row["source_run_id"] for row in world.runs()}
    assert len(world.runs()) == 2


@pytest.mark.parametrize("keep", ["NULL", "interval '1 second'", "interval '-1 day'"])
def test_recent_runs_cannot_be_purged(platform: Platform, keep: str) -> None:
    with connect(platform.warehouse_config()) as connection, pytest.raises(pg.RaiseException):
        connection.execute(f"SELECT ops.purge_source_runs({keep}, 10)".encode())


@pytest.mark.parametrize("table", ["source_position", "source_run"])
@pytest.mark.parametrize(
    ("role", "statement"),
    [("ingest", "DELETE FROM ops.{}"), ("ingest", "TRUNCATE ops.{}"), ("reader", "UPDATE ops.{} SET source = 'x'"),
     ("transform", "INSERT INTO ops.{} (source, element) VALUES ('a', 'b')"),
     ("reader", "SELECT ops.purge_source_runs(interval '1 day', 1) FROM ops.{}")],
)  # fmt: skip
def test_roles_change_no_more_than_they_need(platform: Platform, table: str, role: str, statement: str) -> None:
    with connect(platform.warehouse_config(role)) as connection:
        connection.execute(f"SELECT count(*) FROM ops.{table}".encode())
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute(statement.format(table).encode())
