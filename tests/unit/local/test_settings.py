"""The settings of the embedded platform: sources, validation, paths and ports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from include.settings import (
    AlertMailSettings,
    AlertSettings,
    FeastSettings,
    IngestSettings,
    LakeSettings,
    MlflowLogin,
    MlServiceSettings,
    QualitySettings,
    RetentionSettings,
    SourceSettings,
    StoreSettings,
    StreamSettings,
    TrainingSettings,
)
from include.settings_base import is_constant
from local import settings
from local.commands.setting_pages import EXAMPLE, PAGE, configuration_page, env_example
from local.settings import (
    NO_LONGER_SETTINGS,
    PORTS,
    REPOSITORY,
    PlatformSettings,
    free_ports,
    ignored_settings,
    ingest_settings,
    pipeline_variables,
    temporary_settings,
)
from metabase.settings import MetabaseSettings
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

pytestmark = pytest.mark.unit

# Defaults that depend on the machine, with their documented value.
ELSEWHERE = {
    "PLATFORM_HOME": ".local",
    "INGEST_CONTRACTS_DIR": "contracts",
    "INGEST_CONTRACTS_CACHE_DIR": ".local/contracts-cache",
    "INGEST_SPOOL_DIR": ".local/spool",
    "SOURCES_DIR": "sources",
    "FEAST_DIR": ".venv/feast",
    "ALERTS_SMTP_PASSWORD": "",
    "S3_SECRET_ACCESS_KEY": "",
    "SOURCE_GITHUB_TOKEN": "",
    "WAREHOUSE_INGEST_PASSWORD": "",
    "WAREHOUSE_OWNER_PASSWORD": "",
    "WAREHOUSE_READER_PASSWORD": "",
    "ML_SERVICE_TOKEN": "",
    "MODEL_SIGNING_KEY": "",
    "ML_API_TOKEN": "",
    "MLFLOW_TRACKING_PASSWORD": "",
    "METABASE_ADMIN_PASSWORD": "",
    "METABASE_WAREHOUSE_PASSWORD": "",
}
# Set by `up`: a line in .env has no effect.
SET_BY_UP = {"ML_SERVICE_URL", "ML_SERVICE_TOKEN", "MLFLOW_TRACKING_URI", "MODEL_SIGNING_KEY"}
KINDS = (
    PlatformSettings, IngestSettings, MlServiceSettings, StreamSettings, SourceSettings,
    TrainingSettings, QualitySettings, LakeSettings, FeastSettings, RetentionSettings, StoreSettings,
    AlertSettings, AlertMailSettings,
)  # fmt: skip
# Constants that no release read from the environment.
NEVER_SETTINGS = {"LAKE_BUCKET", "LAKE_WRITER_HOURS"}
# Of programs that do not read `.env`: on the page only.
OTHER_PROGRAMS = (MlApiSettings, MlflowLogin, MetabaseSettings)


def _variables(kind: type[BaseSettings], *, constants: bool = False) -> dict[str, FieldInfo]:
    prefix = kind.model_config.get("env_prefix", "")
    return {
        str(field.validation_alias or f"{prefix}{name}").upper(): field
        for name, field in kind.model_fields.items()
        if is_constant(field) == constants
    }


def _defaults(*kinds: type[BaseSettings]) -> dict[str, str]:
    """The defaults of the settings; of a name that several kinds have, the first one's."""
    return {
        name: ELSEWHERE.get(name, "" if field.default is None else str(field.default))
        for kind in reversed(kinds)
        for name, field in _variables(kind).items()
    }


@pytest.mark.parametrize(
    ("path", "text"), [(EXAMPLE, env_example), (PAGE, configuration_page)], ids=[".env.example", "configuration.md"]
)
def test_generated_page_is_up_to_date(path: Path, text: Callable[[], str]) -> None:
    assert path.read_text() == text(), "run: filegate dev settings"


def test_env_example_lists_every_setting_with_its_default() -> None:
    listed = re.findall(r"^#([A-Z0-9_]+)=(\S*)", EXAMPLE.read_text(), flags=re.MULTILINE)
    set_by_up = SET_BY_UP | set(_variables(StoreSettings))
    assert dict(listed) == {name: default for name, default in _defaults(*KINDS).items() if name not in set_by_up}
    assert len(listed) == len(dict(listed)), "a setting is listed twice"


def test_configuration_page_lists_every_setting_with_its_default() -> None:
    page = PAGE.read_text()
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (?:`(.*)`)? *\| \S.* \|$", page, re.MULTILINE)
    assert dict(rows) == _defaults(*KINDS, *OTHER_PROGRAMS)
    assert len(rows) == len(dict(rows)), "a setting is listed twice"


def test_every_setting_is_described_in_its_model() -> None:
    fields = [(name, field) for kind in (*KINDS, *OTHER_PROGRAMS) for name, field in _variables(kind).items()]
    assert [name for name, field in fields if not field.description] == []
    bare = re.findall(r"^#([A-Z0-9_]+=\S*)\s*$", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert bare == []


def test_settings_of_earlier_releases_are_no_settings() -> None:
    constants = {name for kind in (*KINDS, *OTHER_PROGRAMS) for name in _variables(kind, constants=True)}
    assert constants - NEVER_SETTINGS <= NO_LONGER_SETTINGS
    assert NO_LONGER_SETTINGS.isdisjoint(_defaults(*KINDS, *OTHER_PROGRAMS))


def test_lines_of_earlier_releases_are_ignored_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    monkeypatch.setattr(settings, "ENV_FILE", file)
    file.write_text("S3_PORT=9101\nINGEST_MAX_BATCHES=many\nINGEST_RETRIES=1\n")
    assert pipeline_variables() == {"INGEST_RETRIES": "1"}
    assert (ingest_settings().max_batches, ingest_settings().retries) == (64, 1)
    assert ignored_settings() == "INGEST_MAX_BATCHES is no longer a setting; remove the line from .env."
    file.write_text("TRAINING_SEED=1\nSTREAM_RUN_SECONDS=1\n#QUALITY_HISTORY_LEAST=5\n")
    expected = "STREAM_RUN_SECONDS, TRAINING_SEED are no longer settings; remove the lines from .env."
    assert ignored_settings() == expected
    (tmp_path / "pipelines.env").write_text("GITHUB_ATTEMPTS=2\n")
    assert ignored_settings() == (
        f"{expected} GITHUB_ATTEMPTS is no longer a setting; remove the line from pipelines.env."
    )
    (tmp_path / "pipelines.env").unlink()
    file.write_text("GITHUB_REPOSITORIES=a/b\n")
    assert ignored_settings() == (
        "GITHUB_REPOSITORIES is no longer a setting; remove the line from .env. "
        "List the repositories of GitHub in sources/github_*.yaml, at forEach."
    )
    file.write_text("INGEST_RETRIES=1\n")
    assert ignored_settings() == ""


def test_file_of_the_pipelines_wins_over_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENV_FILE", tmp_path / ".env")
    (tmp_path / ".env").write_text("INGEST_RETRIES=1\nINGEST_MAX_COLUMNS=7\nSTREAM_GROUP=one\n")
    (tmp_path / "pipelines.env").write_text("INGEST_RETRIES=2\nSTREAM_GROUP=two\n")
    monkeypatch.setenv("STREAM_GROUP", "three")
    assert pipeline_variables() == {"INGEST_RETRIES": "2", "INGEST_MAX_COLUMNS": "7", "STREAM_GROUP": "three"}


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
