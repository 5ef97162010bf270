"""The values for the Helm chart: keys that exist in the chart, and variables of the embedded platform."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.settings import CONTRACTS_DIR, SOURCES_DIR
from local.credentials import load_or_make
from local.services import airflow, airflow_cleanup
from local.settings import REPOSITORY, SOURCE_CONNECTION, temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

VALUES_FILE = REPOSITORY / "deploy" / "helm" / "values.yaml"
VALUES: dict[str, Any] = yaml.safe_load(VALUES_FILE.read_text())
CHART: dict[str, Any] = yaml.safe_load((REPOSITORY / "tests" / "resources" / "helm" / "chart_keys.yaml").read_text())

# Variables of the embedded platform that are set in another manner in a cluster.
ELSEWHERE = {
    "AIRFLOW_HOME": "set by the image",
    "AIRFLOW__API__BASE_URL": "the ingress's address",
    "AIRFLOW__API__HOST": "a pod listens on its own address",
    "AIRFLOW__API__PORT": "set by the chart",
    "AIRFLOW__CELERY__RESULT_BACKEND": "derived by the chart from the metadata database's address",
    "AIRFLOW__CORE__EXECUTOR": "the chart's key executor",
}
# Variables that only a cluster needs.
ADDED = {
    "AIRFLOW__CORE__AUTH_MANAGER": "the chart's default is not installed",
    "AIRFLOW__LOGGING__DELETE_LOCAL_LOGS": "logs in the bucket",
    "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "logs in the bucket",
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "logs in the bucket",
    "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "logs in the bucket",
}


def _keys(values: Any, prefix: str = "") -> Iterator[str]:
    if not isinstance(values, dict) or not values:
        yield prefix
        return
    for name, below in values.items():
        yield from _keys(below, f"{prefix}.{name}" if prefix else name)


def _at(key: str) -> Any:
    found: Any = VALUES
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _known() -> list[str]:
    return [*CHART["keys"], *(key for keys in CHART["since"].values() for key in keys)]


def _variables() -> set[str]:
    """Every environment variable that these values set."""
    options = [f"AIRFLOW__{section}__{name}".upper() for section, below in VALUES["config"].items() for name in below]
    named = [entry["name"] for entry in VALUES["env"]] + [entry["envName"] for entry in VALUES["secret"]]
    return {*options, *named, *(variable for key, variable in CHART["secrets"].items() if _at(key))}


@pytest.fixture
def provided(tmp_path: Path) -> set[str]:
    settings = temporary_settings(tmp_path, airflow_executor="celery", stand_ins=False, source_github_url="https://a")
    return set(airflow.environment(settings, load_or_make(tmp_path / "secrets.env")))


def test_every_key_is_one_that_the_chart_has() -> None:
    known = _known()
    unknown = [
        key for key in _keys(VALUES) if not any(fnmatchcase(key, pattern) or f"{key}.*" == pattern for pattern in known)
    ]
    assert unknown == []


def test_every_variable_exists_on_the_embedded_platform(provided: set[str]) -> None:
    assert _variables() - set(ADDED) - provided == set()


def test_every_variable_of_the_embedded_platform_is_set(provided: set[str]) -> None:
    assert provided - set(ELSEWHERE) - _variables() == set()


def test_listed_exceptions_are_needed(provided: set[str]) -> None:
    assert set(ELSEWHERE) <= provided - _variables()
    assert set(ADDED) <= _variables() - provided


def test_every_connection_that_the_library_uses_is_set() -> None:
    asked = set[str]()
    for path in [*(REPOSITORY / "dags").glob("*.py"), *(REPOSITORY / "include" / "orchestration").glob("*.py")]:
        text = path.read_text()
        asked.update(re.findall(r'^[A-Z_]+ = "((?:[a-z]+_(?:s3|pg|kafka|smtp))|source_[a-z]+)"', text, re.MULTILINE))
    assert asked
    given = {name.removeprefix("AIRFLOW_CONN_").lower() for name in _variables() if name.startswith("AIRFLOW_CONN_")}
    assert asked <= given


def test_every_option_is_one_that_airflow_or_a_provider_knows() -> None:
    celery = _installed("airflow.providers.celery", "get_provider_info.py")
    sections = yaml.safe_load(_installed("airflow", "config_templates", "config.yml"))
    for section, options in VALUES["config"].items():
        if section in {
            "cosmos",
            "usage_data_collection",
        }:  # not listed: Cosmos reads its own section; core has dropped the other
            continue
        known = sections.get(section, {}).get("options", {})
        assert [name for name in options if name not in known and f'"{name}": {{' not in celery] == [], section


def _installed(package: str, *below: str) -> str:
    found = find_spec(package)
    assert found
    assert found.origin
    return Path(found.origin).parent.joinpath(*below).read_text()


def test_no_secret_is_written_here() -> None:
    secret = re.compile(r"PASSWORD|SECRET|_KEY|AIRFLOW_CONN")
    assert [entry["name"] for entry in VALUES["env"] if secret.search(entry["name"])] == []
    assert _at("data.metadataConnection") is None


def test_the_image_comes_from_a_registry_that_is_named() -> None:
    registry, _, name = VALUES["defaultAirflowRepository"].partition("/")
    assert "." in registry, "a bare name is looked for in a public registry"
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    assert f"{name}:{VALUES['defaultAirflowTag']}" == compose["services"]["airflow-worker"]["image"]
    assert VALUES["defaultAirflowTag"] == VALUES["airflowVersion"]


def test_connections_of_sources_come_from_a_secret_that_may_be_missing() -> None:
    [entry] = yaml.safe_load(VALUES["extraEnvFrom"])  # the chart takes text, a template
    assert entry == {"secretRef": {"name": "filegate-sources", "optional": True}}
    listed = re.search(r"^# +filegate-sources +(\S+)", VALUES_FILE.read_text(), flags=re.MULTILINE)
    assert listed
    assert listed[1].startswith(SOURCE_CONNECTION)


def test_definitions_of_sources_and_contracts_are_those_of_the_image() -> None:
    """The folders of the checkout are the defaults, and the image has the checkout at PYTHONPATH."""
    assert {CONTRACTS_DIR.parent, SOURCES_DIR.parent} == {REPOSITORY}
    assert not {"INGEST_CONTRACTS_DIR", "SOURCES_DIR"} & _variables()
    image = (REPOSITORY / "deploy" / "docker" / "airflow" / "Dockerfile").read_text()
    for folder in (CONTRACTS_DIR.name, SOURCES_DIR.name):
        assert f"COPY --chown=airflow:0 {folder} {folder}\n" in image


def test_the_api_server_may_write_its_file_of_passwords() -> None:
    [mounted] = [mount["mountPath"] for mount in VALUES["volumeMounts"] if mount["name"] == "passwords"]
    written = VALUES["config"]["core"]["simple_auth_manager_passwords_file"]
    assert not written.startswith(mounted)
    assert f"{mounted}/passwords.json {written} && exec airflow api-server" in VALUES["apiServer"]["args"][-1]


def test_the_bundle_is_where_the_image_has_it() -> None:
    variables = {entry["name"]: entry["value"] for entry in VALUES["env"]}
    [bundle] = json.loads(variables["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    image = (REPOSITORY / "deploy" / "docker" / "airflow" / "Dockerfile").read_text()
    assert bundle["kwargs"]["path"] == variables["PYTHONPATH"]
    assert f"PYTHONPATH={variables['PYTHONPATH']}" in image
    assert f"DBT_MANIFEST={variables['DBT_MANIFEST']}" in image
    assert VALUES["config"]["core"]["plugins_folder"] == f"{variables['PYTHONPATH']}/plugins"


def test_scaling_uses_the_task_slots_of_a_worker() -> None:
    """KEDA divides by this value; it does not know a value in the worker's environment, which has priority there."""
    assert VALUES["config"]["celery"]["worker_concurrency"] > 0
    assert "AIRFLOW__CELERY__WORKER_CONCURRENCY" not in {entry["name"] for entry in VALUES["env"]}
    slots = VALUES["config"]["celery"]["worker_concurrency"] * VALUES["workers"]["celery"]["keda"]["maxReplicaCount"]
    assert VALUES["config"]["core"]["parallelism"] >= slots


def test_the_database_is_cleaned_by_the_program_of_the_other_platforms_without_the_keys_of_the_dags() -> None:
    cleanup = VALUES["databaseCleanup"]
    assert (cleanup["command"], cleanup["args"]) == (["python", "-m", airflow_cleanup.MODULE], ["once"])
    assert cleanup["enabled"] is True
    assert cleanup["applyCustomEnv"] is False
    assert {entry["name"] for entry in cleanup["env"]} == {"PYTHONPATH", "RETENTION_AIRFLOW_DAYS"}
