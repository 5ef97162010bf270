"""The settings of the embedded platform: sources, validation, paths and ports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from include.settings import (
    AlertMailSettings,
    AlertSettings,
    GithubSettings,
    IngestSettings,
    MlServiceSettings,
    QualitySettings,
    RetentionSettings,
    StoreSettings,
    StreamSettings,
    TrainingSettings,
)
from local import settings
from local.settings import (
    PORTS,
    REPOSITORY,
    PlatformSettings,
    free_ports,
    ingest_settings,
    pipeline_variables,
    temporary_settings,
)

pytestmark = pytest.mark.unit

EXAMPLE = REPOSITORY / ".env.example"

# Defaults that depend on the machine, with their value in .env.example.
ELSEWHERE = {
    "PLATFORM_HOME": ".local",
    "INGEST_CONTRACTS_DIR": "contracts",
    "INGEST_CONTRACTS_CACHE_DIR": ".local/contracts-cache",
    "INGEST_SPOOL_DIR": ".local/spool",
    "ALERTS_SMTP_PASSWORD": "",
    "S3_SECRET_ACCESS_KEY": "",
    "SOURCE_GITHUB_TOKEN": "",
    "WAREHOUSE_INGEST_PASSWORD": "",
    "WAREHOUSE_OWNER_PASSWORD": "",
}


def _defaults() -> dict[str, str]:
    found = {}
    for kind in (
        PlatformSettings, IngestSettings, MlServiceSettings, StreamSettings, GithubSettings, TrainingSettings,
        QualitySettings, RetentionSettings, StoreSettings, AlertSettings, AlertMailSettings,
    ):  # fmt: skip
        prefix = kind.model_config.get("env_prefix", "")
        for name, field in kind.model_fields.items():
            variable = str(field.validation_alias or f"{prefix}{name}").upper()
            default = "" if field.default is None else str(field.default)
            found[variable] = ELSEWHERE.get(variable, default)
    return found


def test_env_example_lists_every_setting_with_its_default() -> None:
    listed = re.findall(r"^#([A-Z0-9_]+)=(\S*)", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert dict(listed) == _defaults()
    assert len(listed) == len(dict(listed)), "a setting is listed twice"


def test_env_example_explains_every_setting_of_the_platform_and_of_ingestion() -> None:
    bare = re.findall(
        r"^#((?:INGEST|PLATFORM|AIRFLOW|POSTGRES|S3_PORT|KAFKA|ML_API|STREAM|SCHEMA|ALERTS)\w*=\S*)$",
        EXAMPLE.read_text(),
        flags=re.MULTILINE,
    )
    assert bare == []


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("S3_PORT=9101   # with a comment\nKAFKA_PORT=9102\n")
    monkeypatch.setenv("S3_PORT", "9201")
    found = PlatformSettings(_env_file=file)
    assert (found.s3_port, found.kafka_port) == (9201, 9102)


def test_relative_home_starts_from_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert PlatformSettings(_env_file=None, platform_home=Path("state")).platform_home == REPOSITORY / "state"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"s3_port": 0}, id="no-port"),
        pytest.param({"s3_port": 70_000}, id="port-too-high"),
        pytest.param({"s3_port": 9092, "kafka_port": 9092}, id="two-services-on-one-port"),
        pytest.param({"ml_api_port": 8080}, id="the-default-port-of-another-service"),
        pytest.param({"s3_internal_ports": 9086}, id="internal-ports-overlap-another-service"),
        pytest.param({"s3_internal_ports": 65530}, id="internal-ports-too-high"),
        pytest.param({"kafka_storage": "disk"}, id="a-storage-that-the-broker-does-not-have"),
        pytest.param({"platform_home": "/tmp/50%"}, id="percent-in-the-folder"),
        pytest.param({"platform_home": "/tmp/a ;b"}, id="semicolon-in-the-folder"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PlatformSettings(_env_file=None, **changes)


@pytest.mark.parametrize("depth", [1, 40], ids=["shallow", "deep"])
def test_the_control_socket_fits_into_a_socket_address(depth: int) -> None:
    layout = PlatformSettings(_env_file=None, platform_home=Path("/srv", *["folder"] * depth)).layout
    assert len(str(layout.socket)) <= 90
    assert layout.socket.is_relative_to(layout.home) == (depth == 1)


def test_deep_homes_do_not_share_a_control_socket() -> None:
    deep = Path("/srv", *["folder"] * 40)
    sockets = {PlatformSettings(_env_file=None, platform_home=deep / name).layout.socket for name in ("a", "b")}
    assert len(sockets) == 2


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_every_port_is_chosen_for_a_temporary_platform(tmp_path: Path) -> None:
    assert set(PORTS) == {name for name in PlatformSettings.model_fields if name.endswith("_port")}
    found, default = temporary_settings(tmp_path), PlatformSettings.model_fields
    chosen = (*PORTS, "s3_internal_ports")
    assert [name for name in chosen if getattr(found, name) == default[name].default] == []


def test_services_get_ingest_settings_of_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("INGEST_RETRIES=1\nINGEST_MAX_COLUMNS=7\nINGEST_CONTRACTS_DIR=mine\nS3_PORT=9101\n")
    monkeypatch.setattr(settings, "ENV_FILE", file)
    monkeypatch.setenv("INGEST_RETRIES", "2")
    assert pipeline_variables() == {
        "INGEST_RETRIES": "2",
        "INGEST_MAX_COLUMNS": "7",
        "INGEST_CONTRACTS_DIR": str(REPOSITORY / "mine"),
    }
    assert ingest_settings().max_columns == 7


def test_services_get_the_settings_of_the_ml_service_and_of_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("ML_SERVICE_ATTEMPTS=2\nML_API_PORT=8111\nSTREAM_GROUP=mine\nSCHEMA_REGISTRY_URL=\n")
    monkeypatch.setattr(settings, "ENV_FILE", file)
    assert pipeline_variables() == {"ML_SERVICE_ATTEMPTS": "2", "STREAM_GROUP": "mine"}
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:8081")
    assert pipeline_variables()["SCHEMA_REGISTRY_URL"] == "http://127.0.0.1:8081"
