"""`/predict` over HTTP: answers, refusals, limits, documentation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from ml_api.app import create_app
from ml_api.categories import CATEGORIES
from ml_api.json_route import MAX_BODY_BYTES, JsonRoute
from ml_api.models import MAX_BATCH
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

SETTINGS = MlApiSettings(token="t")


def application(app: FastAPI | None = None, **options: Any) -> TestClient:
    """Return a client of a new application, with its token."""
    app = app or create_app(SETTINGS)
    return TestClient(app, headers={"Authorization": "Bearer t"}, **options)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with application() as found:
        yield found


def transaction(**changes: object) -> dict[str, object]:
    basics = {
        "id": str(uuid4()),
        "description": "CARD 4411 CORNER SHOP",
        "amount": 23.4,
        "timestamp": "2026-03-01T12:30:00+00:00",
        "merchant": "Corner Shop",
        "operation_type": "card",
        "side": "debit",
    }
    return basics | changes


def expected(one: dict[str, object]) -> dict[str, str]:
    return {"id": str(one["id"]), "category": CATEGORIES[hash(UUID(str(one["id"]))) % len(CATEGORIES)]}


def problems(answer: Any) -> list[tuple[list[str | int], str]]:
    return [(one["loc"], one["msg"]) for one in answer.json()["detail"]]


# --- answers


def test_one_transaction(client: TestClient) -> None:
    one = transaction()
    answer = client.post("/predict", json=one)
    assert (answer.status_code, answer.json()) == (200, expected(one))
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("count", [1, 2, MAX_BATCH])
def test_a_batch_is_answered_in_its_order(client: TestClient, count: int) -> None:
    batch = [transaction() for _ in range(count)]
    answer = client.post("/predict/batch", json={"transactions": batch})
    assert answer.status_code == 200
    assert answer.json() == {"predictions": [expected(one) for one in batch]}


def test_the_same_id_twice_is_answered_twice(client: TestClient) -> None:
    one = transaction()
    answer = client.post("/predict/batch", json={"transactions": [one, one]})
    assert answer.json() == {"predictions": [expected(one)] * 2}


@pytest.mark.parametrize("spelled", [str.upper, lambda text: text.replace("-", "")], ids=["upper-case", "no-hyphens"])
def test_category_does_not_depend_on_the_spelling_of_an_id(client: TestClient, spelled: Any) -> None:
    one = transaction()
    assert client.post("/predict", json=one | {"id": spelled(one["id"])}).json() == expected(one)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"merchant": None}, id="no-merchant"),
        pytest.param({"amount": "23.40"}, id="amount-as-text"),
        pytest.param({"amount": -12}, id="whole-negative-amount"),
        pytest.param({"timestamp": "2026-03-01T12:30:00.123456Z"}, id="microseconds-and-z"),
        pytest.param({"timestamp": "2026-03-01 12:30:00-05:30"}, id="space-and-offset"),
        pytest.param({"operation_type": "direct_debit", "side": "credit"}, id="other-words"),
        pytest.param({"description": ""}, id="empty-description"),
        pytest.param({"branch": 12, "extra": {"deep": []}}, id="unknown-fields"),
    ],
)
def test_optional_and_unusual_values_are_accepted(client: TestClient, changes: dict[str, object]) -> None:
    one = transaction(**changes)
    assert client.post("/predict", json=one).json() == expected(one)


def test_the_merchant_may_be_left_out(client: TestClient) -> None:
    one = transaction()
    del one["merchant"]
    assert client.post("/predict", json=one).status_code == 200


# --- refusals

BAD = [
    pytest.param({"id": "12"}, "id", "valid UUID", id="id-is-no-uuid"),
    pytest.param({"id": 12}, "id", "UUID input should be a string", id="id-is-a-number"),
    pytest.param({"description": None}, "description", "valid string", id="no-description"),
    pytest.param({"amount": "12,50"}, "amount", "valid decimal", id="comma-in-the-amount"),
    pytest.param({"amount": True}, "amount", "Decimal input should be", id="amount-is-a-truth"),
    pytest.param({"amount": "NaN"}, "amount", "finite number", id="amount-is-no-number"),
    pytest.param({"timestamp": "2026-03-01T12:30:00"}, "timestamp", "should have timezone", id="no-timezone"),
    pytest.param({"timestamp": "yesterday"}, "timestamp", "valid datetime", id="no-time"),
    pytest.param({"timestamp": 1772368200}, "timestamp", "valid datetime", id="seconds-since-1970"),
    pytest.param({"operation_type": "gift"}, "operation_type", "'card', 'transfer', ", id="unknown-operation"),
    pytest.param({"side": "DEBIT"}, "side", "'debit' or 'credit'", id="wrong-case"),
    pytest.param({"merchant": 7}, "merchant", "valid string", id="merchant-is-a-number"),
]


@pytest.mark.parametrize(("changes", "field", "message"), BAD)
def test_a_bad_field_is_named(client: TestClient, changes: dict[str, object], field: str, message: str) -> None:
    answer = client.post("/predict", json=transaction(**changes))
    assert answer.status_code == 422
    [(location, reason)] = problems(answer)
    assert location == ["body", field]
    assert message in reason


@pytest.mark.parametrize("field", ["id", "description", "amount", "timestamp", "operation_type", "side"])
def test_a_missing_field_is_named(client: TestClient, field: str) -> None:
    one = transaction()
    del one[field]
    answer = client.post("/predict", json=one)
    assert answer.status_code == 422
    assert problems(answer) == [(["body", field], "Field required")]


def test_bad_transactions_of_a_batch_are_named_by_their_index(client: TestClient) -> None:
    batch = [transaction(), transaction(side="left"), transaction(), transaction(amount=None)]
    answer = client.post("/predict/batch", json={"transactions": batch})
    assert answer.status_code == 422
    assert [location for location, _ in problems(answer)] == [
        ["body", "transactions", 1, "side"],
        ["body", "transactions", 3, "amount"],
    ]


@pytest.mark.parametrize(
    ("count", "message"),
    [pytest.param(0, "at least 1 item", id="none"), pytest.param(MAX_BATCH + 1, "at most 1000 items", id="too-many")],
)
def test_a_batch_has_1_to_1000_transactions(client: TestClient, count: int, message: str) -> None:
    answer = client.post("/predict/batch", json={"transactions": [transaction()] * count})
    assert answer.status_code == 422
    [(location, reason)] = problems(answer)
    assert location == ["body", "transactions"]
    assert message in reason


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "EOF", id="empty"),
        pytest.param(b'{"transactions": [', "EOF", id="cut-off"),
        pytest.param(b'{"a": "\xff"}', "Invalid JSON", id="not-utf-8"),
        pytest.param(b"[" * 100_000, "recursion limit", id="deep"),
        pytest.param(b"[]", "should be an object", id="a-list"),
        pytest.param(b"null", "should be an object", id="null"),
        pytest.param(b'{"rows": []}', "Field required", id="another-name"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_invalid_body_is_refused(client: TestClient, path: str, body: bytes, message: str) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code == 422
    assert all(location[0] == "body" for location, _ in problems(answer))
    assert message in problems(answer)[0][1]


def test_refusal_does_not_repeat_the_request(client: TestClient) -> None:
    answer = client.post("/predict", json=transaction(description=["my secret"], amount="my secret"))
    assert answer.status_code == 422
    assert "my secret" not in answer.text


def padded(size: int) -> bytes:
    body = json.dumps(transaction()).encode()
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)], ids=["full", "over"])
@pytest.mark.parametrize("in_pieces", [False, True], ids=["with-its-length", "in-pieces"])
def test_a_body_has_a_limit(client: TestClient, size: int, status: int, in_pieces: bool) -> None:
    body = padded(size)
    answer = client.post("/predict", content=iter([body[:100], body[100:]]) if in_pieces else body)
    assert answer.status_code == status
    assert status == 200 or "send fewer transactions at once" in answer.json()["detail"]


def test_disconnected_client_is_no_error() -> None:
    app, sent = create_app(SETTINGS), []
    incoming = iter([
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ])  # fmt: skip

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b"",
        "headers": [(b"authorization", b"Bearer t")],
        "root_path": "", "scheme": "http", "http_version": "1.1",
        "server": ("x", 1), "client": ("x", 2),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 499


def test_unknown_methods_and_paths_are_refused(client: TestClient) -> None:
    assert client.get("/predict").status_code == 405
    assert client.post("/classify", json={}).status_code == 404


def test_json_route_refuses_an_endpoint_without_a_body() -> None:
    router = APIRouter(route_class=JsonRoute)
    with pytest.raises(TypeError, match="forgotten must take one model as its body"):

        @router.post("/forgotten")
        def forgotten() -> None: ...


# --- documentation


def test_the_health_page_says_ok(client: TestClient) -> None:
    answer = client.get("/health")
    health = answer.json()
    assert (answer.status_code, health["status"], health["categories"]) == (200, "ok", list(CATEGORIES))


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_examples_of_the_documentation_are_correct(client: TestClient, path: str) -> None:
    described = client.get("/openapi.json").json()
    schemas, operation = described["components"]["schemas"], described["paths"][path]["post"]

    def examples(part: dict[str, Any]) -> list[Any]:
        name = part["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        return list(schemas[name]["examples"])

    answers = [client.post(path, json=example) for example in examples(operation["requestBody"])]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert [answer.json() for answer in answers] == examples(operation["responses"]["200"])
    assert set(operation["responses"]) == {"200", "413", "422"}


# --- counters


def test_requests_and_predictions_are_counted() -> None:
    with application() as client:
        one = transaction()
        client.post("/predict", json=one)
        client.post("/predict/batch", json={"transactions": [one] * 3})
        client.post("/predict/batch", json={})
        client.get("/nowhere/12")
        client.get("/nowhere/13")
        answer = client.get("/metrics")
    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'ml_api_requests_total{path="/predict",status="200"} 1.0',
        'ml_api_requests_total{path="/predict/batch",status="200"} 1.0',
        'ml_api_requests_total{path="/predict/batch",status="422"} 1.0',
        'ml_api_requests_total{path="other",status="404"} 2.0',
        'ml_api_request_seconds_count{path="/predict/batch"} 2.0',
        f'ml_api_predictions_total{{category="{expected(one)["category"]}"}} 4.0',
    ):
        assert line in lines
    assert sum(line.startswith("ml_api_predictions_total{") for line in lines) == len(CATEGORIES)
    assert "nowhere" not in answer.text


def test_applications_do_not_share_counters(client: TestClient) -> None:
    client.post("/predict", json=transaction())
    with application() as other:
        assert 'ml_api_requests_total{path="/predict"' not in other.get("/metrics").text


def test_request_that_raises_an_error_is_counted() -> None:
    app = create_app(SETTINGS)

    @app.get("/openapi.json/broken")
    def broken() -> None:
        raise RuntimeError("broken")

    with application(app, raise_server_exceptions=False) as client:
        assert client.get("/openapi.json/broken").status_code == 500
        assert 'ml_api_requests_total{path="other",status="500"} 1.0' in client.get("/metrics").text
