"""The client of GitHub's REST API: rate limits, redirects, ETags, and what to do about a refusal.

What belongs here: sending one request until there is a response. What does not: attempts, deadlines and their errors
(`include.stores.http`), which requests are sent, and the meaning of responses.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import httpx

from include.errors import Code, PermanentError, RetryableError, visible
from include.stores.http import HttpClient, Policy, Service
from include.stores.http_response import (
    LONGEST_WAIT_SECONDS,
    Response,
    excerpt,
    http_date,
    next_link,
    retry_after,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from include.settings import GithubSettings
    from include.stores.http import Address

log = logging.getLogger(__name__)

_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_LARGEST_ANSWER_BYTES = 64 * 1024**2
_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 307, 308}
# Statuses that are passed to the caller; 409 means a repository without commits.
_ANSWERS = {httpx.codes.OK, httpx.codes.NOT_MODIFIED, httpx.codes.CONFLICT}
# 202 means that the API still prepares the answer. A 429 is a rate limit, which has its own waits.
_RETRIED = {httpx.codes.REQUEST_TIMEOUT, *range(201, 300)}
_REMEDIES: dict[int, str] = {
    401: "Check the token of the connection source_github: it is wrong, has expired or was revoked.",
    403: "Check the permissions of the token of the connection source_github.",
    404: "Check the repository's name; a private repository requires a token that may read it.",
    410: "The repository has disabled this feature; remove the endpoint from GITHUB_ENDPOINTS.",
    422: "The API does not accept this request; trigger ingest_github with `full` to read everything again.",
    451: "The repository is blocked for legal reasons; remove it from GITHUB_REPOSITORIES.",
}

_LIMITED = {403, 429}
# "Otherwise, wait for at least one minute before retrying."
_LEAST_PAUSE_SECONDS = 60.0
# The reset time is in whole seconds.
_AFTER_RESET_SECONDS = 1.0
_LIMIT_WORDS = ("secondary rate limit", "abuse detection", "rate limit exceeded")


def _error_message(body: bytes) -> str:
    """Return the API's error message, or else the beginning of the body."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return excerpt(body)
    return visible(str(message)[:300])


_SERVICE = Service(
    "The API",
    Code.SOURCE_UNAVAILABLE,
    Code.SOURCE_REFUSED,
    "The host of the connection source_github",
    "The password of the connection source_github",
    remedies=_REMEDIES,
    explain=_error_message,
)


@dataclass(frozen=True)
class Answer:
    """A response of the API.

    Attributes:
        target: the request: path and query without the server.
        next: the request of the next page.
        answered_at: time of the API's Date header; None if it has none.
    """

    target: str
    status: int
    etag: str | None
    body: bytes
    next: str | None
    answered_at: datetime | None = None


class GithubClient:
    """Sends requests to one API, one at a time. `requests` and `waited_seconds` count requests and waits so far.

    All waits for a rate limit together are at most `max_wait_seconds`.

    Args:
        address: address and token of the API.
        settings: timeouts, number of attempts, maximum wait.
        sleep: function that waits, in seconds.
        clock: function that returns seconds since the epoch, to compare with the reset time of the limit.
    """

    def __init__(
        self,
        address: Address,
        settings: GithubSettings,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Check address and token; nothing is connected yet.

        Raises:
            PermanentError: the address or the token is not valid.
        """
        policy = replace(Policy.of(settings), response_bytes=_LARGEST_ANSWER_BYTES, retried=_RETRIED)
        self._http = HttpClient(_SERVICE, address, policy, self._pause)
        self._settings, self._sleep, self._clock = settings, sleep, clock
        self._allowed_at, self._waited_for_limits = 0.0, 0.0
        self.requests, self.waited_seconds = 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def target(self, path: str, query: Mapping[str, str]) -> str:
        """Return the target for `get` of a path below the API's address."""
        base = self._http.base
        return _target(base.copy_with(path=base.path.rstrip("/") + path, params=dict(query)))

    def get(self, target: str, etag: str | None = None) -> Answer:
        """Send a request; the status is 200, 304 (not modified since the ETag), or 409 (an empty repository).

        Args:
            target: path and query, from the root of the server.
            etag: ETag of an earlier response to the same request.

        Raises:
            RetryableError: the API does not respond in all attempts, or its limit is used up for too long.
            PermanentError: it refuses; `details` hold the status.
        """
        url = self._http.base.copy_with(raw_path=target.encode("ascii"))
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._within_limits(url, etag)
            if response.status not in _REDIRECTS:
                return self._answer(target, response)
            moved = self._http.linked(url, response.headers.get("location", ""))
            log.warning("%s has moved to %s; change the name in GITHUB_REPOSITORIES.", url.path, moved.path)
            url = moved
        raise PermanentError(Code.SOURCE_REFUSED, "The API redirects too often.", url=shown(url))

    def _answer(self, target: str, response: Response) -> Answer:
        following, etag = next_link(response.headers), response.headers.get("etag")
        return Answer(
            target,
            response.status,
            etag if etag and etag.isascii() else None,
            response.body,
            _target(self._http.linked(response.url, following)) if following else None,
            http_date(response.headers.get("date", "")),
        )

    def _within_limits(self, url: httpx.URL, etag: str | None) -> Response:
        """Return the response, after waiting for the rate limit at most as often as there are attempts."""
        for turn in range(self._settings.attempts):
            self._wait(self._allowed_at - self._clock())
            response = self._http.retry(lambda: self._attempt(url, etag), url)
            now = self._clock()
            seconds = pause(response.status, response.headers, response.body, now, turn)
            # A successful response can also say that no requests are left: the next request then waits.
            ahead = used_up(response.headers, now) if seconds is None else seconds
            self._allowed_at = now + (ahead or 0.0)
            if seconds is None:
                return response
            reason = _error_message(self._http.redacted(response.body))
            log.warning("%s: the API's rate limit: %s", shown(url), reason)
        raise self._limited(f"It refused {self._settings.attempts} times, also after waiting.")

    def _attempt(self, url: httpx.URL, etag: str | None) -> Response:
        self.requests += 1
        response = self._http.send("GET", url, headers=_HEADERS | ({"If-None-Match": etag} if etag else {}))
        status = response.status
        expected = status in _ANSWERS | _REDIRECTS and (etag or status != httpx.codes.NOT_MODIFIED)
        if not expected and pause(status, response.headers, response.body, self._clock()) is None:
            raise self._http.refusal(response)
        return response

    def _wait(self, seconds: float) -> None:
        """Wait for the rate limit.

        Raises:
            RetryableError: the waits of this run together would be too long.
        """
        if seconds <= 0:
            return
        most, waited = self._settings.max_wait_seconds, self._waited_for_limits
        if waited + seconds > most:
            before = f" and has already waited {waited:.0f} s" if waited else ""
            raise self._limited(f"That is in {seconds:.0f} s, and a run waits at most {most:g} s{before}.")
        log.info("Waiting %.0f s for the API's rate limit.", seconds)
        self._waited_for_limits += seconds
        self._pause(seconds)

    def _limited(self, why: str) -> RetryableError:
        resets = datetime.fromtimestamp(self._allowed_at, UTC)
        message = (
            f"The API's rate limit is used up until {resets:%Y-%m-%d %H:%M:%S} UTC. {why} What was collected is kept, "
            "and the next run continues from there; a token in the connection source_github has a higher limit."
        )
        return RetryableError(Code.RATE_LIMITED, message, resets_at=f"{resets:%Y-%m-%dT%H:%M:%SZ}")

    def _pause(self, seconds: float) -> None:
        self.waited_seconds += seconds
        self._sleep(seconds)


# Rate limits: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit


def pause(status: int, headers: Mapping[str, str], body: bytes, now: float, turn: int = 0) -> float | None:
    """Return the seconds to wait before this request may be repeated; None if the response is not about a limit.

    The wait that the API requests is used unchanged. Without one, the pause doubles with each refusal.

    Args:
        status: status of the response.
        headers: headers of the response, as a mapping that ignores case.
        body: body of the response, which names the limit.
        now: seconds since the epoch.
        turn: how often this request was refused for a limit before.
    """
    if status not in _LIMITED:
        return None
    requested = [seconds for seconds in (retry_after(headers, now), used_up(headers, now)) if seconds is not None]
    if requested:
        return max(requested)
    words = body[:2000].decode(errors="replace").lower()
    if status == 429 or any(word in words for word in _LIMIT_WORDS):
        return _LEAST_PAUSE_SECONDS * 2.0**turn
    return None


def used_up(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until the next request is allowed, if no requests remain; else None."""
    if headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not reset.isdecimal():
        return _LEAST_PAUSE_SECONDS
    return min(max(float(reset) - now + _AFTER_RESET_SECONDS, 0.0), LONGEST_WAIT_SECONDS)


def _target(url: httpx.URL) -> str:
    return url.raw_path.decode("ascii")
