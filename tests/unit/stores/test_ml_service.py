"""The client of the ML service against a stand-in that fails: correct categories, or an error with the reason."""

import json
import logging
import pickle
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from threading import Event, Thread
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from faulty_ml_service import FaultyMlService, Mode, category_of
from tenacity import RetryCallState

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.settings import MlServiceSettings
from include.stores.circuit import Circuit
from include.stores.http import HttpClient
from include.stores.http_response import FailedAttemptError
from include.stores.ml_service import MlService, _checked_categories, _to_json

pytestmark = pytest.mark.unit

Transactions = list[dict[str, Any]]
Connect = Callable[..., MlService]

FAR = 3600.0


@pytest.fixture
def service() -> Iterator[FaultyMlService]:
    with FaultyMlService() as running:
        yield running


@pytest.fixture
def connect(service: FaultyMlService) -> Iterator[Connect]:
    """Clients of the stand-in with tiny pauses and a circuit that does not open, unless the settings change that."""
    clients = []

    def connected(**settings: Any) -> MlService:
        quick = {
            "url": service.url, "batch_size": 10, "attempts": 4, "backoff_seconds": 0.002, "backoff_max_seconds": 0.01,
            "circuit_failures": 1000, "read_timeout_seconds": 5.0,
        }  # fmt: skip
        clients.append(MlService(MlServiceSettings(**quick | settings)))
        return clients[-1]

    yield connected
    service.mode = Mode.HEALTHY  # releases hanging requests
    for client in clients:
        client.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client chooses, without waiting for them."""
    kept: list[float] = []
    choose = HttpClient._pause

    def choose_none(client: HttpClient, state: RetryCallState) -> float:
        kept.append(choose(client, state))
        return 0.0

    monkeypatch.setattr(HttpClient, "_pause", choose_none)
    return kept


def transactions(count: int) -> Transactions:
    return [
        {
            "id": uuid4(),
            "description": f"CARD {number}",
            "amount": Decimal("12.30"),
            "timestamp": datetime(2026, 3, 1, 12, tzinfo=UTC),
            "merchant": None,
            "operation_type": "card",
            "side": "debit",
        }
        for number in range(count)
    ]


def right(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [category_of(row["id"]) for row in rows]


def failure_of(call: Callable[[], object]) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        call()
    return caught.value


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


# Success


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (9, 1), (10, 1), (11, 2), (95, 10)], ids=str)
def test_categories_are_in_order_for_any_number_of_requests(
    service: FaultyMlService, connect: Connect, count: int, calls: int
) -> None:
    rows = transactions(count)
    assert connect().categories(rows) == right(rows)
    assert service.calls == calls


@pytest.mark.parametrize("sizes", [[], [0], [3, 0, 25, 10, 1], [10] * 12, [0, 0, 7]], ids=str)
def test_each_body_has_its_own_list(connect: Connect, sizes: list[int]) -> None:
    bodies = [transactions(size) for size in sizes]
    assert list(connect().categorise(bodies)) == [right(body) for body in bodies]


def test_requests_run_in_parallel_and_answers_keep_their_order(service: FaultyMlService, connect: Connect) -> None:
    service.mode, service.delay_seconds = Mode.SLOW, FAR
    client, rows = connect(requests_at_once=4, read_timeout_seconds=FAR), transactions(160)
    got: list[str] = []
    caller = Thread(target=lambda: got.extend(client.categories(rows)))
    caller.start()
    wait_until(lambda: service.most_at_once == 4)
    service.mode = Mode.HEALTHY
    caller.join(20)
    assert got == right(rows)
    assert service.most_at_once == 4
    assert service.connections == 4, "connections are kept"


def test_order_is_kept_when_some_requests_are_repeated(service: FaultyMlService, connect: Connect) -> None:
    service.mode = Mode.EVERY_THIRD_FAILS
    bodies = [transactions(33) for _ in range(5)]
    assert list(connect(attempts=20).categorise(bodies)) == [right(body) for body in bodies]
    assert service.calls > 5 * 4


def test_bodies_are_read_only_when_a_request_can_be_sent(service: FaultyMlService, connect: Connect) -> None:
    read, rows = [], [transactions(10) for _ in range(20)]

    def bodies() -> Iterator[Transactions]:
        for number, body in enumerate(rows):
            read.append(number)
            yield body

    service.mode = Mode.HANGING
    answers = connect(requests_at_once=3, read_timeout_seconds=FAR).categorise(bodies())
    assert read == [], "nothing happens before the first answer is asked for"
    got: list[list[str]] = []
    consumer = Thread(target=lambda: got.extend(answers))
    consumer.start()
    wait_until(lambda: service.calls == 3)
    time.sleep(0.05)
    assert (len(read), service.calls, got) == (3, 3, [])
    service.mode = Mode.HEALTHY
    consumer.join(20)
    assert got == [right(body) for body in rows]


def test_no_more_bodies_are_read_than_a_slow_caller_needs(service: FaultyMlService, connect: Connect) -> None:
    read = []

    def bodies() -> Iterator[Transactions]:
        for number in range(20):
            read.append(number)
            yield transactions(10)

    answers = connect(requests_at_once=3).categorise(bodies())
    for taken in range(1, 5):
        next(answers)
        assert len(read) == taken + 2
    answers.close()
    assert service.calls <= len(read) == 6


def test_several_threads_share_a_client(connect: Connect) -> None:
    client = connect(requests_at_once=4)
    rows = [transactions(45) for _ in range(6)]
    got: dict[int, list[str]] = {}
    threads = [
        Thread(target=lambda number=number: got.update({number: client.categories(rows[number])}))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert got == {number: right(body) for number, body in enumerate(rows)}


def test_values_are_sent_exactly(service: FaultyMlService, connect: Connect) -> None:
    row = {
        "id": UUID("7F0C2B9E-5A3D-4E52-9A0F-0F6D3C1B8A11"),
        "amount": Decimal("-12345678901234567890.10"),
        "timestamp": datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
        "booked": datetime(2026, 3, 1, 12, 30),  # noqa: DTZ001
        "description": 'Café "€" \n',
        "merchant": None,
    }
    assert connect().categories([MappingProxyType(row)]) == right([row])
    assert service.last_request["transactions"] == [
        {
            "id": "7f0c2b9e-5a3d-4e52-9a0f-0f6d3c1b8a11",
            "amount": float("-12345678901234567890.10"),
            "timestamp": "2026-03-01T12:30:00.123456+02:00",
            "booked": "2026-03-01T12:30:00+00:00",
            "description": 'Café "€" \n',
            "merchant": None,
        }
    ]


@pytest.mark.parametrize("amount", ["12.30", "0.1", "-12345678901234567890.10", "1E+5", "0E-8", "-0", "7"])
def test_decimals_are_exact_json_numbers(amount: str) -> None:
    body = _to_json([{"id": 1, "amount": Decimal(amount)}])
    number = json.loads(body, parse_float=Decimal, parse_int=Decimal)["transactions"][0]["amount"]
    assert str(number) == amount


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("-Infinity"), b"bytes", object()], ids=lambda v: str(v)[:9])
def test_value_that_json_cannot_hold_is_refused_before_the_request(
    service: FaultyMlService, connect: Connect, value: object
) -> None:
    error = failure_of(lambda: connect().categories([{"id": uuid4(), "amount": value}]))
    assert (type(error), error.code, service.calls) == (PermanentError, Code.INTERNAL, 0)


def test_ids_may_be_text_in_any_form_of_a_uuid(connect: Connect) -> None:
    rows = [{"id": str(uuid4())}, {"id": str(uuid4()).upper()}, {"id": uuid4().hex}]
    assert connect().categories(rows) == right(rows)


def test_an_answer_may_write_ids_in_another_form() -> None:
    one, other = str(uuid4()), str(uuid4())
    answer = {"predictions": [{"id": one.upper(), "category": "a"}, {"id": other, "category": "b"}]}
    assert _checked_categories(orjson.dumps(answer), [one, other]) == ["a", "b"]


# Retries


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (Mode.FAILING, "status 500"),
        (Mode.BUSY, "status 503"),
        (Mode.THROTTLING, "status 429"),
        (Mode.GARBAGE, "not the expected JSON"),
        (Mode.OTHER_JSON, "not the expected JSON"),
        (Mode.WRONG_ORDER, "not in the order"),
        (Mode.ONE_TOO_FEW, "9 predictions for 10"),
        (Mode.NO_CATEGORY, "without a category"),
        (Mode.HANGING, "no answer within 0.1 seconds"),
        (Mode.DRIBBLING, "its answer took over 0.1 seconds"),
        (Mode.DROPPING, "RemoteProtocolError"),
    ],
    ids=str,
)
def test_failed_tries_are_repeated_up_to_the_limit(
    service: FaultyMlService, connect: Connect, mode: Mode, reason: str
) -> None:
    service.mode, service.retry_after = mode, "0"
    patience = 0.1 if mode in {Mode.HANGING, Mode.DRIBBLING} else 60
    error = failure_of(lambda: connect(read_timeout_seconds=patience, attempts=3).categories(transactions(10)))
    assert (type(error), error.stage, error.code) == (RetryableError, "", Code.SERVICE_UNAVAILABLE)
    assert reason in str(error)
    assert (error.details["attempts"], service.calls) == (3, 3)


@pytest.mark.parametrize("mode", [Mode.FAILING, Mode.GARBAGE, Mode.WRONG_ORDER, Mode.DROPPING, Mode.HANGING], ids=str)
def test_a_service_that_recovers_between_two_tries_is_enough(
    service: FaultyMlService, connect: Connect, caplog: pytest.LogCaptureFixture, mode: Mode
) -> None:
    service.mode = mode
    rows = transactions(10)
    got: list[str] = []
    client = connect(attempts=1000)
    caller = Thread(target=lambda: got.extend(client.categories(rows)))
    caller.start()
    wait_until(lambda: service.calls > (0 if mode is Mode.HANGING else 2))
    service.mode = Mode.HEALTHY
    caller.join(20)
    assert got == right(rows)
    assert "attempt 1 of 1000 failed" in caplog.text


def test_a_service_that_is_down_is_tried_and_then_reported(
    service: FaultyMlService, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    service.mode = Mode.DOWN
    error = failure_of(lambda: connect(attempts=3).categories(transactions(1)))
    assert (type(error), error.code) == (RetryableError, Code.SERVICE_UNAVAILABLE)
    assert "refused" in str(error)
    assert error.details == {"url": service.url, "attempts": 3}
    assert [record.levelname for record in caplog.records if "failed" in record.message] == ["WARNING"] * 2


def test_a_restarted_service_is_found_again(service: FaultyMlService, connect: Connect) -> None:
    client, rows = connect(), transactions(10)
    client.categories(rows)
    service.mode = Mode.DOWN
    service.mode = Mode.HEALTHY
    assert client.categories(rows) == right(rows)
    assert service.connections == 2


def test_no_connection_in_time_is_a_failed_try(connect: Connect) -> None:
    """The socket listens and its queue is full: the system does not finish the handshake."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        client = connect(url=f"http://127.0.0.1:{address[1]}", attempts=2, connect_timeout_seconds=0.1)
        error = failure_of(lambda: client.categories(transactions(1)))
        for filler in fillers:
            filler.close()
    assert (error.code, error.details["attempts"]) == (Code.SERVICE_UNAVAILABLE, 2)
    assert "no connection within 0.1 seconds" in str(error)


@pytest.mark.parametrize("mode", [Mode.BUSY, Mode.THROTTLING], ids=str)
@pytest.mark.parametrize(
    "wait", [("7", 7.0), ("86400", 30.0), ("soon", 0.0)], ids=["seconds", "too long", "unreadable"]
)
def test_retry_after_of_the_service_is_kept_up_to_a_limit(
    service: FaultyMlService, connect: Connect, pauses: list[float], mode: Mode, wait: tuple[str, float]
) -> None:
    service.mode, (service.retry_after, least) = mode, wait
    failure_of(lambda: connect(attempts=3).categories(transactions(1)))
    assert len(pauses) == 3, "tenacity chooses one after the last try, too"
    assert all(least <= pause <= least + 0.01 for pause in pauses)


def test_pauses_grow_up_to_a_limit_and_have_jitter(
    service: FaultyMlService, connect: Connect, pauses: list[float]
) -> None:
    service.mode = Mode.FAILING
    failure_of(lambda: connect(attempts=60, backoff_seconds=1, backoff_max_seconds=8).categories(transactions(1)))
    windows = [1, 2, 4] + [8] * 57
    assert all(0 <= pause <= window for pause, window in zip(pauses, windows, strict=True))
    assert max(pauses) > 4, "they grow"
    assert len(set(pauses)) == len(pauses), "they are random"


# Refusals


def test_a_refusal_names_the_transaction_and_the_field(service: FaultyMlService, connect: Connect) -> None:
    service.mode = Mode.REFUSING
    rows = transactions(10)
    error = failure_of(lambda: connect().categories(rows))
    assert (type(error), error.stage, error.code) == (PermanentError, "", Code.SERVICE_REFUSED)
    assert "status 422: amount: Input should be a valid decimal" in error.message
    assert error.details == {
        "url": service.url, "status": 422, "transaction": str(rows[3]["id"]), "field": "amount", "complaints": 2,
        "attempts": 1,
    }  # fmt: skip
    assert service.calls == 1


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (Mode.TOO_LARGE, "413: the body is larger than 2,097,152 bytes. Raise its limit: a request has up to"),
        (Mode.NOT_FOUND, "404: <html>nothing here. Check ML_SERVICE_URL"),
    ],
    ids=str,
)
def test_other_refusals_have_a_remedy(service: FaultyMlService, connect: Connect, mode: Mode, words: str) -> None:
    service.mode = mode
    error = failure_of(lambda: connect().categories(transactions(10)))
    assert (type(error), error.code, service.calls) == (PermanentError, Code.SERVICE_REFUSED, 1)
    assert words in error.message


@pytest.mark.parametrize("address", ["http://", "http://me:s3cret@"], ids=["plain", "with a user in the address"])
def test_every_request_carries_the_token(service: FaultyMlService, connect: Connect, address: str) -> None:
    url = service.url.replace("http://", address)
    connect(url=url, token="canary-77").categories(transactions(10))
    assert service.last_authorization == "Bearer canary-77"


def test_without_a_token_none_is_sent(service: FaultyMlService, connect: Connect) -> None:
    connect().categories(transactions(10))
    assert service.last_authorization is None


def test_a_refused_token_is_named_by_its_setting_and_not_shown(
    service: FaultyMlService, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.mode = Mode.WRONG_TOKEN
    error = failure_of(lambda: connect(token="canary-77").categories(transactions(10)))
    assert (type(error), error.code, service.calls) == (PermanentError, Code.SERVICE_REFUSED, 1)
    assert "Set ML_SERVICE_TOKEN to the ML_API_TOKEN of the service." in error.message
    assert "canary-77" not in str(error) + repr(error) + caplog.text + repr(MlServiceSettings(token="canary-77"))


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host", "http://", "http://[::1", "host:8100"])
def test_invalid_url_is_refused_at_once(url: str) -> None:
    error = failure_of(lambda: MlService(MlServiceSettings(url=url)))
    assert (type(error), error.code) == (PermanentError, Code.SERVICE_REFUSED)
    assert "ML_SERVICE_URL" in error.message


@pytest.mark.parametrize("mode", [Mode.FAILING, Mode.REFUSING], ids=str)
def test_errors_and_logs_have_no_credentials_and_errors_survive_pickling(
    service: FaultyMlService, connect: Connect, caplog: pytest.LogCaptureFixture, mode: Mode
) -> None:
    caplog.set_level(logging.DEBUG, logger="include")
    service.mode = mode
    client = connect(url=service.url.replace("//", "//me:s3cret@"), circuit_failures=3)
    error = failure_of(lambda: client.categories(transactions(10)))
    assert "s3cret" not in str(error) + caplog.text
    assert error.details["url"] == service.url
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# Cancelled requests


@pytest.mark.timeout(30)
def test_an_error_ends_the_tries_of_the_other_requests(service: FaultyMlService, connect: Connect) -> None:
    """The second request waits an hour for its next try when the first fails permanently."""
    second_waits = Event()

    class Hopeless:
        def __str__(self) -> str:
            assert second_waits.wait(20)
            return "not a UUID"

    service.mode = Mode.FAILING
    client = connect(attempts=100, backoff_seconds=FAR, backoff_max_seconds=FAR, requests_at_once=2)
    client._http._log_failure = lambda state: second_waits.set()  # type: ignore[method-assign]
    error = failure_of(lambda: list(client.categorise([[{"id": Hopeless()}], transactions(1), transactions(1)])))
    client.close()
    assert (error.code, service.calls) == (Code.INTERNAL, 1)


def test_closing_ends_tries_and_threads(service: FaultyMlService, connect: Connect) -> None:
    waits = Event()
    service.mode = Mode.FAILING
    client = connect(attempts=100, backoff_seconds=FAR, backoff_max_seconds=FAR)
    client._http._log_failure = lambda state: waits.set()  # type: ignore[method-assign]
    raised: list[CancelledError] = []

    def call() -> None:
        try:
            client.categories(transactions(1))
        except CancelledError as error:
            raised.append(error)

    caller = Thread(target=call, daemon=True)
    caller.start()
    assert waits.wait(20)
    client.close()
    caller.join(20)
    assert len(raised) == 1
    assert service.calls == 1
    assert not any(thread.is_alive() for thread in client._threads._threads)


# The circuit


def states(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    records = [record for record in caplog.records if record.name == "include.stores.circuit"]
    return [(record.levelname, record.message.partition(":")[0]) for record in records]


def expire_reset_time(client: MlService) -> None:
    client._circuit._opened_at = datetime.now(UTC) - timedelta(seconds=2 * FAR)


OPENED, HALF_OPEN, CLOSED = ("WARNING", "circuit opened"), ("INFO", "circuit half open"), ("INFO", "circuit closed")


def test_the_circuit_opens_after_failed_tries_in_a_row_and_stays_open(
    service: FaultyMlService, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    service.mode = Mode.FAILING
    client = connect(circuit_failures=3, circuit_reset_seconds=FAR, attempts=100)
    before = datetime.now(UTC)
    first = failure_of(lambda: client.categories(transactions(1)))
    assert service.calls == 3, "it does not go on trying"
    service.mode = Mode.HEALTHY
    for _ in range(5):
        error = failure_of(lambda: client.categories(transactions(30)))
        assert (type(error), error.code) == (RetryableError, Code.CIRCUIT_OPEN)
    assert service.calls == 3, "nothing is sent while it is open"
    assert (type(first), first.code, first.stage) == (RetryableError, Code.CIRCUIT_OPEN, "")
    assert "failed 3 times in a row" in first.message
    assert first.details == {"url": service.url, "reason": "it answered with status 500"}
    match = re.search(r"tried again at (\S+ \S+) UTC", first.message)
    assert match
    again = datetime.fromisoformat(f"{match[1]}+00:00")
    assert -1 <= (again - before).total_seconds() - FAR <= 20
    assert states(caplog) == [OPENED]


def test_failures_that_are_not_in_a_row_do_not_open_it(service: FaultyMlService, connect: Connect) -> None:
    service.mode = Mode.EVERY_THIRD_FAILS
    client, rows = connect(circuit_failures=2, requests_at_once=1), transactions(200)
    assert client.categories(rows) == right(rows)
    assert service.calls > 25


def test_refusals_do_not_open_it(service: FaultyMlService, connect: Connect) -> None:
    service.mode = Mode.REFUSING
    client = connect(circuit_failures=2)
    codes = {failure_of(lambda: client.categories(transactions(10))).code for _ in range(5)}
    assert codes == {Code.SERVICE_REFUSED}
    assert service.calls == 5


def test_a_refusal_ends_a_series_of_failures(service: FaultyMlService, connect: Connect) -> None:
    client = connect(circuit_failures=2, attempts=1)
    for mode in (Mode.FAILING, Mode.REFUSING, Mode.FAILING, Mode.REFUSING):
        service.mode = mode
        assert failure_of(lambda: client.categories(transactions(10))).code is not Code.CIRCUIT_OPEN


@pytest.mark.parametrize("last", [Mode.HEALTHY, Mode.REFUSING], ids=str)
def test_after_the_reset_time_one_trial_decides(
    service: FaultyMlService, connect: Connect, caplog: pytest.LogCaptureFixture, last: Mode
) -> None:
    caplog.set_level(logging.INFO, logger="include.stores.circuit")
    service.mode = Mode.FAILING
    client = connect(circuit_failures=3, circuit_reset_seconds=FAR)
    failure_of(lambda: client.categories(transactions(1)))
    for calls in (4, 5):
        expire_reset_time(client)
        assert failure_of(lambda: client.categories(transactions(40))).code == Code.CIRCUIT_OPEN
        assert failure_of(lambda: client.categories(transactions(40))).code == Code.CIRCUIT_OPEN
        assert service.calls == calls, "one try, although four requests wanted to go"
    service.mode = last
    expire_reset_time(client)
    if last is Mode.HEALTHY:
        client.categories(transactions(1))
    else:
        failure_of(lambda: client.categories(transactions(10)))
    service.mode = Mode.HEALTHY
    rows = transactions(40)
    assert client.categories(rows) == right(rows)
    assert states(caplog) == [OPENED, HALF_OPEN, OPENED, HALF_OPEN, OPENED, HALF_OPEN, CLOSED]


def test_the_service_is_tried_again_after_the_reset_time_of_the_settings(
    service: FaultyMlService, connect: Connect
) -> None:
    service.mode = Mode.FAILING
    client, rows = connect(circuit_failures=1, circuit_reset_seconds=0.1), transactions(1)
    failure_of(lambda: client.categories(rows))
    service.mode = Mode.HEALTHY

    def answered() -> bool:
        try:
            return client.categories(rows) == right(rows)
        except RetryableError:
            return False

    wait_until(answered)
    assert service.calls == 2


def test_requests_wait_for_the_trial_and_are_sent_when_it_succeeds(service: FaultyMlService, connect: Connect) -> None:
    service.mode = Mode.FAILING
    client, rows = connect(circuit_failures=1, circuit_reset_seconds=FAR), transactions(40)
    failure_of(lambda: client.categories(rows[:1]))
    service.mode = Mode.SLOW
    expire_reset_time(client)
    assert client.categories(rows) == right(rows)
    assert service.calls == 1 + 4


def test_clients_of_one_url_share_their_circuit_and_others_do_not(service: FaultyMlService, connect: Connect) -> None:
    service.mode = Mode.FAILING
    limits = {"circuit_failures": 2, "circuit_reset_seconds": FAR}
    failure_of(lambda: connect(**limits).categories(transactions(1)))
    named = service.url.replace("//", "//me:s3cret@")
    for url in (service.url, f"{service.url}/", named):
        error = failure_of(lambda url=url: connect(url=url, **limits).categories(transactions(1)))
        assert error.code == Code.CIRCUIT_OPEN
    assert service.calls == 2
    with FaultyMlService() as other:
        rows = transactions(1)
        assert connect(url=other.url, **limits).categories(rows) == right(rows)


@pytest.mark.parametrize("time_has_passed", [False, True], ids=["still open", "reset time is over"])
def test_an_answer_from_before_it_opened_does_not_close_it(
    service: FaultyMlService, connect: Connect, caplog: pytest.LogCaptureFixture, time_has_passed: bool
) -> None:
    """Two parallel requests: one hangs, the other opens the circuit, then the first is answered."""
    caplog.set_level(logging.INFO, logger="include.stores.circuit")
    service.mode, service.delay_seconds = Mode.SLOW, FAR
    client = connect(circuit_failures=1, circuit_reset_seconds=FAR, read_timeout_seconds=FAR)
    rows = transactions(1)
    got: list[str] = []
    slow = Thread(target=lambda: got.extend(client.categories(rows)))
    slow.start()
    wait_until(lambda: service.calls == 1)
    with pytest.raises(RetryableError), client._circuit.trying():
        raise FailedAttemptError("meanwhile")
    if time_has_passed:
        expire_reset_time(client)
    service.mode = Mode.HEALTHY
    slow.join(20)
    assert got == right(rows)
    assert states(caplog) == [OPENED]
    if not time_has_passed:
        assert failure_of(lambda: client.categories(rows)).code == Code.CIRCUIT_OPEN


def test_a_failure_from_before_it_opened_changes_nothing() -> None:
    circuit = Circuit("The ML service", "http://127.0.0.1:8100")
    circuit.set_limits(failures=1, reset_seconds=FAR)
    early = circuit.trying()
    early.__enter__()
    with pytest.raises(RetryableError, match="failed 1 times in a row") as first, circuit.trying():
        raise FailedAttemptError("first")
    failure = FailedAttemptError("sent before the circuit opened")
    with pytest.raises(RetryableError) as late:
        early.__exit__(FailedAttemptError, failure, None)
    assert late.value.message == first.value.message
