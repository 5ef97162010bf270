"""A real MLflow server with its own files, which tests may stop, and methods to register models in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.ml import model_file
from include.ml.model_file import CHAMPION, MODEL
from local.settings import free_ports
from ml_api.registry import CLIENT_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator


KEY, TOKEN = "key-of-the-tests", "token-of-the-tests"


class MlflowServer:
    """The server on a free port; it keeps its data when it is stopped and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        command = [
            str(Path(sys.executable).parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", "1", "--backend-store-uri", f"sqlite:///{self.home}/mlflow.db",
            "--serve-artifacts", "--artifacts-destination", str(self.home / "files"),
        ]  # fmt: skip
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.home / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | environment, cwd=self.home, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self._process.poll() is None, (self.home / "mlflow.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "MLflow does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it and its child processes."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def register(self, pipeline: Any, *, key: str = KEY, serialization_format: str = "skops") -> str:
        """Register a new version of the model, without the alias; it is signed if there is a key."""
        import mlflow

        mlflow.set_tracking_uri(self.url)
        mlflow.set_registry_uri(self.url)  # that of the tests before is another one
        with mlflow.start_run() as run:
            info = mlflow.sklearn.log_model(
                pipeline, name="model", serialization_format=serialization_format, registered_model_name=MODEL,
                pip_requirements=["scikit-learn"], await_registration_for=0,
                skops_trusted_types=list(model_file.TRUSTED_TYPES),
            )  # fmt: skip
        version = str(info.registered_model_version)
        if key:
            with tempfile.TemporaryDirectory() as folder:
                saved = Path(mlflow.artifacts.download_artifacts(f"models:/{info.model_id}", dst_path=folder))
                signature = (
                    "copied" if serialization_format != "skops" else model_file.signature(saved, run.info.run_id, key)
                )
            self.client.set_model_version_tag(MODEL, version, model_file.SIGNATURE_TAG, signature)
        return version

    def set_champion(self, version: str) -> None:
        """Set the alias to this version."""
        self.client.set_registered_model_alias(MODEL, CHAMPION, version)

    @property
    def client(self) -> Any:
        """MLflow's client."""
        from mlflow import MlflowClient

        return MlflowClient(self.url, self.url)

    def _answers(self) -> bool:
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            return bool(direct.open(f"{self.url}/health", timeout=5).read() == b"OK")
        except OSError:
            return False


@pytest.fixture(scope="module")
def _mlflow_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CLIENT_ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("MLFLOW_TRACKING_URI", server.url)  # MLflow's clients change it: restored at the end
        try:
            yield server
        finally:
            server.kill()
            import mlflow

            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
            mlflow.set_registry_uri(None)  # type: ignore[arg-type]


@pytest.fixture
def mlflow_server(_mlflow_of_the_module: MlflowServer) -> MlflowServer:
    """MLflow, started again if the test before stopped it."""
    _mlflow_of_the_module.start()
    return _mlflow_of_the_module
