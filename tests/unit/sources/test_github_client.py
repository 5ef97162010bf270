"""The client with the replay of the API, which simulates the failures of the real one."""

import gzip
import json
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.settings import GithubSettings
from include.sources.github.client import GithubClient
from include.stores.http import Address
from local.services.github_api.server import Fault, GithubApi
from local.settings import free_ports

pytestmark = pytest.mark.unit

PATH = "/repos/harbour/ledger/commits"
Connect = Callable[..., GithubClient]


@pytest.fixture(scope="module")
def running() -> Iterator[GithubApi]:
    with GithubApi() as api:
        yield api


@pytest.fixture
def api(running: GithubApi) -> GithubApi:
    running.faults.clear()
    running.requests.clear()
    running.limit = None
    return running


@pytest.fixture
def slept() -> list[float]:
    """The waits of the client in seconds; the tests do not really wait."""
    return []


@pytest.fixture
def connect(api: GithubApi, slept: list[float]) -> Iterator[Connect]:
    clients = []

    def connected(url: str = api.url, token: str = "secret", clock: Any = time.time, **settings: Any) -> GithubClient:
        def sleep(seconds: float) -> None:
            slept.append(seconds)

        values = {"attempts": 3, "read_timeout_seconds": 5.0, **settings}
        client = GithubClient(Address(url, SecretStr(token)), GithubSettings(**values), sleep, clock)
        clients.append(client)
        return client

    yield connected
    for client in clients:
        client.__exit__(None, None, None)


def test_request_has_user_agent_and_api_version(connect: Connect, api: GithubApi) -> None:
    client = connect()
    answer = client.get(client.target(PATH, {"per_page": "2", "since": "2026-03-02T10:00:00Z"}))
    [asked] = api.requests
    assert (asked.method, asked.path) == ("GET", PATH)
    assert asked.query == {"per_page": "2", "since": "2026-03-02T10:00:00Z"}
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"] == "2022-11-28"
    assert asked.headers["user-agent"] == "filegate"
    assert asked.headers["authorization"] == "Bearer secret"
    assert "if-none-match" not in asked.headers
    assert (answer.status, len(json.loads(answer.body)), client.requests) == (200, 2, 1)


def test_no_token_sends_none(connect: Connect, api: GithubApi) -> None:
    connect(token="").get(PATH)
    assert "authorization" not in api.requests[0].headers


def test_pages_are_followed_by_link(connect: Connect) -> None:
    client = connect()
    target: str | None = client.target(PATH, {"per_page": "100", "since": "2026-08-01T00:00:00Z"})
    shas: list[str] = []
    while target:
        answer = client.get(target)
        shas += [record["sha"] for record in json.loads(answer.body)]
        target = answer.next
    assert client.requests == -(-len(shas) // 100) > 2
    assert len(set(shas)) == len(shas)


def test_same_etag_is_answered_with_not_modified(connect: Connect, api: GithubApi) -> None:
    client = connect()
    first = client.get(PATH)
    again = client.get(PATH, first.etag)
    assert api.requests[1].headers["if-none-match"] == first.etag
    assert (again.status, again.body) == (304, b"")
    assert client.get(PATH, 'W/"another"').status == 200


# Retryable errors and others


def read_timeout(fault: dict[str, Any]) -> float:
    """Return a timeout in seconds below the fault's delay, and far above the response time of a busy machine."""
    return float(fault.get("delay", 60.5)) - 0.5


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 502, "body": b"<html>Unicorn!</html>"}, id="502 in HTML"),
        pytest.param({"status": 503}, id="503"),
        pytest.param({"status": 408}, id="408"),
        pytest.param({"status": 202, "body": b"{}"}, id="202"),
        pytest.param({"status": 200, "body": b'[{"sha"', "truncate": True}, id="cut off"),
        pytest.param({"status": None, "delay": 2.5}, id="too slow"),
    ],
)
class TestFailingApi:
    def test_temporary_failure_is_retried(
        self, connect: Connect, api: GithubApi, slept: list[float], fault: Any
    ) -> None:
        api.faults.append(Fault(**fault, times=2))
        client = connect(read_timeout_seconds=read_timeout(fault), backoff_seconds=0.5, backoff_max_seconds=0.75)
        assert client.get(PATH).status == 200
        assert client.requests == len(api.requests) == 3
        assert len(slept) == 2
        assert 0 <= max(slept) <= 0.75
        assert client.waited_seconds == sum(slept)

    def test_lasting_failure_is_a_retryable_error(self, connect: Connect, api: GithubApi, fault: Any) -> None:
        api.faults.append(Fault(**fault, times=9))
        with pytest.raises(RetryableError, match=r"did not return a valid response\. Last attempt") as failure:
            connect(read_timeout_seconds=read_timeout(fault), attempts=2).get(PATH)
        assert failure.value.code is Code.SOURCE_UNAVAILABLE
        assert failure.value.details["attempts"] == 2
        assert len(api.requests) == 2


def test_connection_refused_is_retryable(connect: Connect, slept: list[float]) -> None:
    client = connect(url=f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(RetryableError, match="ConnectError") as failure:
        client.get(PATH)
    assert failure.value.code is Code.SOURCE_UNAVAILABLE
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "documentation"),
        (401, "Check the token"),
        (403, "Check the permissions"),
        (404, "Check the repository's name"),
        (410, "disabled this feature"),
        (422, "trigger ingest_github with `full`"),
        (451, "legal reasons"),
    ],
)
def test_refusal_has_the_message_of_the_api_and_a_remedy(
    connect: Connect, api: GithubApi, status: int, remedy: str
) -> None:
    api.faults.append(Fault(status=status, body=b'{"message": "These are the words."}'))
    with pytest.raises(PermanentError, match=remedy) as refusal:
        connect().get(PATH + "?per_page=2")
    assert refusal.value.code is Code.SOURCE_REFUSED
    assert "These are the words. " in refusal.value.message
    assert refusal.value.details == {"status": status, "url": api.url + PATH, "attempts": 1}
    assert len(api.requests) == 1


def test_not_modified_without_an_etag_is_refused(connect: Connect, api: GithubApi) -> None:
    api.faults.append(Fault(status=304, body=b""))
    with pytest.raises(PermanentError, match="status 304"):
        connect().get(PATH)


def test_empty_repository_is_no_error(connect: Connect) -> None:
    assert connect().get("/repos/harbour/empty/commits").status == 409


# Other servers


def test_renamed_repository_is_followed(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    answer = connect().get("/repos/harbour/old-ledger/commits?per_page=3")
    assert (answer.status, len(json.loads(answer.body))) == (200, 3)
    assert "has moved to /repos/harbour/ledger/commits" in caplog.text


def test_redirects_in_a_circle_end(connect: Connect, api: GithubApi) -> None:
    api.faults.append(Fault(status=301, times=9, headers={"location": PATH}, body=b""))
    with pytest.raises(PermanentError, match="redirects too often"):
        connect().get(PATH)
    assert len(api.requests) == 4


ELSEWHERE = {
    "another host": "http://evil.example{path}",
    "another port": "http://127.0.0.1:1{path}",
    "another scheme": "https://127.0.0.1{path}",
    "with a password": "http://user:pass@{own}{path}",
    "no address": "http://[{path}",
}


@pytest.mark.parametrize("link", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("by", ["link", "redirect"])
def test_link_to_another_server_is_refused(connect: Connect, api: GithubApi, link: str, by: str) -> None:
    address = link.format(path=PATH, own=api.url.removeprefix("http://"))
    if by == "link":
        fault = Fault(status=200, headers={"link": f'<{address}>; rel="next"'}, body=b"[]")
    else:
        fault = Fault(status=302, headers={"location": address}, body=b"")
    api.faults.append(fault)
    with pytest.raises(PermanentError, match="links to another server") as refusal:
        connect().get(PATH)
    assert refusal.value.code is Code.SOURCE_REFUSED
    assert "pass" not in str(refusal.value).replace("password", "")
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "url",
    ["", "api.github.com", "ftp://api.github.com", "http://", "https://user:pass@api.github.com", "http://host:port"],
    ids=["none", "no scheme", "ftp", "no host", "with a password", "broken"],
)
def test_address_is_checked(connect: Connect, url: str) -> None:
    with pytest.raises(PermanentError, match="host of the connection source_github") as refusal:
        connect(url=url)
    assert "user:pass" not in str(refusal.value)


def test_address_with_a_path_is_kept(connect: Connect, api: GithubApi) -> None:
    assert connect(url=f"{api.url}/api/v3/").target(PATH, {"per_page": "2"}) == f"/api/v3{PATH}?per_page=2"


# Rate limits


def test_short_limit_is_waited_for(connect: Connect, api: GithubApi, slept: list[float]) -> None:
    api.faults.append(Fault(status=429, headers={"retry-after": "7"}))
    client = connect(clock=lambda: 1000.0 + sum(slept))
    assert client.get(PATH).status == 200
    assert slept == [7.0]
    assert client.waited_seconds == 7.0


def test_secondary_limit_is_waited_for_longer_each_time(connect: Connect, api: GithubApi, slept: list[float]) -> None:
    body = b'{"message": "You have exceeded a secondary rate limit."}'
    api.faults.append(Fault(status=403, times=2, body=body))
    client = connect(clock=lambda: 1000.0 + sum(slept), max_wait_seconds=180)
    assert client.get(PATH).status == 200
    assert slept == [60.0, 120.0]


def test_pause_requested_by_the_api_does_not_grow(connect: Connect, api: GithubApi, slept: list[float]) -> None:
    api.faults.append(Fault(status=429, times=2, headers={"retry-after": "7"}))
    api.faults.append(Fault(status=429, headers={"retry-after": "1700"}))
    with pytest.raises(RetryableError, match=r"used up until 2026-01-01 00:28:34 UTC"):
        connect(clock=lambda: 1767225600.0 + sum(slept)).get(PATH)
    assert slept == [7.0, 7.0]


def test_all_waits_of_a_run_count_together(connect: Connect, api: GithubApi, slept: list[float]) -> None:
    api.faults.append(Fault(status=429, times=9, headers={"retry-after": "70"}))
    client = connect(clock=lambda: 1000.0 + sum(slept), max_wait_seconds=150, attempts=5)
    with pytest.raises(RetryableError, match="in 70 s, and a run waits at most 150 s and has already waited 140 s"):
        client.get(PATH)
    with pytest.raises(RetryableError, match="rate limit"):
        client.get(PATH)
    assert slept == [70.0, 70.0]
    assert len(api.requests) == 3


def test_pauses_after_failures_are_no_waits_for_the_limit(connect: Connect, api: GithubApi, slept: list[float]) -> None:
    api.faults.append(Fault(status=500))
    api.faults.append(Fault(status=429, headers={"retry-after": "60"}))
    client = connect(clock=lambda: 1000.0 + sum(slept), max_wait_seconds=61, backoff_seconds=50)
    assert client.get(PATH).status == 200
    assert client.waited_seconds == sum(slept) >= 60.0


def test_limit_that_never_ends_is_given_up(connect: Connect, api: GithubApi, slept: list[float]) -> None:
    api.faults.append(Fault(status=429, times=9, headers={"retry-after": "1"}))
    with pytest.raises(RetryableError, match="It refused 3 times") as limited:
        connect(clock=lambda: 1000.0 + sum(slept)).get(PATH)
    assert limited.value.code is Code.RATE_LIMITED
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    "headers",
    [{"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767226100"}, {"retry-after": "1700"}],
    ids=["primary", "secondary"],
)
def test_long_limit_ends_the_run_and_names_its_reset_time(
    connect: Connect, api: GithubApi, slept: list[float], headers: dict[str, str]
) -> None:
    api.faults.append(Fault(status=403, headers=headers, body=b'{"message": "API rate limit exceeded"}'))
    client = connect(clock=lambda: 1767224400.0)
    with pytest.raises(RetryableError, match=r"used up until 2026-01-01 00:08:2[01] UTC") as limited:
        client.get(PATH)
    assert limited.value.code is Code.RATE_LIMITED
    assert slept == []
    with pytest.raises(RetryableError, match="rate limit"):
        client.get(PATH)
    assert len(api.requests) == 1, "no request is sent while the limit is used up"


def test_after_the_last_request_of_the_hour_no_other_is_sent(connect: Connect, api: GithubApi) -> None:
    api.limit = 2
    client = connect()
    assert [client.get(PATH).status, client.get(PATH).status] == [200, 200]
    with pytest.raises(RetryableError, match="rate limit is used up until") as limited:
        client.get(PATH)
    assert limited.value.code is Code.RATE_LIMITED
    assert len(api.requests) == 2


# Secrets


@pytest.mark.parametrize("given", ["ghp_do_not_show", "ghp_do_not_show\n", " ghp_do_not_show "])
def test_token_is_in_no_message(connect: Connect, api: GithubApi, caplog: pytest.LogCaptureFixture, given: str) -> None:
    caplog.set_level(logging.DEBUG)
    token = "ghp_do_not_show"
    client = connect(token=given)
    with pytest.raises(PipelineError, match="Bad credentials") as refusal:
        client.get(PATH)
    api.faults.append(Fault(status=500, times=9))
    with pytest.raises(PipelineError) as failure:
        client.get(PATH)
    assert api.requests[0].headers["authorization"] == f"Bearer {token}"
    texts = [caplog.text, repr(Address(api.url, SecretStr(token)))]
    for error in (refusal.value, failure.value):
        texts += [full_text(error), repr(pickle.loads(pickle.dumps(error)))]
    assert all(token not in text for text in texts)


@pytest.mark.parametrize("token", ["se cret", "se\ncret", "se\x00cret", "secreté"], ids=ascii)
def test_token_that_is_not_valid_in_a_header_is_refused(
    connect: Connect, api: GithubApi, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(PermanentError, match="is not a token") as refusal:
        connect(token=token).get(PATH)
    assert refusal.value.code is Code.SOURCE_REFUSED
    text = full_text(refusal.value) + repr(pickle.loads(pickle.dumps(refusal.value))) + caplog.text
    assert "cret" not in text.replace("SecretStr", "")
    assert api.requests == []


def test_header_that_cannot_be_sent_is_not_shown(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(RetryableError, match="LocalProtocolError") as failure:
        connect().get(PATH, "do_not\nshow")
    assert "not\\nshow" not in full_text(failure.value) + caplog.text


def full_text(error: BaseException) -> str:
    """Return the text of an error as a log shows it, with the texts of its causes."""
    lines = "".join(line for line in traceback.format_exception(error) if not line.startswith("  File"))
    return lines + str(error)


# --- hostile responses

DEEP = b'{"message":' + b"[" * 200_000 + b"}"
GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        pytest.param(Fault(404, body=DEEP), Code.SOURCE_REFUSED, "status 404", id="deep JSON"),
        pytest.param(
            Fault(404, body=b'{"message":"a\\nINFO well\\u001b[2J\\ud800"}'), Code.SOURCE_REFUSED,
            r"a\nINFO well\x1b[2J\ud800", id="words of several lines",
        ),
        pytest.param(
            Fault(429, headers={"Retry-After": "9" * 400}), Code.RATE_LIMITED, "at most 120 s",
            id="wait for ever",
        ),
        pytest.param(
            Fault(200, 9, GZIP, gzip.compress(bytes(65 * 1024**2), 1)), Code.SOURCE_UNAVAILABLE,
            "over 67108864 bytes", id="bomb",
        ),
        pytest.param(
            Fault(200, 9, {"Content-Encoding": "gzip, gzip"}), Code.SOURCE_UNAVAILABLE,
            "encoding gzip, gzip", id="bomb in a bomb",
        ),
        pytest.param(
            Fault(200, 9, {"Content-Encoding": "br"}), Code.SOURCE_UNAVAILABLE, "encoding br",
            id="another encoding",
        ),
        pytest.param(
            Fault(200, headers={"Link": '<file:///etc/passwd>; rel="next"'}), Code.SOURCE_REFUSED,
            "another server", id="link to a file",
        ),
    ],
)  # fmt: skip
def test_hostile_response_is_a_pipeline_error(
    connect: Connect, api: GithubApi, fault: Fault, code: Code, words: str
) -> None:
    api.faults.append(fault)
    kind = PermanentError if code is Code.SOURCE_REFUSED else RetryableError
    with pytest.raises(kind) as caught:
        connect(attempts=1 if fault.status == 200 else 3).get(PATH)
    assert caught.value.code is code
    assert words in caught.value.message
    assert str(caught.value).isprintable()


def test_headers_with_non_ascii_characters_are_accepted(connect: Connect, api: GithubApi) -> None:
    """The client only sends ASCII back."""
    api.faults.append(Fault(200, headers={"ETag": '"\xff"', "Link": '</\xff>; rel="next"'}, body=b"[]"))
    client = connect()
    answer = client.get(PATH)
    assert answer.etag is None
    assert answer.next is not None
    assert answer.next.isascii()


@pytest.mark.parametrize(
    "link",
    [
        '<{next}>; rel="next"',
        "<{next}>; rel=next",
        '<{next}>; rel="NEXT"',
        '<{next}>; REL="next"',
        '<{next}>; rel="next last"',
        '<{next}>;rel = "last next" ; title="a=b"',
        '<{next}>; title="a, b; rel=prev"; rel="next"',
        '</1>; rel="prev", <{next}>; rel="next", </9>; rel="last"',
        '< {next} >; rel="next"',
    ],
)
def test_link_to_the_next_page_is_found_in_every_form_of_the_standard(
    connect: Connect, api: GithubApi, link: str
) -> None:
    api.faults.append(Fault(200, headers={"Link": link.format(next=f"{PATH}?q=x;y,z&page=2")}, body=b"[]"))

    assert connect().get(PATH).next == f"{PATH}?q=x;y,z&page=2"


@pytest.mark.parametrize("link", ['</1>; rel="prev"', '</1>; title="next"', "</1>", "", '</1>; rel="nextpage"'])
def test_link_of_another_relation_is_ignored(connect: Connect, api: GithubApi, link: str) -> None:
    api.faults.append(Fault(200, headers={"Link": link}, body=b"[]"))

    assert connect().get(PATH).next is None
