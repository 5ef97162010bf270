"""`/classify-commit` with a real MLflow: no champion, a champion, a new one, an unfit one, MLflow down."""

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
from conftest import KEY, TOKEN
from fastapi.testclient import TestClient

from include.ml import model_file
from include.ml.commit_features import CommitFeatures
from local.settings import free_ports
from ml_api.app import create_app
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import MlflowServer

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
MERGE = {"message": "Merge the totals", "authored_at": "2026-03-01T12:30:00+00:00"}
CORRECT = {
    "message": "Correct the rounding of totals",
    "authored_at": "2026-03-01T12:30:00+05:00",
    "author_email": "ada@example.com",
}


def service(server: MlflowServer, **settings: Any) -> TestClient:
    """Return a client, with the token, of a new service that uses this MLflow."""
    known = {"mlflow_tracking_uri": server.url, "token": TOKEN, "model_signing_key": KEY}
    return TestClient(create_app(MlApiSettings(**known | settings)), headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.fixture
def client(mlflow_server: MlflowServer) -> Iterator[TestClient]:
    """A service that checks for another version with every request."""
    with service(mlflow_server, model_refresh=0.001) as found:
        yield found


@pytest.fixture(scope="module")
def versions(_mlflow_of_the_module: MlflowServer) -> dict[str, str]:
    """Versions of registered models, by kind."""
    _mlflow_of_the_module.start()
    kinds = {"merge": forest("Merge"), "correct": forest("Correct"), "regression": regression()}
    return {kind: _mlflow_of_the_module.register(pipeline) for kind, pipeline in kinds.items()}


def classified(client: TestClient, *commits: dict[str, str]) -> list[tuple[bool, str]]:
    answer = client.post("/classify-commit/batch", json={"commits": commits})
    assert answer.status_code == 200, answer.text
    return [(one["is_merge"], one["model_version"]) for one in answer.json()["classifications"]]


def until(client: TestClient, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Send commits until the condition is true for the model's health; return the health."""
    deadline = time.monotonic() + 60
    while not true(health := client.get("/health").json()["commit_model"]):
        assert time.monotonic() < deadline, health
        client.post("/classify-commit", json=MERGE)
        time.sleep(0.02)
    return dict(health)


def test_without_a_registered_model_the_answer_says_to_train(client: TestClient) -> None:
    """The first test of the module: nothing is registered."""
    answer = client.post("/classify-commit", json=MERGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["detail"] == (
        "there is no commit-classifier@champion in MLflow yet: train one first (DAG train_commit_model)"
    )


def test_version_without_the_alias_is_not_used(client: TestClient, versions: dict[str, str]) -> None:
    answer = client.post("/classify-commit", json=MERGE)
    assert answer.status_code == 503
    assert "train one first" in answer.json()["detail"]


def test_eight_first_requests_load_the_champion_once(
    mlflow_server: MlflowServer, versions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, load = [], model_file.load

    def watched(path: Path) -> Any:
        loads.append((path, load(path)))
        return loads[-1][1]

    monkeypatch.setattr(model_file, "load", watched)
    mlflow_server.set_champion(versions["merge"])
    with service(mlflow_server) as client:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: classified(client, MERGE, CORRECT), range(8)))
        assert found == [[(True, versions["merge"]), (False, versions["merge"])]] * 8
        assert client.get("/health").json()["commit_model"] == {"version": versions["merge"], "problem": None}
    [(path, pipeline)] = loads
    assert not path.exists(), "its files are still there"
    assert pipeline[-1].n_jobs == 1, "each request would use all processors"


def test_when_the_alias_moves_the_new_version_is_used(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]
) -> None:
    mlflow_server.set_champion(versions["merge"])
    assert classified(client, MERGE, CORRECT) == [(True, versions["merge"]), (False, versions["merge"])]
    mlflow_server.set_champion(versions["correct"])
    until(client, lambda health: health["version"] == versions["correct"])
    assert classified(client, MERGE, CORRECT) == [(False, versions["correct"]), (True, versions["correct"])]


def test_unfit_version_is_never_used(client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]) -> None:
    mlflow_server.set_champion(versions["regression"])
    answer = client.post("/classify-commit", json=MERGE)
    assert answer.status_code == 503
    reason = f"version {versions['regression']} of commit-classifier does not fit this service (AttributeError: "
    assert answer.json()["detail"].startswith(reason)
    mlflow_server.set_champion(versions["merge"])
    until(client, lambda health: health["version"] == versions["merge"])
    mlflow_server.set_champion(versions["regression"])
    health = until(client, lambda health: health["problem"] is not None)
    assert health["problem"].startswith(reason)
    assert classified(client, MERGE) == [(True, versions["merge"])]


@pytest.mark.parametrize("gone", ["", "*/models/*/artifacts/model.skops"], ids=["all", "the-pipeline"])
def test_missing_files_are_reported_and_loaded_once_they_are_back(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str], gone: str
) -> None:
    mlflow_server.set_champion(versions["correct"])
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
    assert answer.json()["detail"].startswith(f"version {versions['correct']} of commit-classifier cannot be fetched")
    assert until(client, lambda health: health["version"] is not None) == {
        "version": versions["correct"],
        "problem": None,
    }


def test_error_of_the_model_is_reported_and_logged(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def broken(_features: CommitFeatures, commits: Any) -> Any:
        if commits["message"].str.contains("boom").any():
            raise ZeroDivisionError("boom")
        return transform(_features, commits)

    transform = CommitFeatures.transform
    monkeypatch.setattr(CommitFeatures, "transform", broken)
    mlflow_server.set_champion(versions["merge"])
    answer = client.post("/classify-commit", json=MERGE | {"message": "boom"})
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith(f"version {versions['merge']} of the model fails at these commits")
    assert "ZeroDivisionError: boom" in caplog.text
    assert classified(client, MERGE) == [(True, versions["merge"])]


def ask(address: str, body: object = None) -> tuple[int, bytes]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, {"Authorization": f"Bearer {TOKEN}"})
        with direct.open(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_service_process_loads_the_champion_and_ends_with_sigterm(
    mlflow_server: MlflowServer, versions: dict[str, str], tmp_path: Path
) -> None:
    mlflow_server.set_champion(versions["merge"])
    [port] = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "TMPDIR": str(tmp_path),
        "ML_API_PORT": str(port), "MLFLOW_TRACKING_URI": mlflow_server.url,
        "ML_API_TOKEN": TOKEN, "MODEL_SIGNING_KEY": KEY,
    }  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ml_api"], env=environment, cwd=tmp_path, stdout=output, stderr=output
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
    assert TOKEN not in log.read_text()
    assert KEY not in log.read_text()
    assert [found.name for found in tmp_path.iterdir()] == ["log"], "files of the model or of MLflow were not deleted"


@pytest.mark.parametrize(
    ("registered", "reason"),
    [
        pytest.param(
            {"key": "", "serialization_format": "skops"},
            "it has no signature: it was not registered by this platform's training",
            id="unsigned",
        ),
        pytest.param(
            {"key": "another", "serialization_format": "skops"}, "its signature is not valid", id="of-another-platform"
        ),
        pytest.param({"key": "", "serialization_format": "cloudpickle"}, "it has no signature", id="pickle"),
        pytest.param(
            {"key": KEY, "serialization_format": "cloudpickle"},
            "it has no model.skops but model.pkl",
            id="pickle-with-a-signature",
        ),
    ],
)
def test_model_that_training_has_not_registered_is_never_used(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str], registered: dict[str, str],
    reason: str,
) -> None:  # fmt: skip
    version = mlflow_server.register(forest(), **registered)
    mlflow_server.set_champion(version)
    answer = client.post("/classify-commit", json=MERGE)
    assert answer.status_code == 503
    assert f"version {version} of commit-classifier does not fit this service ({reason}" in answer.json()["detail"]
    mlflow_server.set_champion(versions["merge"])
    until(client, lambda health: health["version"] == versions["merge"])


def test_without_the_key_no_model_is_used(mlflow_server: MlflowServer, versions: dict[str, str]) -> None:
    mlflow_server.set_champion(versions["merge"])
    with service(mlflow_server, model_signing_key="") as client:
        answer = client.post("/classify-commit", json=MERGE)
    assert (answer.status_code, "MODEL_SIGNING_KEY is not set" in answer.text) == (503, True)


def test_without_the_alias_the_last_champion_stays_in_use_and_health_has_the_problem(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]
) -> None:
    mlflow_server.set_champion(versions["merge"])
    assert classified(client, MERGE) == [(True, versions["merge"])]
    mlflow_server.client.delete_registered_model_alias("commit-classifier", "champion")
    health = until(client, lambda health: health["problem"] is not None)
    assert (health["version"], "train one first" in health["problem"]) == (versions["merge"], True)


def test_model_that_is_deleted_and_trained_again_is_used_although_it_is_version_1_again(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]
) -> None:
    """The last but one of the module: it deletes the versions of the others."""
    mlflow_server.client.delete_registered_model("commit-classifier")
    first = mlflow_server.register(forest("Merge"))
    mlflow_server.set_champion(first)
    until(client, lambda health: health["version"] == first)
    assert classified(client, MERGE, CORRECT) == [(True, "1"), (False, "1")]

    mlflow_server.client.delete_registered_model("commit-classifier")
    again = mlflow_server.register(forest("Correct"))
    mlflow_server.set_champion(again)
    assert first == again == "1"
    deadline = time.monotonic() + 60
    while classified(client, MERGE, CORRECT) != [(False, "1"), (True, "1")]:
        assert time.monotonic() < deadline, "the deleted model is still used"
        time.sleep(0.02)
    versions["merge"] = mlflow_server.register(forest("Merge"))


def test_when_mlflow_is_down_the_old_model_is_used_and_a_new_service_has_the_problem(
    client: TestClient, mlflow_server: MlflowServer, versions: dict[str, str]
) -> None:
    mlflow_server.set_champion(versions["merge"])
    assert classified(client, MERGE) == [(True, versions["merge"])]
    mlflow_server.kill()
    health = until(client, lambda health: health["problem"] is not None)
    assert health["version"] == versions["merge"]
    assert classified(client, MERGE, CORRECT) == [(True, versions["merge"]), (False, versions["merge"])]
    with service(mlflow_server) as other:
        answer = other.post("/classify-commit", json=MERGE)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["detail"] == health["problem"]
        assert "MLFLOW_TRACKING_URI" in health["problem"]
        assert other.get("/health").json()["status"] == "ok"
