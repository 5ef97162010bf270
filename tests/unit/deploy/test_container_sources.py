"""Sources by definition with the environment of a container: their DAGs, and connections that are there or missing.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from dotenv import dotenv_values

from deploy.compose_file import COMPOSE_FILE, ComposeFile
from deploy.env_file import SECRETS, sources_text
from deploy.setting_checks import WORKER, resolved
from include.settings import SOURCES_DIR
from local.settings import REPOSITORY, SOURCE_CONNECTION

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit
FILE = ComposeFile.read(COMPOSE_FILE)
SHIPPED = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(SOURCES_DIR.glob("*.yaml"))}
# The file shows no connection that docker-compose.yaml sets.
SHOWN = [name for name, one in SHIPPED.items() if f"AIRFLOW_CONN_{one['connection']}".upper() in sources_text()]
SCRIPT = """
import json, os, runpy, sys
from types import SimpleNamespace
from include.orchestration import collect
from include.orchestration.sources import source_catalog, source_connection

found = runpy.run_path(sys.argv[1])
dags = {name: dag for name, dag in found.items() if name.startswith("collect_")}

def failure(source):
    dag = dags[f"collect_{source.name}"]
    collect.get_current_context = lambda: {
        "params": {"elements": [], "full": False}, "run_id": "r", "ti": SimpleNamespace(try_number=1), "dag": dag,
    }
    try:
        dag.get_task("collect").python_callable(collect.element_names(source)[0])
    except Exception as error:
        return [type(error).__name__, str(error)]

sources = source_catalog().sources
results = {"paused": {name: dag.is_paused_upon_creation for name, dag in dags.items()}}
results["missing"] = {name: failure(source) for name, source in sources.items()}
os.environ |= json.loads(sys.argv[2])
results["hosts"] = {name: source_connection(sources[name].connection).host for name in json.loads(sys.argv[3])}
print("RESULTS" + json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script finds in the environment of the worker, with the folders that are mounted there."""
    home = tmp_path_factory.mktemp("airflow")
    examples = dotenv_values(stream=StringIO(re.sub(r"^#(?=AIRFLOW_CONN_)", "", sources_text(), flags=re.MULTILINE)))
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, "dags/collect_sources.py", json.dumps(examples), json.dumps(SHOWN)],
        capture_output=True, text=True, env=environment_of_the_worker(home), cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    [line] = [line for line in answer.stdout.splitlines() if line.startswith("RESULTS")]
    found: dict[str, Any] = json.loads(line.removeprefix("RESULTS"))
    return found


def environment_of_the_worker(home: Path) -> dict[str, str]:
    given = resolved(FILE, WORKER, {name: make() for name, make in SECRETS.items()})
    mounted = {mount.target: mount.source for mount in FILE.mounts() if mount.service == WORKER}
    folders = {name: str(REPOSITORY / mounted[given[name]]) for name in ("INGEST_CONTRACTS_DIR", "SOURCES_DIR")}
    settings = {name: value for name, value in given.items() if not name.startswith(("AIRFLOW_", "OTEL_"))}
    connections = {
        name: value
        for name, value in given.items()
        if name.startswith("AIRFLOW_CONN_") and not name.startswith(SOURCE_CONNECTION)
    }
    return settings | connections | folders | {
        "PATH": "/usr/bin:/bin", "HOME": str(home), "AIRFLOW_HOME": str(home), "PYTHONPATH": str(REPOSITORY),
        "INGEST_SPOOL_DIR": str(home / "spool"), "INGEST_CONTRACTS_CACHE_DIR": str(home / "cache"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/x.db",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": given["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"],
    }  # fmt: skip


def test_shipped_definition_is_a_paused_dag_unless_it_says_otherwise(results: dict[str, Any]) -> None:
    assert results["paused"] == {f"collect_{name}": one.get("paused", True) for name, one in SHIPPED.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_run_without_a_connection_fails_and_names_it(results: dict[str, Any], name: str) -> None:
    kind, message = results["missing"][name]
    assert kind == "AirflowFailException"
    connection = SHIPPED[name]["connection"]
    assert f"collect: source-refused: There is no connection {connection}. Add it in Airflow" in message
    assert f"AIRFLOW_CONN_{connection.upper()}" in message


@pytest.mark.parametrize("name", SHOWN)
def test_airflow_reads_the_connection_that_the_file_shows(results: dict[str, Any], name: str) -> None:
    assert results["hosts"][name].startswith("https://api.")
