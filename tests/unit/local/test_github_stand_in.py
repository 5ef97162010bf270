"""The stand-in behaves according to GitHub's API documentation, including rate limits and errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from local.services.served_api import Fault
from local.services.stand_ins.github import EMPTY, MOVED, NAME
from local.services.stand_ins.github_history import lines, read
from local.services.stand_ins.rate_limit import RateLimit
from local.services.stand_ins.server import StandIns
from local.services.stand_ins.service import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

COMMITS = "/repos/harbour/ledger/commits"
TOKEN = {"authorization": f"Bearer {KEY}"}
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def served() -> Iterator[StandIns]:
    with StandIns() as api:
        yield api


@pytest.fixture
def api(served: StandIns) -> StandIns:
    """The server in its initial state."""
    served.reset()
    served.now = NOW
    return served


def url(api: StandIns, path: str) -> str:
    return f"{api.url}/{NAME}{path}"


def get(api: StandIns, path: str, **headers: str) -> httpx.Response:
    return httpx.get(url(api, path), headers={**TOKEN, **headers}, timeout=60)


def test_the_shipped_recording_is_what_its_maker_makes() -> None:
    kept = [commit.sha for commits in read().values() for commit in commits]
    assert len(kept) == len(set(kept)) > 4000
    made = [line.split('"sha":"', maxsplit=1)[1][:40] for line in lines()]
    assert kept == made


def test_pages_are_linked_and_hold_every_commit_once_newest_first(api: StandIns) -> None:
    found, answer = [], get(api, f"{COMMITS}?per_page=100")
    assert "prev" not in answer.links
    while True:
        found += answer.json()
        if "next" not in answer.links:
            break
        answer = httpx.get(answer.links["next"]["url"], headers=TOKEN, timeout=60)
    assert "last" not in answer.links
    happened = [commit for commit in read()["harbour/ledger"] if commit.committed_at < "2026-11-21"]
    assert [commit["sha"] for commit in found] == [commit.sha for commit in reversed(happened)]
    dates = [commit["commit"]["committer"]["date"] for commit in found]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    ("asked", "given"), [("", 30), ("?per_page=7", 7), ("?per_page=500", 100), ("?per_page=x", 30)]
)
def test_a_page_holds_as_many_as_asked_and_a_hundred_at_most(api: StandIns, asked: str, given: int) -> None:
    assert len(get(api, COMMITS + asked).json()) == given


def test_since_and_until_go_by_the_committers_time(api: StandIns) -> None:
    answer = get(api, f"{COMMITS}?since=2026-06-01T00:00:00Z&until=2026-06-08T00:00:00%2B00:00&per_page=100").json()
    dates = [commit["commit"]["committer"]["date"] for commit in answer]
    assert dates
    assert all("2026-06-01T00:00:00Z" <= date <= "2026-06-08T00:00:00Z" for date in dates)
    assert get(api, f"{COMMITS}?since=yesterday").status_code == 422


def test_time_brings_new_commits(api: StandIns) -> None:
    before = get(api, f"{COMMITS}?per_page=1").json()[0]["sha"]
    api.now = NOW + timedelta(days=7)
    assert get(api, f"{COMMITS}?per_page=1").json()[0]["sha"] != before


def test_what_has_not_changed_costs_nothing(api: StandIns) -> None:
    first = get(api, COMMITS)
    again = get(api, COMMITS, **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]


def test_the_limit_is_counted_for_each_caller_and_refuses(api: StandIns) -> None:
    api.state.lowered[NAME] = 2
    assert [get(api, COMMITS).headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    refused = get(api, COMMITS)
    assert refused.status_code == 403
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "rate limit exceeded" in refused.json()["message"]
    assert httpx.get(url(api, COMMITS)).status_code == 200, "another caller"
    assert httpx.get(url(api, "/rate_limit"), headers=TOKEN).json()["resources"]["core"]["remaining"] == 0


def test_limit_is_reset_after_an_hour() -> None:
    clock = [1000.0]
    limit = RateLimit(1, lambda: clock[0])
    assert (limit.take(), limit.take()) == (True, False)
    assert limit.headers()["x-ratelimit-reset"] == "4600"
    clock[0] = 4600.0
    assert limit.take()


@pytest.mark.parametrize(
    ("path", "headers", "status", "message"),
    [
        pytest.param("/repos/harbour/nothing/commits", {}, 404, "Not Found", id="unknown-repository"),
        pytest.param(f"/repos/{EMPTY}/commits", {}, 409, "Git Repository is empty.", id="empty-repository"),
        pytest.param(COMMITS, {"authorization": "Bearer wrong"}, 401, "Bad credentials", id="wrong-token"),
        pytest.param(COMMITS, {"user-agent": ""}, 200, "", id="empty-user-agent-counts-as-one"),
    ],
)
def test_refusals_are_worded_as_the_api_does(
    api: StandIns, path: str, headers: dict[str, str], status: int, message: str
) -> None:
    answer = get(api, path, **headers)
    assert answer.status_code == status
    if message:
        assert answer.json()["message"] == message


def test_a_renamed_repository_redirects(api: StandIns) -> None:
    answer = get(api, f"/repos/{MOVED}/commits?per_page=5")
    assert (answer.status_code, answer.headers["location"]) == (301, url(api, f"{COMMITS}?per_page=5"))


def test_a_repository_that_a_test_renames_redirects_to_its_number(api: StandIns) -> None:
    api.state.repositories.renamed["harbour/former"] = "harbour/ledger"
    moved = get(api, "/repos/harbour/former/commits?per_page=5")
    assert moved.status_code == 301
    assert moved.headers["location"].startswith(url(api, "/repositories/"))
    answer = httpx.get(moved.headers["location"], headers=TOKEN)
    assert answer.json() == get(api, f"{COMMITS}?per_page=5").json()
    assert "/repositories/" in answer.links["next"]["url"]
    assert get(api, "/repositories/1/commits").status_code == 404


def test_answers_bear_the_time_of_the_server(api: StandIns) -> None:
    assert get(api, f"{COMMITS}?per_page=1").headers.get_list("date") == ["Sat, 21 Nov 2026 00:00:00 GMT"]


def test_pages_with_too_many_records_fail(api: StandIns) -> None:
    api.state.repositories.heaviest_page = 50
    assert [get(api, f"{COMMITS}?per_page={size}").status_code for size in (51, 50)] == [502, 200]


def test_records_are_changed_before_they_are_cut_into_pages(api: StandIns) -> None:
    api.state.repositories.edit = lambda endpoint, records: records[1:3] if endpoint == "commits" else records
    expected = [commit.sha for commit in reversed(read()["harbour/ledger"]) if commit.committed_at <= f"{NOW:%Y-%m-%d}"]
    assert [record["sha"] for record in get(api, f"{COMMITS}?per_page=100").json()] == expected[1:3]


def test_the_history_changes_right_before_a_request(api: StandIns) -> None:
    asked: list[str] = []
    api.state.before = lambda request: asked.append(request.query["page"])
    get(api, f"{COMMITS}?page=2")
    assert asked == ["2"]


def test_issues_and_events_are_served_too(api: StandIns) -> None:
    issues = get(api, "/repos/harbour/beacon/issues?state=all&per_page=100").json()
    assert {issue["state"] for issue in issues} <= {"open", "closed"}
    assert {"pull_request" in issue for issue in issues} == {True, False}
    recent = get(api, "/repos/harbour/beacon/issues?state=all&since=2026-11-01T00:00:00Z").json()
    assert 0 < len(recent) < len(issues)
    events = get(api, "/repos/harbour/ledger/events?per_page=100&page=3").json()
    assert len(events) == 100
    empty = get(api, "/repos/harbour/ledger/events?per_page=100&page=4")
    assert (empty.json(), empty.headers["x-poll-interval"]) == ([], "60")


def test_faults_replace_answers(api: StandIns) -> None:
    api.state.faults += [Fault(503, times=2, headers={"retry-after": "1"}), Fault(200, truncate=True, body=b"[{")]
    assert [get(api, COMMITS).status_code for _ in range(2)] == [503, 503]
    with pytest.raises(httpx.RemoteProtocolError):
        get(api, COMMITS)
    assert get(api, COMMITS).status_code == 200
    assert [asked.path for asked in api.state.requests] == [f"/{NAME}{COMMITS}"] * 4
    assert api.state.requests[0].headers["authorization"] == TOKEN["authorization"]


def test_the_history_reaches_past_today() -> None:
    assert all(commits[-1].committed_at > datetime.now(UTC).strftime("%Y-%m-%d") for commits in read().values())
