"""The client of the ML service: sends transactions and returns one category for each, in their order, or an error.

What belongs here: requests, their timeouts and retries, the check of the answers, and the translation of failures into
pipeline errors. What does not: where transactions come from, and what their categories are used for.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from threading import Event
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import httpx
import orjson
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from include.errors import Code, PermanentError, RetryableError
from include.stores.circuit import FailedTryError, circuit_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from include.settings import MlServiceSettings

Transaction = Mapping[str, Any]

log = logging.getLogger(__name__)

_LONGEST_RETRY_AFTER_SECONDS = 30.0
_LARGEST_ANSWER_BYTES = 16 * 1024**2
# Servers close idle connections, uvicorn by default after 5 seconds. Closing them earlier here avoids failed requests.
_IDLE_SECONDS = 3.0
_TRY_AGAIN = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS}
_REMEDIES: dict[int, str] = {
    httpx.codes.UNAUTHORIZED: "Set ML_SERVICE_TOKEN to the ML_API_TOKEN of the service.",
    httpx.codes.NOT_FOUND: "Check ML_SERVICE_URL.",
    httpx.codes.REQUEST_ENTITY_TOO_LARGE: "Lower ML_SERVICE_BATCH_SIZE.",
    httpx.codes.UNPROCESSABLE_ENTITY: "The contract allows what this version of the service does not.",
}


class MlService:
    """Calls of one ML service over a pool of connections. Thread-safe; its threads share `requests_at_once`.

    Close it, or use it in a `with`: closing gives up pending requests.
    """

    def __init__(self, settings: MlServiceSettings) -> None:
        """Prepare the client. It connects at the first request.

        Raises:
            PermanentError: ML_SERVICE_URL is not a URL.
        """
        self._settings = settings
        self._url = _without_credentials(settings.url)
        self._circuit = circuit_of(
            "The ML service", self._url, settings.circuit_failures, settings.circuit_reset_seconds
        )
        self._backoff = wait_random_exponential(multiplier=settings.backoff_seconds, max=settings.backoff_max_seconds)
        self._client = httpx.Client(
            base_url=settings.url,
            headers={"Content-Type": "application/json", "User-Agent": "filegate"},
            auth=_Bearer(settings.token.get_secret_value()) if settings.token.get_secret_value() else None,
            timeout=httpx.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds),
            limits=httpx.Limits(max_connections=settings.requests_at_once, keepalive_expiry=_IDLE_SECONDS),
            verify=ssl.create_default_context(),
            # A proxy of the environment is for the internet, and this is a service of the platform.
            trust_env=False,
        )
        self._threads = ThreadPoolExecutor(settings.requests_at_once, thread_name_prefix="ml-service")
        self._calls: set[Event] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel queued requests (their callers get a CancelledError), wait for running ones, close the connections.

        Takes as long as the running requests, which is a timeout at most.
        """
        for given_up in tuple(self._calls):
            given_up.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def categories(self, transactions: Sequence[Transaction]) -> list[str]:
        """The category of each transaction, in their order; requests run in parallel. Raises as `categorise` does."""
        [answer] = self.categorise([transactions])
        return answer

    def categorise(self, bodies: Iterable[Sequence[Transaction]]) -> Iterator[list[str]]:
        """Yield the list of categories of each body of transactions, of any length, in order.

        A body is split into requests of `batch_size`; `requests_at_once` of them run in parallel, also of different
        bodies. The next body is read only when a request can be sent, so memory stays bounded.

        Args:
            bodies: transactions with `id`, and what else the service wants. Values may be UUIDs, decimals (sent
                as exact JSON numbers) and times (sent in ISO 8601 with their offset; naive ones count as UTC).

        Raises:
            RetryableError: the service is down, too slow or gives invalid answers, after all tries; or its circuit is
                open.
            PermanentError: it refuses a request; the message names the transaction and the field.
        """
        given_up = Event()
        running: deque[_Running] = deque()
        categories: list[str] = []
        self._calls.add(given_up)
        try:
            for transactions, ends_body in _requests(bodies, self._settings.batch_size):
                running.append((self._threads.submit(self._request, transactions, given_up), ends_body))
                # Collected before the next request is read from `bodies`, which waits until one can be sent.
                while len(running) >= self._settings.requests_at_once:
                    if _collect(running, categories):
                        yield categories
                        categories = []
            while running:
                if _collect(running, categories):
                    yield categories
                    categories = []
        finally:
            self._calls.discard(given_up)
            given_up.set()
            for future, _ in running:
                future.cancel()

    def _request(self, transactions: Sequence[Transaction], given_up: Event) -> list[str]:
        """The categories of at most `batch_size` transactions, with as many tries as the settings allow."""
        if not transactions:
            return []
        ids = [str(transaction["id"]) for transaction in transactions]
        body = _to_json(transactions)

        def sleep(seconds: float) -> None:
            if given_up.wait(seconds):
                raise CancelledError

        tries = Retrying(
            retry=retry_if_exception_type(FailedTryError),
            stop=stop_after_attempt(self._settings.attempts),
            wait=self._pause,
            sleep=sleep,
            before_sleep=self._say_failed,
        )
        try:
            return tries(self._try, body, ids)
        except RetryError as error:
            failure = error.last_attempt.exception()
            raise RetryableError(
                Code.SERVICE_UNAVAILABLE,
                f"The ML service failed at every try, at the last one because: {failure}.",
                url=self._url,
                attempts=error.last_attempt.attempt_number,
            ) from failure

    def _try(self, body: bytes, ids: list[str]) -> list[str]:
        with self._circuit.trying():
            status, headers, answer = self._send(body)
            if status == httpx.codes.OK:
                return _checked_categories(answer, ids)
            if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _TRY_AGAIN or status < 300:
                raise FailedTryError(f"it answered with status {status}", _retry_after(headers.get("Retry-After")))
            raise _refusal(status, answer, ids, self._url)

    def _send(self, body: bytes) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body of the answer. The body must be complete one read timeout after its first byte."""
        try:
            with self._client.stream("POST", "/predict/batch", content=body) as response:
                deadline = time.monotonic() + self._settings.read_timeout_seconds
                answer = bytearray()
                for chunk in response.iter_bytes():
                    answer += chunk
                    if len(answer) > _LARGEST_ANSWER_BYTES:
                        raise FailedTryError(f"its answer has over {_LARGEST_ANSWER_BYTES} bytes")
                    if time.monotonic() > deadline:
                        raise FailedTryError(f"its answer took over {self._settings.read_timeout_seconds:g} seconds")
                return response.status_code, response.headers, bytes(answer)
        except httpx.ConnectTimeout as error:
            seconds = self._settings.connect_timeout_seconds
            raise FailedTryError(f"no connection within {seconds:g} seconds") from error
        except httpx.TimeoutException as error:
            raise FailedTryError(f"no answer within {self._settings.read_timeout_seconds:g} seconds") from error
        except httpx.RequestError as error:
            raise FailedTryError(f"{type(error).__name__}: {error}") from error

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next try: the service's Retry-After up to a limit, and a random, doubling back-off."""
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.retry_after if isinstance(failure, FailedTryError) else 0.0
        return min(asked, _LONGEST_RETRY_AFTER_SECONDS) + self._backoff(state)

    def _say_failed(self, state: RetryCallState) -> None:
        log.warning(
            "ML service %s: try %d of %d failed: %s; the next in %.1f seconds",
            self._url,
            state.attempt_number,
            self._settings.attempts,
            state.outcome.exception() if state.outcome else None,
            state.upcoming_sleep,
        )


class _Bearer(httpx.Auth):
    """Sends the service's token, also if the address has a user and a password."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        request.headers["Authorization"] = self._header
        yield request


# A running request, and whether it is the last one of its body.
_Running = tuple["Future[list[str]]", bool]


def _requests(bodies: Iterable[Sequence[Transaction]], size: int) -> Iterator[tuple[Sequence[Transaction], bool]]:
    """Each body in parts of `size`, and whether a part is its body's last. An empty body is one empty part."""
    for body in bodies:
        for start in range(0, max(len(body), 1), size):
            yield body[start : start + size], start + size >= len(body)


def _collect(running: deque[_Running], categories: list[str]) -> bool:
    """Wait for the oldest request and add its categories. True when its body is complete."""
    future, ends_body = running[0]
    categories += future.result()
    running.popleft()
    return ends_body


# Requests


def _to_json(transactions: Sequence[Transaction]) -> bytes:
    try:
        return orjson.dumps({"transactions": transactions}, default=_plain, option=orjson.OPT_NAIVE_UTC)
    except orjson.JSONEncodeError as error:
        raise PermanentError(
            Code.INTERNAL,
            "A transaction cannot be written as JSON.",
            detail=str(error.__cause__ or error),
        ) from error


def _plain(value: object) -> object:
    """Values that orjson cannot serialise, as values that it can."""
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} {value!r}" if isinstance(value, Decimal) else type(value).__name__)


def _without_credentials(url: str) -> str:
    """The address without credentials and query, for messages."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise PermanentError(Code.SERVICE_REFUSED, "ML_SERVICE_URL must be http://host:port or https.")
    return str(parsed.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")


# Answers


def _checked_categories(answer: bytes, ids: list[str]) -> list[str]:
    """Check the answer and return the categories: one for each transaction, in the transactions' order."""
    try:
        predictions = orjson.loads(answer)["predictions"]
        answered = [prediction["id"] for prediction in predictions]
        categories = [prediction["category"] for prediction in predictions]
    except (ValueError, LookupError, TypeError) as error:
        raise FailedTryError("its answer is not the expected JSON") from error
    if len(answered) != len(ids):
        raise FailedTryError(f"it gave {len(answered)} predictions for {len(ids)} transactions")
    # Texts are compared first: parsing UUIDs costs time, and another notation of a UUID is rare.
    if answered != ids and any(not _same_id(one, other) for one, other in zip(answered, ids, strict=True)):
        raise FailedTryError("its predictions are not in the order of the transactions")
    if not all(isinstance(category, str) and category.strip() for category in categories):
        raise FailedTryError("it gave a prediction without a category")
    return categories


def _same_id(one: object, other: str) -> bool:
    if one == other:
        return True
    try:
        return UUID(str(one)) == UUID(other)
    except ValueError:
        return False


def _retry_after(header: str | None) -> float:
    """The seconds of a Retry-After header, which holds seconds or a date; 0 if it is missing or unreadable."""
    if header is None:
        return 0.0
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _refusal(status: int, answer: bytes, ids: list[str], url: str) -> PermanentError:
    """The service's reason for a refusal, with the transaction and the field it names."""
    reason, details = _reason(answer, ids)
    message = f"The ML service refuses a request with status {status}: {reason}. {_REMEDIES.get(status, '')}".rstrip()
    return PermanentError(Code.SERVICE_REFUSED, message, url=url, status=status, **details)


def _reason(answer: bytes, ids: list[str]) -> tuple[str, dict[str, object]]:
    """The first complaint of a 422 with transaction and field; else the answer's text."""
    try:
        detail = orjson.loads(answer)["detail"]
    except (ValueError, LookupError, TypeError):
        return answer[:200].decode(errors="replace").strip() or "no reason given", {}
    if not isinstance(detail, list) or not detail:
        return str(detail)[:200], {}
    match detail[0]:
        case {"loc": ["body", "transactions", int(index), *field], "msg": str(text)} if 0 <= index < len(ids):
            details: dict[str, object] = {"transaction": ids[index], "complaints": len(detail)}
            if field:
                details["field"] = ".".join(map(str, field))
            return f"{details.get('field', 'transaction')}: {text}", details
        case {"loc": [*location], "msg": str(text)}:
            return f"{'.'.join(map(str, location))}: {text}", {}
    return str(detail[0])[:200], {}
