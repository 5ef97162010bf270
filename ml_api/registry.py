"""Access to MLflow: the champion's version, signature and files. The only module of the service that imports MLflow.

A model is loaded only from a skops file that the training of this platform has signed: see `include.ml.model_file`.
MLflow's own loaders are not used, because they execute code that a model names.

MLflow and scikit-learn are imported with the first question to a model: they take seconds, and more memory than the
service itself. Files are fetched through MLflow's server, so the service needs no credentials of the bucket.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from include.ml import model_file
from include.ml.model_file import CHAMPION
from ml_api.champion import COMMIT_MODEL, Loaded_co, ModelUnavailableError, ServedModel, UnfitModelError, Version

if TYPE_CHECKING:
    from collections.abc import Callable

# Environment of the process: MLflow reads it for every request. The defaults are a timeout of 2 minutes and 7 retries.
CLIENT_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "GIT_PYTHON_REFRESH": "quiet",  # the image has no git
}

_NOT_FOUND_CODES = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no model of the name; no such alias


class MlflowRegistry(Generic[Loaded_co]):
    """The versions of a model of one MLflow server.

    Args:
        uri: address without a password; the login is in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
        keys: keys that may have signed a model, separated by commas.
        make: from a version and its pipeline to the loaded model.
        model: which model.
    """

    def __init__(
        self, uri: str, keys: str, make: Callable[[str, Any], Loaded_co], model: ServedModel = COMMIT_MODEL
    ) -> None:
        self._uri, self._keys, self._make, self._model = uri, keys, make, model

    def champion_version(self) -> Version:
        """Return the version that has the alias.

        Raises:
            ModelUnavailableError: no version has it, or MLflow does not answer or refuses the login.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            found = MlflowClient(self._uri, self._uri).get_model_version_by_alias(self._model.name, CHAMPION)
        except (MlflowException, OSError) as error:
            raise self._no_version(error) from error
        signature = found.tags.get(model_file.SIGNATURE_TAG, "")
        return Version(str(found.version), str(found.run_id or ""), int(found.creation_timestamp or 0), signature)

    def load(self, version: Version) -> Loaded_co:
        """Fetch the files of a version, check its signature, load its pipeline and check it with samples.

        Raises:
            ModelUnavailableError: the files cannot be fetched.
            UnfitModelError: the files are no such pipeline, or are not from the training of this platform.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        mlflow.set_tracking_uri(self._uri)  # download_artifacts resolves a version to a second URI there
        mlflow.set_registry_uri(self._uri)
        try:
            with tempfile.TemporaryDirectory(prefix="ml-api-") as folder:
                address = f"models:/{self._model.name}/{version.number}"
                path = Path(mlflow.artifacts.download_artifacts(address, dst_path=folder))
                if not (path / "MLmodel").exists():  # MLflow raises no error for a version without files
                    raise FileNotFoundError(f"version {version.number} has no files")
                champion = self._make(version.number, self._pipeline(version, path))
        except (MlflowException, OSError, MemoryError) as error:
            raise ModelUnavailableError(
                f"version {version.number} of {self._model.name} cannot be fetched: look at MLflow at"
                " MLFLOW_TRACKING_URI and at its bucket, and at the log of this service"
            ) from error
        champion.check()
        return champion

    def _pipeline(self, version: Version, path: Path) -> Any:
        """Load the pipeline and set it to one thread: requests run in parallel, and a pool is slow for a few rows."""
        try:
            model_file.check_signature(path, version.run_id, version.signature, self._keys)
            pipeline = model_file.load(path)
            parallel = [name for name in pipeline.get_params() if name.rpartition("__")[2] == "n_jobs"]
            pipeline.set_params(**dict.fromkeys(parallel, 1))
        except (OSError, MemoryError):  # not caused by the model
            raise
        except model_file.RefusedModelError as error:
            raise UnfitModelError(version.number, str(error), self._model) from error
        except Exception as error:  # the file may hold any object
            raise UnfitModelError(version.number, f"{type(error).__name__}: {error}", self._model) from error
        return pipeline

    def _no_version(self, error: Exception) -> ModelUnavailableError:
        """Return the error that explains MLflow's answer."""
        if getattr(error, "error_code", "") in _NOT_FOUND_CODES or (
            _status(error) == 403 and not self._is_registered()
        ):
            return ModelUnavailableError(
                f"there is no {self._model.name}@{CHAMPION} in MLflow yet: train one first (DAG {self._model.dag})"
            )
        if _status(error) in {401, 403}:
            return ModelUnavailableError(
                "MLflow refuses the login of this service: check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return ModelUnavailableError(
            "MLflow does not answer as it should: see that it runs, and that MLFLOW_TRACKING_URI has its address"
        )

    def _is_registered(self) -> bool:
        """Whether the model is registered. MLflow answers 403 for an unknown name; a search does not."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            return bool(MlflowClient(self._uri, self._uri).search_registered_models(f"name = '{self._model.name}'"))
        except (MlflowException, OSError):
            return True


def _status(error: Exception) -> int | None:
    """Return the HTTP status of MLflow's answer, if any. It is read from the text: not every answer is JSON."""
    found = re.search(r"error code (\d{3}) != 200", str(error))
    return int(found[1]) if found else None
