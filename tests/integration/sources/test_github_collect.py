"""The shipped definitions of GitHub, into the real bucket and warehouse: no missing and no duplicate records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from github_world import BEACON, LEDGER, World

from include.errors import Code, PermanentError, PipelineError, RetryableError
from local.services.served_api import Fault
from local.services.stand_ins.service import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration


@pytest.fixture
def world(github_world: World) -> World:
    return github_world


def test_first_run_loads_all_records_into_the_table(world: World) -> None:
    done = world.collect(LEDGER, page_size=100)
    happened = world.happened(LEDGER)
    pages = -(-len(happened) // 100)
    assert done.records_read == len(happened) > 1000
    assert done.requests == 2 * pages, "each page except the last is requested again with its ETag, the first twice"
    assert done.is_stand_in
    names = sorted(f"10-00-00{'' if number == 1 else f'-{number:03}'}.json" for number in range(1, pages + 1))
    assert world.raw == [f"github-commits/2026-11-21/{name}" for name in names]
    assert world.incoming == [done.object_key]
    assert (done.object_key or "").startswith(
        f"incoming/{world.name}_commits/{world.name}_commits/repos-harbour-ledger-commits_"
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
    assert all(row["is_merge"] == (row["parent_count"] > 1) for row in rows.values())
    assert (row["source"], row["fetched_at"], row["_rescued"]) == ("github", world.api.now, None)
    position = world.position(LEDGER)
    assert position["watermark"] == newest.committed_at
    assert position["address"] == "/github/repos/harbour/ledger/commits?per_page=100"


def test_raw_answer_is_stored_byte_for_byte(world: World) -> None:
    world.collect(pages=1)
    request = Request(
        f"{world.api.url}/github/repos/{BEACON}/commits?per_page=30", headers={"Authorization": f"Bearer {KEY}"}
    )
    with urlopen(request, timeout=10) as answer:
        assert world.body(world.raw_bucket, world.raw[0]) == answer.read()


def test_new_records_are_requested_from_the_watermark_and_nothing_new_costs_one_request(world: World) -> None:
    world.collect()
    known = {commit.sha for commit in world.happened()}
    newest = datetime.fromisoformat(world.happened()[-1].committed_at)
    world.api.now += timedelta(days=3)
    world.api.state.requests.clear()
    done = world.collect(overlap="6h")
    since = (newest - timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert {asked.query["since"] for asked in world.api.state.requests} == {since}
    expected = {commit.sha for commit in world.happened() if commit.committed_at >= since}
    assert {row["sha"] for row in world.rows_of(done.object_key)} == expected
    assert expected - known
    world.collect(overlap="6h")  # the start of this one is another address, so there is no ETag for it yet
    before = (world.raw, world.incoming, world.position())
    world.api.state.requests.clear()
    done = world.collect(overlap="6h")
    assert (done.is_not_modified, done.requests, done.records_read, done.object_key) == (True, 1, 0, None)
    [asked] = world.api.state.requests
    assert asked.headers["if-none-match"] == before[2]["etag"]
    assert (world.raw, world.incoming) == before[:2]
    entries = world.load()
    assert sum(entry["rows_inserted"] for entry in entries) == len(world.happened()) == len(world.table())
    assert {entry["rows_rejected"] for entry in entries} == {0}


def test_full_run_requests_all_records_again(world: World) -> None:
    world.collect(page_size=100)
    world.api.state.requests.clear()
    assert world.collect(full=True, page_size=100).records_read == len(world.happened())
    assert "if-none-match" not in world.api.state.requests[0].headers
    assert all("since" not in asked.query for asked in world.api.state.requests)


def test_table_of_the_former_collector_is_loaded_on(world: World) -> None:
    """It lacks the columns that are new, and has the rows of the former collector."""
    contract = world.contract("commits")
    columns = [
        {"name": column.name, "type": column.postgres_type, "required": column.required}
        for column in contract.columns
        if column.name != "parents"
    ]
    world.owner.execute("SELECT ops.ensure_dataset(%s, %s::jsonb, '{sha}')", [contract.dataset, json.dumps(columns)])
    known = world.happened()[-1]
    for sha in (known.sha, "f" * 40):
        world.owner.execute(
            f"INSERT INTO raw.{contract.dataset} (sha, repository, parent_count, fetched_at, _file_id, _source_row, "
            "_loaded_at) VALUES (%s, %s, 1, '2026-01-01Z', 1, 1, now())".encode(),
            [sha, BEACON],
        )
    world.collect(page_size=100)
    [entry] = world.load()
    assert (entry["status"], entry["rows_updated"]) == ("archived", 1)
    rows = {row["sha"]: row for row in world.table()}
    assert len(rows) == len(world.happened()) + 1
    assert (rows["f" * 40]["parents"], len(rows[known.sha]["parents"])) == (None, len(known.parents))


# Stopped runs


def run_until_done(world: World, most: int = 40, **changes: Any) -> int:
    """Run the collector until the listing is complete, and return the number of runs."""
    for run in range(1, most):
        if not world.collect(**changes).is_unfinished:
            return run
    raise AssertionError("the listing is not complete after the last run")


def test_runs_of_few_pages_reach_the_end_of_the_history_while_it_grows(world: World) -> None:
    world.collect(pages=3)
    for _ in range(3):
        world.api.now += timedelta(days=10)
        world.collect(pages=3)
    run_until_done(world)
    assert {commit.sha for commit in world.happened()} - set(world.shas()) == set(), "they are on the first pages"
    world.api.state.requests.clear()
    world.collect()
    assert "since" in world.api.state.requests[0].query


STOPS = {
    "rate limit": (Fault(status=429, headers={"retry-after": "600"}), RetryableError, Code.RATE_LIMITED),
    "secondary limit": (
        Fault(status=403, times=5, body=b'{"message": "You have exceeded a secondary rate limit."}'),
        RetryableError, Code.RATE_LIMITED,
    ),
    "failure": (Fault(status=500, times=50), RetryableError, Code.SOURCE_UNAVAILABLE),
    "no JSON": (Fault(status=200, times=5, body=b"<html>Busy</html>"), RetryableError, Code.SOURCE_UNAVAILABLE),
    "token revoked": (Fault(status=401), PermanentError, Code.SOURCE_REFUSED),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "kind", "code"), STOPS.values(), ids=STOPS)
def test_records_read_before_a_stop_are_kept_and_the_next_run_reads_the_others(
    world: World, fault: Fault, kind: type[PipelineError], code: Code
) -> None:
    world.api.state.faults += [
        Fault(status=None, times=5),
        Fault(fault.status, fault.times, fault.headers, fault.body),
    ]
    with pytest.raises(kind) as stopped:
        world.collect()
    assert stopped.value.code is code
    assert len(set(world.shas())) == 90, "three pages, two of them requested again"
    world.api.state.faults.clear()
    run_until_done(world)
    assert set(world.shas()) == {commit.sha for commit in world.happened()}


def test_limit_without_a_wait_that_is_named_is_waited_for(world: World) -> None:
    body = b'{"message": "You have exceeded a secondary rate limit."}'
    world.api.state.faults.append(Fault(status=403, body=body))
    done = world.collect(page_size=100)
    assert (world.slept, done.waited_seconds) == (pytest.approx([60], abs=2), pytest.approx(60, abs=2))
    assert done.records_read == len(world.happened())


# Records that are removed while a listing is unfinished

AFTER_A_FORCE_PUSH: dict[str, Callable[[list[Any]], list[Any]]] = {
    "a page and more is gone": lambda history: history[:-75],
    "some are gone": lambda history: history[:-20],
    "the last record that was read is gone": lambda history: history[:-90] + history[-89:],
    "all records that were read are gone": lambda history: history[:-90],
}


@pytest.mark.parametrize("pages", [200, 2])
@pytest.mark.parametrize("kind", AFTER_A_FORCE_PUSH)
def test_force_push_during_an_unfinished_listing_hides_no_record(world: World, kind: str, pages: int) -> None:
    world.collect(pages=3)
    world.repositories.history[BEACON] = AFTER_A_FORCE_PUSH[kind](world.happened())
    run_until_done(world, pages=pages)
    assert {commit.sha for commit in world.happened()} <= set(world.shas())


def test_more_new_records_than_a_page_are_no_force_push(world: World) -> None:
    world.collect(pages=3)
    world.api.now += timedelta(days=60)
    world.api.state.requests.clear()
    run_until_done(world, pages=3)
    first = [asked for asked in world.api.state.requests if "page" not in asked.query]
    assert all("if-none-match" in asked.headers for asked in first), "the listing is not read from its first page"


# Records


def test_bad_record_is_written_and_refused_by_the_contract(world: World) -> None:
    world.collect(page_size=100)
    first = next(key for key in world.raw if "-0" not in key.rpartition("/")[2].removeprefix("10-00-00"))
    page: list[Any] = json.loads(world.body(world.raw_bucket, first))
    del page[0]["sha"]
    page[1] = "no record"
    page[2]["commit"]["committer"]["date"] = "2030-01-01T00:00:00Z"
    world.api.state.faults.append(Fault(status=200, body=json.dumps(page).encode()))
    assert world.collect(full=True).records_read == 100
    assert world.position()["watermark"] < "2030", "a time in the future must not become the watermark"
    found = {(entry["status"], entry["rows_read"], entry["rows_rejected"]) for entry in world.load()}
    assert found == {("archived", len(world.happened()), 0), ("archived", 100, 2)}


def test_repository_without_commits_is_no_failure(world: World) -> None:
    for _ in range(2):
        done = world.collect("harbour/empty")
        assert (done.records_read, done.object_key) == (0, None)


def test_answer_without_records_writes_no_file(world: World) -> None:
    world.api.now = datetime(2026, 1, 1, tzinfo=UTC)
    done = world.collect()
    assert (done.records_read, done.object_key, len(world.raw), world.incoming) == (0, None, 1, [])
    assert world.collect().is_not_modified


def test_missing_repository_is_refused_with_a_remedy(world: World) -> None:
    with pytest.raises(PermanentError, match=r"status 404: Not Found.*Check the paths in sources/") as refusal:
        world.collect("harbour/none")
    assert refusal.value.code is Code.SOURCE_REFUSED


def test_renamed_repository_keeps_its_name_here(world: World) -> None:
    done = world.collect("harbour/old-ledger", pages=1)
    assert {row["_for_repository"] for row in world.rows_of(done.object_key)} == {"harbour/old-ledger"}


@pytest.mark.parametrize("endpoint", ["issues", "events"])
def test_further_endpoints_load(world: World, endpoint: str) -> None:
    done = world.collect(endpoint=endpoint, page_size=100)
    assert world.raw[-1] == f"github-{endpoint}/2026-11-21/10-00-00.json"
    [entry] = world.load(endpoint)
    assert (entry["status"], entry["rows_rejected"], entry["rows_duplicate"]) == ("archived", 0, 0)
    rows = world.table(endpoint)
    assert len(rows) == done.records_read > 100
    if endpoint == "issues":
        assert {row["is_pull_request"] for row in rows} == {True, False}
        assert all(row["is_pull_request"] == (row["number"] % 3 > 0) for row in rows)
        assert {row["label_count"] for row in rows} == {0, 1}


def test_events_are_not_requested_before_the_api_allows_it(world: World) -> None:
    world.collect(endpoint="events", page_size=100)
    world.api.state.requests.clear()
    done = world.collect(endpoint="events", page_size=100)
    assert done.skipped_until is not None
    assert world.api.state.requests == []
