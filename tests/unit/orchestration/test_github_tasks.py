"""The tasks of ingest_github: failures, retries, invalid repository names. The collector is a stub.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json
from contextlib import contextmanager
from types import SimpleNamespace
from airflow.sdk import DAG
from include.errors import Code, PermanentError, RetryableError
from include.orchestration import github

FAILURES = {
    "limited": RetryableError(Code.RATE_LIMITED, "used up until 10:00; the next run continues"),
    "unavailable": RetryableError(Code.SOURCE_UNAVAILABLE, "away"),
    "refused": PermanentError(Code.SOURCE_REFUSED, "wrong token"),
}
asked = []

class Collector:
    def __init__(self, failure):
        self.failure = failure
    def collect(self, repository, endpoint, **how):
        asked.append([repository, how])
        if self.failure:
            raise self.failure
        return SimpleNamespace(endpoint=endpoint.name, records=3, summary=lambda: {"records": 3})

def outcome(repository="harbour/ledger", failure=None, try_number=1, **params):
    @contextmanager
    def collector():
        yield Collector(FAILURES.get(failure))
    github.connected_collector = collector
    context = {"params": params, "ti": SimpleNamespace(try_number=try_number)}
    github.get_current_context = lambda: context
    asked.clear()
    try:
        end = github.collect_repository.function(repository)
    except Exception as error:
        end = [type(error).__name__, str(error)]
    return {"end": end, "asked": list(asked), "label": context["repository_label"]}

results = {name: outcome(failure=name) for name in FAILURES}
results["good"] = outcome()
results["no name"] = outcome("no name")
results["full"] = outcome(full=True)
results["full, again"] = outcome(full=True, try_number=2)
github.get_current_context = lambda: {"params": {"repositories": ["no name", " a/b ", "a/b"]}}
results["listed"] = github.list_repositories.function()
with DAG("example"):
    results["at once"] = github.collect_repository.expand(repository=["a/b"]).operator.partial_kwargs.get(
        "max_active_tis_per_dagrun"
    )
print("RESULTS" + json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
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
    found: dict[str, Any] = json.loads(line.removeprefix("RESULTS"))
    return found


def test_successful_task_returns_counts(results: dict[str, Any]) -> None:
    assert results["good"] == {
        "end": {"commits": {"records": 3}},
        "asked": [["harbour/ledger", {"full": False, "retry": False}]],
        "label": "harbour/ledger: 3 records",
    }


@pytest.mark.parametrize(
    ("failure", "ends_as", "words"),
    [
        pytest.param("limited", "AirflowSkipException", "used up until 10:00; the next run continues", id="skipped"),
        pytest.param("unavailable", "RetryableError", "away", id="retried"),
        pytest.param("refused", "AirflowFailException", "wrong token", id="failed"),
    ],
)
def test_failure_has_the_matching_task_outcome(results: dict[str, Any], failure: str, ends_as: str, words: str) -> None:
    kind, message = results[failure]["end"]
    assert kind == ends_as
    assert words in message


def test_retry_of_a_full_run_continues_it(results: dict[str, Any]) -> None:
    assert results["full"]["asked"] == [["harbour/ledger", {"full": True, "retry": False}]]
    assert results["full, again"]["asked"] == [["harbour/ledger", {"full": True, "retry": True}]]


def test_invalid_name_fails_only_its_own_task(results: dict[str, Any]) -> None:
    assert results["listed"] == ["no name", "a/b"]
    kind, message = results["no name"]["end"]
    assert kind == "AirflowFailException"
    assert "'no name' is not a repository name: write owner/name" in message
    assert results["no name"]["asked"] == []


def test_repositories_are_collected_one_after_the_other(results: dict[str, Any]) -> None:
    assert results["at once"] == 1
