"""The environment of Airflow and its tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from local.credentials import Credentials, load_or_make
from local.services import airflow
from local.settings import REPOSITORY, PlatformSettings, temporary_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return temporary_settings(tmp_path)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return load_or_make(tmp_path / "secrets.env")


def test_a_task_does_not_know_the_passwords_of_other_roles(
    settings: PlatformSettings, credentials: Credentials
) -> None:
    values = " ".join(airflow.environment(settings, credentials).values())
    assert credentials.warehouse_ingest_password in values
    for name in ("postgres", "warehouse_owner", "warehouse_reader", "mlflow_db", "metabase_db"):
        assert getattr(credentials, f"{name}_password") not in values, name


def test_connections_lead_to_the_stores_as_the_ingest_role(
    settings: PlatformSettings, credentials: Credentials
) -> None:
    environment = airflow.environment(settings, credentials)
    landing = json.loads(environment["AIRFLOW_CONN_LANDING_S3"])
    warehouse = json.loads(environment["AIRFLOW_CONN_WAREHOUSE_PG"])
    assert landing["extra"]["endpoint_url"] == f"http://127.0.0.1:{settings.s3_port}"
    assert (warehouse["login"], warehouse["port"]) == ("ingest", settings.postgres_port)
    transform = json.loads(environment["AIRFLOW_CONN_WAREHOUSE_TRANSFORM"])
    assert (transform["login"], transform["password"]) == ("transform", credentials.warehouse_transform_password)
    github = json.loads(environment["AIRFLOW_CONN_SOURCE_GITHUB"])
    assert github["host"] == f"http://127.0.0.1:{settings.stand_ins_port}/github"
    assert json.loads(environment["AIRFLOW_CONN_EVENTS_KAFKA"]) == {
        "conn_type": "kafka",
        "extra": {"bootstrap.servers": f"127.0.0.1:{settings.kafka_port}"},
    }


def test_mail_connection_comes_from_the_settings(
    settings: PlatformSettings, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connection() -> dict[str, object]:
        fields = json.loads(airflow.environment(settings, credentials)["AIRFLOW_CONN_ALERTS_SMTP"])
        return {**fields.pop("extra"), **fields}

    for name in ("HOST", "PORT", "SECURITY", "USER", "PASSWORD"):
        monkeypatch.delenv(f"ALERTS_SMTP_{name}", raising=False)
    assert connection() == {
        "conn_type": "smtp", "host": "127.0.0.1", "port": 587, "login": "", "password": "",
        "disable_ssl": True, "disable_tls": False,
    }  # fmt: skip
    mail = {"HOST": "mail.example.com", "PORT": "465", "SECURITY": "ssl", "USER": "u", "PASSWORD": "p"}
    for name, value in mail.items():
        monkeypatch.setenv(f"ALERTS_SMTP_{name}", value)
    assert connection() == {
        "conn_type": "smtp", "host": "mail.example.com", "port": 465, "login": "u", "password": "p",
        "disable_ssl": False, "disable_tls": True,
    }  # fmt: skip


def test_the_bundle_is_the_checkout(settings: PlatformSettings, credentials: Credentials) -> None:
    environment = airflow.environment(settings, credentials)
    [bundle] = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"] == {"path": str(REPOSITORY)}


def test_ingest_settings_of_the_environment_reach_the_tasks(
    settings: PlatformSettings, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_RETRIES", "9")
    environment = airflow.environment(settings, credentials)
    assert environment["INGEST_RETRIES"] == "9"
    assert environment["INGEST_SPOOL_DIR"] == str(settings.layout.spool)
    assert environment["INGEST_CONTRACTS_CACHE_DIR"] == str(settings.layout.contracts_cache)


def test_a_slow_parse_is_not_cut_off(settings: PlatformSettings, credentials: Credentials) -> None:
    options = airflow.environment(settings, credentials)
    parse = int(options["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"])
    assert 300 <= parse < int(options["AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT"])


def test_tasks_call_the_ml_service_of_their_own_platform(
    settings: PlatformSettings, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exports of another platform in the shell must not redirect the tasks of this one."""
    monkeypatch.setenv("ML_SERVICE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ML_SERVICE_ATTEMPTS", "2")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    environment = airflow.environment(settings, credentials)
    assert environment["ML_SERVICE_URL"] == f"http://127.0.0.1:{settings.ml_api_port}"
    assert environment["ML_SERVICE_ATTEMPTS"] == "2"
    assert environment["KAFKA_BOOTSTRAP"] == f"127.0.0.1:{settings.kafka_port}"


def test_password_file_has_airflows_format_and_is_private(settings: PlatformSettings, credentials: Credentials) -> None:
    settings.layout.airflow.mkdir()
    airflow._write_password_file(settings.layout, credentials)
    path = settings.layout.airflow / "simple_auth_manager_passwords.json.generated"
    assert json.loads(path.read_text()) == {"admin": credentials.airflow_admin_password}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("health", "complaint"),
    [
        pytest.param(
            {"status": "healthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:10+00:00"}, None, id="healthy"
        ),
        pytest.param(
            {"status": "healthy", "latest_scheduler_heartbeat": "2025-12-31T23:59:59+00:00"},
            "scheduler has no heartbeat yet",
            id="heartbeat-of-the-last-start",
        ),
        pytest.param({"status": "unhealthy"}, "scheduler is unhealthy", id="unhealthy"),
        pytest.param({}, "scheduler is unknown", id="not-mentioned"),
    ],
)
def test_health_needs_a_heartbeat_of_this_start(
    health: dict[str, str], complaint: str | None, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow, "get_json", lambda _address: {"scheduler": health})
    new_year = 1767225600.0
    assert airflow._component_health(settings, "scheduler", since=new_year) == complaint
