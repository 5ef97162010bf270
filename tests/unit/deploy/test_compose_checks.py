"""docker-compose.yaml follows its rules, and the check of each rule reports a file that breaks it."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy import setting_checks, structure_checks
from deploy.checks import CHECKS, run_checks
from deploy.compose_file import COMPOSE_FILE, ComposeFile, mebibytes
from deploy.env_file import SECRETS, names_in_pipelines_file, sources_text
from deploy.setting_checks import connection_ids, resolved
from local.errors import PlatformError
from local.settings import REPOSITORY, SOURCE_CONNECTION

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, Any]], object]

pytestmark = pytest.mark.unit
FILE = ComposeFile.read(COMPOSE_FILE)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_file_follows_its_rules(check: Callable[[ComposeFile], list[str]]) -> None:
    assert check(FILE) == []


def with_setting(service: str, name: str, value: str | None) -> Change:
    return lambda services: services[service]["environment"].__setitem__(name, value)


def without_setting(service: str, name: str) -> Change:
    return lambda services: services[service]["environment"].pop(name)


def with_key(service: str, name: str, value: object) -> Change:
    return lambda services: services[service].__setitem__(name, value)


def without_key(service: str, name: str) -> Change:
    return lambda services: services[service].pop(name)


def waiting(service: str, needed: str, condition: str) -> Change:
    return lambda services: services[service].setdefault("depends_on", {}).update({needed: {"condition": condition}})


BREAKS = [
    ("follows_the_specification", with_key("redis", "helthcheck", {}), "helthcheck"),
    ("follows_the_specification", with_key("redis", "ports", "6379"), "services.redis.ports"),
    ("follows_the_specification", with_key("redis", "healthcheck", {"test": 5}), "services.redis.healthcheck.test"),
    ("variables_have_values", with_setting("redis", "A", "${NEW_ONE}"), "NEW_ONE has neither"),
    ("variables_have_values", with_setting("redis", "A", "$NEW_ONE"), "NEW_ONE has neither"),
    ("variables_have_values", with_setting("redis", "A", "${B:-${NEW_ONE}}"), "NEW_ONE has neither"),
    ("variables_have_values", with_setting("redis", "A", "${REDIS_PASSWORD:-redis}"), "REDIS_PASSWORD is not required"),
    ("variables_have_values", with_setting("redis", "A", "${REDIS_PASSWORD:?}"), "without a message"),
    ("variables_have_values", with_setting("redis", "A", "${NEW_ONE:?set it}"), "does not write it"),
    ("variables_have_values", with_setting("redis", "A", "${NEW_ONE"), "brace"),
    ("variables_have_values", with_setting("kafka-ui", "SPRING_SECURITY_USER_PASSWORD", "x"), "no service uses it"),
    ("mounted_paths_exist", with_key("redis", "volumes", ["./nowhere:/data"]), "redis mounts ./nowhere"),
    ("mounted_paths_exist", with_key("redis", "volumes", ["unknown:/data"]), "redis mounts the volume unknown"),
    ("mounted_paths_exist", with_key("redis", "volumes", []), "redis-data is declared and not used"),
    ("mounted_paths_exist", with_key("redis", "volumes", [{"type": "bind", "source": "./x", "target": "/y"}]), "./x"),
    ("mounted_paths_exist", with_key("mlflow", "build", {"context": "deploy/docker/none"}), "mlflow is built from"),
    ("dependencies_can_be_met", without_key("redis", "healthcheck"), "redis has no health check"),
    ("dependencies_can_be_met", waiting("redis", "unknown", "service_healthy"), "unknown, which does not exist"),
    ("dependencies_can_be_met", waiting("redis", "minio", "service_started"), "minio to be started only"),
    ("dependencies_can_be_met", with_key("redis", "depends_on", ["minio"]), "minio to be started only"),
    ("dependencies_can_be_met", waiting("redis", "kafka", "service_healthy"), "kafka, whose profiles"),
    ("dependencies_can_be_met", waiting("grafana", "kafka", "service_healthy"), "kafka, whose profiles"),
    ("dependencies_can_be_met", waiting("redis", "minio", "service_completed_successfully"), "the end of minio"),
    ("services_have_health_checks", without_key("alloy", "healthcheck"), "alloy has no health check"),
    ("services_have_health_checks", without_key("redis", "restart"), "redis is not started again"),
    ("profiles_are_known", with_key("kafka", "profiles", ["stream", "full"]), "stream, which is unknown"),
    ("profiles_are_known", with_key("kafka", "profiles", ["streaming"]), "kafka is not in the profile full"),
    ("images_are_pinned", with_key("redis", "image", "redis"), "redis runs redis: give it a version"),
    ("images_are_pinned", with_key("redis", "image", "redis:latest"), "give it a version"),
    ("images_are_pinned", with_key("redis", "image", "host:5000/redis"), "give it a version"),
    ("own_images_are_built_once", without_key("stand-ins", "pull_policy"), "stand-ins may pull"),
    ("own_images_are_built_once", with_key("redis", "build", "."), "redis builds redis:"),
    ("own_images_are_built_once", with_key("kafka-lag", "build", "."), "built by airflow-init and kafka-lag"),
    ("own_images_are_built_once", without_key("airflow-init", "build"), "built by no service"),
    ("own_images_are_built_once", with_key("airflow-init", "profiles", ["bi", "full"]), "not always start with it"),
    ("memory_fits", without_key("kafka", "mem_limit"), "kafka has no memory limit"),
    ("memory_fits", with_key("postgres", "mem_limit", "4g"), "core may take"),
    ("ports_are_on_loopback", with_key("redis", "ports", ["6379:6379"]), "redis publishes 6379:6379"),
    ("ports_are_on_loopback", with_key("redis", "ports", ["0.0.0.0:6379:6379"]), "redis publishes"),
    ("ports_are_on_loopback", with_key("redis", "ports", [6379]), "redis publishes 6379"),
    ("ports_are_on_loopback", with_key("redis", "ports", ["${BIND_ADDRESS:-127.0.0.1}:9000:1"]), "both publish 9000"),
    ("ports_are_on_loopback", with_key("redis", "network_mode", "host"), "host's network"),
    ("workers_can_be_scaled", with_key("airflow-worker", "container_name", "worker"), "container_name"),
    (
        "workers_can_be_scaled",
        with_key("airflow-worker", "ports", ["${BIND_ADDRESS:-127.0.0.1}:8793:8793"]),
        "publishes a port",
    ),
    ("no_secret_is_written", with_setting("redis", "REDIS_PASSWORD", "hunter2"), "REDIS_PASSWORD in plain text"),
    ("no_secret_is_written", with_setting("redis", "MB_DB_PASS", "hunter2"), "MB_DB_PASS in plain text"),
    ("no_secret_is_written", with_setting("redis", "SIGNING_KEY", "hunter2"), "SIGNING_KEY in plain text"),
    ("no_secret_is_written", with_setting("redis", "BROKER", "redis://:hunter2@redis:6379/0"), "BROKER in plain text"),
    ("no_secret_is_written", with_setting("redis", "AUTHOR", '{"password": "hunter2"}'), "AUTHOR in plain text"),
    ("no_secret_is_written", with_key("redis", "command", "curl http://me:hunter2@host"), "in plain text"),
    (
        "owner_password_is_not_shared",
        with_setting("airflow-worker", "WAREHOUSE_OWNER_PASSWORD", "${WAREHOUSE_OWNER_PASSWORD:?x}"),
        "airflow-worker has WAREHOUSE_OWNER_PASSWORD",
    ),
    (
        "owner_password_is_not_shared",
        with_setting("airflow-worker", "ADMIN", "postgresql://postgres:${POSTGRES_PASSWORD:?x}@postgres/"),
        "airflow-worker has ADMIN",
    ),
    ("connections_are_provided", without_setting("airflow-triggerer", "AIRFLOW_CONN_EVENTS_KAFKA"), "events_kafka"),
    ("embedded_names_are_the_same", without_setting("airflow-worker", "DBT_MANIFEST"), "lacks DBT_MANIFEST"),
    (
        "embedded_names_are_the_same",
        without_setting("airflow-worker", "AIRFLOW__CELERY__TASK_ACKS_LATE"),
        "lacks AIRFLOW__CELERY__TASK_ACKS_LATE",
    ),
    (
        "embedded_names_are_the_same",
        without_setting("airflow-worker", "STREAM_GROUP"),
        "does not get the setting STREAM_GROUP",
    ),
    (
        "settings_come_from_one_file",
        with_setting("airflow-worker", "INGEST_MAX_COLUMNS", "7"),
        "airflow-worker sets INGEST_MAX_COLUMNS, so its line in pipelines.env has no effect",
    ),
    (
        "embedded_names_are_the_same",
        with_setting("airflow-worker", "INGEST_MAX_COLUMS", None),
        "INGEST_MAX_COLUMS, which is no setting",
    ),
    (
        "embedded_names_are_the_same",
        with_setting("redis", "A", "${INGEST_MAX_COLUMNS:-500}"),
        "INGEST_MAX_COLUMNS is in pipelines.env, and the file takes it from .env",
    ),
    ("settings_come_from_one_file", without_key("airflow-worker", "env_file"), "airflow-worker does not read"),
    ("settings_come_from_one_file", without_key("airflow-cleanup", "env_file"), "airflow-cleanup does not read"),
    (
        "settings_come_from_one_file",
        with_setting("airflow-cleanup", "RETENTION_AIRFLOW_DAYS", None),
        "airflow-cleanup sets RETENTION_AIRFLOW_DAYS, so its line in pipelines.env has no effect",
    ),
    ("settings_come_from_one_file", with_key("airflow-worker", "env_file", ".env"), "airflow-worker reads .env"),
    (
        "settings_come_from_one_file",
        with_key("airflow-worker", "env_file", [{"path": "pipelines.env", "required": False}, ".env"]),
        "airflow-worker reads .env",
    ),
    ("settings_come_from_one_file", with_key("airflow-init", "env_file", "pipelines.env"), "airflow-init requires"),
    (
        "settings_come_from_one_file",
        with_key("redis", "env_file", [{"path": "pipelines.env", "required": False}]),
        "redis reads pipelines.env, which is for the services of Airflow",
    ),
    (
        "connections_of_sources_come_from_their_file",
        with_key("airflow-worker", "env_file", "pipelines.env"),
        "airflow-worker does not read sources.env",
    ),
    (
        "connections_of_sources_come_from_their_file",
        with_key("airflow-scheduler", "env_file", ["pipelines.env", "sources.env"]),
        "airflow-scheduler requires sources.env",
    ),
    (
        "connections_of_sources_come_from_their_file",
        with_key("airflow-apiserver", "env_file", [{"path": "sources.env", "required": False}]),
        "airflow-apiserver reads sources.env",
    ),
    (
        "connections_of_sources_come_from_their_file",
        lambda services: services.pop("airflow-dag-processor"),
        "there is no airflow-dag-processor",
    ),
    (
        "embedded_names_are_the_same",
        with_setting("airflow-worker", "AIRFLOW__CORE__DEFAULT_TIMEZONE", "utc"),
        "AIRFLOW__CORE__DEFAULT_TIMEZONE, which the embedded Airflow lacks",
    ),
    (
        "embedded_names_are_the_same",
        with_setting("airflow-scheduler", "AIRFLOW__API_AUTH__JWT_SECRET", "${OTHER:-x}"),
        "airflow-scheduler has another environment",
    ),
    (
        "defaults_are_the_same",
        with_key("postgres", "ports", ["${BIND_ADDRESS:-127.0.0.1}:${POSTGRES_PORT:-5432}:5432"]),
        "POSTGRES_PORT",
    ),
    (
        "defaults_are_the_same",
        with_key("prometheus", "ports", ["${BIND_ADDRESS:-127.0.0.1}:${PROMETHEUS_PORT:-9091}:9090"]),
        "PROMETHEUS_PORT",
    ),
]


def broken(change: Change) -> ComposeFile:
    document = copy.deepcopy(FILE.document)
    # Merged blocks are one object in memory: without aliases a change affects only one service.
    document = json.loads(json.dumps(document))
    change(document["services"])
    return ComposeFile(document, FILE.root)


@pytest.mark.parametrize(
    ("check", "change", "expected"), BREAKS, ids=[f"{check}: {expected}" for check, _, expected in BREAKS]
)
def test_broken_rule_is_reported(check: str, change: Change, expected: str) -> None:
    module = structure_checks if hasattr(structure_checks, check) else setting_checks
    assert any(expected in problem for problem in getattr(module, check)(broken(change)))


def test_every_check_has_a_case_that_breaks_it() -> None:
    assert {check for check, _, _ in BREAKS} == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("FROM debian\nUSER 1\n", "give it a version", id="base without a version"),
        pytest.param("FROM debian:bookworm-slim\n", "as root", id="no user"),
        pytest.param("FROM debian:bookworm-slim\nUSER 1\nUSER root\n", "as root", id="back to root"),
        pytest.param("FROM debian:bookworm-slim\nUSER 0:0\n", "as root", id="root by number"),
    ],
)
def test_bad_dockerfile_is_reported(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    file = ComposeFile({"services": {"one": {"image": "filegate/one:1", "build": "."}}}, tmp_path)
    assert [problem for problem in structure_checks.images_are_pinned(file) if expected in problem]


def test_connections_are_read_from_the_code(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    orchestration = tmp_path / "include" / "orchestration"
    orchestration.mkdir(parents=True)
    (orchestration / "one.py").write_text('A = "by_constant"\ndef f(connection_id: str = "by_default"): ...\n')
    (tmp_path / "dags" / "two.py").write_text('Connection.get("by_call")\nSensor(aws_conn_id=A)\nOther(x="no")\n')
    assert connection_ids(tmp_path) == {"by_constant", "by_default", "by_call"}


def test_the_known_connections_are_found() -> None:
    assert {"landing_s3", "warehouse_pg", "warehouse_transform", "events_kafka"} <= connection_ids(REPOSITORY)


def test_the_clean_up_of_airflows_database_has_no_key_of_the_dags() -> None:
    environment = FILE.environment("airflow-cleanup")
    secrets = {secret for secret in SECRETS if any(f"${{{secret}:" in str(value) for value in environment.values())}
    assert secrets == {"AIRFLOW_DB_PASSWORD"}


def test_the_clean_up_of_airflows_database_reads_its_age_where_users_set_it() -> None:
    """Compose puts the lines of `env_file` into the environment, unless `environment` has the name."""
    assert FILE.env_files("airflow-cleanup") == [("pipelines.env", False)]
    age = {"RETENTION_AIRFLOW_DAYS", "INGEST_WAIT_HOURS"}
    assert age <= set(names_in_pipelines_file())
    assert not age & FILE.environment("airflow-cleanup").keys()


# With values


def values() -> dict[str, str]:
    return {name: make() for name, make in SECRETS.items()}


def test_connections_are_json_once_they_have_their_secrets() -> None:
    environment = resolved(FILE, "airflow-worker", values())
    connections = {name: json.loads(value) for name, value in environment.items() if name.startswith("AIRFLOW_CONN_")}
    assert connections["AIRFLOW_CONN_WAREHOUSE_PG"]["login"] == "ingest"
    assert json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])[0]["kwargs"] == {
        "path": "/opt/filegate"
    }


@pytest.mark.parametrize(
    ("given", "host", "password"),
    [
        pytest.param({}, "http://stand-ins:8201/github", "", id="stand-in"),
        pytest.param({"SOURCE_GITHUB_TOKEN": "t"}, "http://stand-ins:8201/github", "", id="no token for the stand-in"),
        pytest.param(
            {"SOURCE_GITHUB_URL": "https://api.github.com", "SOURCE_GITHUB_TOKEN": "t"},
            "https://api.github.com", "t", id="the real one",
        ),
        pytest.param({"SOURCE_GITHUB_URL": "https://api.github.com"}, "https://api.github.com", "", id="without token"),
    ],
)  # fmt: skip
def test_a_token_goes_to_the_address_that_was_set(given: dict[str, str], host: str, password: str) -> None:
    environment = resolved(FILE, "airflow-worker", values() | given)
    connection = json.loads(environment["AIRFLOW_CONN_SOURCE_GITHUB"])
    assert (connection["host"], connection["password"]) == (host, password)


def test_pipeline_setting_of_several_services_comes_from_env_and_others_from_their_own_file() -> None:
    given = values() | {"INGEST_POKE_SECONDS": "7", "STREAM_GROUP": "mine", "ALERTS_TO": "a@example.com"}
    for service in (*FILE.airflow, "airflow-init"):
        environment = resolved(FILE, service, given)
        assert "INGEST_POKE_SECONDS" not in environment
        assert (environment["STREAM_GROUP"], environment["ALERTS_TO"]) == ("mine", "a@example.com")
        assert ("pipelines.env", False) in FILE.env_files(service)
    assert resolved(FILE, "kafka-lag", given)["STREAM_GROUP"] == "mine"


def test_no_password_of_another_service_reaches_a_worker() -> None:
    """Each secret has its own value, so that a value in the environment says which secret it is."""
    secrets = values()
    given = " ".join(resolved(FILE, "airflow-worker", secrets).values())
    assert {name for name, value in secrets.items() if value in given} == {
        "AIRFLOW_API_SECRET_KEY", "AIRFLOW_DB_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET",
        "MLFLOW_TRAINING_PASSWORD", "ML_API_TOKEN", "MODEL_SIGNING_KEY", "REDIS_PASSWORD", "S3_SECRET_ACCESS_KEY",
        "WAREHOUSE_FEAST_PASSWORD", "WAREHOUSE_INGEST_PASSWORD", "WAREHOUSE_LAKE_OWNER_PASSWORD",
        "WAREHOUSE_TRANSFORM_PASSWORD",
    }  # fmt: skip


def test_contracts_are_mounted_beside_the_images_code_and_not_over_it() -> None:
    mounts = [mount for mount in FILE.mounts() if mount.source == "./contracts"]
    # airflow-init reads none.
    assert {mount.service for mount in mounts} == {*FILE.airflow, "kafka-lag"}
    for mount in mounts:
        assert mount.target == FILE.environment(mount.service)["INGEST_CONTRACTS_DIR"]
    assert not [mount for mount in FILE.mounts() if mount.target.startswith("/opt/filegate")]


def test_definitions_of_sources_are_mounted_read_only_where_their_setting_points() -> None:
    mounts = [mount for mount in FILE.mounts() if mount.source == "./sources"]
    assert {mount.service for mount in mounts} == set(FILE.airflow)
    for mount in mounts:
        assert mount.target == FILE.environment(mount.service)["SOURCES_DIR"]
        assert f"./sources:{mount.target}:ro" in FILE.services[mount.service]["volumes"]


def test_connections_of_sources_reach_only_the_services_that_run_code_of_dags() -> None:
    readers = [name for name in FILE.services if ("sources.env", False) in FILE.env_files(name)]
    assert sorted(readers) == ["airflow-dag-processor", "airflow-scheduler", "airflow-worker"]
    # `environment` has priority over files: such a line of the file has no effect.
    shown = set(re.findall(rf"^#({SOURCE_CONNECTION}[A-Z_]+)=", sources_text(), flags=re.MULTILINE))
    assert shown
    assert shown.isdisjoint(FILE.environment("airflow-worker"))


def test_the_api_server_may_write_its_file_of_passwords() -> None:
    """Airflow's SimpleAuthManager opens it with `a+` and `r+`, and would not start with a read-only mount."""
    file = Path(FILE.environment("airflow-apiserver")["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] or "")
    assert f"airflow-auth:{file.parent}" in FILE.services["airflow-apiserver"]["volumes"]


def test_two_merges_fit_beside_what_postgres_always_takes() -> None:
    """Each sorts in work_mem and hashes in twice that (hash_mem_multiplier); more than this waits on disk."""
    always = 512 + 200  # shared_buffers, and the connections of Airflow
    merge = int(resolved(FILE, "airflow-worker", values())["INGEST_MERGE_MEMORY_MB"])
    assert always + 2 * 3 * merge <= mebibytes(FILE.services["postgres"]["mem_limit"])


@pytest.mark.parametrize(("size", "expected"), [("512m", 512), ("2g", 2048), ("1.5gb", 1536), ("1024K", 1)])
def test_mebibytes_reads_sizes(size: str, expected: float) -> None:
    assert mebibytes(size) == expected


# The command


def run_check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", "check", *arguments],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_is_plain_in_a_pipe_and_fails_on_a_problem(tmp_path: Path) -> None:
    # In another folder, in which the relative paths of the file do not exist.
    document = copy.deepcopy(FILE.document)
    (tmp_path / "docker-compose.yaml").write_text(yaml.safe_dump(document))
    done = run_check("--file", str(tmp_path / "docker-compose.yaml"))
    assert done.returncode == 1
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert ["follows the specification", "ok"] in lines
    assert any(name == "mounted paths exist" and "does not exist" in problem for name, problem in lines)
    assert len({name for name, _ in lines}) == len(CHECKS)
    assert "\x1b" not in done.stdout


def test_every_check_has_a_result() -> None:
    results = run_checks(FILE)
    assert len(results) == len(CHECKS)
    assert not any(result.problems for result in results)


@pytest.mark.parametrize("text", ["a: [", "services: 5", "- a"], ids=["no YAML", "no services", "a list"])
def test_an_unreadable_file_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "docker-compose.yaml").write_text(text)
    with pytest.raises(PlatformError, match=r"docker-compose\.yaml"):
        ComposeFile.read(tmp_path / "docker-compose.yaml")
