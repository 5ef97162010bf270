"""The values for the Helm chart: keys that the chart has, and the names that the embedded platform gives."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local import airflow
from local.credentials import load_or_make
from local.settings import REPOSITORY, temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

VALUES: dict[str, Any] = yaml.safe_load((REPOSITORY / "deploy" / "helm" / "values.yaml").read_text())
CHART: dict[str, Any] = yaml.safe_load((REPOSITORY / "tests" / "resources" / "helm" / "chart_keys.yaml").read_text())

# What the embedded platform tells Airflow, and a cluster does otherwise.
ELSEWHERE = {
    "AIRFLOW_HOME": "the image's",
    "AIRFLOW__API__BASE_URL": "the ingress's address",
    "AIRFLOW__API__HOST": "a pod listens on its own address",
    "AIRFLOW__API__PORT": "the chart's",
    "AIRFLOW__CELERY__RESULT_BACKEND": "the chart makes it of the metadata database's address",
    "AIRFLOW__CORE__EXECUTOR": "the chart's key executor",
}
# What only a cluster needs.
ADDED = {
    "AIRFLOW__CORE__AUTH_MANAGER": "the chart's own choice is not installed",
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


def _told() -> set[str]:
    """Every variable that these values come to, whichever way it takes."""
    options = [f"AIRFLOW__{section}__{name}".upper() for section, below in VALUES["config"].items() for name in below]
    named = [entry["name"] for entry in VALUES["env"]] + [entry["envName"] for entry in VALUES["secret"]]
    return {*options, *named, *(variable for key, variable in CHART["secrets"].items() if _at(key))}


@pytest.fixture
def provided(tmp_path: Path) -> set[str]:
    settings = temporary_settings(tmp_path, airflow_executor="celery")
    return set(airflow.environment(settings, load_or_make(tmp_path / "secrets.env")))


def test_every_key_is_one_that_the_chart_has() -> None:
    known = _known()
    unknown = [
        key for key in _keys(VALUES) if not any(fnmatchcase(key, pattern) or f"{key}.*" == pattern for pattern in known)
    ]
    assert unknown == []


def test_every_name_is_one_that_the_embedded_platform_gives(provided: set[str]) -> None:
    assert _told() - set(ADDED) - provided == set()


def test_everything_that_the_embedded_platform_tells_is_told_here_too(provided: set[str]) -> None:
    assert provided - set(ELSEWHERE) - _told() == set()


def test_the_exceptions_are_exceptions(provided: set[str]) -> None:
    assert set(ELSEWHERE) <= provided - _told()
    assert set(ADDED) <= _told() - provided


def test_every_connection_that_the_library_asks_for_is_given() -> None:
    asked = set[str]()
    for path in [*(REPOSITORY / "dags").glob("*.py"), *(REPOSITORY / "include" / "orchestration").glob("*.py")]:
        text = path.read_text()
        asked.update(re.findall(r'^[A-Z_]+ = "((?:[a-z]+_(?:s3|pg|kafka|smtp))|source_[a-z]+)"', text, re.MULTILINE))
    assert asked
    given = {name.removeprefix("AIRFLOW_CONN_").lower() for name in _told() if name.startswith("AIRFLOW_CONN_")}
    assert asked <= given


def test_every_option_is_one_that_airflow_or_a_provider_knows() -> None:
    celery = _installed("airflow.providers.celery", "get_provider_info.py")
    sections = yaml.safe_load(_installed("airflow", "config_templates", "config.yml"))
    for section, options in VALUES["config"].items():
        if section in {"cosmos", "usage_data_collection"}:  # in no list: Cosmos reads it itself; core dropped the other
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


def test_the_api_server_may_write_its_file_of_passwords() -> None:
    [mounted] = [mount["mountPath"] for mount in VALUES["volumeMounts"] if mount["name"] == "passwords"]
    written = VALUES["config"]["core"]["simple_auth_manager_passwords_file"]
    assert not written.startswith(mounted)
    assert f"{mounted}/passwords.json {written} && exec airflow api-server" in VALUES["apiServer"]["args"][-1]


def test_the_bundle_is_where_the_image_has_it() -> None:
    variables = {entry["name"]: entry["value"] for entry in VALUES["env"]}
    [bundle] = json.loads(variables["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    image = (REPOSITORY / "docker" / "airflow" / "Dockerfile").read_text()
    assert bundle["kwargs"]["path"] == variables["PYTHONPATH"]
    assert f"PYTHONPATH={variables['PYTHONPATH']}" in image
    assert f"DBT_MANIFEST={variables['DBT_MANIFEST']}" in image
    assert VALUES["config"]["core"]["plugins_folder"] == f"{variables['PYTHONPATH']}/plugins"


def test_scaling_counts_with_the_places_that_a_worker_has() -> None:
    """KEDA divides by this value; one in the environment would win in the worker and be unknown to KEDA."""
    assert VALUES["config"]["celery"]["worker_concurrency"] > 0
    assert "AIRFLOW__CELERY__WORKER_CONCURRENCY" not in {entry["name"] for entry in VALUES["env"]}
    places = VALUES["config"]["celery"]["worker_concurrency"] * VALUES["workers"]["celery"]["keda"]["maxReplicaCount"]
    assert VALUES["config"]["core"]["parallelism"] >= places
