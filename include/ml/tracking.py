"""MLflow: runs with what is known of them, model versions, and the alias of the one in use.

What belongs here: every call of MLflow, and its errors translated into ours. What does not: which model is better
(`champion`), what is known of one (`training`). Nobody else imports MLflow.
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
from include.ml.model_file import SIGNATURE_TAG, RefusedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from mlflow.models import ModelSignature

    from include.settings import TrainingSettings

log = logging.getLogger(__name__)

EXPERIMENT = "commit-analysis"
MODEL = "commit-classifier"
CHAMPION = "champion"

_STAGE = "tracking"
_FORBIDDEN = 403
# What the saved model needs where it is loaded. Named, since MLflow takes many seconds to find it out.
_REQUIREMENTS = ("scikit-learn", "pandas", "numpy", "skops")
# MLflow's own: two minutes a request and seven tries of it. A task has retries of its own.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's own loaders execute what a model names: nothing here uses them.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
# Tags of a run: by which a run of the same data and settings is found, where its model is, what was decided of it.
_KEY, _MODEL_ID, _DECISION = "training_key", "model_id", "decision"
# Tag of a version: whose the alias was before it; `note_decision` writes the same once more.
_BEFORE = "champion_before"


@dataclass(frozen=True)
class Report:
    """What is written down of a training.

    Attributes:
        key: the same for a training that would only repeat this one.
        model: a fitted pipeline.
        example: some rows of inputs; the times in them without a zone, as MLflow's own schema has it.
        pictures: file name and PNG of each.
    """

    key: str
    name: str
    model: Any
    example: pd.DataFrame
    parameters: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Run:
    """A finished run. `decision` is None as long as nobody has decided whether its model becomes the champion."""

    run_id: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    model_id: str
    decision: dict[str, Any] | None
    signature: str = ""


class Tracking:
    """One MLflow server. Methods raise a RetryableError when it does not answer, a PermanentError when it refuses.

    MLflow keeps the server's address for the whole process: one server a process.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow

        self._keys = settings.model_signing_key.get_secret_value()
        self._address, login = _without_login(settings.tracking_uri)
        os.environ.update(login)
        mlflow.set_tracking_uri(self._address)
        self._client = mlflow.MlflowClient(self._address)

    def finished(self, key: str) -> Run | None:
        """The newest finished run of this key. Runs that trainings left unfinished are marked as killed.

        Those of any key: only one training is at work at a time, and it is the one that asks. Runs that somebody made
        by hand in the same experiment have no key, and stay as they are.
        """
        with self._answers():
            experiment = self._client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                return None
            here = [experiment.experiment_id]
            for run in self._client.search_runs(here, "attributes.status = 'RUNNING'"):
                if _KEY in run.data.tags:
                    self._client.set_terminated(run.info.run_id, "KILLED")
            found = self._client.search_runs(here, f"tags.{_KEY} = '{key}' and attributes.status = 'FINISHED'")
            return _run(found[0]) if found else None

    def run(self, run_id: str) -> Run:
        """What is known of a run."""
        with self._answers():
            return _run(self._client.get_run(run_id))

    def log(self, report: Report) -> Run:
        """Write a training down. The run counts as finished when everything of it is there, the model included.

        Raises:
            PermanentError: there is no key to sign the model with.
        """
        import mlflow

        key = self._keys.partition(",")[0]
        if not key:
            raise PermanentError(
                _STAGE,
                Code.MODEL_REFUSED,
                "MODEL_SIGNING_KEY is not set, so the model cannot be signed and would be refused. Set it to the same "
                "secret for training and for the ML service.",
            )
        with self._answers():
            tags = {**report.tags, _KEY: report.key}
            created = self._client.create_run(self._experiment(), tags=tags, run_name=report.name)
            with mlflow.start_run(run_id=created.info.run_id) as run:
                mlflow.log_params(dict(report.parameters))
                model_id = self._log_model(report)
                # After the model: MLflow would ask for the history of each metric, one request each, to copy it there.
                mlflow.log_metrics(dict(report.metrics), model_id=model_id)
                with tempfile.TemporaryDirectory() as folder:
                    for name, content in report.pictures.items():
                        (Path(folder) / name).write_bytes(content)
                    mlflow.log_artifacts(folder, "pictures")
                with self._downloaded(f"models:/{model_id}") as saved:
                    signature = model_file.signature(saved, run.info.run_id, key)
                mlflow.set_tags({_MODEL_ID: model_id, SIGNATURE_TAG: signature})
        return self.run(created.info.run_id)

    def register(self, run: Run) -> int:
        """The version of the registered model that is this run's: a new one, unless it has one already."""
        from mlflow.exceptions import MlflowException

        with self._answers():
            versions = self._client.search_model_versions(f"name = '{MODEL}' and run_id = '{run.run_id}'")
            if versions:
                return max(int(version.version) for version in versions)
            signed = {SIGNATURE_TAG: run.signature}
            try:
                self._client.create_registered_model(MODEL)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            created = self._client.create_model_version(
                MODEL, f"models:/{run.model_id}", run.run_id, signed, model_id=run.model_id, await_creation_for=0
            )
            return int(created.version)

    def champion(self) -> tuple[int, str] | None:
        """Version and run of the champion, if there is one."""
        from mlflow.exceptions import MlflowException

        with self._answers():
            try:
                found = self._client.get_model_version_by_alias(MODEL, CHAMPION)
            except MlflowException as error:
                # A name that nobody has registered is not there; an alias that nobody has set is a wrong parameter.
                if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return None
                # To an account that is no administrator, MLflow refuses a name that is not registered.
                if _status(error) == _FORBIDDEN and not self._client.search_registered_models(f"name = '{MODEL}'"):
                    return None
                raise
            return int(found.version), str(found.run_id)

    def load(self, version: int) -> Any:
        """The pipeline of a registered version.

        Raises:
            PermanentError: with MODEL_REFUSED: not signed by this platform's training, no skops file, or types that
                are not trusted; with TRACKING_REFUSED: there is no such version.
        """
        with self._answers():
            found = self._client.get_model_version(MODEL, str(version))
            signature = found.tags.get(SIGNATURE_TAG, "")
            run_id, name = found.run_id or "", f"Version {version} of {MODEL}"
            return self._load(f"models:/{MODEL}/{version}", run_id, signature, name)

    def has_model(self, run: Run) -> bool:
        """Whether the run's own model is still there, signed by us, and can be read."""
        try:
            with self._answers():
                self._load(f"models:/{run.model_id}", run.run_id, run.signature, f"The model of run {run.run_id}")
        except PermanentError as error:
            log.info("Run %s is not used again: %s", run.run_id, error)
            return False
        return True

    def _load(self, address: str, run_id: str, signature: str, name: str) -> Any:
        with self._downloaded(address) as folder:
            try:
                model_file.check_signature(folder, run_id, signature, self._keys)
                return model_file.load(folder)
            except (RefusedModelError, FileNotFoundError) as error:
                raise PermanentError(_STAGE, Code.MODEL_REFUSED, f"{name} is refused: {error}.") from error

    @contextmanager
    def _downloaded(self, address: str) -> Iterator[Path]:
        """The files of a model, in a folder that is deleted afterwards."""
        import mlflow

        with tempfile.TemporaryDirectory() as folder:
            yield Path(mlflow.artifacts.download_artifacts(address, dst_path=folder, tracking_uri=self._address))

    def crown(self, version: int, before: int | None) -> None:
        """Give a version the alias; the one that had it, `before`, loses it, and is noted at the new one first."""
        with self._answers():
            self._client.set_model_version_tag(MODEL, str(version), _BEFORE, str(before))
            self._client.set_registered_model_alias(MODEL, CHAMPION, str(version))

    def champion_before(self, version: int) -> int | None:
        """Whom a version took the alias from; None if from nobody, or if it got it by hand."""
        with self._answers():
            noted = self._client.get_model_version(MODEL, str(version)).tags.get(_BEFORE, "")
            return int(noted) if noted.isdecimal() else None

    def note_decision(self, run: Run, version: int, decision: Mapping[str, Any]) -> None:
        """Write down at the version and at the run what was decided; at the run as the last thing."""
        with self._answers():
            for name, value in decision.items():
                self._client.set_model_version_tag(MODEL, str(version), name, str(value))
                self._client.set_tag(run.run_id, f"{_DECISION}.{name}", str(value))
            self._client.set_tag(run.run_id, _DECISION, json.dumps(dict(decision)))

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        return str(found.experiment_id if found else self._client.create_experiment(EXPERIMENT))

    def _log_model(self, report: Report) -> str:
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
    def _answers(self) -> Iterator[None]:
        """Translate what MLflow raises, by whether a retry can help."""
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
        """MLflow gives the status 500 to what never reached the server, and to what was put off too often."""
        detail = str(error).split("\n", maxsplit=1)[0][:500]
        if status >= 500:
            words = "MLflow does not answer as it should."
            return RetryableError(_STAGE, Code.TRACKING_UNAVAILABLE, words, url=self._address, detail=detail)
        return PermanentError(
            _STAGE, Code.TRACKING_REFUSED, "MLflow refuses.", url=self._address, status=status, detail=detail
        )


def _status(error: Any) -> int:
    """The status of MLflow's answer. One that is no JSON, as to a wrong login, has it in the text alone."""
    said = re.search(r"failed with error code (\d{3}) != 200", str(error))
    return int(said[1]) if said else int(error.get_http_status_code())


def _without_login(uri: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, which MLflow would write into its errors, and where it looks for them."""
    parts = urlsplit(uri)
    if parts.username is None and parts.password is None:
        return uri, {}
    login = {
        "MLFLOW_TRACKING_USERNAME": unquote(parts.username or ""),
        "MLFLOW_TRACKING_PASSWORD": unquote(parts.password or ""),
    }
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), login


def _run(run: Any) -> Run:
    decision = run.data.tags.get(_DECISION)
    return Run(
        run_id=run.info.run_id,
        parameters=dict(run.data.params),
        metrics=dict(run.data.metrics),
        model_id=run.data.tags.get(_MODEL_ID, ""),
        decision=json.loads(decision) if decision else None,
        signature=run.data.tags.get(SIGNATURE_TAG, ""),
    )


def _signature(report: Report) -> ModelSignature:
    """Which columns go in, by MLflow's types, and two probabilities that come out for each row."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    kinds = {"str": "string", "object": "string", "bool": "boolean", "float64": "double"}
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(kinds.get(str(kind), "datetime"), str(name), required=str(kind) not in {"object", "float64"})
        for name, kind in report.example.dtypes.items()
    ]
    return ModelSignature(Schema(columns), Schema([TensorSpec(np.dtype(np.float64), (-1, 2))]))
