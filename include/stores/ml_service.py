"""The ML service: transactions go out, one category for each comes back, in their order, or an error.

What belongs here: requests, their timeouts and retries, the check of the answers, and the translation of what goes
wrong into our errors. What does not: where transactions come from, and what becomes of their categories.
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

from include.errors import Code, PermanentError, RetryableError, Stage
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
# Servers hang up on idle connections, uvicorn after 5 seconds as it comes; one closed here before fails no request.
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

    Close it, or use it in a `with`: that gives up what is under way.
    """

    def __init__(self, settings: MlServiceSettings) -> None:
        """Connect to nothing yet.

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
            # A proxy of the environment is for the outside world, and this is a service of the platform.
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
        """Give up what is waiting (its callers get a CancelledError), end what is under way, hang up.

        Takes as long as the requests that are under way, which is a timeout at most.
        """
        for given_up in tuple(self._calls):
            given_up.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def categories(self, transactions: Sequence[Transaction]) -> list[str]:
        """The category of each transaction, in their order; requests run at once. Raises what `categorise` does."""
        [answer] = self.categorise([transactions])
        return answer

    def categorise(self, bodies: Iterable[Sequence[Transaction]]) -> Iterator[list[str]]:
        """For each body of transactions, of whatever length, the list of their categories, in order.

        A body is split into requests of `batch_size`, of which `requests_at_once` are under way, also over the
        borders of bodies. The next body is asked for only when a request can be sent, so that nothing piles up.

        Args:
            bodies: transactions with `id`, and what else the service wants. Values may be UUIDs, decimals (sent
                as exact JSON numbers) and times (sent in ISO 8601 with their offset; naive ones count as UTC).

        Raises:
            RetryableError: the service is down, too slow or talks nonsense, after all tries; or its circuit is open.
            PermanentError: it refuses a request; the message names the transaction and the field.
        """
        given_up = Event()
        under_way: deque[_UnderWay] = deque()
        categories: list[str] = []
        self._calls.add(given_up)
        try:
            for transactions, ends_body in _requests(bodies, self._settings.batch_size):
                under_way.append((self._threads.submit(self._request, transactions, given_up), ends_body))
                # Here and not before the next is sent: it must not even be read before there is room for it.
                while len(under_way) >= self._settings.requests_at_once:
                    if _collect(under_way, categories):
                        yield categories
                        categories = []
            while under_way:
                if _collect(under_way, categories):
                    yield categories
                    categories = []
        finally:
            self._calls.discard(given_up)
            given_up.set()
            for future, _ in under_way:
                future.cancel()

    def _request(self, transactions: Sequence[Transaction], given_up: Event) -> list[str]:
        """The categories of at most `batch_size` transactions, by as many tries as the settings allow."""
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
                Stage.PROCESS,
                Code.SERVICE_UNAVAILABLE,
                f"The ML service did not answer as it should, at the last try: {failure}.",
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
        """Status, headers and body of the answer, which has to be whole within the read timeout of its beginning."""
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
        """As long as the service asks for, within reason, and a random time that doubles with every try."""
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
    """Sends the service's token, also where the address holds a user and a password."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        request.headers["Authorization"] = self._header
        yield request


# One request under way, and whether it is the last of its body.
_UnderWay = tuple["Future[list[str]]", bool]


def _requests(bodies: Iterable[Sequence[Transaction]], size: int) -> Iterator[tuple[Sequence[Transaction], bool]]:
    """Each body in parts of `size`, and whether a part is its body's last. An empty body is one empty part."""
    for body in bodies:
        for start in range(0, max(len(body), 1), size):
            yield body[start : start + size], start + size >= len(body)


def _collect(under_way: deque[_UnderWay], categories: list[str]) -> bool:
    """Add the oldest request's categories, once they are there. True when its body is complete."""
    future, ends_body = under_way[0]
    categories += future.result()
    under_way.popleft()
    return ends_body


# Out


def _to_json(transactions: Sequence[Transaction]) -> bytes:
    try:
        return orjson.dumps({"transactions": transactions}, default=_plain, option=orjson.OPT_NAIVE_UTC)
    except orjson.JSONEncodeError as error:
        raise PermanentError(
            Stage.PROCESS,
            Code.INTERNAL,
            "A transaction cannot be written as JSON.",
            detail=str(error.__cause__ or error),
        ) from error


def _plain(value: object) -> object:
    """What orjson cannot write itself."""
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} {value!r}" if isinstance(value, Decimal) else type(value).__name__)


def _without_credentials(url: str) -> str:
    """The address as it may be shown."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise PermanentError(Stage.PROCESS, Code.SERVICE_REFUSED, "ML_SERVICE_URL must be http://host:port or https.")
    return str(parsed.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")


# Back


def _checked_categories(answer: bytes, ids: list[str]) -> list[str]:
    """The categories, when the answer is the promised one: never another row's category, never none."""
    try:
        predictions = orjson.loads(answer)["predictions"]
        answered = [prediction["id"] for prediction in predictions]
        categories = [prediction["category"] for prediction in predictions]
    except (ValueError, LookupError, TypeError) as error:
        raise FailedTryError("its answer is not the promised JSON") from error
    if len(answered) != len(ids):
        raise FailedTryError(f"it gave {len(answered)} predictions for {len(ids)} transactions")
    # Texts are compared first: writing a UUID in another way is rare, and parsing them costs.
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
    """Seconds, of a header with seconds or a date; 0 where there is none that can be read."""
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
    """The service's own words, and the transaction and the field they are about."""
    words, facts = _words(answer, ids)
    message = f"The ML service refuses a request with status {status}: {words}. {_REMEDIES.get(status, '')}".rstrip()
    return PermanentError(Stage.PROCESS, Code.SERVICE_REFUSED, message, url=url, status=status, **facts)


def _words(answer: bytes, ids: list[str]) -> tuple[str, dict[str, object]]:
    """The first complaint of a 422 by transaction and field; else what there is to read."""
    try:
        detail = orjson.loads(answer)["detail"]
    except (ValueError, LookupError, TypeError):
        return answer[:200].decode(errors="replace").strip() or "no reason given", {}
    if not isinstance(detail, list) or not detail:
        return str(detail)[:200], {}
    match detail[0]:
        case {"loc": ["body", "transactions", int(place), *field], "msg": str(words)} if 0 <= place < len(ids):
            facts: dict[str, object] = {"transaction": ids[place], "complaints": len(detail)}
            if field:
                facts["field"] = ".".join(map(str, field))
            return f"{facts.get('field', 'transaction')}: {words}", facts
        case {"loc": [*places], "msg": str(words)}:
            return f"{'.'.join(map(str, places))}: {words}", {}
    return str(detail[0])[:200], {}
