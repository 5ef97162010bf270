"""The ML service: its environment and its probe."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from local import addresses
from local.credentials import load_or_make
from local.services import ml_api
from local.settings import PlatformSettings, temporary_settings
from local.supervisor.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return temporary_settings(tmp_path)


@pytest.fixture
def health(settings: PlatformSettings) -> Iterator[dict[str, object]]:
    """The answer of a server on the service's port: status code and body, set by the test."""
    page: dict[str, object] = {}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(str(page["code"])))
            self.end_headers()
            self.wfile.write(str(page["body"]).encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", settings.ml_api_port), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield page
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("code", "body", "complaint"),
    [
        pytest.param(200, json.dumps({"status": "ok"}), None, id="healthy"),
        pytest.param(200, json.dumps({"status": "failing"}), "it is failing", id="unhealthy"),
        pytest.param(200, "{}", "it is unknown", id="no-status"),
        pytest.param(200, "Welcome", "it does not answer (Expecting value", id="another-program"),
        pytest.param(500, "{}", "it does not answer (HTTP Error 500", id="broken"),
    ],
)
def test_probe_reads_the_health_page(
    settings: PlatformSettings, health: dict[str, object], code: int, body: str, complaint: str | None
) -> None:
    health.update(code=code, body=body)
    found = ml_api.service(settings, load_or_make(settings.layout.secrets)).probe(0)
    assert found == complaint if complaint is None else str(found).startswith(complaint)


def test_a_service_that_does_not_listen_is_not_ready(settings: PlatformSettings) -> None:
    assert "Connection refused" in str(ml_api.service(settings, load_or_make(settings.layout.secrets)).probe(0))


def test_environment_has_the_port_on_the_loopback_interface(settings: PlatformSettings) -> None:
    service = ml_api.service(settings, load_or_make(settings.layout.secrets))
    assert service.environment["ML_API_HOST"] == "127.0.0.1"
    assert service.environment["ML_API_PORT"] == str(settings.ml_api_port)
    assert (service.port, service.port_variable) == (settings.ml_api_port, "ML_API_PORT")


def test_environment_has_the_address_of_the_models(settings: PlatformSettings) -> None:
    credentials = load_or_make(settings.layout.secrets)
    environment = ml_api.service(settings, credentials).environment
    assert environment["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{settings.mlflow_port}"
    assert environment["MLFLOW_TRACKING_USERNAME"] == "reader"
    assert environment["MLFLOW_TRACKING_PASSWORD"] == credentials.mlflow_reader_password
    assert environment["MODEL_SIGNING_KEY"] == credentials.model_signing_key
    assert environment["ML_API_TOKEN"] == credentials.ml_api_token


def test_make_env_has_its_address(settings: PlatformSettings) -> None:
    load_or_make(settings.layout.secrets)
    environment = addresses.for_library(Platform(settings))
    assert environment["ML_API_URL"] == environment["ML_SERVICE_URL"] == f"http://127.0.0.1:{settings.ml_api_port}"
    assert environment["KAFKA_BOOTSTRAP"] == f"127.0.0.1:{settings.kafka_port}"
