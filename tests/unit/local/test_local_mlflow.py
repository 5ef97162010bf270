"""The MLflow server: its arguments, its environment and its probe."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from local.credentials import Credentials, load_or_make
from local.services import mlflow
from local.settings import PlatformSettings, temporary_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return temporary_settings(tmp_path)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return load_or_make(tmp_path / "secrets.env")


def test_its_arguments_hold_no_secret(settings: PlatformSettings, credentials: Credentials) -> None:
    service = mlflow.service(settings, credentials)
    arguments = " ".join(service.command)
    assert credentials.mlflow_db_password in service.environment["MLFLOW_BACKEND_STORE_URI"]
    assert credentials.mlflow_db_password not in arguments
    assert credentials.s3_secret_access_key not in arguments
    for secret in (
        credentials.mlflow_admin_password,
        credentials.mlflow_training_password,
        credentials.mlflow_reader_password,
        credentials.mlflow_flask_secret_key,
    ):
        assert secret in service.environment.values()
        assert secret not in arguments + repr(service)
    assert credentials.mlflow_db_password not in repr(service)


def test_it_listens_on_loopback_and_answers_to_no_other_name(
    settings: PlatformSettings, credentials: Credentials
) -> None:
    service = mlflow.service(settings, credentials)
    assert service.command[service.command.index("--host") + 1] == "127.0.0.1"
    hosts = {host.split(":")[0] for host in service.environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")}
    assert hosts == {"127.0.0.1", "localhost"}


def test_it_asks_for_a_login(settings: PlatformSettings, credentials: Credentials) -> None:
    service = mlflow.service(settings, credentials)
    assert service.command[service.command.index("--app-name") + 1] == "basic-auth"
    assert service.environment["MLFLOW_BASIC_AUTH_FAIL_CLOSED"] == "true"


@pytest.mark.parametrize(("of", "account"), [("variables", "training"), ("reader_variables", "reader")])
def test_clients_get_a_login_of_their_own_and_no_key_of_the_bucket(
    settings: PlatformSettings, credentials: Credentials, of: str, account: str
) -> None:
    environment = getattr(mlflow, of)(settings, credentials)
    assert environment["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{settings.mlflow_port}"
    assert environment["MLFLOW_TRACKING_USERNAME"] == account
    assert environment["MLFLOW_TRACKING_PASSWORD"] == getattr(credentials, f"mlflow_{account}_password")
    assert environment["MODEL_SIGNING_KEY"] == credentials.model_signing_key
    assert not [name for name in environment if name.startswith("AWS")]
    assert credentials.mlflow_admin_password not in environment.values()


def test_probe_fails_when_nothing_answers(settings: PlatformSettings, credentials: Credentials) -> None:
    assert "does not answer" in (mlflow.service(settings, credentials).probe(0.0) or "")


@pytest.mark.parametrize(
    ("code", "body", "complaint"),
    [
        pytest.param(200, b"OK", None, id="healthy"),
        pytest.param(200, b"Welcome", "another program answers on its port: 'Welcome'", id="another-program"),
        pytest.param(500, b"OK", "it does not answer (HTTP Error 500", id="broken"),
    ],
)
def test_its_health_page_is_read(
    settings: PlatformSettings, credentials: Credentials, code: int, body: bytes, complaint: str | None
) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", settings.mlflow_port), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        found = mlflow.service(settings, credentials).probe(0.0)
        thread.join()
    assert (found or "").startswith(complaint or "")
    assert (found is None) == (complaint is None)
