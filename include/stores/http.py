"""The base of every client of an HTTP API: one request until there is a response, with errors that show no secrets.

What belongs here: the connection pool, deadlines, retries, the limit of a response's size, redaction, and the errors.
What does not: which requests are sent, and what a response means. A client holds an `HttpClient`:

    service = Service("The shop's API", Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, "SHOP_URL", "SHOP_KEY")
    with HttpClient(service, Address(url, token), Policy(attempts=3)) as http:
        records = http.request("GET", "/orders?page=1").json()

`request` is enough for most APIs. If a response must pass another check before it counts, give `retry` a function that
calls `send` and raises a FailedAttemptError.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from pydantic import SecretStr
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from include.errors import Code, PermanentError, RetryableError, visible
from include.stores.http_response import FailedAttemptError, Response, excerpt, retry_after, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

T = TypeVar("T")

log = logging.getLogger(__name__)

_HEADERS = {
    "User-Agent": "filegate",
    # Other or nested encodings can expand a thousand times more than gzip before the size limit is checked.
    "Accept-Encoding": "gzip",
}
_ENCODINGS = {"", "identity", "gzip"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Servers close idle connections, uvicorn by default after 5 seconds. Closing them earlier here avoids failed requests.
_IDLE_SECONDS = 3.0


@dataclass(frozen=True)
class Service:
    """The server behind a client, as error messages name it.

    Attributes:
        name: with an article, for the beginning of a sentence.
        unavailable: code of errors that a later attempt may not have.
        refused: code of errors that an operator must fix.
        address: setting that holds the address, for the beginning of a sentence.
        token: setting that holds the token, likewise.
        remedies: what to do, by status of a refusal.
        explain: returns the server's reason, from the body of a refusal.
        internal: a service of the platform: no proxy of the environment, certificates from the system's store.
        login_in_address: the address may contain a user and a password.
    """

    name: str
    unavailable: Code
    refused: Code
    address: str
    token: str
    remedies: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    explain: Callable[[bytes], str] = excerpt
    internal: bool = False
    login_in_address: bool = False


@dataclass(frozen=True)
class Address:
    """The address of an API, for example https://api.github.com, and its bearer token; empty for none."""

    url: str
    token: SecretStr = field(default_factory=lambda: SecretStr(""))


@dataclass(frozen=True)
class Policy:
    """How often and how long a request is tried, and how large its response may be.

    Attributes:
        connect_seconds: limit of a connection's start.
        read_seconds: limit of the wait for data, and of the time in which the whole body must arrive.
        total_seconds: limit of all attempts of a request with their pauses, no attempt starts later; None for none.
        attempts: maximum number of attempts.
        backoff_seconds: longest first pause; each next one is twice as long, with jitter.
        backoff_max_seconds: limit of that growth.
        retry_after_seconds: limit of the pause that a Retry-After header adds.
        response_bytes: limit of a body, after decompression.
        connections: limit of simultaneous connections.
        retried: statuses besides 5xx that a later attempt may not have.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    total_seconds: float | None = None
    attempts: int = 5
    backoff_seconds: float = 0.5
    backoff_max_seconds: float = 15.0
    retry_after_seconds: float = 30.0
    response_bytes: int = 64 * 1024**2
    connections: int = 10
    retried: Collection[int] = frozenset({408, 429})

    @classmethod
    def of(cls, settings: Any) -> Self:
        """Return the policy of a client's settings, which have the fields that are read here."""
        return cls(
            connect_seconds=settings.connect_timeout_seconds,
            read_seconds=settings.read_timeout_seconds,
            attempts=settings.attempts,
            backoff_seconds=settings.backoff_seconds,
            backoff_max_seconds=settings.backoff_max_seconds,
        )


class HttpClient:
    """Sends requests to one server over a pool of connections. Thread-safe. It follows no redirects.

    The token is sent with every request, so URLs of other servers are refused.

    Args:
        service: the server.
        address: its address and token.
        policy: deadlines, attempts, limits.
        sleep: waits, in seconds.
    """

    def __init__(
        self, service: Service, address: Address, policy: Policy, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Check address and token. It connects at the first request.

        Raises:
            PermanentError: one of them is not valid.
        """
        url, token = _checked_url(address.url, service), checked_token(address.token, service)
        self._service, self._policy, self._sleep = service, policy, sleep
        self._backoff = wait_random_exponential(multiplier=policy.backoff_seconds, max=policy.backoff_max_seconds)
        self._secrets: set[bytes] = set()
        self.hide(token, url.password)
        # The credentials are not in the address, which httpx logs.
        self.base = url.copy_with(userinfo=b"")
        self.url = shown(url).rstrip("/")
        self._client = httpx.Client(
            headers=_HEADERS | ({"Authorization": f"Bearer {token}"} if token else {}),
            auth=httpx.BasicAuth(url.username, url.password) if url.userinfo and not token else None,
            timeout=httpx.Timeout(policy.read_seconds, connect=policy.connect_seconds),
            limits=httpx.Limits(max_connections=policy.connections, keepalive_expiry=_IDLE_SECONDS),
            follow_redirects=False,
            verify=ssl.create_default_context() if service.internal else True,
            trust_env=not service.internal and url.host not in _LOOPBACK,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def hide(self, *secrets: str) -> None:
        """Replace these values in every error and log line from now on, also as JSON writes them."""
        for secret in filter(None, secrets):
            self._secrets |= {secret.encode(), json.dumps(secret)[1:-1].encode()}

    def redacted(self, body: bytes) -> bytes:
        """Return a body without the secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            body = body.replace(secret, b"***")
        return body

    def request(
        self, method: str, url: httpx.URL | str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the response with a status of 2xx, after as many attempts as the policy allows.

        The server may receive the request several times, so a POST must be safe to repeat. See `send`.

        Raises:
            RetryableError: no attempt succeeds.
            PermanentError: the server refuses the request.
        """

        def attempt() -> Response:
            response = self.send(method, url, content, headers)
            if not 200 <= response.status < 300:
                raise self.refusal(response)
            return response

        return self.retry(attempt, url)

    def retry(
        self, attempt: Callable[[], T], url: httpx.URL | str = "", sleep: Callable[[float], None] | None = None
    ) -> T:
        """Return the result of the first attempt without a FailedAttemptError.

        Args:
            attempt: calls `send`, and checks the response.
            url: of the request, for errors.
            sleep: waits between these attempts; without one, the client's.

        Raises:
            RetryableError: each attempt failed.
            PermanentError: an attempt raised one.
        """
        stop, total = stop_after_attempt(self._policy.attempts), self._policy.total_seconds
        attempts = Retrying(
            retry=retry_if_exception_type(FailedAttemptError),
            stop=stop if total is None else stop | stop_before_delay(total),
            wait=self._pause,
            sleep=sleep or self._sleep,
            before_sleep=self._log_failure,
        )
        try:
            return attempts(attempt)
        except PermanentError as error:
            if "status" in error.details:
                error.details["attempts"] = attempts.statistics["attempt_number"]
            raise
        except RetryError as error:
            failure = error.last_attempt.exception()
            message = f"{self._service.name} did not return a valid response. Last attempt: {failure}."
            details = {"url": shown(self._url(url)).rstrip("/"), "attempts": error.last_attempt.attempt_number}
            if isinstance(failure, FailedAttemptError) and failure.status is not None:
                details["status"] = failure.status
            raise RetryableError(self._service.unavailable, message, **details) from failure

    def send(
        self, method: str, url: httpx.URL | str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request once, and return the response with any status that a later attempt would not change.

        Args:
            method: of the request.
            url: a path below the address, with its query, or a URL of the same server.
            content: body of the request.
            headers: headers of this request.

        Raises:
            FailedAttemptError: there is no complete response, or it has another status.
        """
        target = self._url(url)
        request = f"{method} {target.raw_path.partition(b'?')[0].decode('ascii')}"
        try:
            with self._client.stream(method, target, content=content, headers=headers) as streamed:
                body = self._body(streamed, request)
        except httpx.ConnectTimeout as error:
            reason = f"no connection within {self._policy.connect_seconds:g} seconds"
            raise FailedAttemptError(reason, request) from error
        except httpx.TimeoutException as error:
            raise FailedAttemptError(f"no answer within {self._policy.read_seconds:g} seconds", request) from error
        except httpx.LocalProtocolError as error:
            # The error text may contain the token, because it quotes the header that cannot be sent: drop both.
            raise FailedAttemptError(type(error).__name__, request) from None
        except httpx.RequestError as error:
            text = f"{type(error).__name__}: {error}"
            safe = self.redacted(text.encode(errors="replace")).decode()
            # The text may quote an invalid answer, which may repeat the request. A traceback would show it unchanged.
            raise FailedAttemptError(visible(safe), request) from (error if safe == text else None)
        status, received = streamed.status_code, streamed.headers
        if status >= 500 or status in self._policy.retried:
            pause = retry_after(received, time.time()) or 0.0
            answer = self._service.explain(self.redacted(body))
            raise FailedAttemptError(f"it answered with status {status}", request, status, pause, answer)
        return Response(request, target, status, received, body)

    def refusal(self, response: Response, reason: str | None = None, **details: object) -> PermanentError:
        """Return the error for a status that a later attempt would not change.

        Args:
            response: with this status.
            reason: the server's reason, if it is not the one that the service's `explain` returns.
            details: of the error, besides URL and status.
        """
        status, service = response.status, self._service
        reason = (reason or service.explain(self.redacted(response.body))).rstrip(".")
        remedy = service.remedies.get(status, "Look up this status in its documentation.")
        message = f"{service.name} refuses {response.request} with status {status}: {reason}. {remedy}"
        details = {"url": shown(response.url), **details}
        return PermanentError(service.refused, message, status=status, **details)

    def linked(self, url: httpx.URL, link: str) -> httpx.URL:
        """Return the absolute URL of a link or redirect if it leads to the same server.

        Args:
            url: of the response with the link.
            link: a URL, which may be relative.

        Raises:
            PermanentError: it leads to another server, or is not valid.
        """
        try:
            found = url.join(link)
        except httpx.InvalidURL:
            found = httpx.URL("")
        if not link or not self._is_own(found):
            raise self._other_server(url, found)
        return found.copy_with(fragment=None)

    def _is_own(self, url: httpx.URL) -> bool:
        own = self.base
        return (url.scheme, url.host, url.port, url.userinfo) == (own.scheme, own.host, own.port, b"")

    def _other_server(self, url: httpx.URL, link: httpx.URL) -> PermanentError:
        message = (
            f"{self._service.name} links to another server. The link is not followed: the token is only for this one. "
            f"Check the address: {self._service.address}."
        )
        details = {"url": shown(url), "link": shown(link)}
        return PermanentError(self._service.refused, message, **details)

    def _url(self, url: httpx.URL | str) -> httpx.URL:
        if isinstance(url, str):
            return self.base.copy_with(raw_path=self.base.raw_path.rstrip(b"/") + url.encode("ascii"))
        if not self._is_own(url):
            raise self._other_server(self.base, url)
        return url

    def _body(self, response: httpx.Response, request: str) -> bytes:
        status = response.status_code
        if (encoding := response.headers.get("content-encoding", "").strip().lower()) not in _ENCODINGS:
            reason = f"its answer has the encoding {visible(encoding[:100])}, expected gzip"
            raise FailedAttemptError(reason, request)
        deadline, body = time.monotonic() + self._policy.read_seconds, bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self._policy.response_bytes:
                raise FailedAttemptError(f"its answer has over {self._policy.response_bytes} bytes", request, status)
            if time.monotonic() > deadline:
                raise FailedAttemptError(f"its answer took over {self._policy.read_seconds:g} seconds", request, status)
        return bytes(body)

    def _pause(self, state: RetryCallState) -> float:
        """Return the seconds before the next attempt: the server's Retry-After up to a limit, and the back-off."""
        failure = state.outcome.exception() if state.outcome else None
        requested = failure.retry_after if isinstance(failure, FailedAttemptError) else 0.0
        return min(requested, self._policy.retry_after_seconds) + self._backoff(state)

    def _log_failure(self, state: RetryCallState) -> None:
        failure, attempt = state.outcome.exception() if state.outcome else None, state.attempt_number
        words = "%s (%s): attempt %d of %d failed: %s; the next one in %.1f s"
        log.warning(words, self._service.name, self.url, attempt, self._policy.attempts, failure, state.upcoming_sleep)


def _checked_url(address: str, service: Service) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    login = bool(url.userinfo) and not service.login_in_address
    if url.scheme not in {"http", "https"} or not url.host or url.query or login:
        message = f"{service.address} must be an address such as http://host:port, without a query"
        message += "." if service.login_in_address else ", and without user and password."
        raise PermanentError(service.refused, message)
    return url


def checked_token(token: SecretStr, service: Service) -> str:
    """Return the token; raise if it is not valid in a header, with a message that does not contain it."""
    value = token.get_secret_value().strip()
    if not all("!" <= letter <= "~" for letter in value):
        problem = "is not a token: it has spaces, line breaks or characters outside ASCII. Copy it again."
        message = f"{service.token} {problem}"
        raise PermanentError(service.refused, message)
    return value


def _hide_query(record: logging.LogRecord) -> bool:
    """Remove the query from the URL that httpx logs: it may contain a key."""
    if isinstance(record.args, tuple):
        record.args = tuple(shown(arg) if isinstance(arg, httpx.URL) else arg for arg in record.args)
    return True


logging.getLogger("httpx").addFilter(_hide_query)
# At the level DEBUG it logs the headers of answers: links with keys, cookies.
logging.getLogger("httpcore").setLevel(logging.INFO)
