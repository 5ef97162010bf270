"""The client of a REST API: credentials, redirects, rate limits, ETags, and what requests cost.

What belongs here: sending one request until there is an answer that can be read. What does not: attempts, deadlines
and their errors (`include.stores.http`), which requests are sent (`pages`), and what an answer holds (`records`).

A target is path and query from the root of the server, without the API's key: it may be stored and shown.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import httpx

from include.errors import Code, PermanentError, RetryableError, visible
from include.sources.rest import limits
from include.sources.rest.auth import Credentials
from include.stores.http import Address, HttpClient, Policy, Service
from include.stores.http_response import excerpt, http_date, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from include.sources.definition import RestSource
    from include.sources.listing import Traffic
    from include.sources.rest.auth import ApiConnection
    from include.stores.http_response import Response

T = TypeVar("T")

log = logging.getLogger(__name__)

# All waits of a reader for a rate limit together: what takes longer is left to a later run.
MAX_WAIT_SECONDS = 300.0
_MOST_REDIRECTS = 3
# Every answer of a stand-in has this header.
STAND_IN = "x-stand-in"
_REDIRECTS = {301, 302, 303, 307, 308}
# 202 means that the API still prepares the answer. A 429 is a rate limit, which has its own waits.
_RETRIED = frozenset({202, 408, 425})
_POLICY = Policy(
    read_seconds=60.0,
    backoff_max_seconds=30.0,
    retry_after_seconds=120.0,
    response_bytes=128 * 1024**2,
    retried=_RETRIED,
)
# A clock outside of these is no clock, and arithmetic with it could leave the valid range of dates.
_YEARS = range(1970, 9000)
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Members of an error body that hold the reason, in the order of their use.
_REASONS = ("message", "error_message", "error_description", "msg", "reason", "detail", "error", "errors", "status")


@dataclass(frozen=True)
class Fetched(Generic[T]):
    """An answer of the API.

    Attributes:
        response: with a status of 2xx, or 304.
        content: what was read of it; None for a 304.
        answered_at: the API's time: its Date header, or the time of this machine if it has none.
    """

    response: Response
    content: T | None
    answered_at: datetime

    @property
    def etag(self) -> str | None:
        """Return the ETag, if it can be sent again."""
        etag = self.response.headers.get("etag")
        return etag if etag and etag.isascii() and etag.isprintable() else None


class RestClient:
    """Sends requests to one API, one at a time, and counts in `traffic` what they cost.

    Args:
        source: the definition.
        connection: address and credentials.
        traffic: counts requests, retries, bytes and waits.
        sleep: waits, in seconds.
        clock: returns seconds since the epoch.
    """

    def __init__(
        self,
        source: RestSource,
        connection: ApiConnection,
        traffic: Traffic,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Check address and credentials; nothing is connected yet.

        Raises:
            PermanentError: one of them is not valid.
        """
        self.source, self.clock = source, clock
        self._traffic, self._sleep = traffic, sleep
        service = _service(source)
        self._http = HttpClient(service, Address(connection.url), _POLICY, self._pause)
        try:
            self._credentials = Credentials(source.auth, connection, service, self._http, clock)
        except PermanentError:
            self._http.close()
            raise
        self._most_wait = min(MAX_WAIT_SECONDS, source.limits.seconds)
        self._allowed_at, self._waited_for_limits, self._was_limited = 0.0, 0.0, False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def target(self, path: str) -> str:
        """Return the target of a path below the API's address."""
        return _target(self._http.base).rstrip("/") + path

    def linked(self, response: Response, link: str) -> str:
        """Return the target of a link in an answer, without secrets.

        Raises:
            PermanentError: it leads to another server, or is not valid.
        """
        return self._credentials.unsigned(_target(self._http.linked(response.url, link)))

    @property
    def wait_ahead(self) -> float:
        """Return the seconds that the next request has to wait for the rate limit."""
        return max(self._allowed_at - self.clock(), 0.0)

    def redacted(self, body: bytes) -> bytes:
        """Return a body without secrets."""
        return self._http.redacted(body)

    def get(
        self,
        target: str,
        read: Callable[[Response], T],
        etag: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Fetched[T]:
        """Send a request until it is answered with 2xx and the answer can be read, or with 304.

        Args:
            target: path and query.
            read: returns the content of an answer; a FailedAttemptError has the request repeated.
            etag: ETag of an earlier answer to the same request.
            headers: of the definition.

        Raises:
            RetryableError: the API does not answer in all attempts, or its limit is used up for too long.
            PermanentError: it refuses; `details` hold the status.
        """
        sent = {"accept": "application/json"} | {name.lower(): value for name, value in headers.items()}
        sent |= {"if-none-match": etag} if etag else {}
        for _ in range(_MOST_REDIRECTS + 1):
            response, content = self._within_limits(target, sent, read)
            if response.status not in _REDIRECTS:
                return Fetched(response, content, self._time_of(response))
            moved = self._http.linked(response.url, response.headers.get("location", ""))
            words = "%s has moved to %s: change the path in the definition of the source %s."
            log.warning(words, visible(response.url.path), visible(moved.path), self.source.name)
            target = _target(moved)
        message = f"{self._name} redirects too often."
        raise PermanentError(Code.SOURCE_REFUSED, message, url=shown(response.url))

    def _within_limits(
        self, target: str, headers: Mapping[str, str], read: Callable[[Response], T]
    ) -> tuple[Response, T | None]:
        """Return the answer, after waiting for the rate limit at most as often as there are attempts."""
        url, attempts = self._url(target), 0

        def attempt() -> tuple[Response, T | None]:
            nonlocal attempts
            attempts += 1
            self._traffic.retries += attempts > 1
            return self._attempt(url, headers, read)

        for turn in range(_POLICY.attempts):
            self._wait(self.wait_ahead)
            response, content = self._http.retry(attempt, url)
            seconds = self._limit_pause(response, turn)
            now = self._time_of(response).timestamp()
            # An answer can also say that no requests are left: the next request then waits.
            ahead = limits.used_up(response.headers, now) if seconds is None else seconds
            self._allowed_at = self.clock() + (ahead or 0.0)
            if seconds is None:
                return response, content
            self._was_limited = True
            log.warning("%s: the API's rate limit: %s", shown(url), _reason(self.redacted(response.body)))
        raise self._limited(f"It refused {_POLICY.attempts} times, also after waiting.")

    def _attempt(
        self, url: httpx.URL, headers: Mapping[str, str], read: Callable[[Response], T]
    ) -> tuple[Response, T | None]:
        response = self._send("GET", url, None, {**headers, **self._credentials.headers(self._send)})
        if response.status == httpx.codes.UNAUTHORIZED and self._credentials.renews:
            # The token may have been revoked, whatever its answer said about its end.
            self._credentials.forget_token()
            self._traffic.retries += 1
            response = self._send("GET", url, None, {**headers, **self._credentials.headers(self._send)})
        status = response.status
        if 200 <= status < 300 or status in self.source.empty_statuses:
            return response, read(response)
        is_not_modified = status == httpx.codes.NOT_MODIFIED and "if-none-match" in headers
        if is_not_modified or status in _REDIRECTS or self._limit_pause(response) is not None:
            return response, None
        raise self._http.refusal(response)

    def _limit_pause(self, response: Response, turn: int = 0) -> float | None:
        now = self._time_of(response).timestamp()
        return limits.pause(response, now, turn, was_limited=self._was_limited)

    def _send(
        self, method: str, url: httpx.URL | str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        self._traffic.requests += 1
        response = self._http.send(method, url, content, headers)
        traffic, received = self._traffic, response.headers
        traffic.bytes += len(response.body)
        traffic.is_stand_in |= STAND_IN in received
        traffic.used_weight = _known(limits.used_weight(received), traffic.used_weight)
        traffic.poll_interval_seconds = _known(limits.poll_interval(received), traffic.poll_interval_seconds)
        traffic.limit_remaining = _known(limits.remaining(received), traffic.limit_remaining)
        reset_at = limits.reset_at(received, self._time_of(response).timestamp())
        if reset_at is not None:
            traffic.limit_resets_at = datetime.fromtimestamp(reset_at, UTC)
        return response

    def _time_of(self, response: Response) -> datetime:
        sent = http_date(response.headers.get("date", ""))
        if sent is None or sent.year not in _YEARS:
            return datetime.fromtimestamp(self.clock(), UTC)
        return sent.astimezone(UTC)

    def _url(self, target: str) -> httpx.URL:
        return self._http.base.copy_with(raw_path=self._credentials.signed(target).encode("ascii"))

    def _wait(self, seconds: float) -> None:
        """Wait for the rate limit.

        Raises:
            RetryableError: the waits of this run together would be too long.
        """
        if seconds <= 0:
            return
        waited = self._waited_for_limits
        if waited + seconds > self._most_wait:
            before = f" and has already waited {waited:.0f} s" if waited else ""
            raise self._limited(f"That is in {seconds:.0f} s, and a run waits at most {self._most_wait:g} s{before}.")
        log.info("Waiting %.0f s for the API's rate limit.", seconds)
        self._waited_for_limits += seconds
        self._pause(seconds)

    def _limited(self, why: str) -> RetryableError:
        resets = datetime.fromtimestamp(self._allowed_at, UTC)
        self._traffic.limit_resets_at = resets
        is_long = self.wait_ahead > limits.LONGEST_SILENCE_SECONDS
        message = (
            f"The rate limit of the API of {self.source.name} is used up until {resets:%Y-%m-%d %H:%M:%S} UTC. {why} "
            "What was collected is kept, and the next run continues from there."
        )
        message += " That is more than a day: ask the operator of the API for more requests." if is_long else ""
        return RetryableError(Code.RATE_LIMITED, message, resets_at=f"{resets:%Y-%m-%dT%H:%M:%SZ}", is_long=is_long)

    def _pause(self, seconds: float) -> None:
        self._traffic.waited_seconds += seconds
        self._sleep(seconds)

    @property
    def _name(self) -> str:
        return f"The API of {self.source.name}"


def _service(source: RestSource) -> Service:
    connection, file = f"connection {source.connection}", f"sources/{source.name}.yaml"
    credentials = f"Check login and password of the {connection}"
    return Service(
        f"The API of {source.name}",
        Code.SOURCE_UNAVAILABLE,
        Code.SOURCE_REFUSED,
        f"The host of the {connection}",
        f"The password of the {connection}",
        remedies={
            400: f"Check the params in {file}.",
            401: f"{credentials}: they are wrong, have expired or were revoked.",
            403: f"{credentials}: they may lack a right.",
            404: f"Check the paths in {file}, and the host of the {connection}.",
            422: f"Check the params in {file}.",
        },
        explain=_reason,
    )


def _reason(body: bytes) -> str:
    """Return the reason of an error body, or else its beginning."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return excerpt(body)
    for _ in range(4):
        if isinstance(found, list) and found:
            found = found[0]
        elif isinstance(found, dict):
            found = next((found[name] for name in _REASONS if found.get(name) not in (None, "", True, False)), None)
    return visible(found[:300]) if isinstance(found, str) else excerpt(body)


def _target(url: httpx.URL) -> str:
    return url.raw_path.decode("ascii")


def _known(new: T | None, old: T | None) -> T | None:
    return old if new is None else new
