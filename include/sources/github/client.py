"""Requests to GitHub's REST API: timeouts, retries, rate limits, redirects, and what goes wrong as our errors.

What belongs here: one request, until it is answered. What does not: which requests there are, and what answers mean.
The token is sent to the address of the connection and to no other: a link or a redirect elsewhere is refused.
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
from include.sources.github.endpoints import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from include.settings import GithubSettings

log = logging.getLogger(__name__)

_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "filegate",
    # Others, and one inside another, can expand a thousand times more before the answer is measured.
    "Accept-Encoding": "gzip",
}
_LARGEST_ANSWER_BYTES = 64 * 1024**2
_PACKINGS = {"", "identity", "gzip"}
_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 307, 308}
# Answers that mean something to who asked: 409 is the API's word for a repository without a commit.
_ANSWERS = {httpx.codes.OK, httpx.codes.NOT_MODIFIED, httpx.codes.CONFLICT}
# One link of a Link header, and one parameter of it; a value in quotes may hold commas and semicolons.
_LINK = re.compile(r'<(?P<target>[^<>]*)>(?P<rest>(?:[^<,"]|"(?:[^"\\]|\\.)*")*)')
_PARAMETER = re.compile(r';\s*([^\s;=,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))')
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_REMEDIES: dict[int, str] = {
    401: "Check the token of the connection source_github: it is wrong, has expired or was revoked.",
    403: "Check what the token of the connection source_github may read.",
    404: "Check the repository's name; a private one is only shown to a token that may read it.",
    410: "The repository has this switched off; take the endpoint out of GITHUB_ENDPOINTS.",
    422: "The API does not take this request; trigger ingest_github with `full` to begin anew.",
    451: "It is closed for legal reasons; take it out of GITHUB_REPOSITORIES.",
}


@dataclass(frozen=True)
class Address:
    """Where the API is, as in https://api.github.com, and the token it is asked with; empty for none."""

    url: str
    token: SecretStr = field(default_factory=lambda: SecretStr(""))


@dataclass(frozen=True)
class Answer:
    """An answer as it came. `target` is the request below the server's address, `next` that of the page after.

    `answered_at` is the API's own time, None where it does not say it.
    """

    target: str
    status: int
    etag: str | None
    body: bytes
    next: str | None
    answered_at: datetime | None = None


class _FailedTryError(Exception):
    """This try came to nothing, and the next one may not. `status` is that of the answer, None where there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class GithubClient:
    """Asks one API, one request at a time. `requests` and `waited_seconds` count what was done so far.

    Args:
        address: of the API.
        settings: timeouts, tries and patience.
        sleep: waits, in seconds.
        clock: gives seconds since the epoch, as the API tells when its limit resets.

    All waits for a limit together are `max_wait_seconds` at most.
    """

    def __init__(
        self,
        address: Address,
        settings: GithubSettings,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Connect to nothing yet.

        Raises:
            PermanentError: the address is none, or the token cannot be one.
        """
        self._base, self._settings = _checked(address.url), settings
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
            # A proxy of the environment is for the outside world.
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
        """The request for a path below the API's address, as `get` takes it."""
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path, params=dict(query))
        return _target(url)

    def get(self, target: str, etag: str | None = None) -> Answer:
        """The answer to a request: 200, 304 (as the ETag says), or 409 (an empty repository).

        Args:
            target: path and query, from the root of the server.
            etag: of an earlier answer to the same request.

        Raises:
            RetryableError: the API does not answer through all tries, or its limit is used up for too long.
            PermanentError: it refuses; `facts` hold the status.
        """
        url = self._base.copy_with(raw_path=target.encode("ascii"))
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._within_limits(url, etag)
            if response.status_code not in _REDIRECTS:
                return self._answer(target, response, etag)
            moved = self._own(url, response.headers.get("location", ""))
            log.warning("%s has moved to %s; write the new name into GITHUB_REPOSITORIES.", url.path, moved.path)
            url = moved
        raise PermanentError(SOURCE, Code.SOURCE_REFUSED, "The API redirects in a circle.", url=_shown(url))

    def _answer(self, target: str, response: httpx.Response, etag: str | None) -> Answer:
        status, url = response.status_code, response.request.url
        if status not in _ANSWERS or (status == httpx.codes.NOT_MODIFIED and not etag):
            words = _words(response.content)
            remedy = _REMEDIES.get(status, "Look up what the API's documentation says of this status.")
            message = f"The API refuses with status {status}: {words.rstrip('.')}. {remedy}"
            raise PermanentError(SOURCE, Code.SOURCE_REFUSED, message, url=_shown(url), status=status)
        following = _next_link(response.headers.get("link", ""))
        return Answer(
            target,
            status,
            tag if (tag := response.headers.get("etag")) and tag.isascii() else None,
            response.content,
            _target(self._own(url, following)) if following else None,
            _moment(response.headers.get("date", "")),
        )

    def _own(self, url: httpx.URL, link: str) -> httpx.URL:
        """Where a link of the API leads, if that is the API."""
        try:
            found = url.join(link)
        except httpx.InvalidURL:
            found = httpx.URL("")
        if not link or _origin(found) != _origin(self._base) or found.userinfo:
            raise PermanentError(
                SOURCE,
                Code.SOURCE_REFUSED,
                "The API's answer leads to another server, which is not asked: the token is for this one. "
                "Check the address in the connection source_github.",
                url=_shown(url),
                link=_shown(found),
            )
        return found.copy_with(fragment=None)

    def _within_limits(self, url: httpx.URL, etag: str | None) -> httpx.Response:
        """The answer, after as many waits for a limit as there are tries."""
        for turn in range(self._settings.attempts):
            self._wait(self._allowed_at - self._clock())
            response = self._tried(url, etag)
            now = self._clock()
            pause = limits.pause(response.status_code, response.headers, response.content, now, turn)
            # Nothing is sent while nothing is left, be it that an answer said so beforehand.
            ahead = limits.used_up(response.headers, now) if pause is None else pause
            self._allowed_at = now + (ahead or 0.0)
            if pause is None:
                return response
            log.warning("%s: the API's rate limit: %s", _shown(url), _words(response.content))
        raise self._limited(f"It refused {self._settings.attempts} times, whatever was waited.")

    def _wait(self, seconds: float) -> None:
        """Wait for the limit.

        Raises:
            RetryableError: that would take too long, with what was waited before.
        """
        if seconds <= 0:
            return
        most, waited = self._settings.max_wait_seconds, self._waited_for_limits
        if waited + seconds > most:
            before = f" and has waited {waited:.0f} s before" if waited else ""
            raise self._limited(f"That is {seconds:.0f} s ahead, and a run waits {most:g} s at most{before}.")
        log.info("Waiting %.0f s for the API's rate limit.", seconds)
        self._waited_for_limits += seconds
        self._pause(seconds)

    def _limited(self, why: str) -> RetryableError:
        resets = datetime.fromtimestamp(self._allowed_at, UTC)
        message = (
            f"The API's rate limit is used up until {resets:%Y-%m-%d %H:%M:%S} UTC. {why} What was collected is kept, "
            "and the next run goes on from there; a token in the connection source_github has a higher limit."
        )
        return RetryableError(SOURCE, Code.RATE_LIMITED, message, resets_at=f"{resets:%Y-%m-%dT%H:%M:%SZ}")

    def _pause(self, seconds: float) -> None:
        self.waited_seconds += seconds
        self._sleep(seconds)

    def _tried(self, url: httpx.URL, etag: str | None) -> httpx.Response:
        """The answer of the first try that has one."""
        tries = Retrying(
            retry=retry_if_exception_type(_FailedTryError),
            stop=stop_after_attempt(self._settings.attempts),
            wait=self._backoff,
            sleep=self._pause,
            before_sleep=self._say_failed,
        )
        try:
            return tries(self._try, url, etag)
        except RetryError as error:
            failure = error.last_attempt.exception()
            status = getattr(failure, "status", None)
            raise RetryableError(
                SOURCE,
                Code.SOURCE_UNAVAILABLE,
                f"The API did not answer as it should, at the last try: {failure}.",
                url=_shown(url),
                attempts=error.last_attempt.attempt_number,
                **({} if status is None else {"status": status}),
            ) from failure

    def _try(self, url: httpx.URL, etag: str | None) -> httpx.Response:
        self.requests += 1
        headers = {"If-None-Match": etag} if etag else {}
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                if (packing := response.headers.get("content-encoding", "").strip().lower()) not in _PACKINGS:
                    raise _FailedTryError(f"its answer is packed as {visible(packing[:100])}, which was not asked for")
                content = self._whole(response)
        except httpx.ConnectTimeout as error:
            raise _FailedTryError(f"no connection within {self._settings.connect_timeout_seconds:g} seconds") from error
        except httpx.TimeoutException as error:
            raise _FailedTryError(f"no answer within {self._settings.read_timeout_seconds:g} seconds") from error
        except httpx.LocalProtocolError as error:
            # Its words hold the header that cannot be sent, which may be the token: neither they nor it go further.
            raise _FailedTryError(type(error).__name__) from None
        except httpx.RequestError as error:
            raise _FailedTryError(f"{type(error).__name__}: {error}") from error
        status = response.status_code
        if status >= 500 or status == 408 or (200 < status < 300):
            raise _FailedTryError(f"it answered with status {status}: {_words(content)}", status)
        # What was read by pieces, as one: without the headers that say how the pieces were packed.
        kept = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
        return httpx.Response(status, headers=kept, content=content, request=response.request)

    def _whole(self, response: httpx.Response) -> bytes:
        """The body, which has to be there within the read timeout of its beginning."""
        deadline, body = time.monotonic() + self._settings.read_timeout_seconds, bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LARGEST_ANSWER_BYTES:
                raise _FailedTryError(f"its answer has over {_LARGEST_ANSWER_BYTES} bytes", httpx.codes.OK)
            if time.monotonic() > deadline:
                seconds = self._settings.read_timeout_seconds
                raise _FailedTryError(f"its answer took over {seconds:g} seconds", httpx.codes.OK)
        return bytes(body)

    def _say_failed(self, state: RetryCallState) -> None:
        log.warning(
            "The API, try %d of %d: %s; the next in %.1f s",
            state.attempt_number,
            self._settings.attempts,
            state.outcome.exception() if state.outcome else None,
            state.upcoming_sleep,
        )


def _next_link(header: str) -> str | None:
    """The target of the first link in a Link header that has the relation `next`, by RFC 8288; None without one.

    Names are compared in any case; a relation may be bare, and one of several in quotes.
    """
    for link in _LINK.finditer(header):
        # Of a parameter that is given twice the first one counts, as the RFC says of `rel`.
        relations = [value or bare for name, value, bare in _PARAMETER.findall(link["rest"]) if name.lower() == "rel"]
        if relations and "next" in relations[0].lower().split():
            return link["target"].strip()
    return None


def excerpt(body: bytes) -> str:
    """The beginning of a body, on one line."""
    return visible(" ".join(body[:200].decode(errors="replace").split())) or "nothing"


def _words(body: bytes) -> str:
    """The API's message if there is one, else what there is to read."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return excerpt(body)
    return visible(str(message)[:300])


def _moment(date: str) -> datetime | None:
    """The time of a Date header; None where it is none."""
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _checked(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query:
        raise PermanentError(
            SOURCE,
            Code.SOURCE_REFUSED,
            "The host of the connection source_github must be the API's address, as in https://api.github.com; "
            "a token is its password.",
        )
    return url


def _checked_token(token: SecretStr) -> str:
    """The token as a header can hold it. The value is in no message."""
    value = token.get_secret_value().strip()
    if not all("!" <= letter <= "~" for letter in value):
        raise PermanentError(
            SOURCE,
            Code.SOURCE_REFUSED,
            "The password of the connection source_github is no token: it has blanks, line ends or letters outside "
            "ASCII. Copy it anew.",
        )
    return value


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _target(url: httpx.URL) -> str:
    return url.raw_path.decode("ascii")


def _shown(url: httpx.URL) -> str:
    """The address as it may be shown."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
