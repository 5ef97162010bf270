"""Access control of the ML service: requests need its token, health checks do not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient
from starlette.routing import Route

from ml_api.access import OPEN_PATHS
from ml_api.app import create_app
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

TOKEN = "canary-5f1e"


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(MlApiSettings(token=TOKEN))) as found:
        yield found


PATHS = sorted({route.path for route in create_app(MlApiSettings(token=TOKEN)).routes if isinstance(route, Route)})


@pytest.mark.parametrize("path", PATHS)
def test_every_route_but_the_open_ones_needs_the_token(client: TestClient, path: str) -> None:
    answers = {client.request(method, path).status_code for method in ("GET", "POST", "PUT", "DELETE", "HEAD")}
    assert (answers == {401}) == (path not in OPEN_PATHS)
    assert {401} <= answers or path in OPEN_PATHS


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "//predict", "/health/", "/health/../predict", "/metrics/x"])
def test_unknown_paths_need_the_token(client: TestClient, path: str) -> None:
    assert client.post(path).status_code == 401


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_open_paths_answer_without_the_token(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param(TOKEN, id="no-scheme"),
        pytest.param(f"Basic {TOKEN}", id="basic"),
        pytest.param("Bearer", id="nothing"),
        pytest.param("Bearer ", id="empty-token"),
        pytest.param(f"Bearer {TOKEN[:-1]}", id="cut"),
        pytest.param(f"Bearer {TOKEN}0", id="longer"),
        pytest.param(f"Bearer {TOKEN.upper()}", id="upper-case"),
        pytest.param("Bearer \xfc", id="not-ascii"),
    ],
)
def test_another_token_is_refused(client: TestClient, header: str) -> None:
    answer = client.post("/predict", content=b"{", headers={"Authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json() == {"detail": "send the service's token: Authorization: Bearer <ML_API_TOKEN>"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_is_accepted_with_any_case_of_the_scheme(client: TestClient, scheme: str) -> None:
    assert client.post("/predict", content=b"{", headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 422


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}])
def test_a_service_without_a_token_refuses_all(header: dict[str, str]) -> None:
    with TestClient(create_app(MlApiSettings(token=""))) as client:
        answer = client.post("/predict", content=b"{", headers=header)
    assert answer.status_code == 401
    assert "set ML_API_TOKEN" in answer.json()["detail"]


def test_refusals_are_counted_and_the_token_is_never_shown(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answers = [client.post("/predict", headers={"Authorization": f"Bearer {given}"}) for given in (TOKEN, "no")]
    metrics = client.get("/metrics").text
    assert 'ml_api_requests_total{path="/predict",status="401"} 1.0' in metrics
    output = caplog.text + metrics + client.get("/health").text + "".join(answer.text for answer in answers)
    assert TOKEN not in output + repr(MlApiSettings(token=TOKEN))


def test_openapi_describes_the_token(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
    closed = {path for path, methods in schema["paths"].items() if all("security" in one for one in methods.values())}
    assert closed == {
        "/predict", "/predict/batch", "/classify-commit", "/classify-commit/batch", "/features/{view}/{entity}",
        "/task-delay/{task_id}",
    }  # fmt: skip
