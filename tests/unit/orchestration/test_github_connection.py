"""The connection source_github, read in a separate process: Airflow caches connections of its environment."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
CONNECTIONS: dict[str, dict[str, Any]] = {
    "address": {"host": "https://api.github.com", "password": "s3cret"},
    "without token": {"host": "http://127.0.0.1:8200"},
    "host alone": {"host": "api.github.com"},
    "in parts": {"host": "127.0.0.1", "schema": "http", "port": 8200},
    "address and port": {"host": "http://127.0.0.1", "port": 8200},
    "nothing": {},
}
SCRIPT = f"""
import json, os
from include.orchestration.github import github_address
results = {{}}
for name, connection in json.loads({json.dumps(CONNECTIONS)!r}).items():
    os.environ["AIRFLOW_CONN_SOURCE_GITHUB"] = json.dumps({{"conn_type": "http", **connection}})
    address = github_address()
    results[name] = [address.url, address.token.get_secret_value(), "s3cret" in repr(address)]
print("RESULTS" + json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(home), "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/x.db",
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, cwd=home, check=False
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    [line] = [line for line in answer.stdout.splitlines() if line.startswith("RESULTS")]
    found: dict[str, list[Any]] = json.loads(line.removeprefix("RESULTS"))
    return found


@pytest.mark.parametrize(
    ("name", "url", "token"),
    [
        ("address", "https://api.github.com", "s3cret"),
        ("without token", "http://127.0.0.1:8200", ""),
        ("host alone", "https://api.github.com", ""),
        ("in parts", "http://127.0.0.1:8200", ""),
        ("address and port", "http://127.0.0.1:8200", ""),
        ("nothing", "", ""),
    ],
    ids=CONNECTIONS,
)
def test_connection_gives_address_and_token(results: dict[str, list[Any]], name: str, url: str, token: str) -> None:
    assert results[name] == [url, token, False]
