"""`/classify-commit` with a real MLflow: no champion, a champion, another one, one that does not fit, MLflow away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commit_pipelines import forest, regression
from fastapi.testclient import TestClient

from local.settings import free_ports
from ml_api.app import create_app
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import MlflowServer

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
MERGE = {"message": "Merge the totals", "authored_at": "2026-03-01T12:30:00+00:00"}
MEND = {"message": "Mend the rounding", "authored_at": "2026-03-01T12:30:00+05:00", "author_email": "ada@example.com"}


@pytest.fixture
def client(mlflow_server: MlflowServer) -> Iterator[TestClient]:
    """A service that looks for news with every request."""
    settings = MlApiSettings(mlflow_tracking_uri=mlflow_server.url, model_refresh=0.001)
    with TestClient(create_app(settings)) as found:
        yield found


@pytest.fixture(scope="module")
def versions(_mlflow_of_the_module: MlflowServer) -> dict[str, str]:
    """Registered models, by what they are."""
    _mlflow_of_the_module.start()
    kinds = {"merge": forest("Merge"), "mend": forest("Mend"), "regression": regression()}
    return {kind: _mlflow_of_the_module.register(pipeline) for kind, pipeline in kinds.items()}


def classified(client: TestClient, *commits: dict[str, str]) -> list[tuple[bool, str]]:
    answer = client.post("/classify-commit/batch", json={"commits": commits})
    assert answer.status_code == 200, answer.text
    return [(one["is_merge"], one["model_version"]) for one in answer.json()["classifications"]]


def until(client: TestClient, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask with commits until the health page says so of the model."""
    deadline = time.monotonic() + 60
    while not true(told := client.get("/health").json()["commit_model"]):
        assert time.monotonic() < deadline, told
        client.post("/classify-commit", json=MERGE)
        time.sleep(0.02)
    return dict(told)


def test_before_the_first_training_it_says_to_train(client: TestClient) -> None:
    """The first test of the module: nothing is registered."""
    answer = client.post("/classify-commit", json=MERGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["detail"] == (
        "there is no commit-classifier@champion in MLflow yet: train one first (DAG train_commit_model)"
    )


def test_a_version_without_the_alias_does_not_serve(client: TestClient, versions: dict[str, str]) -> None:
    answer = client.post("/classify-commit", json=MERGE)
    assert answer.status_code == 503
    assert "train one first" in answer.json()["detail"]


def test_eight_first_requests_load_the_champion_once(
    mlflow_server: MlflowServer, versions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.sklearn

    loads, load = [], mlflow.sklearn.load_model

    def watched(path: str) -> Any:
        loads.append((path, load(path)))
        return loads[-1][1]

    monkeypatch.setattr(mlflow.sklearn, "load_model", watched)
    mlflow_server.crown(versions["merge"])
    with TestClient(create_app(MlApiSettings(mlflow_tracking_uri=mlflow_server.url))) as client:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: classified(client, MERGE, MEND), range(8)))
        assert found == [[(True, versions["merge"]), (False, versions["merge"])]] * 8
        assert client.get("/health").json()["commit_model"] == {"version": versions["merge"], "problem": None}
    [(path, pipeline)] = loads
    assert not Path(path).exists(), "its files are still there"
    assert pipeline[-1].n_jobs == 1, "each request would use all processors"


def test_when_the_alias_moves_the_new_version_serves(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]
) -> None:
    mlflow_server.crown(versions["merge"])
    assert classified(client, MERGE, MEND) == [(True, versions["merge"]), (False, versions["merge"])]
    mlflow_server.crown(versions["mend"])
    until(client, lambda told: told["version"] == versions["mend"])
    assert classified(client, MERGE, MEND) == [(False, versions["mend"]), (True, versions["mend"])]


def test_a_version_that_does_not_fit_never_serves(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]
) -> None:
    mlflow_server.crown(versions["regression"])
    answer = client.post("/classify-commit", json=MERGE)
    assert answer.status_code == 503
    reason = f"version {versions['regression']} of commit-classifier does not fit this service (AttributeError: "
    assert answer.json()["detail"].startswith(reason)
    mlflow_server.crown(versions["merge"])
    until(client, lambda told: told["version"] == versions["merge"])
    mlflow_server.crown(versions["regression"])
    told = until(client, lambda told: told["problem"] is not None)
    assert told["problem"].startswith(reason)
    assert classified(client, MERGE) == [(True, versions["merge"])]


@pytest.mark.parametrize("gone", ["", "*/models/*/artifacts/model.pkl"], ids=["all", "the-pipeline"])
def test_files_that_are_gone_are_told_and_may_come_back(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str], gone: str
) -> None:
    mlflow_server.crown(versions["mend"])
    files = mlflow_server.home / "files"
    moved = [(found, found.with_name("hidden")) for found in (files.glob(gone) if gone else [files])]
    for found, hidden in moved:
        found.rename(hidden)
    try:
        answer = client.post("/classify-commit", json=MERGE)
    finally:
        for found, hidden in moved:
            hidden.rename(found)
    assert moved
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith(f"version {versions['mend']} of commit-classifier cannot be fetched")
    assert until(client, lambda told: told["version"] is not None) == {"version": versions["mend"], "problem": None}


def test_a_commit_that_breaks_the_model_is_told_and_logged(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    mlflow_server.crown(versions["merge"])
    answer = client.post("/classify-commit", json=MERGE | {"message": "boom"})
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith(f"version {versions['merge']} of the model fails at these commits")
    assert "ZeroDivisionError: boom" in caplog.text
    assert classified(client, MERGE) == [(True, versions["merge"])]


def ask(address: str, body: object = None) -> tuple[int, bytes]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, None if body is None else json.dumps(body).encode(), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_service_itself_loads_a_model_that_brings_its_code(
    mlflow_server: MlflowServer, versions: dict[str, str], tmp_path: Path
) -> None:
    """A process that knows neither the test's module nor the project, and ends when it is told."""
    mlflow_server.crown(versions["merge"])
    [port] = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "TMPDIR": str(tmp_path),
        "ML_API_PORT": str(port), "MLFLOW_TRACKING_URI": mlflow_server.url,
    }  # fmt: skip
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "ml_api"], env=environment, cwd=tmp_path, stdout=told, stderr=told
        )
    try:
        deadline = time.monotonic() + 30
        while "running on" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        status, body = ask(f"{url}/classify-commit", MERGE)
        assert (status, json.loads(body)["model_version"]) == (200, versions["merge"])
        assert b'ml_api_model_info{model="commit-classifier",version="' in ask(f"{url}/metrics")[1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert f"version {versions['merge']} of commit-classifier classifies commits" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert [found.name for found in tmp_path.iterdir()] == ["log"], "the model's files, or something of MLflow's"


def test_when_mlflow_is_gone_the_old_model_serves_and_a_new_service_says_so(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]
) -> None:
    mlflow_server.crown(versions["merge"])
    assert classified(client, MERGE) == [(True, versions["merge"])]
    mlflow_server.kill()
    told = until(client, lambda told: told["problem"] is not None)
    assert told["version"] == versions["merge"]
    assert classified(client, MERGE, MEND) == [(True, versions["merge"]), (False, versions["merge"])]
    with TestClient(create_app(MlApiSettings(mlflow_tracking_uri=mlflow_server.url))) as other:
        answer = other.post("/classify-commit", json=MERGE)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["detail"] == told["problem"]
        assert "MLFLOW_TRACKING_URI" in told["problem"]
        assert other.get("/health").json()["status"] == "ok"
