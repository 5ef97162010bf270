"""The client of GitHub's REST API: timeouts, retries, rate limits, redirects, translation of errors.

What belongs here: sending one request until there is a response. What does not: which requests are sent, and the
meaning of responses. The token is sent only to the address of the connection: links and redirects to other servers are
refused.
"""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

import httpx
from pydantic import SecretStr
from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity import wait_random_exponential as random_exponential

from include.errors import Code, PermanentError, RetryableError, visible
from include.sources.github import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from include.settings import GithubSettings

log = logging.getLogger(__name__)

_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "filegate",
    # Other or nested encodings can expand a thousand times more than gzip before the size limit is checked.
    "Accept-Encoding": "gzip",
}
_LARGEST_ANSWER_BYTES = 64 * 1024**2
_ENCODINGS = {"", "identity", "gzip"}
_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 307, 308}
# Statuses that are returned to the caller; 409 means a repository without commits.
_ANSWERS = {httpx.codes.OK, httpx.codes.NOT_MODIFIED, httpx.codes.CONFLICT}
# One link of a Link header, and one parameter of it; a quoted value may contain commas and semicolons.
_LINK = re.compile(r'<(?P<target>[^<>]*)>(?P<parameters>(?:[^<,"]|"(?:[^"\\]|\\.)*")*)')
_PARAMETER = re.compile(r';\s*([^\s;=,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))')
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_REMEDIES: dict[int, str] = {
    401: "Check the token of the connection source_github: it is wrong, has expired or was revoked.",
    403: "Check the permissions of the token of the connection source_github.",
    404: "Check the repository's name; a private repository requires a token that may read it.",
    410: "The repository has disabled this feature; remove the endpoint from GITHUB_ENDPOINTS.",
    422: "The API does not accept this request; trigger ingest_github with `full` to read everything again.",
    451: "The repository is blocked for legal reasons; remove it from GITHUB_REPOSITORIES.",
}


@dataclass(frozen=True)
class Address:
    """The address of the API, for example https://api.github.com, and its token; empty for none."""

    url: str
    token: SecretStr = field(default_factory=lambda: SecretStr(""))


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


class _FailedTryError(Exception):
    """An attempt failed and can be retried. `status` is that of the response; None if there was no response."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


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
        self._base, self._settings = _checked_url(address.url), settings
        self._sleep, self._clock = sleep, clock
        self._allowed_at, self._waited_for_limits = 0.0, 0.0
        self.requests, self.waited_seconds = 0, 0.0
        headers = dict(_HEADERS)
        if token := _checked_token(address.token):
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds),
            follow_redirects=False,
            # A proxy of the environment does not apply to loopback addresses.
            trust_env=self._base.host not in _LOOPBACK,
        )
        self._backoff = random_exponential(multiplier=settings.backoff_seconds, max=settings.backoff_max_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def target(self, path: str, query: Mapping[str, str]) -> str:
        """Return the target for `get` of a path below the API's address."""
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path, params=dict(query))
        return _target(url)

    def get(self, target: str, etag: str | None = None) -> Answer:
        """Send a request; the status is 200, 304 (not modified since the ETag), or 409 (an empty repository).

        Args:
            target: path and query, from the root of the server.
            etag: ETag of an earlier response to the same request.

        Raises:
            RetryableError: the API does not respond in all attempts, or its limit is used up for too long.
            PermanentError: it refuses; `details` hold the status.
        """
        url = self._base.copy_with(raw_path=target.encode("ascii"))
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._within_limits(url, etag)
            if response.status_code not in _REDIRECTS:
                return self._answer(target, response, etag)
            moved = self._same_server_url(url, response.headers.get("location", ""))
            log.warning("%s has moved to %s; change the name in GITHUB_REPOSITORIES.", url.path, moved.path)
            url = moved
        raise PermanentError(Code.SOURCE_REFUSED, "The API redirects too often.", url=_shown(url))

    def _answer(self, target: str, response: httpx.Response, etag: str | None) -> Answer:
        status, url = response.status_code, response.request.url
        if status not in _ANSWERS or (status == httpx.codes.NOT_MODIFIED and not etag):
            reason = _error_message(response.content)
            remedy = _REMEDIES.get(status, "Look up this status in the API's documentation.")
            message = f"The API refuses with status {status}: {reason.rstrip('.')}. {remedy}"
            raise PermanentError(Code.SOURCE_REFUSED, message, url=_shown(url), status=status)
        following = _next_link(response.headers.get("link", ""))
        return Answer(
            target,
            status,
            tag if (tag := response.headers.get("etag")) and tag.isascii() else None,
            response.content,
            _target(self._same_server_url(url, following)) if following else None,
            _parsed_date(response.headers.get("date", "")),
        )

    def _same_server_url(self, url: httpx.URL, link: str) -> httpx.URL:
        """Return the absolute URL of a link if it leads to the API's server.

        Raises:
            PermanentError: it leads to another server, or is not valid.
        """
        try:
            found = url.join(link)
        except httpx.InvalidURL:
            found = httpx.URL("")
        if not link or _origin(found) != _origin(self._base) or found.userinfo:
            raise PermanentError(
                Code.SOURCE_REFUSED,
                "The API's response links to another server. The link is not followed, because the token is only for "
                "this one. Check the address in the connection source_github.",
                url=_shown(url),
                link=_shown(found),
            )
        return found.copy_with(fragment=None)

    def _within_limits(self, url: httpx.URL, etag: str | None) -> httpx.Response:
        """Return the response, after waiting for the rate limit at most as often as there are attempts."""
        for turn in range(self._settings.attempts):
            self._wait(self._allowed_at - self._clock())
            response = self._with_retries(url, etag)
            now = self._clock()
            pause = limits.pause(response.status_code, response.headers, response.content, now, turn)
            # A successful response can also say that no requests are left: the next request then waits.
            ahead = limits.used_up(response.headers, now) if pause is None else pause
            self._allowed_at = now + (ahead or 0.0)
            if pause is None:
                return response
            log.warning("%s: the API's rate limit: %s", _shown(url), _error_message(response.content))
        raise self._limited(f"It refused {self._settings.attempts} times, also after waiting.")

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

    def _with_retries(self, url: httpx.URL, etag: str | None) -> httpx.Response:
        """Return the response of the first successful attempt."""
        attempts = Retrying(
            retry=retry_if_exception_type(_FailedTryError),
            stop=stop_after_attempt(self._settings.attempts),
            wait=self._backoff,
            sleep=self._pause,
            before_sleep=self._log_failure,
        )
        try:
            return attempts(self._attempt, url, etag)
        except RetryError as error:
            failure = error.last_attempt.exception()
            status = getattr(failure, "status", None)
            raise RetryableError(
                Code.SOURCE_UNAVAILABLE,
                f"The API did not return a valid response. Last attempt: {failure}.",
                url=_shown(url),
                attempts=error.last_attempt.attempt_number,
                **({} if status is None else {"status": status}),
            ) from failure

    def _attempt(self, url: httpx.URL, etag: str | None) -> httpx.Response:
        self.requests += 1
        headers = {"If-None-Match": etag} if etag else {}
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                if (encoding := response.headers.get("content-encoding", "").strip().lower()) not in _ENCODINGS:
                    raise _FailedTryError(f"the response has the encoding {visible(encoding[:100])}, expected gzip")
                content = self._body(response)
        except httpx.ConnectTimeout as error:
            raise _FailedTryError(f"no connection within {self._settings.connect_timeout_seconds:g} seconds") from error
        except httpx.TimeoutException as error:
            raise _FailedTryError(f"no response within {self._settings.read_timeout_seconds:g} seconds") from error
        except httpx.LocalProtocolError as error:
            # The error text may contain the token, because it quotes the header that cannot be sent: drop both.
            raise _FailedTryError(type(error).__name__) from None
        except httpx.RequestError as error:
            raise _FailedTryError(f"{type(error).__name__}: {error}") from error
        status = response.status_code
        if status >= 500 or status == 408 or (200 < status < 300):
            raise _FailedTryError(f"it responded with status {status}: {_error_message(content)}", status)
        # The body is already decoded, so the content-encoding header is removed.
        kept = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
        return httpx.Response(status, headers=kept, content=content, request=response.request)

    def _body(self, response: httpx.Response) -> bytes:
        """Read the body, which must be complete within the read timeout."""
        deadline, body = time.monotonic() + self._settings.read_timeout_seconds, bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LARGEST_ANSWER_BYTES:
                raise _FailedTryError(f"the response has over {_LARGEST_ANSWER_BYTES} bytes", httpx.codes.OK)
            if time.monotonic() > deadline:
                seconds = self._settings.read_timeout_seconds
                raise _FailedTryError(f"the response took over {seconds:g} seconds", httpx.codes.OK)
        return bytes(body)

    def _log_failure(self, state: RetryCallState) -> None:
        log.warning(
            "Request to the API failed, attempt %d of %d: %s; next attempt in %.1f s",
            state.attempt_number,
            self._settings.attempts,
            state.outcome.exception() if state.outcome else None,
            state.upcoming_sleep,
        )


def _next_link(header: str) -> str | None:
    """Return the target of the first link with the relation `next` in a Link header (RFC 8288); None without one.

    Names are case-insensitive; a relation may be unquoted, or one of several in quotes.
    """
    for link in _LINK.finditer(header):
        # If `rel` occurs twice, the first one counts (RFC 8288).
        parameters = _PARAMETER.findall(link["parameters"])
        relations = [value or bare for name, value, bare in parameters if name.lower() == "rel"]
        if relations and "next" in relations[0].lower().split():
            return link["target"].strip()
    return None


def excerpt(body: bytes) -> str:
    """Return the beginning of a body on one line."""
    return visible(" ".join(body[:200].decode(errors="replace").split())) or "nothing"


def _error_message(body: bytes) -> str:
    """Return the API's error message, or else the beginning of the body."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return excerpt(body)
    return visible(str(message)[:300])


def _parsed_date(date: str) -> datetime | None:
    """Return the time of a Date header; None if it cannot be parsed."""
    try:
        time_sent = parsedate_to_datetime(date)
    except ValueError:
        return None
    return time_sent if time_sent.tzinfo else time_sent.replace(tzinfo=UTC)


def _checked_url(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query:
        raise PermanentError(
            Code.SOURCE_REFUSED,
            "The host of the connection source_github must be the API's address, for example https://api.github.com; "
            "the token is its password.",
        )
    return url


def _checked_token(token: SecretStr) -> str:
    """Return the token if it is valid in a header. Messages never contain its value."""
    value = token.get_secret_value().strip()
    if not all("!" <= letter <= "~" for letter in value):
        raise PermanentError(
            Code.SOURCE_REFUSED,
            "The password of the connection source_github is not a token: it has spaces, line breaks or characters "
            "outside ASCII. Copy the token again.",
        )
    return value


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _target(url: httpx.URL) -> str:
    return url.raw_path.decode("ascii")


def _shown(url: httpx.URL) -> str:
    """Return the URL without user, query and fragment, for messages."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
