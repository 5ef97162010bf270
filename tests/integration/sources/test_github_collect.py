"""From the replay of the API into the real bucket and warehouse: no missing and no duplicate records."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier, BrokenBarrierError, Thread
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from github_world import BEACON, LEDGER, World

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.sources.github.collect import collect_all
from include.sources.github.storage import SourceObjects, States
from include.stores.object_store import ObjectInfo, ObjectStore
from include.stores.warehouse import connect
from local.services.github_api.server import Fault

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_first_run_loads_all_records_into_the_table(world: World) -> None:
    done = world.collect(LEDGER, page_size=100)
    happened = world.happened(LEDGER)
    assert (done.answer, done.not_modified) == ("new records", False)
    assert done.records == len(happened) > 1000
    assert done.pages == len(done.raw_keys) == -(-len(happened) // 100)
    assert done.requests == 2 * done.pages - 1, "each page except the last is requested again, with its ETag"
    assert world.raw == sorted(done.raw_keys)
    assert done.raw_keys[:3] == [f"github-commits/2026-11-21/10-00-00{n}.json" for n in ("", "-002", "-003")]
    assert world.incoming == [done.file_key]
    assert done.file_key == (
        f"incoming/{world.name}_commits/{world.name}_commits_harbour-ledger_20261121T100000Z.ndjson"
    )
    [entry] = world.load()
    assert (entry["status"], entry["rows_rejected"], entry["rows_inserted"]) == ("archived", 0, len(happened))
    rows = {row["sha"]: row for row in world.table()}
    newest = happened[-1]
    row = rows[newest.sha]
    assert rows.keys() == {commit.sha for commit in happened}
    assert row["author_email"] == newest.email.lower()
    assert row["committed_at"] == datetime.fromisoformat(newest.committed_at)
    assert (row["repository"], row["message"], row["parent_count"]) == (LEDGER, newest.message, len(newest.parents))
    assert (row["is_merge"], row["source"]) == (len(newest.parents) > 1, "github")
    assert row["fetched_at"] == world.api.now
    state = world.state(LEDGER)
    assert (state["source"], state["answer"], state["newest_at"]) == ("github", "new records", row["committed_at"])
    assert state["request_url"] == "/repos/harbour/ledger/commits?per_page=100"


def test_raw_response_is_stored_byte_for_byte(world: World) -> None:
    done = world.collect(max_pages=1)
    request = Request(f"{world.api.url}/repos/{BEACON}/commits?per_page=30", headers={"Authorization": "Bearer secret"})
    with urlopen(request, timeout=10) as answer:
        assert world.body(world.raw_bucket, done.raw_keys[0]) == answer.read()


def test_nothing_new_costs_one_request_and_writes_nothing(world: World) -> None:
    world.collect()
    before = (world.raw, world.incoming, world.state())
    world.api.requests.clear()
    done = world.collect()
    assert (done.answer, done.not_modified, done.requests) == ("no new records", True, 1)
    assert (done.pages, done.records, done.file_key, done.raw_keys) == (0, 0, None, [])
    [asked] = world.api.requests
    assert asked.headers["if-none-match"] == before[2]["etag"]
    assert (world.raw, world.incoming) == before[:2]
    kept = ("newest_at", "request_url", "etag")
    assert [world.state()[name] for name in kept] == [before[2][name] for name in kept]
    assert world.state()["asked_at"] > before[2]["asked_at"]


def test_new_records_are_requested_from_the_watermark_and_then_not_modified(world: World) -> None:
    world.collect()
    known = {commit.sha for commit in world.happened()}
    newest = datetime.fromisoformat(world.happened()[-1].committed_at)
    world.api.requests.clear()
    world.api.now += timedelta(days=3)
    world.now += timedelta(days=3)
    done = world.collect(overlap_hours=6)
    since = (newest - timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The first listing has many pages: its first page is only used to detect a change.
    assert [asked.query.get("since") for asked in world.api.requests] == [None, since]
    expected = {commit.sha for commit in world.happened() if commit.committed_at >= since}
    assert {row["sha"] for row in world.rows_of(done.file_key)} == expected
    assert expected - known
    assert (done.answer, done.records, len(done.raw_keys)) == ("new records", len(expected), 2)
    world.api.requests.clear()
    assert world.collect().not_modified
    world.api.now += timedelta(days=3)
    world.now += timedelta(days=3)
    world.api.requests.clear()
    assert world.collect().answer == "new records"
    assert len(world.api.requests) == 1, "a listing of one page needs no second request"
    first, second, third = world.load()
    counts = [entry["rows_inserted"] for entry in (first, second, third)]
    assert sum(counts) == len(world.happened()) == len(world.table())
    assert [entry["rows_rejected"] for entry in (first, second, third)] == [0, 0, 0]


def test_full_run_requests_all_records_again(world: World) -> None:
    world.collect()
    world.now += timedelta(hours=1)
    world.api.requests.clear()
    done = world.collect(full=True)
    assert done.records == len(world.happened())
    assert "if-none-match" not in world.api.requests[0].headers
    assert all("since" not in asked.query for asked in world.api.requests)
    assert world.collect().not_modified


def test_stopped_full_run_is_continued_by_its_retry(world: World) -> None:
    world.collect(page_size=60)
    world.now += timedelta(hours=1)
    world.api.faults += [Fault(status=None, times=5), Fault(times=2)]
    with pytest.raises(RetryableError):
        world.collect(full=True, page_size=60)
    first = world.incoming[-1]
    world.now += timedelta(hours=1)
    world.api.requests.clear()
    world.collect(full=True, retry=True, page_size=60)
    assert world.api.requests[0].query.get("page") == "3", "the read must not start at the first page"
    again = {row["sha"] for key in (first, world.incoming[-1]) for row in world.rows_of(key)}
    assert again == {commit.sha for commit in world.happened()}


def test_full_run_without_a_response_is_repeated_by_the_next_run(world: World) -> None:
    world.collect(page_size=100)
    world.now += timedelta(hours=1)
    world.api.faults.append(Fault(times=2))
    with pytest.raises(RetryableError):
        world.collect(full=True, page_size=100)
    assert world.collect(page_size=100).records == len(world.happened())


def test_retry_whose_first_attempt_did_not_start_requests_all_records(world: World) -> None:
    world.collect(page_size=100)
    world.now += timedelta(hours=1)
    assert world.collect(full=True, retry=True, page_size=100).records == len(world.happened())


# Stopped runs


def run_until_done(world: World, most: int = 40, **settings: Any) -> int:
    """Run the collector until the listing is complete, and return the number of runs."""
    for run in range(1, most):
        world.now += timedelta(minutes=30)
        if world.collect(**settings).answer != "unfinished; the next run continues":
            return run
    raise AssertionError("the listing is not complete after the last run")


@pytest.mark.parametrize("max_pages", [1, 3], ids=["one page", "three pages"])
def test_runs_of_few_pages_reach_the_end_of_the_history(world: World, max_pages: int) -> None:
    pages = -(-len(world.happened()) // 60)
    assert run_until_done(world, max_pages=max_pages, page_size=60) == -(-pages // max_pages)
    assert set(world.shas()) == {commit.sha for commit in world.happened()}
    # The history is complete; the next run requests only newer records.
    world.api.requests.clear()
    world.collect()
    assert "since" in world.api.requests[0].query
    assert world.collect().not_modified


def test_records_added_while_a_listing_is_unfinished_are_read(world: World) -> None:
    world.collect(max_pages=3)
    for _ in range(6):
        world.api.now += timedelta(days=10)
        world.now += timedelta(days=10)
        world.collect(max_pages=3)
    run_until_done(world)
    assert set(world.shas()) == {commit.sha for commit in world.happened()}


def test_watermark_and_unread_position_are_stored_together(world: World) -> None:
    done = world.collect(max_pages=2)
    state = world.state()
    assert done.answer == state["answer"] == "unfinished; the next run continues"
    assert (state["request_url"], state["etag"]) == ("/repos/harbour/beacon/commits?per_page=30&page=2", None)
    assert state["newest_at"] == datetime.fromisoformat(world.happened()[-1].committed_at)
    assert done.records == 60


STOPS = {
    "rate limit": (Fault(status=429, headers={"retry-after": "600"}), RetryableError, Code.RATE_LIMITED),
    "failure": (Fault(status=500, times=2), RetryableError, Code.SOURCE_UNAVAILABLE),
    "no JSON": (Fault(status=200, body=b"<html>Maintenance</html>"), RetryableError, Code.SOURCE_UNAVAILABLE),
    "no list": (Fault(status=200, body=b'{"hello": "world"}'), PermanentError, Code.SOURCE_REFUSED),
    "token revoked": (Fault(status=401), PermanentError, Code.SOURCE_REFUSED),
}


@pytest.mark.parametrize(("fault", "kind", "code"), STOPS.values(), ids=STOPS)
def test_records_read_before_a_stop_are_kept_and_the_listing_continues(
    world: World, fault: Fault, kind: type[PipelineError], code: Code
) -> None:
    world.collect(max_pages=3)
    # The fault occurs after three requests: the page that is read again, a new page, and the first one with its ETag.
    world.api.faults += [
        Fault(status=None, times=3, path_contains="commits"),
        Fault(fault.status, fault.times, fault.headers, fault.body),
    ]
    world.now += timedelta(minutes=30)
    with pytest.raises(kind) as stopped:
        world.collect()
    assert stopped.value.code is code
    assert world.state()["answer"] == str(stopped.value)
    assert world.state()["request_url"].endswith("page=4")
    assert len(world.incoming) == 2
    run_until_done(world)
    assert set(world.shas()) == {commit.sha for commit in world.happened()}


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"<html>Maintenance</html>", "it begins with: <html>Maintenance"), (b'{"hello": 1}', 'begins with: {"hello"')],
    ids=["no JSON", "no list"],
)
def test_invalid_response_is_stored_and_shown(world: World, body: bytes, words: str) -> None:
    world.api.faults.append(Fault(status=200, body=body))
    with pytest.raises(PipelineError, match=words) as failure:
        world.collect()
    [key] = world.raw
    assert failure.value.details["raw"] == key
    assert world.body(world.raw_bucket, key) == body
    assert world.incoming == []
    assert world.state()["answer"] == str(failure.value)
    assert world.state()["newest_at"] is None


@pytest.mark.parametrize(
    "fault",
    [Fault(status=422), Fault(status=404), Fault(status=200, body=b"[]")],
    ids=["too deep", "gone", "empty"],
)
def test_listing_whose_pages_are_gone_is_read_again_from_its_since_time(world: World, fault: Fault) -> None:
    world.collect()
    world.api.now += timedelta(days=60)
    world.now += timedelta(days=60)
    world.collect(max_pages=1)
    since = [asked.query.get("since") for asked in world.api.requests][-1]
    world.api.requests.clear()
    world.api.faults.append(Fault(fault.status, body=fault.body))
    world.now += timedelta(minutes=30)
    world.collect()
    assert [asked.query.get("since") for asked in world.api.requests][:2] == [since, since]
    assert set(world.shas()) == {commit.sha for commit in world.happened()}


def after_a_force_push(world: World, kind: str) -> list[Any]:
    """Return the history after a force push; 90 commits were read before it, and the 90th is `[-90]`."""
    history = world.happened()
    return {
        "a page and more is gone": history[:-75],
        "some are gone": history[:-20],
        "the last record that was read is gone": history[:-90] + history[-89:],
        "all records that were read are gone": history[:-90],
    }[kind]


@pytest.mark.parametrize(
    ("kind", "restarted", "max_pages"),
    [
        ("a page and more is gone", True, 200),
        ("a page and more is gone", True, 2),
        ("some are gone", False, 200),
        ("the last record that was read is gone", True, 200),
        ("all records that were read are gone", True, 200),
    ],
)
def test_force_push_during_an_unfinished_listing_hides_no_record(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, restarted: bool, max_pages: int
) -> None:
    world.collect(max_pages=3)
    monkeypatch.setitem(world.api.replay.history, BEACON, after_a_force_push(world, kind))
    world.api.requests.clear()
    run_until_done(world, max_pages=max_pages)
    assert {commit.sha for commit in world.happened()} <= set(world.shas())
    assert any("page" not in asked.query for asked in world.api.requests) == restarted


def test_more_new_records_than_a_page_are_no_force_push(world: World) -> None:
    world.collect(max_pages=3)
    world.api.now += timedelta(days=60)
    world.now += timedelta(days=60)
    world.api.requests.clear()
    run_until_done(world, max_pages=3)
    assert all("page" in asked.query for asked in world.api.requests)


def test_restarted_listing_that_is_stopped_at_once_is_read_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.collect(max_pages=3)
    monkeypatch.setitem(world.api.replay.history, BEACON, after_a_force_push(world, "a page and more is gone"))
    remaining = -(-len(world.happened()) // 30) - 2
    world.api.faults += [Fault(status=None, times=2 * remaining - 1), Fault(times=2)]
    with pytest.raises(RetryableError):
        world.collect()
    assert world.state()["request_url"] == "/repos/harbour/beacon/commits?per_page=30"
    run_until_done(world)
    assert {commit.sha for commit in world.happened()} <= set(world.shas())


@pytest.mark.parametrize("status", [404, 422])
def test_first_page_whose_address_is_gone_is_replaced_by_a_new_request(world: World, status: int) -> None:
    world.collect(page_size=100)
    world.api.requests.clear()
    world.api.faults.append(Fault(status=status))
    assert world.collect(page_size=100).answer == "new records"
    asked = [("since" in asked.query, "if-none-match" in asked.headers) for asked in world.api.requests]
    assert asked == [(False, True), (True, False)]
    # Now the last request equals a new one, so there is no other request to try: the repository is gone.
    world.api.faults.append(Fault(status=status))
    with pytest.raises(PermanentError, match=f"status {status}"):
        world.collect(page_size=100)
    assert len(world.api.requests) == 3


def test_failure_at_the_first_request_keeps_the_state(world: World) -> None:
    world.collect()
    before = world.state()
    world.api.faults.append(Fault(times=2))
    with pytest.raises(RetryableError):
        world.collect()
    after = world.state()
    assert {**before, "answer": after["answer"], "asked_at": after["asked_at"]} == after
    assert "source-unavailable" in after["answer"]
    assert world.collect().not_modified


# Crashes


class CrashError(Exception):
    """A simulated crash of the worker."""


def test_crash_before_the_state_is_stored_repeats_without_duplicates(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(self: SourceObjects, *args: Any) -> str:
        drop(self, *args)
        raise CrashError

    drop = SourceObjects.drop
    monkeypatch.setattr(SourceObjects, "drop", dying)
    with pytest.raises(CrashError):
        world.collect()
    assert world.state() == {}
    assert len(world.incoming) == 1
    monkeypatch.undo()
    again = world.collect()
    assert len(world.incoming) == 2, "the second file of the same second must not overwrite the first"
    assert again.file_key is not None
    assert again.file_key.endswith("T100000Z-002.ndjson")
    entries = world.load()
    # The clock does not move here, so both files have the same bytes; otherwise the rows of the second were updates.
    assert sorted(entry["status"] for entry in entries) == ["archived", "duplicate"]
    assert len(world.table()) == len(world.happened())


@pytest.mark.parametrize("bucket", ["raw", "landing"])
def test_state_is_not_stored_without_the_objects(world: World, bucket: str) -> None:
    setattr(world, f"{bucket}_bucket", "none-of-this-name")
    with pytest.raises(PermanentError) as refusal:
        world.collect()
    assert refusal.value.code is Code.BUCKET_REFUSED
    assert world.state().get("newest_at") is None


def test_concurrent_runs_use_no_object_key_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock, both would check for the key before either writes it."""
    meeting = Barrier(2)

    def synchronised_head(self: ObjectStore, bucket: str, key: str) -> ObjectInfo | None:
        found = head(self, bucket, key)
        with suppress(BrokenBarrierError):
            meeting.wait(timeout=2)
        return found

    def keep(body: bytes) -> None:
        with connect(world.platform.warehouse_config()) as connection:
            objects = SourceObjects(world.objects, States(connection), world.raw_bucket, world.landing_bucket)
            objects.keep_answer(world.endpoint(), world.now, body)

    head = ObjectStore.head
    monkeypatch.setattr(ObjectStore, "head", synchronised_head)
    threads = [Thread(target=keep, args=[body]) for body in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(world.body(world.raw_bucket, key) for key in world.raw) == [b"one", b"two"]


# Records


def test_bad_record_is_written_and_refused_by_the_contract(world: World) -> None:
    world.collect(page_size=100)
    page: list[Any] = json.loads(world.body(world.raw_bucket, world.raw[0]))
    world.now += timedelta(hours=1)
    del page[0]["sha"]
    page[1] = "no record"
    page[2]["commit"]["committer"]["date"] = "2030-01-01T00:00:00Z"
    world.api.faults.append(Fault(status=200, body=json.dumps(page).encode()))
    done = world.collect(full=True)
    assert done.records == 100
    assert world.state()["newest_at"] < world.now, "a time in the future must not become the watermark"
    _, entry = world.load()
    assert (entry["status"], entry["rows_read"], entry["rows_rejected"]) == ("archived", 100, 2)
    rejects = world.owner.execute(
        "SELECT DISTINCT source_row, code FROM ops.rejected_rows WHERE file_id = %s AND column_name = 'sha'",
        [entry["file_id"]],
    ).fetchall()
    assert sorted((row["source_row"], row["code"]) for row in rejects) == [(1, "missing-value"), (2, "missing-value")]


def test_repository_without_commits_is_no_failure(world: World) -> None:
    for _ in range(2):
        done = world.collect("harbour/empty")
        assert (done.answer, done.records, done.file_key, done.raw_keys) == ("empty repository", 0, None, [])


def test_response_without_records_writes_no_file(world: World) -> None:
    world.api.now = datetime(2026, 1, 1, tzinfo=UTC)
    done = world.collect()
    assert (done.answer, done.records, done.file_key, len(done.raw_keys)) == ("no new records", 0, None, 1)
    assert world.incoming == []
    assert world.collect().not_modified


def test_renamed_repository_keeps_its_name_here(world: World) -> None:
    done = world.collect("harbour/old-ledger", max_pages=1)
    assert done.records == 30
    assert {row["repository"] for row in world.rows_of(done.file_key)} == {"harbour/old-ledger"}


# Further endpoints


@pytest.mark.parametrize("name", ["issues", "events"])
def test_further_endpoint_is_an_entry_of_the_table(world: World, name: str) -> None:
    done = world.collect(endpoint=name)
    assert done.raw_keys[0] == f"github-{name}/2026-11-21/10-00-00.json"
    [entry] = world.load(name)
    assert (entry["status"], entry["rows_rejected"], entry["rows_duplicate"]) == ("archived", 0, 0)
    rows = world.table(name)
    assert len(rows) == done.records > 100
    assert world.collect(endpoint=name).not_modified
    world.api.now += timedelta(days=8)
    world.now += timedelta(days=8)
    new = world.collect(endpoint=name)
    assert 0 < new.records < done.records
    assert world.load(name)[-1]["rows_inserted"] > 0


def test_issues_and_pull_requests_are_distinguished(world: World) -> None:
    world.collect(endpoint="issues")
    world.load("issues")
    rows = world.table("issues")
    assert {row["is_pull_request"] for row in rows} == {True, False}
    assert all(row["is_pull_request"] == (row["number"] % 3 > 0) for row in rows)


# Several repositories


def test_missing_repository_does_not_stop_the_others(world: World) -> None:
    with world.collector() as collector, pytest.raises(PermanentError) as refusal:
        collect_all(collector, ["harbour/none", BEACON, "harbour/nothing"], [world.endpoint()])
    assert refusal.value.code is Code.SOURCE_REFUSED
    assert refusal.value.message.startswith("2 of 3 failed: harbour/none commits: ")
    assert "harbour/nothing commits: " in refusal.value.message
    assert len(world.shas()) == len(world.happened())
    assert "Check the repository's name" in world.state("harbour/none")["answer"]


def test_refusal_of_the_only_repository_is_raised_unchanged(world: World) -> None:
    with world.collector() as collector, pytest.raises(PermanentError, match="status 404: Not Found") as refusal:
        collect_all(collector, ["harbour/none"], [world.endpoint()])
    assert refusal.value.details["status"] == 404


def test_error_is_retryable_if_a_retry_helps_one_repository(world: World) -> None:
    world.api.faults.append(Fault(times=2, path_contains="beacon"))
    with world.collector() as collector, pytest.raises(RetryableError, match="harbour/none") as failure:
        collect_all(collector, ["harbour/none", "harbour/beacon"], [world.endpoint()])
    assert failure.value.code is Code.SOURCE_UNAVAILABLE


def test_used_up_limit_stops_the_other_repositories(world: World) -> None:
    world.api.limit = 5
    with world.collector() as collector, pytest.raises(RetryableError, match="2 of 2 failed") as failure:
        collect_all(collector, [BEACON, LEDGER], [world.endpoint()])
    assert failure.value.code is Code.RATE_LIMITED
    free = [asked for asked in world.api.requests if "if-none-match" in asked.headers]
    assert (len(world.api.requests), len(free)) == (8, 3)
    assert len(world.shas()) == 120


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        pytest.param(Fault(status=404), PermanentError, Code.SOURCE_REFUSED, id="refused"),
        pytest.param(Fault(times=2), RetryableError, Code.SOURCE_UNAVAILABLE, id="unavailable"),
    ],
)
def test_limit_does_not_hide_another_failure(world: World, fault: Fault, kind: type[PipelineError], code: Code) -> None:
    world.api.faults += [
        Fault(status=429, path_contains="beacon", headers={"retry-after": "600"}),
        Fault(fault.status, fault.times, path_contains="ledger"),
    ]
    with world.collector(attempts=2) as first, pytest.raises(kind, match="2 of 2 failed") as failure:
        collect_all(first, [LEDGER, BEACON], [world.endpoint()])
    assert failure.value.code is code


def test_result_is_summarised_in_one_line(world: World, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level("INFO", logger="include.sources")
    done = world.collect(max_pages=2)
    [line] = [record.message for record in caplog.records if record.name == "include.sources.github.collect"]
    assert (
        line
        == str(done)
        == (
            f"harbour/beacon commits: unfinished; the next run continues: 3 requests, 2 pages, 60 records, "
            f"file {done.file_key}"
        )
    )
    assert done.summary()["records"] == 60
    assert "secret" not in caplog.text
