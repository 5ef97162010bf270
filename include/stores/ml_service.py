"""The client of the ML service: sends transactions and returns one category for each, in their order, or an error.

What belongs here: requests in parallel, the check of the answers, and the reason of a refusal. What does not: attempts
and their errors (`http`), where transactions come from, and what their categories are used for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from threading import Event
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import httpx
import orjson

from include.errors import Code, PermanentError
from include.stores.circuit import circuit_of
from include.stores.http import Address, HttpClient, Policy, Service
from include.stores.http_response import FailedAttemptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from include.settings import MlServiceSettings

Transaction = Mapping[str, Any]

_LARGEST_ANSWER_BYTES = 16 * 1024**2
# Another success than 200 is no answer of this service, but of a server before it.
_RETRIED = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS, *range(201, 300)}
_SERVICE = Service(
    "The ML service",
    Code.SERVICE_UNAVAILABLE,
    Code.SERVICE_REFUSED,
    "ML_SERVICE_URL",
    "ML_SERVICE_TOKEN",
    remedies={
        httpx.codes.UNAUTHORIZED: "Set ML_SERVICE_TOKEN to the ML_API_TOKEN of the service.",
        httpx.codes.NOT_FOUND: "Check ML_SERVICE_URL.",
        httpx.codes.REQUEST_ENTITY_TOO_LARGE: "Raise its limit: a request has up to 1,000 transactions.",
        httpx.codes.UNPROCESSABLE_ENTITY: "The contract allows what this version of the service does not.",
    },
    internal=True,
    login_in_address=True,
)


class MlService:
    """Calls of one ML service over a pool of connections. Thread-safe; its threads share `requests_at_once`.

    Close it, or use it in a `with`: closing gives up pending requests.
    """

    def __init__(self, settings: MlServiceSettings) -> None:
        """Prepare the client. It connects at the first request.

        Raises:
            PermanentError: ML_SERVICE_URL or ML_SERVICE_TOKEN is not valid.
        """
        self._settings = settings
        policy = replace(
            Policy.of(settings),
            response_bytes=_LARGEST_ANSWER_BYTES,
            connections=settings.requests_at_once,
            retried=_RETRIED,
        )
        self._http = HttpClient(_SERVICE, Address(settings.url, settings.token), policy)
        self._circuit = circuit_of(
            "The ML service", self._http.url, settings.circuit_failures, settings.circuit_reset_seconds
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
        self._http.close()

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
            RetryableError: the service is down, too slow or gives invalid answers, at every attempt; or its circuit is
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
        """The categories of at most `batch_size` transactions, with as many attempts as the settings allow."""
        if not transactions:
            return []
        ids = [str(transaction["id"]) for transaction in transactions]
        body = _to_json(transactions)

        def sleep(seconds: float) -> None:
            if given_up.wait(seconds):
                raise CancelledError

        return self._http.retry(lambda: self._attempt(body, ids), sleep=sleep)

    def _attempt(self, body: bytes, ids: list[str]) -> list[str]:
        with self._circuit.trying():
            response = self._http.send("POST", "/predict/batch", body, {"Content-Type": "application/json"})
            if response.status == httpx.codes.OK:
                return _checked_categories(response.body, ids)
            reason, details = _reason(self._http.redacted(response.body), ids)
            raise self._http.refusal(response, reason, url=self._http.url, **details)


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


# Answers


def _checked_categories(answer: bytes, ids: list[str]) -> list[str]:
    """Check the answer and return the categories: one for each transaction, in the transactions' order."""
    try:
        predictions = orjson.loads(answer)["predictions"]
        answered = [prediction["id"] for prediction in predictions]
        categories = [prediction["category"] for prediction in predictions]
    except (ValueError, LookupError, TypeError) as error:
        raise FailedAttemptError("its answer is not the expected JSON") from error
    if len(answered) != len(ids):
        raise FailedAttemptError(f"it gave {len(answered)} predictions for {len(ids)} transactions")
    # Texts are compared first: parsing UUIDs costs time, and another notation of a UUID is rare.
    if answered != ids and any(not _same_id(one, other) for one, other in zip(answered, ids, strict=True)):
        raise FailedAttemptError("its predictions are not in the order of the transactions")
    if not all(isinstance(category, str) and category.strip() for category in categories):
        raise FailedAttemptError("it gave a prediction without a category")
    return categories


def _same_id(one: object, other: str) -> bool:
    if one == other:
        return True
    try:
        return UUID(str(one)) == UUID(other)
    except ValueError:
        return False


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
