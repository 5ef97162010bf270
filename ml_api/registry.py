"""MLflow's side of the champion: its version, its origin, its files. The only module that imports MLflow.

A model is loaded only if the training of this platform has signed it, and as a skops file: see `include.ml.model_file`.
MLflow's own loaders, which execute what a model names, are not used.

Nothing here is imported before the first commit is to be classified: MLflow and scikit-learn take seconds and more
memory than all the rest of the service. Files come through MLflow's server, so no key of a bucket is needed.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from include.ml import model_file
from ml_api.champion import ALIAS, MODEL, Champion, ModelUnavailableError, UnfitModelError, Version

# For the process: MLflow reads them whenever it asks its server. Its own defaults wait 2 minutes and ask 8 times.
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

_NO_SUCH_THING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no model of the name; none with the alias


class MlflowRegistry:
    """The models of one MLflow server.

    Args:
        uri: its address, without a password; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD hold the login.
        keys: with which models are signed, separated by commas.
    """

    def __init__(self, uri: str, keys: str) -> None:
        self._uri, self._keys = uri, keys

    def champion_version(self) -> Version:
        """The version that has the alias.

        Raises:
            ModelUnavailableError: none has it, or MLflow does not answer or refuses.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            found = MlflowClient(self._uri, self._uri).get_model_version_by_alias(MODEL, ALIAS)
        except (MlflowException, OSError) as error:
            raise self._no_version(error) from error
        signature = found.tags.get(model_file.SIGNATURE_TAG, "")
        return Version(str(found.version), str(found.run_id or ""), int(found.creation_timestamp or 0), signature)

    def load(self, version: Version) -> Champion:
        """Fetch the files of a version, check who registered it, load its pipeline and prove it.

        Raises:
            ModelUnavailableError: the files cannot be fetched.
            UnfitModelError: they hold something else, or are not from the training of this platform.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        mlflow.set_tracking_uri(self._uri)  # the address of a version leads to a second one, which is asked for there
        mlflow.set_registry_uri(self._uri)
        try:
            with tempfile.TemporaryDirectory(prefix="ml-api-") as folder:
                address = f"models:/{MODEL}/{version.number}"
                path = Path(mlflow.artifacts.download_artifacts(address, dst_path=folder))
                if not (path / "MLmodel").exists():  # nothing at all is no error to MLflow
                    raise FileNotFoundError(f"version {version.number} has no files")
                champion = Champion(version.number, self._pipeline(version, path))
        except (MlflowException, OSError, MemoryError) as error:
            raise ModelUnavailableError(
                f"version {version.number} of {MODEL} cannot be fetched: look at MLflow at MLFLOW_TRACKING_URI and at"
                " its bucket, and at the log of this service"
            ) from error
        champion.prove()
        return champion

    def _pipeline(self, version: Version, path: Path) -> Any:
        """The pipeline, set to use one thread: each request has its own, and a pool costs more than a row is worth."""
        try:
            model_file.check_signature(path, version.run_id, version.signature, self._keys)
            pipeline = model_file.load(path)
            parallel = [name for name in pipeline.get_params() if name.rpartition("__")[2] == "n_jobs"]
            pipeline.set_params(**dict.fromkeys(parallel, 1))
        except (OSError, MemoryError):  # says nothing of the model
            raise
        except model_file.RefusedModelError as error:
            raise UnfitModelError(version.number, str(error)) from error
        except Exception as error:  # it may be any object
            raise UnfitModelError(version.number, f"{type(error).__name__}: {error}") from error
        return pipeline

    def _no_version(self, error: Exception) -> ModelUnavailableError:
        """Why no version was found, by MLflow's answer."""
        if getattr(error, "error_code", "") in _NO_SUCH_THING or (_status(error) == 403 and not self._is_registered()):
            return ModelUnavailableError(
                f"there is no {MODEL}@{ALIAS} in MLflow yet: train one first (DAG train_commit_model)"
            )
        if _status(error) in {401, 403}:
            return ModelUnavailableError(
                "MLflow refuses the login of this service: check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return ModelUnavailableError(
            "MLflow does not answer as it should: see that it runs, and that MLFLOW_TRACKING_URI has its address"
        )

    def _is_registered(self) -> bool:
        """Whether there is such a model. MLflow refuses a name that is not registered, and a search does not."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            return bool(MlflowClient(self._uri, self._uri).search_registered_models(f"name = '{MODEL}'"))
        except (MlflowException, OSError):
            return True


def _status(error: Exception) -> int | None:
    """The status of MLflow's answer, where there was one. It is in the text: not every answer is JSON."""
    said = re.search(r"error code (\d{3}) != 200", str(error))
    return int(said[1]) if said else None
