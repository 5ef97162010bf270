"""The `.env` file: private, never overwritten, and without effect on the embedded platform except for ports."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
import yaml
from dotenv import dotenv_values

from deploy.compose_file import COMPOSE_FILE, ComposeFile
from deploy.env_file import (
    SECRETS,
    env_text,
    names_in_pipelines_file,
    pipelines_text,
    sources_text,
    write_env_file,
    write_pipelines_file,
    write_sources_file,
)
from deploy.interpolation import MissingValueError, interpolate
from include.settings import SOURCES_DIR
from include.sources.database.connection import DatabaseConnection
from local import settings as local_settings
from local.credentials import Credentials
from local.errors import PlatformError
from local.settings import REPOSITORY, PlatformSettings, pipeline_variables, source_connections

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit
FILE = ComposeFile.read(COMPOSE_FILE)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    write_env_file(path)
    return path


def values_of(path: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(path).items() if value}


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_env_file(tmp_path / ".env")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_never_overwritten(env_file: Path) -> None:
    before = env_file.read_bytes()
    with pytest.raises(PlatformError, match="not overwritten"):
        write_env_file(env_file)
    assert env_file.read_bytes() == before


def test_every_secret_is_new_and_differs_from_the_others(env_file: Path, tmp_path: Path) -> None:
    write_env_file(tmp_path / "second")
    one, two = values_of(env_file), values_of(tmp_path / "second")
    assert len({one[name] for name in SECRETS} | {two[name] for name in SECRETS}) == 2 * len(SECRETS)


def test_secrets_need_no_quoting_anywhere(env_file: Path) -> None:
    secrets = values_of(env_file)
    key = secrets.pop("AIRFLOW_FERNET_KEY")
    assert len(base64.urlsafe_b64decode(key)) == 32
    assert all(re.fullmatch(r"[0-9a-f]{32,}", secrets[name]) for name in SECRETS if name in secrets)


def test_compose_can_fill_every_variable_from_the_file(env_file: Path) -> None:
    values = values_of(env_file)
    for _, text in FILE.texts():
        interpolate(text, values)


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_missing_secret_stops_compose_with_the_remedy(env_file: Path, name: str) -> None:
    values = values_of(env_file) | {name: ""}
    everything = " ".join(text for _, text in FILE.texts())
    with pytest.raises(MissingValueError, match=f"{name}: filegate dev env-file"):
        interpolate(everything, values)


@pytest.mark.parametrize(
    ("profiles", "line", "metrics"),
    [
        pytest.param([], "", "False", id="core"),
        pytest.param(["ml", "bi"], "ml,bi", "False", id="two"),
        pytest.param(["observability"], "observability", "True", id="observability"),
        pytest.param(["full"], "full", "True", id="full"),
    ],
)
def test_profiles_are_chosen_in_the_file(tmp_path: Path, profiles: list[str], line: str, metrics: str) -> None:
    write_env_file(tmp_path / ".env", profiles)
    values = dotenv_values(tmp_path / ".env")
    assert (values["COMPOSE_PROFILES"], values["AIRFLOW_METRICS_ON"]) == (line, metrics)


def test_an_unknown_profile_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no such profile: fulll"):
        write_env_file(tmp_path / ".env", ["fulll"])
    assert not (tmp_path / ".env").exists()


# The file of the pipelines


def test_pipelines_file_changes_nothing_until_a_line_is_uncommented(env_file: Path) -> None:
    file = env_file.with_name("pipelines.env")
    assert write_pipelines_file(file, env_file) == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == pipelines_text()
    assert dotenv_values(file) == {}
    with pytest.raises(PlatformError, match="not overwritten"):
        write_pipelines_file(file, env_file)


def test_pipelines_file_has_every_setting_that_compose_does_not_set() -> None:
    environment = FILE.environment("airflow-worker")
    names = names_in_pipelines_file()
    assert len(names) == len(set(names))
    assert set(names).isdisjoint({*environment, *SECRETS})
    assert {"INGEST_RETRIES", "STREAM_BATCH_BYTES", "RETENTION_FAILED_DAYS", "ALERTS_NOTIFIER"} <= set(names)


def test_lines_of_an_earlier_env_file_are_copied_without_secrets(env_file: Path) -> None:
    lines = [
        "INGEST_RETRIES=7    # more", "export TRAINING_TREES=9", "#QUALITY_KEEP_DAYS=1", "STREAM_GROUP=mine",
        'ALERTS_NOTIFIER_KWARGS={"text": "{{ alert.subject }}"}', "INGEST_RETRIES=8",
    ]  # fmt: skip
    env_file.write_text(env_file.read_text() + "\n".join(lines))
    file = env_file.with_name("pipelines.env")
    assert write_pipelines_file(file, env_file) == ["INGEST_RETRIES", "TRAINING_TREES", "ALERTS_NOTIFIER_KWARGS"]
    assert dotenv_values(file) == {
        "INGEST_RETRIES": "8",
        "TRAINING_TREES": "9",
        "ALERTS_NOTIFIER_KWARGS": '{"text": "{{ alert.subject }}"}',
    }


# The file of the sources


def test_sources_file_has_an_example_for_every_definition_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "sources.env"
    write_sources_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == sources_text()
    assert dotenv_values(file) == {}
    with pytest.raises(PlatformError, match="not overwritten"):
        write_sources_file(file)
    file.write_text(re.sub(r"^#(?=AIRFLOW_CONN_)", "", file.read_text(), flags=re.MULTILINE))
    examples = {name: json.loads(value) for name, value in values_of(file).items()}
    ids = {yaml.safe_load(path.read_text())["connection"] for path in SOURCES_DIR.glob("*.yaml")}
    assert {f"AIRFLOW_CONN_{name.upper()}" for name in ids} - FILE.environment(
        "airflow-worker"
    ).keys() < examples.keys()
    for name, connection in examples.items():
        assert "extra" not in connection, f"{name} is that of a stand-in"
        if name == "AIRFLOW_CONN_SOURCE_CRM":
            database = DatabaseConnection.of("source_crm", connection)
            assert (database.engine, database.host, database.database) == ("mysql", "db", "crm")
        else:
            assert connection["conn_type"] == ("aws" if name == "AIRFLOW_CONN_SOURCE_PARTNER" else "http")
            assert connection["host"].startswith("https://"), name


def test_embedded_platform_reads_the_sources_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_settings, "ENV_FILE", tmp_path / ".env")
    names = [f"AIRFLOW_CONN_SOURCE_{name}" for name in ("A", "B", "C")]
    (tmp_path / ".env").write_text("".join(f"{name}=env\n" for name in names))
    (tmp_path / "sources.env").write_text(f"{names[1]}='a$b #c'\n{names[2]}=file\nINGEST_RETRIES=7\n")
    monkeypatch.setenv(names[2], "environment")
    assert source_connections() == dict(zip(names, ["env", "a$b #c", "environment"], strict=True))
    assert "INGEST_RETRIES" not in pipeline_variables()


# The embedded platform reads the same file


def test_the_embedded_platform_starts_the_same_beside_the_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*values_of(env_file), *map(str.upper, PlatformSettings.model_fields)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local_settings, "ENV_FILE", env_file.with_name("none"))
    without = PlatformSettings(_env_file=None), pipeline_variables()
    monkeypatch.setattr(local_settings, "ENV_FILE", env_file)
    assert (PlatformSettings(_env_file=env_file), pipeline_variables()) == without


def test_a_port_in_the_file_moves_both(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_PORT", raising=False)
    env_file.write_text(env_file.read_text().replace("#AIRFLOW_PORT=8080", "AIRFLOW_PORT=18080"))
    assert PlatformSettings(_env_file=env_file).airflow_port == 18080
    published = FILE.services["airflow-apiserver"]["ports"][0]
    assert interpolate(published, values_of(env_file)) == "127.0.0.1:18080:8080"


def test_shared_secrets_have_the_embedded_platforms_names() -> None:
    embedded = {field.name.upper() for field in fields(Credentials)}
    # Only the embedded platform has the supervisor and two more S3 keys.
    assert embedded - set(SECRETS) == {
        "SUPERVISOR_PASSWORD", "S3_ACCESS_KEY_ID", "AIRFLOW_ADMIN_USER",
        "S3_ADMIN_SECRET_ACCESS_KEY", "MLFLOW_S3_ACCESS_KEY_ID", "KAFKA_S3_SECRET_ACCESS_KEY",
    }  # fmt: skip


def test_what_may_be_changed_is_used_by_the_compose_file() -> None:
    text = COMPOSE_FILE.read_text()
    for name in re.findall(r"^#?([A-Z0-9_]+)=", env_text(), flags=re.MULTILINE):
        assert f"${{{name}:" in text or name == "COMPOSE_PROFILES", name


def test_the_command_refuses_a_second_time(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import deploy.__main__ as m; m.ENV_FILE = Path(sys.argv.pop()); m.app()"
    )
    command = [sys.executable, "-c", script, "env-file", "--profiles", "ml", str(tmp_path / ".env")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    first, second = (
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (0, 1)
    assert "not overwritten" in second.stderr
    assert (tmp_path / "pipelines.env").read_text() == pipelines_text()
    assert (tmp_path / "sources.env").read_text() == sources_text()
    secrets = [value for value in values_of(tmp_path / ".env").values() if len(value) >= 32]
    assert not any(secret in first.stdout + first.stderr + second.stdout + second.stderr for secret in secrets)


def test_the_command_adds_the_file_of_the_pipelines_to_an_earlier_deployment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=hunter2\nINGEST_RETRIES=7\n")
    script = (
        "import sys; from pathlib import Path; import deploy.__main__ as m; m.ENV_FILE = Path(sys.argv.pop()); m.app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "env-file", str(tmp_path / ".env")],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "INGEST_RETRIES: copied from .env" in done.stdout
    assert "hunter2" not in done.stdout + (tmp_path / "pipelines.env").read_text()
    assert (tmp_path / ".env").read_text() == "POSTGRES_PASSWORD=hunter2\nINGEST_RETRIES=7\n"
    assert dotenv_values(tmp_path / "pipelines.env") == {"INGEST_RETRIES": "7"}
    assert (tmp_path / "sources.env").read_text() == sources_text()


def test_the_command_adds_the_file_of_the_sources_to_an_earlier_deployment(tmp_path: Path) -> None:
    before = {".env": "POSTGRES_PASSWORD=hunter2\n", "pipelines.env": "INGEST_RETRIES=7\n"}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    script = (
        "import sys; from pathlib import Path; import deploy.__main__ as m; m.ENV_FILE = Path(sys.argv.pop()); m.app()"
    )
    subprocess.run(
        [sys.executable, "-c", script, "env-file", str(tmp_path / ".env")],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before | {"sources.env": sources_text()}
