"""The replay behaves according to GitHub's API documentation, including rate limits and errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from local.credentials import load_or_make
from local.services.github_api import service
from local.services.github_api.history import lines, read
from local.services.github_api.limits import RateLimit
from local.services.github_api.server import EMPTY, MOVED, NOW, Fault, GithubApi
from local.settings import temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

COMMITS = "/repos/harbour/ledger/commits"
TOKEN = {"authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def served() -> Iterator[GithubApi]:
    with GithubApi() as api:
        yield api


@pytest.fixture
def api(served: GithubApi) -> GithubApi:
    """The server in its initial state."""
    served.now, served.limit = NOW, None
    served.faults.clear()
    served.requests.clear()
    served.replay.renamed.clear()
    served.replay.heaviest_page, served.replay.edit, served.replay.before = None, None, None
    return served


def get(api: GithubApi, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{api.url}{path}", headers={**TOKEN, **headers})


def test_the_shipped_recording_is_what_its_maker_makes() -> None:
    kept = [commit.sha for commits in read().values() for commit in commits]
    assert len(kept) == len(set(kept)) > 4000
    made = [line.split('"sha":"', maxsplit=1)[1][:40] for line in lines()]
    assert kept == made


def test_pages_are_linked_and_hold_every_commit_once_newest_first(api: GithubApi) -> None:
    found, answer = [], get(api, f"{COMMITS}?per_page=100")
    assert "prev" not in answer.links
    while True:
        found += answer.json()
        if "next" not in answer.links:
            break
        answer = httpx.get(answer.links["next"]["url"], headers=TOKEN)
    assert "last" not in answer.links
    happened = [commit for commit in read()["harbour/ledger"] if commit.committed_at < "2026-11-21"]
    assert [commit["sha"] for commit in found] == [commit.sha for commit in reversed(happened)]
    dates = [commit["commit"]["committer"]["date"] for commit in found]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    ("asked", "given"), [("", 30), ("?per_page=7", 7), ("?per_page=500", 100), ("?per_page=x", 30)]
)
def test_a_page_holds_as_many_as_asked_and_a_hundred_at_most(api: GithubApi, asked: str, given: int) -> None:
    assert len(get(api, COMMITS + asked).json()) == given


def test_since_and_until_go_by_the_committers_time(api: GithubApi) -> None:
    answer = get(api, f"{COMMITS}?since=2026-06-01T00:00:00Z&until=2026-06-08T00:00:00%2B00:00&per_page=100").json()
    dates = [commit["commit"]["committer"]["date"] for commit in answer]
    assert dates
    assert all("2026-06-01T00:00:00Z" <= date <= "2026-06-08T00:00:00Z" for date in dates)
    assert get(api, f"{COMMITS}?since=yesterday").status_code == 422


def test_time_brings_new_commits(api: GithubApi) -> None:
    before = get(api, f"{COMMITS}?per_page=1").json()[0]["sha"]
    api.now = NOW + timedelta(days=7)
    assert get(api, f"{COMMITS}?per_page=1").json()[0]["sha"] != before


def test_what_has_not_changed_costs_nothing(api: GithubApi) -> None:
    first = get(api, COMMITS)
    again = get(api, COMMITS, **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]


def test_the_limit_is_counted_for_each_caller_and_refuses(api: GithubApi) -> None:
    api.limit = 2
    assert [get(api, COMMITS).headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    refused = get(api, COMMITS)
    assert refused.status_code == 403
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "rate limit exceeded" in refused.json()["message"]
    assert httpx.get(f"{api.url}{COMMITS}").status_code == 200, "another caller"
    assert httpx.get(f"{api.url}/rate_limit", headers=TOKEN).json()["resources"]["core"]["remaining"] == 0


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
    api: GithubApi, path: str, headers: dict[str, str], status: int, message: str
) -> None:
    answer = get(api, path, **headers)
    assert answer.status_code == status
    if message:
        assert answer.json()["message"] == message


def test_a_renamed_repository_redirects(api: GithubApi) -> None:
    answer = get(api, f"/repos/{MOVED}/commits?per_page=5")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{api.url}{COMMITS}?per_page=5")


def test_a_repository_that_a_test_renames_redirects_to_its_number(api: GithubApi) -> None:
    api.replay.renamed["harbour/former"] = "harbour/ledger"
    moved = get(api, "/repos/harbour/former/commits?per_page=5")
    assert moved.status_code == 301
    assert moved.headers["location"].startswith(f"{api.url}/repositories/")
    answer = httpx.get(moved.headers["location"], headers=TOKEN)
    assert answer.json() == get(api, f"{COMMITS}?per_page=5").json()
    assert "/repositories/" in answer.links["next"]["url"]
    assert get(api, "/repositories/1/commits").status_code == 404


def test_answers_bear_the_time_of_the_replay(api: GithubApi) -> None:
    assert get(api, f"{COMMITS}?per_page=1").headers.get_list("date") == ["Sat, 21 Nov 2026 00:00:00 GMT"]


def test_pages_with_too_many_records_fail(api: GithubApi) -> None:
    api.replay.heaviest_page = 50
    assert [get(api, f"{COMMITS}?per_page={size}").status_code for size in (51, 50)] == [502, 200]


def test_records_are_changed_before_they_are_cut_into_pages(api: GithubApi) -> None:
    api.replay.edit = lambda endpoint, records: records[1:3] if endpoint == "commits" else records
    expected = [commit.sha for commit in reversed(read()["harbour/ledger"]) if commit.committed_at <= f"{NOW:%Y-%m-%d}"]
    assert [record["sha"] for record in get(api, f"{COMMITS}?per_page=100").json()] == expected[1:3]


def test_the_history_changes_right_before_a_request(api: GithubApi) -> None:
    asked: list[str] = []
    api.replay.before = lambda request: asked.append(request.query["page"])
    get(api, f"{COMMITS}?page=2")
    assert asked == ["2"]


def test_issues_and_events_are_served_too(api: GithubApi) -> None:
    issues = get(api, "/repos/harbour/beacon/issues?state=all&per_page=100").json()
    assert {issue["state"] for issue in issues} <= {"open", "closed"}
    assert {"pull_request" in issue for issue in issues} == {True, False}
    recent = get(api, "/repos/harbour/beacon/issues?state=all&since=2026-11-01T00:00:00Z").json()
    assert 0 < len(recent) < len(issues)
    events = get(api, "/repos/harbour/ledger/events?per_page=100&page=3").json()
    assert len(events) == 100
    assert get(api, "/repos/harbour/ledger/events?per_page=100&page=4").json() == []


def test_faults_replace_answers(api: GithubApi) -> None:
    api.faults += [Fault(503, times=2, headers={"retry-after": "1"}), Fault(200, truncate=True, body=b"[{")]
    assert [get(api, COMMITS).status_code for _ in range(2)] == [503, 503]
    with pytest.raises(httpx.RemoteProtocolError):
        get(api, COMMITS)
    assert get(api, COMMITS).status_code == 200
    assert [asked.path for asked in api.requests] == [COMMITS] * 4
    assert api.requests[0].headers["authorization"] == "Bearer secret"


def test_the_connection_leads_to_the_replay_unless_the_settings_name_another(tmp_path: Path) -> None:
    credentials = load_or_make(tmp_path / "secrets.env")
    own = temporary_settings(tmp_path)
    assert service.connection(own, credentials)["password"] == credentials.github_replay_token
    assert service.service(own, credentials).address == service.connection(own, credentials)["host"]
    real = temporary_settings(tmp_path, source_github_url="https://api.example", source_github_token="t")
    assert service.connection(real, credentials) == {
        "conn_type": "http",
        "host": "https://api.example",
        "password": "t",
    }


def test_the_history_reaches_past_today() -> None:
    assert all(commits[-1].committed_at > datetime.now(UTC).strftime("%Y-%m-%d") for commits in read().values())
