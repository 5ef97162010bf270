"""`/classify-commit` over HTTP: answers, refusals, limits, documentation. The model is a stand-in."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from ml_api import app as application
from ml_api.champion import Champion, ModelUnavailableError, Version
from ml_api.commit_models import MAX_COMMITS, MAX_MESSAGE
from ml_api.json_route import MAX_BODY_BYTES
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

SHA = "3f1c5a0e9b7d4c2a8e6f0b1d2c3a4f5e6d7c8b9a"


class Pipeline:
    """The probability is the share of `m` among the message's first ten letters; `!` raises an error."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def predict_proba(self, frame: Any) -> Any:
        self.threads.add(threading.current_thread().name)
        if frame["message"].str.contains("!").any():
            raise ZeroDivisionError("a defect in the features")
        share = frame["message"].str[:10].str.count("m").to_numpy() / 10
        return np.column_stack([1 - share, share])


class Registry:
    """Has version 4, or raises the error that a test sets."""

    def __init__(self) -> None:
        self.pipeline = Pipeline()
        self.error: Exception | None = None

    def champion_version(self) -> Version:
        if self.error:
            raise self.error
        return Version("4")

    def load(self, version: Version) -> Champion:
        return Champion(version.number, self.pipeline)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry()
    monkeypatch.setattr(application, "MlflowRegistry", lambda *_: found)
    return found


@pytest.fixture
def client(registry: Registry) -> Iterator[TestClient]:
    settings = MlApiSettings(mlflow_tracking_uri="http://mlflow:5000", token="t")
    with TestClient(application.create_app(settings), headers={"Authorization": "Bearer t"}) as found:
        yield found


def commit(**changes: object) -> dict[str, object]:
    return {"sha": SHA, "message": "mmmmm", "authored_at": "2026-03-01T12:30:00+00:00"} | changes


def answered(probability: float, sha: str | None = SHA) -> dict[str, object]:
    return {"sha": sha, "is_merge": probability >= 0.5, "probability": probability, "model_version": "4"}


def problems(answer: Any) -> list[tuple[list[str | int], str]]:
    return [(one["loc"], one["msg"]) for one in answer.json()["detail"]]


# --- answers


@pytest.mark.parametrize(
    ("letters", "is_merge"),
    [pytest.param(0, False, id="never"), pytest.param(4, False, id="below"), pytest.param(5, True, id="half"),
     pytest.param(10, True, id="surely")],
)  # fmt: skip
def test_one_commit(client: TestClient, letters: int, is_merge: bool) -> None:
    answer = client.post("/classify-commit", json=commit(message="m" * letters))
    assert (answer.status_code, answer.json()) == (200, answered(letters / 10))
    assert answer.json()["is_merge"] is is_merge


@pytest.mark.parametrize("count", [1, 2, MAX_COMMITS])
def test_a_batch_is_answered_in_its_order(client: TestClient, count: int) -> None:
    batch = [commit(sha=f"{number:040x}", message="m" * (number % 11)) for number in range(count)]
    answer = client.post("/classify-commit/batch", json={"commits": batch})
    assert answer.status_code == 200
    assert answer.json() == {
        "classifications": [answered(number % 11 / 10, f"{number:040x}") for number in range(count)]
    }


def test_model_runs_in_a_thread_of_the_pool(client: TestClient, registry: Registry) -> None:
    client.post("/classify-commit", json=commit())
    assert [name.partition("_")[0] for name in registry.pipeline.threads] == ["classify"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sha": None}, id="no-sha"),
        pytest.param({"author_email": "Ada <ada@example.com>"}, id="strange-address"),
        pytest.param({"author_email": None, "comment_count": None, "hours_since_author_commit": None}, id="nothing"),
        pytest.param({"comment_count": 3, "author_commits_before": 10**9, "hours_since_author_commit": 7}, id="all"),
        pytest.param({"authored_at": "1970-01-01T00:00:00Z"}, id="the-first-day"),
        pytest.param({"authored_at": "2099-12-31 23:59:59.999999+14:00"}, id="the-last-day"),
        pytest.param({"message": "mmmmm\x00\u2028" + "x" * (MAX_MESSAGE - 7)}, id="the-longest-message"),
        pytest.param({"branch": 12, "parents": []}, id="unknown-fields"),
    ],
)
def test_optional_and_extreme_values_are_accepted(client: TestClient, changes: dict[str, object]) -> None:
    one = commit(**changes)
    answer = client.post("/classify-commit", json=one)
    assert (answer.status_code, answer.json()) == (200, answered(0.5, one["sha"]))  # type: ignore[arg-type]


def test_message_and_authored_at_are_sufficient(client: TestClient) -> None:
    answer = client.post("/classify-commit", json={"message": "", "authored_at": "2026-03-01T12:30:00Z"})
    assert (answer.status_code, answer.json()) == (200, answered(0.0, None))


# --- refusals

BAD = [
    pytest.param({"sha": SHA[:39]}, "sha", "match pattern", id="short-sha"),
    pytest.param({"sha": SHA.upper()}, "sha", "match pattern", id="sha-in-capitals"),
    pytest.param({"message": None}, "message", "valid string", id="no-message"),
    pytest.param({"message": "x" * (MAX_MESSAGE + 1)}, "message", "at most 500000 characters", id="long-message"),
    pytest.param({"authored_at": "2026-03-01T12:30:00"}, "authored_at", "should have timezone", id="no-timezone"),
    pytest.param({"authored_at": 1772368200}, "authored_at", "valid datetime", id="seconds-since-1970"),
    pytest.param({"authored_at": "1969-12-31T23:59:59Z"}, "authored_at", "greater than or equal", id="too-early"),
    pytest.param({"authored_at": "2262-04-12T00:00:00Z"}, "authored_at", "less than or equal", id="beyond-nanoseconds"),
    pytest.param({"author_email": "a" * 321}, "author_email", "at most 320 characters", id="long-address"),
    pytest.param({"comment_count": -1}, "comment_count", "greater than or equal", id="negative-count"),
    pytest.param({"comment_count": 1.5}, "comment_count", "valid integer", id="half-a-comment"),
    pytest.param({"author_commits_before": None}, "author_commits_before", "valid integer", id="no-number"),
    pytest.param({"author_commits_before": True}, "author_commits_before", "valid integer", id="number-is-a-truth"),
    pytest.param({"hours_since_author_commit": -0.1}, "hours_since_author_commit", "greater", id="negative-hours"),
    pytest.param({"hours_since_author_commit": 1e300}, "hours_since_author_commit", "less than", id="beyond-float32"),
    pytest.param({"is_company_email": 1}, "is_company_email", "valid boolean", id="truth-is-a-number"),
]


@pytest.mark.parametrize(("changes", "field", "message"), BAD)
def test_a_bad_field_is_named(client: TestClient, changes: dict[str, object], field: str, message: str) -> None:
    answer = client.post("/classify-commit", json=commit(**changes))
    assert answer.status_code == 422
    [(location, reason)] = problems(answer)
    assert location == ["body", field]
    assert message in reason


@pytest.mark.parametrize("spelled", ["NaN", "Infinity", "-Infinity"])
def test_hours_are_finite(client: TestClient, spelled: str) -> None:
    body = json.dumps(commit(hours_since_author_commit=0)).replace(": 0}", f": {spelled}}}")
    assert client.post("/classify-commit", content=body).status_code == 422


def test_bad_commits_of_a_batch_are_named_by_their_index(client: TestClient) -> None:
    batch = [commit(), commit(message=3), commit(), {"message": "m"}]
    answer = client.post("/classify-commit/batch", json={"commits": batch})
    assert answer.status_code == 422
    assert [location for location, _ in problems(answer)] == [
        ["body", "commits", 1, "message"],
        ["body", "commits", 3, "authored_at"],
    ]


@pytest.mark.parametrize(
    ("count", "message"),
    [pytest.param(0, "at least 1 item", id="none"), pytest.param(MAX_COMMITS + 1, "at most 1000 items", id="many")],
)
def test_a_batch_has_1_to_1000_commits(client: TestClient, count: int, message: str) -> None:
    answer = client.post("/classify-commit/batch", json={"commits": [commit()] * count})
    assert answer.status_code == 422
    [(location, reason)] = problems(answer)
    assert location == ["body", "commits"]
    assert message in reason


def test_a_body_has_a_limit(client: TestClient) -> None:
    body = json.dumps(commit()).encode()
    assert client.post("/classify-commit", content=body.ljust(MAX_BODY_BYTES)).status_code == 200
    answer = client.post("/classify-commit", content=body.ljust(MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert "fewer commits" in answer.json()["detail"]


def test_refusal_does_not_repeat_the_request_and_loads_no_model(client: TestClient) -> None:
    answer = client.post("/classify-commit", json=commit(message=["my secret"]))
    assert answer.status_code == 422
    assert "my secret" not in answer.text
    assert client.get("/health").json()["commit_model"]["version"] is None


# --- no model, or one that fails


@pytest.mark.parametrize("path", ["/classify-commit", "/classify-commit/batch"])
def test_without_a_model_the_answer_has_a_remedy_and_retry_after(
    client: TestClient, registry: Registry, path: str
) -> None:
    registry.error = ModelUnavailableError("train one first (DAG train_commit_model)")
    answer = client.post(path, json=commit() | {"commits": [commit()]})
    assert (answer.status_code, answer.json()) == (503, {"detail": "train one first (DAG train_commit_model)"})
    assert answer.headers["Retry-After"] == "5"
    assert client.get("/health").json()["commit_model"] == {
        "version": None, "problem": "train one first (DAG train_commit_model)",
    }  # fmt: skip
    assert client.get("/health").json()["status"] == "ok"
    assert "ml_api_model_load_failures_total 1.0" in client.get("/metrics").text.splitlines()


def test_without_mlflow_scoring_is_off_and_health_works() -> None:
    with TestClient(
        application.create_app(MlApiSettings(mlflow_tracking_uri="", token="t")), headers={"Authorization": "Bearer t"}
    ) as client:
        answer = client.post("/classify-commit", json=commit())
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("scoring is off: set MLFLOW_TRACKING_URI")
        assert "Retry-After" not in answer.headers
        assert client.get("/health").json()["commit_model"]["problem"] == answer.json()["detail"]


def test_model_error_is_answered_with_500_and_logged_and_later_requests_work(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post("/classify-commit", json=commit(message="boom!"))
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("version 4 of the model fails at these commits")
    assert "ZeroDivisionError" not in answer.text
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "version 4 of commit-classifier failed at 1 commits"
    assert "a defect in the features" in caplog.text
    assert client.post("/classify-commit", json=commit()).status_code == 200


# --- documentation and counters


@pytest.mark.parametrize("path", ["/classify-commit", "/classify-commit/batch"])
def test_examples_of_the_documentation_are_accepted_and_have_the_form_of_answers(client: TestClient, path: str) -> None:
    described = client.get("/openapi.json").json()
    schemas, operation = described["components"]["schemas"], described["paths"][path]["post"]

    def examples(part: dict[str, Any]) -> list[Any]:
        name = part["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        return list(schemas[name]["examples"])

    def form(one: Any) -> Any:
        if isinstance(one, list):
            return [form(part) for part in one]
        if isinstance(one, dict):
            return {name: form(part) for name, part in one.items()}
        return type(one).__name__

    answers = [client.post(path, json=example) for example in examples(operation["requestBody"])]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert [form(answer.json()) for answer in answers] == [form(one) for one in examples(operation["responses"]["200"])]
    assert set(operation["responses"]) == {"200", "413", "422", "500", "503"}


def test_commits_are_counted_by_result(client: TestClient) -> None:
    assert "ml_api_model_info{" not in client.get("/metrics").text
    client.post("/classify-commit", json=commit())
    client.post("/classify-commit/batch", json={"commits": [commit(), commit(), commit(message="")]})
    client.post("/classify-commit", json={})
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'ml_api_commits_total{result="merge"} 3.0',
        'ml_api_commits_total{result="change"} 1.0',
        "ml_api_classification_seconds_count 2.0",
        'ml_api_model_info{model="commit-classifier",version="4"} 1.0',
        "ml_api_model_load_failures_total 0.0",
        'ml_api_requests_total{path="/classify-commit",status="422"} 1.0',
        'ml_api_requests_total{path="/classify-commit/batch",status="200"} 1.0',
    ):
        assert line in lines
