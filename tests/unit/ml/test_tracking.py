"""The errors for an MLflow server that does not respond or refuses."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from include.errors import Code, PermanentError, RetryableError
from include.ml.tracking import Tracking
from include.settings import TrainingSettings
from local.settings import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def answers() -> Iterator[dict[str, object]]:
    """A server whose status and body the test chooses; `url` is its address."""
    chosen: dict[str, object] = {}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(chosen["body"]).encode()
            self.send_response(int(str(chosen["code"])))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        chosen["url"] = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield chosen
        server.shutdown()
        thread.join()


def tracking(url: object) -> Tracking:
    return Tracking(TrainingSettings(tracking_uri=str(url)))


def test_an_unavailable_server_is_retryable() -> None:
    with pytest.raises(RetryableError) as caught:
        tracking(f"http://127.0.0.1:{free_ports(1)[0]}").champion()
    assert caught.value.code is Code.TRACKING_UNAVAILABLE


@pytest.mark.parametrize(
    ("status", "error_code", "code", "words"),
    [
        pytest.param(500, "INTERNAL_ERROR", Code.TRACKING_UNAVAILABLE, "too many 500", id="broken"),
        pytest.param(503, "TEMPORARILY_UNAVAILABLE", Code.TRACKING_UNAVAILABLE, "too many 503", id="starting"),
        pytest.param(429, "REQUEST_LIMIT_EXCEEDED", Code.TRACKING_UNAVAILABLE, "too many 429", id="busy"),
        pytest.param(403, "PERMISSION_DENIED", Code.TRACKING_REFUSED, "so it is", id="no-right"),
        pytest.param(401, "UNAUTHENTICATED", Code.TRACKING_REFUSED, "so it is", id="no-password"),
        pytest.param(404, "ENDPOINT_NOT_FOUND", Code.TRACKING_REFUSED, "so it is", id="not-mlflow"),
    ],
)
def test_the_status_decides_whether_an_error_is_retryable(
    answers: dict[str, object], status: int, error_code: str, code: Code, words: str
) -> None:
    answers |= {"code": status, "body": {"error_code": error_code, "message": "so it is"}}
    kind = RetryableError if code is Code.TRACKING_UNAVAILABLE else PermanentError
    with pytest.raises(kind, match=words) as caught:
        tracking(answers["url"]).champion()
    assert caught.value.code is code


@pytest.mark.parametrize("error_code", ["RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"])
def test_before_the_first_model_there_is_no_champion(answers: dict[str, object], error_code: str) -> None:
    answers |= {"code": 404, "body": {"error_code": error_code, "message": "Registered model alias not found"}}
    assert tracking(answers["url"]).champion() is None
