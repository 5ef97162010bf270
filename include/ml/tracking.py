"""The MLflow client: runs, model versions, and the alias of the champion.

What belongs here: all calls of MLflow, and the translation of its errors. What does not: which model is better
(`champion`), and the content of a run (`training`). No other module imports MLflow.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.ml import model_file
from include.ml.model_file import CHAMPION, SIGNATURE_TAG, RefusedModelError
from include.ml.subject import COMMITS, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from mlflow.models import ModelSignature

    from include.settings import TrainingSettings

log = logging.getLogger(__name__)

EXPERIMENT = COMMITS.experiment

_FORBIDDEN = 403
# Packages that loading the model needs. Listed here, because MLflow takes many seconds to infer them.
_REQUIREMENTS = ("scikit-learn", "pandas", "numpy", "skops")
# MLflow's defaults are two minutes per request and seven attempts. Airflow retries the task anyway.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's loaders execute code that a model names: this module does not use them.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
# Tags of a run: the key of its data and settings, the id of its model, the decision about it.
_KEY, _MODEL_ID, _DECISION = "training_key", "model_id", "decision"
# Tag of a version: the version that had the alias before it; `store_decision` writes it too.
_BEFORE = "champion_before"


@dataclass(frozen=True)
class RunContent:
    """The content of an MLflow run.

    Attributes:
        key: equal for trainings that would give the same model.
        model: a fitted pipeline.
        example: some input rows; times without time zone, as MLflow's schema requires.
        plots: PNG bytes by file name.
    """

    key: str
    name: str
    model: Any
    example: pd.DataFrame
    parameters: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    plots: Mapping[str, bytes]


@dataclass(frozen=True)
class TrainingRun:
    """A finished run. `decision` is None until the promotion of its model was decided."""

    run_id: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    model_id: str
    decision: dict[str, Any] | None
    signature: str = ""


class Tracking:
    """Client of one MLflow server.

    Methods raise a RetryableError if the server does not respond, and a PermanentError if it refuses. MLflow stores the
    server's address globally, so a process can use only one server.
    """

    def __init__(self, settings: TrainingSettings, subject: Subject = COMMITS) -> None:
        self._model, self._experiment = subject.model, subject.experiment
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow

        self._keys = settings.model_signing_key.get_secret_value()
        self._address, login = _without_login(settings.tracking_uri)
        os.environ.update(login)
        mlflow.set_tracking_uri(self._address)
        mlflow.set_registry_uri(self._address)  # else MLFLOW_REGISTRY_URI of the environment would count
        self._client = mlflow.MlflowClient(self._address)

    def finished(self, key: str) -> TrainingRun | None:
        """Return the newest finished run with this key. Mark unfinished runs of earlier trainings as killed.

        Unfinished runs of any key are marked: only one training runs at a time, and it calls this method. Runs created
        manually in the same experiment have no key and are not changed.
        """
        with self._translated_errors():
            experiment = self._client.get_experiment_by_name(self._experiment)
            if experiment is None:
                return None
            experiment_ids = [experiment.experiment_id]
            for run in self._client.search_runs(experiment_ids, "attributes.status = 'RUNNING'"):
                if _KEY in run.data.tags:
                    self._client.set_terminated(run.info.run_id, "KILLED")
            finished = f"tags.{_KEY} = '{key}' and attributes.status = 'FINISHED'"
            found = self._client.search_runs(experiment_ids, finished)
            return _run(found[0]) if found else None

    def run(self, run_id: str) -> TrainingRun:
        """Return a run."""
        with self._translated_errors():
            return _run(self._client.get_run(run_id))

    def log(self, report: RunContent) -> TrainingRun:
        """Log a training as a run. The run is marked as finished after everything was logged, including the model.

        Raises:
            PermanentError: MODEL_SIGNING_KEY is not set.
        """
        import mlflow

        key = self._keys.partition(",")[0]
        if not key:
            raise PermanentError(
                Code.MODEL_REFUSED,
                "MODEL_SIGNING_KEY is not set, so the model cannot be signed and would be refused. Set it to the same "
                "secret for training and the ML service.",
            )
        with self._translated_errors():
            tags = {**report.tags, _KEY: report.key}
            created = self._client.create_run(self._experiment_id(), tags=tags, run_name=report.name)
            with mlflow.start_run(run_id=created.info.run_id) as run:
                mlflow.log_params(dict(report.parameters))
                model_id = self._log_model(report)
                # After the model: otherwise MLflow requests the history of each metric to copy it to the model.
                mlflow.log_metrics(dict(report.metrics), model_id=model_id)
                with tempfile.TemporaryDirectory() as folder:
                    for name, content in report.plots.items():
                        (Path(folder) / name).write_bytes(content)
                    mlflow.log_artifacts(folder, "pictures")
                with self._downloaded(f"models:/{model_id}") as saved:
                    signature = model_file.signature(saved, run.info.run_id, key)
                mlflow.set_tags({_MODEL_ID: model_id, SIGNATURE_TAG: signature})
        return self.run(created.info.run_id)

    def register(self, run: TrainingRun) -> int:
        """Register the run's model unless it is registered already, and return its version."""
        from mlflow.exceptions import MlflowException

        with self._translated_errors():
            versions = self._client.search_model_versions(f"name = '{self._model}' and run_id = '{run.run_id}'")
            if versions:
                return max(int(version.version) for version in versions)
            signed = {SIGNATURE_TAG: run.signature}
            try:
                self._client.create_registered_model(self._model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            created = self._client.create_model_version(
                self._model, f"models:/{run.model_id}", run.run_id, signed, model_id=run.model_id, await_creation_for=0
            )
            return int(created.version)

    def champion(self) -> tuple[int, str] | None:
        """Return version and run id of the champion, or None."""
        from mlflow.exceptions import MlflowException

        with self._translated_errors():
            try:
                found = self._client.get_model_version_by_alias(self._model, CHAMPION)
            except MlflowException as error:
                # The first code is for a model that is not registered, the second for an alias that is not set.
                if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return None
                # For accounts that are not administrators MLflow returns 403 if the model is not registered.
                if _status(error) == _FORBIDDEN and not self._client.search_registered_models(
                    f"name = '{self._model}'"
                ):
                    return None
                raise
            return int(found.version), str(found.run_id)

    def load(self, version: int) -> Any:
        """Load the pipeline of a registered version.

        Raises:
            PermanentError: with MODEL_REFUSED: not signed by this platform's training, not a skops file, or types that
                are not trusted; with TRACKING_REFUSED: the version does not exist.
        """
        with self._translated_errors():
            found = self._client.get_model_version(self._model, str(version))
            signature = found.tags.get(SIGNATURE_TAG, "")
            run_id, name = found.run_id or "", f"Version {version} of {self._model}"
            return self._load(f"models:/{self._model}/{version}", run_id, signature, name)

    def has_model(self, run: TrainingRun) -> bool:
        """Return whether the run's model still exists, has a valid signature, and can be read."""
        try:
            with self._translated_errors():
                self._load(f"models:/{run.model_id}", run.run_id, run.signature, f"The model of run {run.run_id}")
        except PermanentError as error:
            log.info("Run %s is not reused: %s", run.run_id, error)
            return False
        return True

    def _load(self, address: str, run_id: str, signature: str, name: str) -> Any:
        with self._downloaded(address) as folder:
            try:
                model_file.check_signature(folder, run_id, signature, self._keys)
                return model_file.load(folder)
            except (RefusedModelError, FileNotFoundError) as error:
                raise PermanentError(Code.MODEL_REFUSED, f"{name} is refused: {error}.") from error

    @contextmanager
    def _downloaded(self, address: str) -> Iterator[Path]:
        """Download a model to a temporary folder, which is deleted afterwards."""
        import mlflow

        with tempfile.TemporaryDirectory() as folder:
            yield Path(mlflow.artifacts.download_artifacts(address, dst_path=folder, tracking_uri=self._address))

    def promote(self, version: int, before: int | None) -> None:
        """Move the alias to a version, after storing the version that had it (`before`) as a tag of the new one."""
        with self._translated_errors():
            self._client.set_model_version_tag(self._model, str(version), _BEFORE, str(before))
            self._client.set_registered_model_alias(self._model, CHAMPION, str(version))

    def champion_before(self, version: int) -> int | None:
        """Return the version that had the alias before this one; None if there was none or it was set manually."""
        with self._translated_errors():
            before = self._client.get_model_version(self._model, str(version)).tags.get(_BEFORE, "")
            return int(before) if before.isdecimal() else None

    def store_decision(self, run: TrainingRun, version: int, decision: Mapping[str, Any]) -> None:
        """Store the decision as tags of the version, then of the run; the tag `decision` of the run is written last."""
        with self._translated_errors():
            for name, value in decision.items():
                self._client.set_model_version_tag(self._model, str(version), name, str(value))
                self._client.set_tag(run.run_id, f"{_DECISION}.{name}", str(value))
            self._client.set_tag(run.run_id, _DECISION, json.dumps(dict(decision)))

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        return str(found.experiment_id if found else self._client.create_experiment(self._experiment))

    def _log_model(self, report: RunContent) -> str:
        import mlflow.sklearn

        info = mlflow.sklearn.log_model(
            report.model,
            name="model",
            serialization_format=model_file.FORMAT,
            skops_trusted_types=list(model_file.TRUSTED_TYPES),
            signature=_signature(report),
            input_example=report.example,
            pip_requirements=[f"{name}=={installed(name)}" for name in _REQUIREMENTS],
            pyfunc_predict_fn="predict_proba",
        )
        return str(info.model_id)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate errors of MLflow into a RetryableError or a PermanentError."""
        import requests
        from mlflow.exceptions import MlflowException

        try:
            yield
        except PipelineError:
            raise
        except MlflowException as error:
            raise self._error(_status(error), error) from error
        except requests.RequestException as error:
            raise self._error(error.response.status_code if error.response is not None else 503, error) from error

    def _error(self, status: int, error: Exception) -> PipelineError:
        """Return the error for a status. MLflow also uses 500 for requests that did not reach the server."""
        detail = str(error).split("\n", maxsplit=1)[0][:500]
        if status >= 500:
            message = "MLflow does not respond, or responded with a server error."
            return RetryableError(Code.TRACKING_UNAVAILABLE, message, url=self._address, detail=detail)
        message = "MLflow refused the request."
        return PermanentError(Code.TRACKING_REFUSED, message, url=self._address, status=status, detail=detail)


def _status(error: Any) -> int:
    """Return the HTTP status of MLflow's response. If it is not JSON (wrong login), only the text has the status."""
    status = re.search(r"failed with error code (\d{3}) != 200", str(error))
    return int(status[1]) if status else int(error.get_http_status_code())


def _without_login(uri: str) -> tuple[str, dict[str, str]]:
    """Return the URI without user and password, which MLflow would show in errors, and MLflow's variables for them."""
    parts = urlsplit(uri)
    if parts.username is None and parts.password is None:
        return uri, {}
    login = {
        "MLFLOW_TRACKING_USERNAME": unquote(parts.username or ""),
        "MLFLOW_TRACKING_PASSWORD": unquote(parts.password or ""),
    }
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), login


def _run(run: Any) -> TrainingRun:
    decision = run.data.tags.get(_DECISION)
    return TrainingRun(
        run_id=run.info.run_id,
        parameters=dict(run.data.params),
        metrics=dict(run.data.metrics),
        model_id=run.data.tags.get(_MODEL_ID, ""),
        decision=json.loads(decision) if decision else None,
        signature=run.data.tags.get(SIGNATURE_TAG, ""),
    )


def _signature(report: RunContent) -> ModelSignature:
    """Return the model signature: input columns in MLflow's types, and two probabilities per row as output."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    kinds = {"str": "string", "object": "string", "bool": "boolean", "float64": "double"}
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(kinds.get(str(kind), "datetime"), str(name), required=str(kind) not in {"object", "float64"})
        for name, kind in report.example.dtypes.items()
    ]
    return ModelSignature(Schema(columns), Schema([TensorSpec(np.dtype(np.float64), (-1, 2))]))
