"""Problems between the API and the table: unusual records, moving pages, renamed repositories, wrong clocks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from github_world import LEDGER

from include.errors import Code, PermanentError, RetryableError
from include.sources.rest import client as client_module
from local.services.served_api import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from github_world import World

    from local.services.served_api import Asked
    from local.services.stand_ins.github_records import Record

pytestmark = pytest.mark.integration


@pytest.fixture
def world(github_world: World) -> World:
    return github_world


# Unusual records that Git allows, and invalid ones


def author_of(record: Record) -> Any:
    return record["commit"]["author"]


# The change of a commit, and whether it loads; all other commits must load.
STRANGE: dict[str, tuple[Callable[[Record], Any], bool]] = {
    "empty message": (lambda record: record["commit"].update(message=""), True),
    "blank message": (lambda record: record["commit"].update(message=" \n"), True),
    "author without a name": (lambda record: author_of(record).update(name=""), True),
    "author without anything": (lambda record: author_of(record).update(name="", email=""), True),
    "author is null": (lambda record: record["commit"].update(author=None), True),
    "committer is null": (lambda record: record["commit"].update(committer=None), True),
    "account is null": (lambda record: record.update(author=None), True),
    "written in 1969": (lambda record: author_of(record).update(date="1969-12-31T23:59:59Z"), True),
    "written in 2106": (lambda record: author_of(record).update(date="2106-02-07T06:28:16Z"), True),
    "written in 9999": (lambda record: author_of(record).update(date="9999-12-31T23:59:59Z"), True),
    "very long name": (lambda record: author_of(record).update(name="n" * 5000), True),
    "many parents": (lambda record: record.update(parents=record["parents"] * 2000), True),
    "sha of 256 bits": (lambda record: record.update(sha="a" * 64), True),
    "NUL in the message": (lambda record: record["commit"].update(message="a\0b"), False),
    "lone surrogate": (lambda record: record["commit"].update(message="a\ud800b"), False),
    "400,000 CJK characters": (lambda record: record["commit"].update(message="字" * 400_000), False),
    "no parents": (lambda record: record.pop("parents"), False),
    "no sha": (lambda record: record.update(sha=None), False),
    "time that is none": (lambda record: author_of(record).update(date="soon"), False),
}


def strange(kinds: list[str]) -> Callable[[str, list[Record]], list[Record]]:
    """Change the newest records, one for each kind."""

    def edit(_endpoint: str, records: list[Record]) -> list[Record]:
        for record, kind in zip(records, kinds, strict=False):
            STRANGE[kind][0](record)
        return records

    return edit


@pytest.mark.parametrize("kind", STRANGE)
def test_unusual_commit_does_not_block_the_others(world: World, kind: str) -> None:
    """A file of two commits, so that an error budget or a check of the whole file would refuse it."""
    world.repositories.edit = lambda endpoint, records: strange([kind])(endpoint, records)[:2]
    done = world.collect()
    assert done.records_read == 2

    (entry,) = world.load()

    loads = STRANGE[kind][1]
    assert (entry["status"], entry["rows_read"], entry["rows_rejected"]) == ("archived", 2, 0 if loads else 1)
    assert len(world.table()) == 2 - (not loads)


def test_all_unusual_commits_together_do_not_block_the_others(world: World) -> None:
    kinds = list(STRANGE)
    world.repositories.edit = strange(kinds)
    done = world.collect(page_size=100)

    (entry,) = world.load()

    refused = sum(not loads for _, loads in STRANGE.values())
    assert (entry["status"], entry["rows_rejected"]) == ("archived", refused)
    assert len(world.table()) == done.records_read - refused == len(world.happened()) - refused
    assert world.position()["watermark"] <= f"{world.api.now:%Y-%m-%d}"


def test_commit_of_the_year_0_is_refused_alone_or_loads(world: World) -> None:
    """Git has no such date. The commit may be rejected or not; the others must load."""
    world.repositories.edit = lambda _, records: [author_of(records[0]).update(date="0000-01-01T00:00:00Z"), records][1]
    done = world.collect(page_size=100)
    (entry,) = world.load()
    assert entry["status"] == "archived"
    assert len(world.table()) >= done.records_read - 1


def test_empty_text_is_null_and_counts_nothing(world: World) -> None:
    world.repositories.edit = strange(["empty message", "author is null"])
    world.collect(page_size=100)
    world.load()
    shas = [commit.sha for commit in reversed(world.happened())][:2]
    rows = {row["sha"]: row for row in world.table()}
    assert (rows[shas[0]]["message"], rows[shas[0]]["message_length"]) == (None, 0)
    assert (rows[shas[1]]["author_name"], rows[shas[1]]["authored_at"], rows[shas[1]]["hour"]) == (None, None, None)


# Pages that move


def remove_when(world: World, page: str, removed: slice, repository: str = LEDGER) -> list[Any]:
    """Remove commits, counted from the newest, before the first request for this page; return the others."""
    history = list(reversed(world.happened(repository)))
    gone = {commit.sha for commit in history[removed]}
    later = [commit for commit in world.repositories.history[repository] if commit.sha not in gone]

    def before(asked: Asked) -> None:
        if asked.query.get("page") == page and "if-none-match" not in asked.headers:
            world.repositories.history[repository] = later

    world.api.state.before = before
    return [commit for commit in history if commit.sha not in gone]


@pytest.mark.parametrize(
    ("page", "removed"),
    [
        ("2", slice(1)), ("2", slice(40, 41)), ("2", slice(99, 100)), ("2", slice(30)), ("2", slice(100)),
        ("2", slice(250)), ("3", slice(1)), ("3", slice(150, 160)), ("3", slice(120)), ("4", slice(5, 25)),
    ],
    ids=[
        "the newest", "one on page 1", "the last on page 1", "30 on page 1", "all of page 1", "pages 1 and 2",
        "the newest, later", "ten on page 2", "more than a page", "some, before page 4",
    ],
)  # fmt: skip
def test_records_that_are_removed_between_pages_hide_no_other(world: World, page: str, removed: slice) -> None:
    stay = remove_when(world, page, removed)
    done = world.collect(LEDGER, page_size=100)
    assert {commit.sha for commit in stay} <= {row["sha"] for row in world.rows_of(done.object_key)}


def test_newest_record_that_is_removed_between_page_1_and_2_is_noticed(world: World) -> None:
    stay = remove_when(world, "2", slice(1))
    done = world.collect(LEDGER, page_size=100)
    assert stay[99].sha in {row["sha"] for row in world.rows_of(done.object_key)}, "page 2 started with it"
    assert stay[148].sha in {row["sha"] for row in world.rows_of(done.object_key)}, "the 150th record before the change"


def test_commits_pushed_between_pages_cause_no_gap(world: World) -> None:
    """One commit is pushed before each of the first pages."""
    known = world.happened(LEDGER)
    world.repositories.history[LEDGER] = known[:-3]
    pushed = iter(known[-3:])

    def before(asked: Asked) -> None:
        if "page" in asked.query and "if-none-match" not in asked.headers and (commit := next(pushed, None)):
            world.repositories.history[LEDGER] = [*world.repositories.history[LEDGER], commit]

    world.api.state.before = before
    done = world.collect(LEDGER, page_size=100)
    assert {commit.sha for commit in known[:-3]} <= {row["sha"] for row in world.rows_of(done.object_key)}
    world.api.state.before = None
    world.collect(LEDGER, page_size=100)
    assert {commit.sha for commit in known} <= set(world.shas())


def test_listing_that_changes_faster_than_it_is_read_ends_the_run_and_the_next_reads_it(world: World) -> None:
    """All commits of a page are removed before each page is requested."""
    world.repositories.history[LEDGER] = world.happened(LEDGER)

    def before(asked: Asked) -> None:
        if "page" in asked.query and "if-none-match" not in asked.headers:
            del world.repositories.history[LEDGER][-100:]

    world.api.state.before = before
    with pytest.raises(RetryableError, match="changes faster than it is read"):
        world.collect(LEDGER, page_size=100)
    world.api.state.before = None
    left = {commit.sha for commit in world.repositories.history[LEDGER]}
    world.collect(LEDGER, page_size=100)
    assert left <= set(world.shas())


def test_without_changes_each_page_costs_one_free_request_more(world: World) -> None:
    world.collect(page_size=100)
    kinds = Counter("if-none-match" in asked.headers for asked in world.api.state.requests)
    assert kinds == {False: len(world.raw), True: len(world.raw)}


# Renamed repositories


@pytest.mark.parametrize("endpoint", ["commits", "issues", "events"])
def test_renamed_repository_is_followed_and_its_rows_are_there_once(world: World, endpoint: str) -> None:
    world.collect(LEDGER, endpoint, page_size=100)
    world.load(endpoint)
    rows = len(world.table(endpoint))
    world.repositories.renamed["harbour/former"] = LEDGER
    world.api.now += timedelta(hours=1)
    done = world.collect("harbour/former", endpoint, page_size=100)
    assert done.records_read == rows > 100
    # An event has nothing of the run that read it, so the file of the second run is that of the first.
    assert world.load(endpoint)[-1]["status"] == ("duplicate" if endpoint == "events" else "archived")
    assert len(world.table(endpoint)) == rows
    assert any(asked.path.startswith("/github/repositories/") for asked in world.api.state.requests)


# Clocks


@pytest.mark.parametrize("endpoint", ["commits", "issues", "events"])
def test_local_clock_changes_no_row(world: World, endpoint: str) -> None:
    """The clock is a year ahead in the first run; later changes of its rows must still be loaded."""
    right = world.now
    world.now = right + timedelta(days=365)
    world.collect(endpoint=endpoint, page_size=100)
    world.load(endpoint)
    assert world.position(endpoint=endpoint)["watermark"] <= f"{world.api.now:%Y-%m-%d}"
    if endpoint != "events":
        assert {row["fetched_at"] for row in world.table(endpoint)} == {world.api.now}
    world.now = right + timedelta(hours=1)
    world.api.now += timedelta(hours=1)
    world.allow_requests(endpoint)
    changed = {"commits": "comment_count", "issues": "comment_count", "events": "type"}[endpoint]

    def edit(_: str, records: list[Record]) -> list[Record]:
        record = records[0]
        if endpoint == "commits":
            record["commit"]["comment_count"] = 77
        elif endpoint == "issues":
            record.update(comments=77, updated_at=world.api.now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        else:
            record["type"] = "77"
        return records

    world.repositories.edit = edit
    world.collect(endpoint=endpoint, full=True, page_size=100)
    world.load(endpoint)
    assert [row for row in world.table(endpoint) if str(row[changed]) == "77"]


# Pages that are too large for the API, and circular links


@pytest.mark.parametrize("heaviest", [99, 50, 30, 7, 1], ids=lambda size: f"{size} at most")
def test_page_that_is_too_heavy_is_read_in_smaller_ones(world: World, heaviest: int) -> None:
    world.repositories.edit = lambda _, records: records[:230]
    world.repositories.heaviest_page = heaviest
    done = world.collect(page_size=100, pages=300)
    assert [row["sha"] for row in world.rows_of(done.object_key)] == [
        commit.sha for commit in reversed(world.happened()[-230:])
    ]
    assert not done.is_unfinished


def test_answer_that_is_too_large_is_read_in_smaller_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_POLICY", replace(client_module._POLICY, response_bytes=100_000))
    done = world.collect(page_size=100)
    assert {row["sha"] for row in world.rows_of(done.object_key)} == {commit.sha for commit in world.happened()}


def test_page_that_becomes_too_heavy_in_the_middle_is_split_where_it_begins(world: World) -> None:
    def before(asked: Asked) -> None:
        if asked.query.get("page") == "3":
            world.repositories.heaviest_page = 50

    world.api.state.before = before
    done = world.collect(page_size=100)
    assert {row["sha"] for row in world.rows_of(done.object_key)} == {commit.sha for commit in world.happened()}


def test_record_that_is_too_heavy_alone_ends_the_run(world: World) -> None:
    world.repositories.heaviest_page = 0
    with pytest.raises(RetryableError) as failure:
        world.collect(page_size=100)
    assert (failure.value.code, failure.value.details["status"]) == (Code.SOURCE_UNAVAILABLE, 502)


def test_unfinished_listing_of_smaller_pages_is_continued(world: World) -> None:
    world.repositories.heaviest_page = 50
    assert world.collect(page_size=100, pages=3).records_read == 150
    world.repositories.heaviest_page = None
    world.collect(page_size=100)
    assert set(world.shas()) == {commit.sha for commit in world.happened()}


@pytest.mark.parametrize("page", ["1", "2", "3"], ids=["two before", "the one before", "itself"])
def test_link_that_leads_back_ends_the_run_with_an_error(world: World, page: str) -> None:
    number = "" if page == "1" else f"&page={page}"  # the address of the first page has none
    back = f'<{world.api.url}/github/repos/harbour/beacon/commits?per_page=30{number}>; rel="next"'

    def before(asked: Asked) -> None:
        if asked.query.get("page") == "3":
            world.api.state.faults.append(Fault(status=None, headers={"link": back}))

    world.api.state.before = before
    for _ in range(2):
        world.api.state.requests.clear()
        with pytest.raises(PermanentError, match="comes again") as refusal:
            world.collect()
        assert refusal.value.code is Code.SOURCE_REFUSED
        assert len(world.api.state.requests) <= 6
    assert len(set(world.shas())) == 90, "what was read is kept"


def test_server_without_pagination_is_refused(world: World) -> None:
    """It returns the first page for every request."""
    world.repositories.edit = lambda _, records: records[:30] * 50
    with pytest.raises(PermanentError, match="The same records come again"):
        world.collect()
    assert len(world.api.state.requests) == 3
